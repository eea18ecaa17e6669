package haproxycfg

import (
	"errors"
	"fmt"
	"strings"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
)

const (
	// DefaultLease is the lease of an environment that names none.
	DefaultLease = 30 * time.Second
	// LeaseOff is how the configuration says that an environment has no lease.
	LeaseOff = "off"

	defaultHardStopAfter = 30 * time.Second
	shortestLease        = time.Second
	longestLease         = 24 * time.Hour
)

// ParseLease reads an environment's lease: whole seconds from 1s to 24h, DefaultLease for "", 0 for "off".
func ParseLease(text string) (time.Duration, error) {
	switch text {
	case "":
		return DefaultLease, nil
	case LeaseOff:
		return 0, nil
	}
	lease, err := time.ParseDuration(text)
	if err != nil || lease < shortestLease || lease > longestLease || lease%time.Second != 0 {
		return 0, fmt.Errorf("want %q or whole seconds from %s to %s", LeaseOff, shortestLease, longestLease)
	}
	return lease, nil
}

// FromConfig turns the gateway's configuration into an Input and checks it as a whole. The error joins all problems and
// names each field as the configuration does: environments[1].pools[0].hosts[2]. keys are ours and those of the
// identity providers; a caller that only wants the check, or the tables, may leave out the PEM or all of them and set
// Input.Keys later.
func FromConfig(fleet *haproxyv1.Config, access *accessv1.Config, keys []PublicKey) (Input, error) {
	in := Input{
		Issuer:    access.GetToken().GetIssuer(),
		ClutchURL: strings.TrimSuffix(access.GetClutchUrl(), "/"),
		Keys:      keys,
	}
	var problems []error
	for i, e := range fleet.GetEnvironments() {
		lease, err := ParseLease(e.GetLease())
		if err != nil {
			problems = append(problems, fmt.Errorf("environments[%d].lease: %w", i, err))
		}
		in.Environments = append(in.Environments, Environment{Name: e.GetName(), Lease: lease, Pools: poolsOf(e)})
	}
	for _, n := range fleet.GetNodes() {
		in.Nodes = append(in.Nodes, Node{Name: n.GetName(), Environments: n.GetEnvironments()})
	}
	in.setEnforcement(fleet.GetEnforcement())
	problems = append(problems, in.problems()...)
	if len(problems) > 0 {
		return Input{}, fmt.Errorf("check haproxy configuration: %w", errors.Join(problems...))
	}
	return in, nil
}

func poolsOf(e *haproxyv1.Environment) []Pool {
	var pools []Pool
	for _, p := range e.GetPools() {
		pool := Pool{Name: p.GetName(), Backend: p.GetBackend(), Hosts: p.GetHosts()}
		for _, s := range p.GetServers() {
			pool.Servers = append(pool.Servers, Server{Name: s.GetName(), Address: s.GetAddress(), Port: s.GetPort()})
		}
		pools = append(pools, pool)
	}
	return pools
}

func (in *Input) setEnforcement(e *haproxyv1.Enforcement) {
	in.MapsDir, in.KeysDir, in.PagesDir = e.GetMapsDir(), e.GetKeysDir(), e.GetPagesDir()
	in.HardStopAfter = defaultHardStopAfter
	if e.GetHardStopAfter() != nil {
		in.HardStopAfter = e.GetHardStopAfter().AsDuration()
	}
	in.SignatureCache = e.GetSignatureCache()
	for _, b := range e.GetBinds() {
		in.Binds = append(in.Binds, Bind{Address: b.GetAddress(), Certificate: b.GetTlsCertificate()})
	}
	for _, p := range e.GetIdentityProviders() {
		provider := IdentityProvider{Name: p.GetName(), Issuer: p.GetIssuer(), Audience: p.GetAudience()}
		for _, k := range p.GetKeys() {
			provider.KIDs = append(provider.KIDs, k.GetKid())
		}
		in.IdentityProviders = append(in.IdentityProviders, provider)
	}
	if s := e.GetStandalone(); s != nil {
		in.Standalone = &Standalone{StatsSocket: s.GetStatsSocket(), Log: s.GetLog(), MaxConn: s.GetMaxconn()}
	}
}
