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

// wantLocked commits a change that a lock must stop, wholly.
func wantLocked(t *testing.T, s Store, id string, events ...grant.Event) {
	t.Helper()
	unchanged(t, s, func() {
		_, err := s.Commit(t.Context(), store.Change{Events: events})
		var locked *store.LockedError
		if !errors.As(err, &locked) || locked.Lock.ID != id {
			t.Fatalf("error %v, want one that names lock %s", err, id)
		}
	})
}

// lift is the event that lifts a lock.
func lift(e grant.Event) grant.Event {
	e.Verb, e.Lock.LiftedAt, e.Lock.LiftedBy = grant.LiftLock, e.At.Add(time.Minute), carol
	return e
}

func testLockCovers(t *testing.T, h Harness) {
	s := h(t)()
	hour := noon.Add(time.Hour)
	tests := []struct {
		name  string
		lock  grant.Lock
		stops []string // of the five below
	}{
		{"everything", grant.Lock{}, []string{"alice", "staging", "search", "agent", "bob"}},
		{"a subject", grant.Lock{Subject: alice}, []string{"alice", "staging", "search"}},
		{"an owner", grant.Lock{Subject: carol}, []string{"agent"}},
		{"an agent", grant.Lock{Subject: "agent:triage"}, []string{"agent"}},
		{"an environment", grant.Lock{Environment: "staging"}, []string{"staging"}},
		{"a pool", grant.Lock{Environment: "prod", Pool: "search"}, []string{"search"}},
		{"a subject in an environment", grant.Lock{Subject: alice, Environment: "prod"}, []string{"alice", "search"}},
		{"a subject in a pool", grant.Lock{Subject: alice, Environment: "prod", Pool: "billing"}, []string{"alice"}},
		{"another subject", grant.Lock{Subject: "dave@example.com"}, nil},
		{"a part of a name", grant.Lock{Subject: "alice"}, nil},
	}
	for n, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.lock.ID, test.lock.Until = fmt.Sprintf("l%d", n), hour
			put := locked(test.lock)
			commit(t, s, put)
			stops := map[string]bool{}
			for _, name := range test.stops {
				stops[name] = true
			}
			id := func(name string) string { return fmt.Sprintf("g%d-%s", n, name) }
			agent := asked(id("agent"), "agent:triage", billing, noon)
			agent.Grant.Owner = carol
			for name, request := range map[string]grant.Event{
				"alice": asked(id("alice"), alice, billing, noon), "staging": asked(id("staging"), alice, staging, noon),
				"search": asked(id("search"), alice, search, noon), "bob": asked(id("bob"), bob, billing, noon), "agent": agent,
			} {
				if stops[name] {
					wantLocked(t, s, test.lock.ID, request)
				} else {
					commit(t, s, request)
				}
			}
			commit(t, s, lift(put))
		})
	}
}

// testLockStopsWhatOpens: of every transition, those that lead to access and no others, for as long as it holds.
func testLockStopsWhatOpens(t *testing.T, h Harness) {
	s := h(t)()
	opens := map[string]bool{"request": true, "approve": true, "complete": true, "activate": true, "ask_extension": true, "extend": true}
	type step struct {
		id string
		e  grant.Event
	}
	var steps []step
	for n, l := range legal {
		id := fmt.Sprintf("g%d", n)
		e := asked(id, subjectOf(n), billing, noon)
		if l[0] == "" {
			steps = append(steps, step{id, e})
			continue
		}
		commit(t, s, e)
		for _, way := range wayTo[l[0]] {
			e = then(e.Grant, grant.Verb(way[0]), grant.State(way[1]), noon)
			commit(t, s, e)
		}
		steps = append(steps, step{id, then(e.Grant, grant.Verb(l[1]), grant.State(l[2]), noon)})
	}
	put := locked(grant.Lock{ID: "l1", Until: noon.Add(time.Hour)})
	commit(t, s, put)
	for _, step := range steps {
		step.e.At = put.Lock.Until.Add(-time.Millisecond)
		if opens[string(step.e.Verb)] {
			wantLocked(t, s, "l1", step.e)
			step.e.At = put.Lock.Until // it has ended then
		}
		commit(t, s, step.e)
	}
}

func testLockLife(t *testing.T, h Harness) {
	s := h(t)()
	_, err := s.Lock(t.Context(), "l1")
	wantError(t, err, store.ErrNotFound)
	conflicts := func(e grant.Event) {
		t.Helper()
		unchanged(t, s, func() {
			_, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}})
			wantError(t, err, store.ErrConflict)
		})
	}
	has := func(want grant.Lock) {
		t.Helper()
		got, err := s.Lock(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "lock", got, want)
	}
	put := locked(grant.Lock{ID: "l1", Subject: alice, Environment: "prod", Pool: "billing", Until: noon.Add(time.Hour)})
	conflicts(lift(put)) // it is not there
	if got := commit(t, s, put); got != 1 {
		t.Fatalf("revision %d", got)
	}
	has(put.Lock)
	conflicts(put)
	other := put
	other.Lock.Subject = bob
	conflicts(other)
	commit(t, s, lift(put))
	has(lift(put).Lock)
	conflicts(lift(put))
	conflicts(put)
	commit(t, s, asked("g1", alice, billing, noon)) // it stops nothing any more

	// All within one change, which is judged in its own order.
	second := locked(grant.Lock{ID: "l2", Subject: alice, Until: noon.Add(time.Hour)})
	wantLocked(t, s, "l2", second, asked("g2", alice, search, noon))
	_, err = s.Lock(t.Context(), "l2")
	wantError(t, err, store.ErrNotFound)
	commit(t, s, second, lift(second), asked("g2", alice, search, noon))
	third := locked(grant.Lock{ID: "l3", Subject: bob, Until: noon.Add(time.Hour)})
	commit(t, s, asked("g3", bob, search, noon), third)
	commit(t, s, lift(third), approved(asked("g3", bob, search, noon)))

	entries := log(t, s)
	equal(t, "the first event", entries[0].Event, put)
	if err := VerifyChain(entries); err != nil {
		t.Fatal(err)
	}
}

func testLockLists(t *testing.T, h Harness) {
	s := h(t)()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	var all []grant.Lock
	for n, until := range []int{10, 30, 20, 40} {
		e := locked(grant.Lock{ID: fmt.Sprintf("l%d", n), Subject: subjectOf(n), Until: at(until)})
		e.Lock.At = at(n / 2) // two share each moment
		commit(t, s, e)
		all = append(all, e.Lock)
	}
	lifted := locked(all[3])
	lifted.Lock.At = at(1)
	lifted = lift(lifted)
	commit(t, s, lifted)
	for _, test := range []struct {
		name  string
		at    time.Time
		limit int
		want  []string
	}{
		{"all, newest first", time.Time{}, 10, []string{"l3", "l2", "l1", "l0"}},
		{"a page", time.Time{}, 2, []string{"l3", "l2"}},
		{"those that hold", at(5), 10, []string{"l2", "l1", "l0"}},
		{"a moment before an end", at(10).Add(-time.Millisecond), 10, []string{"l2", "l1", "l0"}},
		{"at an end", at(10), 10, []string{"l2", "l1"}},
		{"one of those that hold", at(10), 1, []string{"l2"}},
		{"none", at(30), 10, nil},
	} {
		locks, err := s.Locks(t.Context(), test.at, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range locks {
			got = append(got, l.ID)
		}
		equal(t, test.name, got, test.want)
	}
	if got := allLocks(t, s); got[0] != lifted.Lock {
		t.Errorf("the lifted one is read as %+v", got[0])
	}
}

// testLockRace: once a lock stands in the log, nothing that it covers opens behind it.
func testLockRace(t *testing.T, h Harness) {
	s := h(t)()
	const rivals = 24
	var wg sync.WaitGroup
	errs := make([]error, rivals+1)
	start := make(chan struct{})
	for n := range rivals + 1 {
		wg.Go(func() {
			<-start
			c := store.Change{Events: opened(fmt.Sprintf("g%d", n), subjectOf(n), billing, noon)}
			if n == rivals/2 {
				c.Events = []grant.Event{locked(grant.Lock{ID: "l1", Environment: "prod", Until: noon.Add(time.Hour)})}
			}
			_, errs[n] = s.Commit(t.Context(), c)
		})
	}
	close(start)
	wg.Wait()
	lockedSince := false
	committed := map[string]bool{}
	for _, e := range log(t, s) {
		switch {
		case e.Event.Verb == "lock":
			lockedSince = true
		case lockedSince:
			t.Errorf("%s of %s stands behind the lock", e.Event.Verb, e.Event.Grant.ID)
		default:
			committed[e.Event.Grant.ID] = true
		}
	}
	for n, err := range errs {
		var stopped *store.LockedError
		if n != rivals/2 && (err == nil) != committed[fmt.Sprintf("g%d", n)] || err != nil && !errors.As(err, &stopped) {
			t.Errorf("change %d: %v", n, err)
		}
	}
	if !lockedSince {
		t.Error("there is no lock")
	}
}
