package access_test

import (
	"fmt"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A request that policy approves at once, over SQLite with its full sync: three events in one transaction, with the key.
func BenchmarkRequestApprovedAtOnce(b *testing.B) {
	w := newWorld(b)
	for i := 0; b.Loop(); i++ {
		c := access.Caller{Subject: grant.Subject(fmt.Sprintf("u%d@example.com", i)), Groups: alice.Groups}
		if _, err := w.service.Request(b.Context(), c, ask("staging", "db"), w.key()); err != nil {
			b.Fatal(err)
		}
	}
}
