package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func testCommitKeepsRowAndEvent(t *testing.T, h Harness) {
	s := h(t)()
	_, err := s.Grant(t.Context(), "g1")
	wantError(t, err, store.ErrNotFound)

	request := asked("g1", "agent:triage", billing, noon)
	request.Grant.Owner, request.Grant.StartsAt = carol, noon.Add(time.Minute)
	if got := commit(t, s, request); got != 1 {
		t.Fatalf("the first revision is %d", got)
	}
	equal(t, "row", record(t, s, "g1"), store.Record{Grant: request.Grant, Revision: 1})

	yes := approved(request)
	way := active(yes)
	if got := commit(t, s, yes, way); got != 3 {
		t.Fatalf("revision %d of the last of two events, want 3", got)
	}
	equal(t, "row", record(t, s, "g1"), store.Record{Grant: way.Grant, Revision: 3})
	end := then(way.Grant, grant.Revoke, grant.Revoked, noon.Add(time.Minute))
	commit(t, s, end)
	equal(t, "row", record(t, s, "g1"), store.Record{Grant: end.Grant, Revision: 4})

	var events []grant.Event
	for _, e := range log(t, s) {
		events = append(events, e.Event)
	}
	equal(t, "events", events, []grant.Event{request, yes, way, end})

	if got := commit(t, s); got != 4 {
		t.Fatalf("a change without events answers revision %d, want the present one, 4", got)
	}
}

func testCommitIsAllOrNothing(t *testing.T, h Harness) {
	s := h(t)()
	first := asked("g1", alice, billing, noon)
	commit(t, s, first)
	stale := then(first.Grant, grant.Approve, grant.Pending, noon)
	stale.Grant.Version = 7
	illegal := then(first.Grant, grant.Expire, grant.Expired, noon)
	key := &store.Replay{Caller: alice, Method: "m", Key: "k", At: noon}

	for name, bad := range map[string]grant.Event{"a conflict": stale, "an illegal change": illegal} {
		unchanged(t, s, func() {
			_, err := s.Commit(t.Context(), store.Change{
				Events: []grant.Event{asked("g2", bob, billing, noon), bad, asked("g3", carol, billing, noon)}, Replay: key})
			if err == nil {
				t.Fatalf("%s was accepted", name)
			}
		})
		_, err := s.Grant(t.Context(), "g2")
		wantError(t, err, store.ErrNotFound)
		_, err = s.Replayed(t.Context(), alice, "m", "k")
		wantError(t, err, store.ErrNotFound)
	}
	if got := commit(t, s, asked("g2", bob, billing, noon)); got != 2 {
		t.Fatalf("failed changes have used up revisions: %d", got)
	}
}

func testCommitHonoursContext(t *testing.T, h Harness) {
	s := h(t)()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unchanged(t, s, func() {
		_, err := s.Commit(ctx, store.Change{Events: []grant.Event{asked("g1", alice, billing, noon)}})
		wantError(t, err, context.Canceled)
		_, err = s.WriteAudit(ctx, noon, []byte("r"))
		wantError(t, err, context.Canceled)
	})
	rows, err := s.ReadAudit(t.Context(), noon, noon.Add(1), 0, 10)
	if err != nil || len(rows) != 0 {
		t.Fatalf("audit rows %v, %v", rows, err)
	}

	// Whatever the moment of the cancellation: an error means that nothing was written, none that all was.
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*40*time.Microsecond)
		id := "c" + string(rune('A'+i))
		_, err := s.Commit(ctx, store.Change{Events: opened(id, grant.Subject("service:"+id), billing, noon)})
		cancel()
		_, missing := s.Grant(t.Context(), id)
		if written := missing == nil; written != (err == nil) {
			t.Fatalf("commit answered %v, and the row's look-up %v", err, missing)
		}
	}
	if err := VerifyChain(log(t, s)); err != nil {
		t.Fatal(err)
	}
}

func testStaleVersionConflicts(t *testing.T, h Harness) {
	s := h(t)()
	request := asked("g1", alice, billing, noon)
	commit(t, s, request)
	yes := approved(request)
	commit(t, s, yes)

	again := asked("g1", bob, search, noon)
	skipped := active(yes)
	skipped.Grant.Version++
	otherState := then(yes.Grant, grant.Activate, grant.Active, noon)
	otherState.From = grant.Pending
	tests := map[string]grant.Event{
		"the version before last": then(request.Grant, grant.Deny, grant.Denied, noon),
		"a version ahead":         skipped,
		"a second request":        again,
		"an unknown grant":        then(asked("nobody", alice, billing, noon).Grant, grant.Cancel, grant.Cancelled, noon),
		"another state before":    otherState,
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			unchanged(t, s, func() {
				_, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}})
				wantError(t, err, store.ErrConflict)
			})
		})
	}
	equal(t, "row", record(t, s, "g1"), store.Record{Grant: yes.Grant, Revision: 2})
}

func testOfRacingTransitionsOneWins(t *testing.T, h Harness) {
	s := h(t)()
	for round := range 10 {
		id := "g" + string(rune('a'+round))
		request := asked(id, alice, billing, noon)
		commit(t, s, request)
		rivals := []grant.Event{
			then(request.Grant, grant.Deny, grant.Denied, noon), then(request.Grant, grant.Cancel, grant.Cancelled, noon),
			then(request.Grant, grant.Lapse, grant.Lapsed, noon), then(request.Grant, grant.Revoke, grant.Revoked, noon),
		}
		results := make([]error, len(rivals))
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i, e := range rivals {
			wg.Go(func() {
				<-start
				_, results[i] = s.Commit(t.Context(), store.Change{Events: []grant.Event{e}})
			})
		}
		close(start)
		wg.Wait()

		winner := -1
		for i, err := range results {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				t.Fatalf("both %s and %s won", rivals[winner].Verb, rivals[i].Verb)
			case !errors.Is(err, store.ErrConflict):
				t.Fatalf("the loser got %v", err)
			}
		}
		if winner < 0 {
			t.Fatal("nobody won")
		}
		equal(t, "row", record(t, s, id).Grant, rivals[winner].Grant)
	}
}
