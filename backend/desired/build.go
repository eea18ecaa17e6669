package desired

import (
	"fmt"
	"strconv"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// RowKey is a grant's key in grants.map.
func RowKey(s grant.Subject, p grant.Pool) string { return string(s) + "|" + p.String() }

// RowValue is a grant's value in grants.map: HAProxy refuses by itself from the second ExpiresAt on.
func RowValue(g grant.Grant) string {
	return fmt.Sprintf("%010d:%s", g.ExpiresAt.Unix(), g.ID)
}

// LeaseOff is the value of an environment whose lease is off: the last second that has ten digits.
const LeaseOff = "9999999999"

// ShortestLease is the shortest that a node can hold without a gap: it knows whole seconds only, up to one of which is lost
// by rounding down.
const ShortestLease = 2 * time.Second

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
