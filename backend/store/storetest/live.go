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

func testOneLiveGrant(t *testing.T, h Harness) {
	s := h(t)()
	_, err := s.LiveGrant(t.Context(), alice, billing)
	wantError(t, err, store.ErrNotFound)

	// Requests may wait side by side; only one of them may be approved.
	one, two := asked("g1", alice, billing, noon), asked("g2", alice, billing, noon)
	commit(t, s, one, two)
	yes := approved(one)
	commit(t, s, yes)
	refused := func(e grant.Event) {
		t.Helper()
		unchanged(t, s, func() {
			_, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}})
			var live *store.LiveError
			if !errors.As(err, &live) || live.ID != "g1" {
				t.Fatalf("error %v, want one that names g1", err)
			}
		})
	}
	refused(approved(two))
	equal(t, "live grant", liveID(t, s, alice, billing), "g1")
	way := active(yes)
	commit(t, s, way)
	refused(approved(two))
	extended := then(way.Grant, grant.Extend, grant.Active, noon)
	commit(t, s, extended)

	// Others are not in the way: another subject, another pool, the same pool's name in another environment.
	commit(t, s, opened("g3", bob, billing, noon)...)
	commit(t, s, opened("g4", alice, search, noon)...)
	commit(t, s, opened("g5", alice, staging, noon)...)
	equal(t, "live grant", liveID(t, s, alice, staging), "g5")

	// After the end of the first the second may open, in the same transaction even.
	commit(t, s, then(extended.Grant, grant.Revoke, grant.Revoked, noon), approved(two))
	equal(t, "live grant", liveID(t, s, alice, billing), "g2")

	// Two in one change are two as well.
	unchanged(t, s, func() {
		events := append(opened("g6", carol, billing, noon), opened("g7", carol, billing, noon)...)
		_, err := s.Commit(t.Context(), store.Change{Events: events})
		var live *store.LiveError
		if !errors.As(err, &live) || live.ID != "g6" {
			t.Fatalf("error %v, want one that names g6", err)
		}
	})
	racingApprovals(t, s)
}

func racingApprovals(t *testing.T, s Store) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			events := opened(fmt.Sprintf("r%d", i), "service:racer", billing, noon)
			_, errs[i] = s.Commit(t.Context(), store.Change{Events: events})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		var live *store.LiveError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &live):
			t.Fatalf("the loser got %v", err)
		}
	}
	if won != 1 {
		t.Fatalf("%d of 8 racing grants are live", won)
	}
}

func liveID(t *testing.T, s Store, who grant.Subject, p grant.Pool) string {
	t.Helper()
	r, err := s.LiveGrant(t.Context(), who, p)
	if err != nil {
		t.Fatalf("live grant: %v", err)
	}
	return r.Grant.ID
}

func testReplayCountsOnce(t *testing.T, h Harness) {
	s := h(t)()
	_, err := s.Replayed(t.Context(), alice, "request", "key-0001")
	wantError(t, err, store.ErrNotFound)
	key := store.Replay{Caller: alice, Method: "request", Key: "key-0001", Body: [32]byte{1, 0, 2}, Ref: "g1", At: noon}
	if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{asked("g1", alice, billing, noon)}, Replay: &key}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Replayed(t.Context(), alice, "request", "key-0001")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "key", got, key)

	// The same key again, with whatever else and however late within its time: nothing happens. It outranks a conflict,
	// since the earlier call with this key is what the grant changed by.
	other := key
	other.Body, other.Ref, other.At = [32]byte{9}, "g9", noon.Add(store.ReplayFor)
	for _, events := range [][]grant.Event{nil, {asked("g9", bob, billing, noon)}, {asked("g1", alice, billing, noon)}} {
		unchanged(t, s, func() {
			_, err := s.Commit(t.Context(), store.Change{Events: events, Replay: &other})
			wantError(t, err, store.ErrReplay)
		})
	}
	if got, err = s.Replayed(t.Context(), alice, "request", "key-0001"); err != nil {
		t.Fatal(err)
	}
	equal(t, "key", got, key)

	// Another caller's, another method's and another key are others. A change may be a key alone.
	for _, change := range []func(*store.Replay){
		func(r *store.Replay) { r.Caller = bob }, func(r *store.Replay) { r.Method = "revoke" }, func(r *store.Replay) { r.Key = "key-0002" },
	} {
		r := key
		change(&r)
		r.Body, r.Ref = [32]byte{7}, "g7"
		_, err := s.Replayed(t.Context(), r.Caller, r.Method, r.Key)
		wantError(t, err, store.ErrNotFound)
		if revision, err := s.Commit(t.Context(), store.Change{Replay: &r}); err != nil || revision != 1 {
			t.Fatalf("revision %d, %v", revision, err)
		}
		for _, want := range []store.Replay{r, key} {
			got, err := s.Replayed(t.Context(), want.Caller, want.Method, want.Key)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "key", got, want)
		}
	}
}

// testOldReplaysAreForgotten: never within ReplayFor; after it, in passing and as many as are needed to keep up.
func testOldReplaysAreForgotten(t *testing.T, h Harness) {
	s := h(t)()
	put := func(key string, at time.Time) {
		t.Helper()
		_, err := s.Commit(t.Context(), store.Change{Replay: &store.Replay{Caller: alice, Method: "m", Key: key, At: at}})
		if err != nil {
			t.Fatal(err)
		}
	}
	remembered := func(key string) bool {
		t.Helper()
		_, err := s.Replayed(t.Context(), alice, "m", key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	put("first", noon)
	put("second", noon.Add(time.Minute))
	put("within", noon.Add(store.ReplayFor))
	if !remembered("first") {
		t.Fatal("a key was forgotten within its time")
	}
	put("after", noon.Add(store.ReplayFor+time.Second))
	if remembered("first") || !remembered("second") || !remembered("within") {
		t.Fatal("want the first forgotten, and it alone")
	}
	put("first", noon.Add(store.ReplayFor+time.Second)) // free again
}

func testRefusalHasNoRow(t *testing.T, h Harness) {
	s := h(t)()
	draft := grant.Grant{ID: "g1", Subject: alice, Pool: billing, Reason: "please", Duration: time.Hour, Explanation: "not in eng"}
	refusal := grant.Event{Grant: draft, Verb: grant.Refuse, Actor: alice, Comment: "please", At: noon}
	if got := commit(t, s, refusal); got != 1 {
		t.Fatalf("revision %d", got)
	}
	_, err := s.Grant(t.Context(), "g1")
	wantError(t, err, store.ErrNotFound)
	entries := log(t, s)
	if len(entries) != 1 {
		t.Fatalf("%d events", len(entries))
	}
	equal(t, "event", entries[0].Event, refusal)
	all, err := readable(s.List(t.Context(), store.Query{Limit: 10}))
	if err != nil || len(all) != 0 {
		t.Fatalf("listed %v, %v", all, err)
	}
}
