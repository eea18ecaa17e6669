package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	writers        = 4
	grantsByWriter = 15
)

// writeMany commits whole lives of grants from several goroutines at once and returns what each commit answered, by the
// id of the grant. Every second change has several events.
func writeMany(ctx context.Context, s Store) error {
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for n := range grantsByWriter {
				id := fmt.Sprintf("w%d-%d", w, n)
				events := opened(id, grant.Subject("service:"+id), billing, noon.Add(time.Duration(n)*time.Second))
				last := events[len(events)-1]
				changes := [][]grant.Event{events}
				if n%2 == 0 {
					changes = [][]grant.Event{events[:1], events[1:]}
				}
				if n%3 == 0 {
					changes = append(changes, []grant.Event{then(last.Grant, grant.Revoke, grant.Revoked, noon)})
				}
				for _, change := range changes {
					if err := commitAndFind(ctx, s, change); err != nil {
						errs[w] = err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// commitAndFind commits and checks that the answer is the last event's revision, the events side by side before it.
func commitAndFind(ctx context.Context, s Store, events []grant.Event) error {
	revision, err := s.Commit(ctx, store.Change{Events: events})
	if err != nil {
		return err
	}
	got, err := s.Events(ctx, revision-int64(len(events)), len(events))
	if err != nil {
		return err
	}
	for i, e := range got {
		if diff := cmp.Diff(events[i], e.Event); diff != "" {
			return fmt.Errorf("event %d of the change at revision %d (-want +got):\n%s", i, revision, diff)
		}
	}
	return nil
}

// follow reads the log as it grows, until done and its end is reached. What it saw once, it never sees an event before.
func follow(ctx context.Context, s Store, done *atomic.Bool) error {
	position := int64(0)
	for {
		ending := done.Load()
		page, err := s.Events(ctx, position, 5)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Revision != position+1 {
				return fmt.Errorf("revision %d was read after %d", e.Revision, position)
			}
			position = e.Revision
		}
		if ending && len(page) == 0 {
			return nil
		}
	}
}

func testRevisionsInCommitOrder(t *testing.T, h Harness) {
	s := h(t)()
	if page, err := s.Events(t.Context(), 0, 10); err != nil || len(page) != 0 {
		t.Fatalf("an empty log has %v, %v", page, err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	followed := make([]error, 2)
	for i := range followed {
		wg.Go(func() { followed[i] = follow(t.Context(), s, &done) })
	}
	err := writeMany(t.Context(), s)
	done.Store(true)
	wg.Wait()
	if err := errors.Join(append(followed, err)...); err != nil {
		t.Fatal(err)
	}
	entries := log(t, s)
	if want := writers * (3*grantsByWriter + 5); len(entries) != want {
		t.Fatalf("%d events, want %d", len(entries), want)
	}
	if err := VerifyChain(entries); err != nil {
		t.Fatal(err)
	}
}

// rebuild makes the rows that must be there after the first events of a log: by hand, out of the events alone.
func rebuild(entries []store.Entry, until int64) map[string]store.Record {
	rows := map[string]store.Record{}
	for _, e := range entries {
		if e.Revision <= until && rowed(e.Event) {
			rows[e.Event.Grant.ID] = store.Record{Grant: e.Event.Grant, Revision: e.Revision}
		}
	}
	return rows
}

// rowed reports whether an event leads to a grant's row.
func rowed(e grant.Event) bool {
	return !slices.Contains([]grant.Verb{"refuse", "lock", "unlock", "policy", "policy_refused", "drift"}, e.Verb)
}

// checkSnapshot compares a snapshot with the log.
func checkSnapshot(have store.Snapshot, entries []store.Entry) error {
	want := map[string]store.Record{}
	for id, r := range rebuild(entries, have.Revision) {
		if r.Grant.State == "active" {
			want[id] = r
		}
	}
	got := map[string]store.Record{}
	for _, r := range have.Active {
		got[r.Grant.ID] = r
	}
	if len(got) != len(have.Active) {
		return errors.New("a grant stands twice in a snapshot")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("snapshot at revision %d (-log +snapshot):\n%s", have.Revision, diff)
	}
	return nil
}

func testSnapshotIsTheLog(t *testing.T, h Harness) {
	s := h(t)()
	equal(t, "snapshot of an empty store", len(snap(t, s).Active), 0)
	var done atomic.Bool
	var wg sync.WaitGroup
	var snapshots []store.Snapshot
	var readErr error
	wg.Go(func() {
		for ending := false; !ending && readErr == nil; {
			ending = done.Load()
			var have store.Snapshot
			if have, readErr = s.Snapshot(t.Context()); readErr != nil {
				return
			}
			if n := len(snapshots); n > 0 && snapshots[n-1].Revision == have.Revision && len(snapshots[n-1].Active) == len(have.Active) {
				continue // nothing has happened
			}
			snapshots = append(snapshots, have)
		}
	})
	err := writeMany(t.Context(), s)
	done.Store(true)
	wg.Wait()
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	entries := log(t, s)
	seen := int64(0)
	for _, have := range snapshots {
		if have.Revision < seen {
			t.Fatalf("a snapshot at revision %d after one at %d", have.Revision, seen)
		}
		seen = have.Revision
		if err := checkSnapshot(have, entries); err != nil {
			t.Fatal(err)
		}
	}
	if last := entries[len(entries)-1].Revision; seen != last {
		t.Fatalf("the last snapshot is at revision %d, the log ends at %d", seen, last)
	}
	for id, want := range rebuild(entries, seen) {
		equal(t, "row", record(t, s, id), want)
	}
}

func testChainShowsTampering(t *testing.T, h Harness) {
	s := h(t)()
	commit(t, s, opened("g1", alice, billing, noon)...)
	refusal := grant.Event{Grant: grant.Grant{ID: "g2", Subject: bob, Pool: billing}, Verb: grant.Refuse, Actor: bob, At: noon}
	commit(t, s, refusal, asked("g3", bob, search, noon))
	entries := log(t, s)
	if err := VerifyChain(entries); err != nil {
		t.Fatalf("as it was written: %v", err)
	}
	// store.Chain is the drivers'; it has to come to the same.
	var previous [32]byte
	for _, e := range entries {
		doc, err := store.EncodeEvent(e.Event)
		if err != nil {
			t.Fatal(err)
		}
		if previous = store.Chain(previous, e.Revision, doc); previous != e.Hash {
			t.Fatalf("store.Chain differs at revision %d", e.Revision)
		}
	}
	tampering := map[string]func(*store.Entry){
		"who":          func(e *store.Entry) { e.Event.Actor = carol },
		"whose":        func(e *store.Entry) { e.Event.Grant.Subject = carol },
		"what":         func(e *store.Entry) { e.Event.Verb = "other" },
		"where":        func(e *store.Entry) { e.Event.Grant.Pool = staging },
		"when":         func(e *store.Entry) { e.Event.At = e.Event.At.Add(time.Millisecond) },
		"before":       func(e *store.Entry) { e.Event.From = "other" },
		"after":        func(e *store.Entry) { e.Event.Grant.State = "other" },
		"why":          func(e *store.Entry) { e.Event.Comment += "." },
		"for how long": func(e *store.Entry) { e.Event.Grant.ExpiresAt = noon.Add(time.Hour * 24) },
		"the hash":     func(e *store.Entry) { e.Hash[31] ^= 1 },
		"the number":   func(e *store.Entry) { e.Revision += 10 },
	}
	for name, tamper := range tampering {
		for i := range entries {
			forged := append([]store.Entry{}, entries...)
			tamper(&forged[i])
			if VerifyChain(forged) == nil {
				t.Errorf("%s was changed at revision %d, and the chain verifies", name, i+1)
			}
		}
	}
	for i := range entries[:len(entries)-1] {
		left := append(append([]store.Entry{}, entries[:i]...), entries[i+1:]...)
		if VerifyChain(left) == nil {
			t.Errorf("revision %d is gone, and the chain verifies", i+1)
		}
	}
}

// testEventsWithoutGrant: what nobody asked for is in the log too, whole and chained, and changes no row.
func testEventsWithoutGrant(t *testing.T, h Harness) {
	open := h(t)
	s := open()
	commit(t, s, opened("g1", alice, billing, noon)...)
	rows := snap(t, s).Active
	drift := grant.Event{
		Verb: "drift", At: noon, Grant: grant.Grant{Pool: grant.Pool{Environment: "prod"}},
		Drift: grant.Drift{
			Node: "n1", Environments: []string{"prod"}, First: noon.Add(-time.Minute), Last: noon.Add(-time.Second), Passes: 3, Unrepaired: 1,
			Foreign: 5, Changed: 6, Missing: 7, Files: []string{"grants.map"}, Rows: []string{"grants.map: foreign mallory@example.com|prod/billing"},
		},
	}
	refused := grant.Event{
		Verb: "policy_refused", At: noon, Comment: "line 3:\nno such field", Grant: grant.Grant{Policy: "acme", PolicyHash: "abc", Explanation: "files"},
	}
	once := store.Change{Events: []grant.Event{drift}, Replay: &store.Replay{Caller: "system", Method: "drift", Key: "n1@1", At: noon}}
	if _, err := s.Commit(t.Context(), once); err != nil {
		t.Fatal(err)
	}
	_, err := s.Commit(t.Context(), once)
	wantError(t, err, store.ErrReplay)
	commit(t, s, refused)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	entries := log(t, s)
	if len(entries) != 5 {
		t.Fatalf("%d entries", len(entries))
	}
	equal(t, "events", []grant.Event{entries[3].Event, entries[4].Event}, []grant.Event{drift, refused})
	equal(t, "misfiled", []error{entries[3].Misfiled, entries[4].Misfiled}, []error{nil, nil})
	equal(t, "rows", snap(t, s).Active, rows)
	if err := VerifyChain(entries); err != nil {
		t.Error(err)
	}
	for verb, want := range map[grant.Verb]int64{"drift": 4, "policy_refused": 5} {
		equal(t, string(verb), pages(t, s, store.EventQuery{Verbs: []grant.Verb{verb}, Limit: 1}, entries), []int64{want})
	}
	equal(t, "by its environment", pages(t, s, store.EventQuery{Environment: "prod", Limit: 10}, entries), []int64{1, 2, 3, 4})
}
