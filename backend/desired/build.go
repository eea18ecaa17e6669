package desired

import (
	"fmt"
	"strconv"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Pool is a pool as HAProxy knows it.
type Pool struct {
	Name    grant.Pool
	Backend string
	Hosts   []string
}

// Key is a public key that a node verifies tokens with.
type Key struct {
	Issuer string // the name that chooses the key space: "clutch", or an identity provider's
	KID    string
	File   string // on the node
}

// Topology is what a node serves, beside grants.
type Topology struct {
	Pools []Pool // of the node's environments, and no others
	Keys  []Key
}

// Build is what a node of this topology must hold at the time now: the rows of the grants that are active and not
// expired, for pools that it serves, and everything that does not depend on grants. Leases are not in it: they are given
// for a pass that succeeded (see Lease).
func Build(t Topology, grants []grant.Grant, now time.Time) State {
	s := State{Grants: {}, Hosts: {}, Pools: {}, KIDs: {}}
	for _, p := range t.Pools {
		s[Pools][p.Name.String()] = p.Backend
		for _, h := range p.Hosts {
			s[Hosts][h] = p.Name.String()
		}
	}
	for _, k := range t.Keys {
		s[KIDs][k.Issuer+"|"+k.KID] = k.File
	}
	for _, g := range grants {
		if _, served := s[Pools][g.Pool.String()]; served && g.Live(now) {
			s[Grants][RowKey(g.Subject, g.Pool)] = RowValue(g)
		}
	}
	return s
}

// RowKey is a grant's key in grants.map.
func RowKey(s grant.Subject, p grant.Pool) string { return string(s) + "|" + p.String() }

// RowValue is a grant's value in grants.map: HAProxy refuses by itself from the second ExpiresAt on.
func RowValue(g grant.Grant) string {
	return fmt.Sprintf("%010d:%s", g.ExpiresAt.Unix(), g.ID)
}

// LeaseOff is the value of an environment whose lease is off: the last second that has ten digits.
const LeaseOff = "9999999999"

// Lease is an environment's value in leases.map after a pass that began to read at the time read: read plus length, in
// whole seconds, rounded down. What is there already (have) stays while more than two thirds of the length are left, so
// that a pass without a change writes nothing; anything further in the future than we would give is not ours.
func Lease(have string, read time.Time, length time.Duration) string {
	until := read.Add(length).Unix()
	if n, err := strconv.ParseInt(have, 10, 64); err == nil && len(have) == len(LeaseOff) && n <= until {
		if n-read.Unix() > int64(length/time.Second)*2/3 {
			return have
		}
	}
	return fmt.Sprintf("%010d", until)
}

// LeaseTime reads a value of leases.map; the zero time for one that is no number.
func LeaseTime(value string) time.Time {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
