// Package discovery finds where the Data Plane APIs of nodes are, and remembers them through answers that cannot be
// believed. DNS is one Source; Kubernetes' endpoints would be another.
//
// What a Source says is not trusted: whoever answers could lead the Data Plane API's password to an address of theirs. So
// addresses are held to networks, and a node is spoken to by TLS with the configured authorities, or over loopback. It may
// import the standard library and a DNS library.
package discovery

import (
	"context"
	"errors"
	"net/netip"
)

// Source says where nodes are now.
type Source interface {
	// Lookup asks once. An error means that nothing is known, never that there are no nodes.
	Lookup(ctx context.Context) (Answer, error)
}

// Answer is what a Source found.
type Answer struct {
	// Endpoints are in any order, and may have doubles.
	Endpoints []netip.AddrPort
	// Incomplete says why there may be more of them; nil: these are all.
	Incomplete error
}

var (
	// ErrEmpty is the error of a Source that was answered with no endpoint at all.
	ErrEmpty = errors.New("the answer is empty")
	// ErrTooMany is the error of a Source whose answer is larger than any fleet.
	ErrTooMany = errors.New("the answer has more than 1000 records")
)

// maxRecords bounds an answer.
const maxRecords = 1000
