package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func testUnless(t *testing.T, h Harness) {
	s := h(t)()
	try := func(since int64, events ...grant.Event) error {
		_, err := s.Commit(t.Context(), store.Change{Events: events, Unless: &store.Since{Subject: alice, Revision: since}})
		return err
	}
	conflicts := func(since int64, events ...grant.Event) {
		t.Helper()
		unchanged(t, s, func() { wantError(t, try(since, events...), store.ErrConflict) })
	}
	first := asked("g1", alice, billing, noon)
	if err := try(0, first); err != nil { // 1: there is no grant of theirs yet
		t.Fatal(err)
	}
	conflicts(0, asked("g2", alice, search, noon))
	if err := try(1, asked("g2", alice, search, noon)); err != nil { // 2
		t.Fatal(err)
	}
	conflicts(1, asked("g3", alice, staging, noon))
	// What is no change of a grant of theirs does not count: others' grants, a refusal, a lock on them.
	refusal := grant.Event{Grant: grant.Grant{Subject: alice, Pool: staging}, Verb: grant.Refuse, Actor: alice, At: noon}
	lock := locked(grant.Lock{ID: "l1", Subject: alice, Environment: "other", Until: noon.Add(time.Hour)})
	theirs := asked("g4", "agent:triage", billing, noon)
	theirs.Grant.Owner = alice
	commit(t, s, asked("g3", bob, billing, noon), refusal, lock, theirs) // 3 to 6
	if err := try(2, asked("g5", alice, staging, noon)); err != nil {    // 7
		t.Fatal(err)
	}
	// Any transition counts, also one that ends a grant.
	commit(t, s, then(first.Grant, grant.Cancel, grant.Cancelled, noon)) // 8
	conflicts(7, asked("g6", alice, billing, noon))
	if err := try(8, asked("g6", alice, billing, noon)); err != nil {
		t.Fatal(err)
	}
	// It holds for a change of others' grants, and for one without events, too.
	conflicts(8, asked("g7", bob, search, noon))
	conflicts(8)
	if err := try(100); err != nil {
		t.Fatal(err)
	}
}

// testUnlessRace: of several that have counted the same grants one may add to them.
func testUnlessRace(t *testing.T, h Harness) {
	s := h(t)()
	const rivals = 12
	for round := range 4 {
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, rivals)
		for n := range rivals {
			wg.Go(func() {
				pool := grant.Pool{Environment: "prod", Name: fmt.Sprintf("p%d-%d", round, n)}
				_, errs[n] = s.Commit(t.Context(), store.Change{
					Events: []grant.Event{asked("g-"+pool.Name, alice, pool, noon)}, Unless: &store.Since{Subject: alice, Revision: head},
				})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, store.ErrConflict):
				t.Fatalf("the loser got %v", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d won", won, rivals)
		}
	}
}
