package storetest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// past writes a log of nine events, one a minute after the other.
func past(t *testing.T, s Store) {
	t.Helper()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	one, two := asked("g1", alice, billing, at(1)), asked("g2", "agent:triage", staging, at(2))
	two.Grant.Owner = carol
	refusal := grant.Event{Grant: grant.Grant{ID: "g3", Subject: bob, Pool: search}, Verb: grant.Refuse, Actor: bob, At: at(3)}
	yes := approved(one)
	yes.At = at(4)
	way := active(yes)
	way.At = at(5)
	lock := locked(grant.Lock{ID: "l1", Subject: alice, Environment: "prod", Pool: "search", Until: at(100)})
	lock.At, lock.Lock.At = at(6), at(6)
	open := lift(lock)
	open.At = at(7)
	policy := grant.Event{Verb: grant.LoadPolicy, Comment: "acme", At: at(8)}
	end := then(way.Grant, grant.Revoke, grant.Revoked, at(9))
	commit(t, s, one, two, refusal, yes, way, lock, open, policy, end)
}

func testHistoryFilters(t *testing.T, h Harness) {
	s := h(t)()
	past(t, s)
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	tests := []struct {
		name  string
		query store.EventQuery
		want  []int64
	}{
		{"all", store.EventQuery{}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"a grant", store.EventQuery{GrantID: "g1"}, []int64{1, 4, 5, 9}},
		{"a grant that was refused", store.EventQuery{GrantID: "g3"}, []int64{3}},
		{"a lock", store.EventQuery{GrantID: "l1"}, []int64{6, 7}},
		{"a subject, and what locks them", store.EventQuery{Subject: alice}, []int64{1, 4, 5, 6, 7, 9}},
		{"a subject who was refused", store.EventQuery{Subject: bob}, []int64{3}},
		{"an owner", store.EventQuery{Subject: carol}, []int64{2}},
		{"an agent", store.EventQuery{Subject: "agent:triage"}, []int64{2}},
		{"a subject is whole", store.EventQuery{Subject: "alice"}, nil},
		{"a subject is no SQL", store.EventQuery{Subject: "' OR '1'='1"}, nil},
		{"an environment", store.EventQuery{Environment: "staging"}, []int64{2}},
		{"a pool", store.EventQuery{Environment: "prod", Pool: "search"}, []int64{3, 6, 7}},
		{"a pool's name", store.EventQuery{Pool: "billing"}, []int64{1, 2, 4, 5, 9}},
		{"a verb", store.EventQuery{Verbs: []grant.Verb{grant.Request}}, []int64{1, 2}},
		{"verbs", store.EventQuery{Verbs: []grant.Verb{grant.Request, grant.Refuse, "x"}}, []int64{1, 2, 3}},
		{"verbs of no grant", store.EventQuery{Verbs: []grant.Verb{grant.LoadPolicy, grant.PutLock}}, []int64{6, 8}},
		{"from", store.EventQuery{From: at(8)}, []int64{8, 9}},
		{"a nanosecond later", store.EventQuery{From: at(8).Add(1)}, []int64{9}},
		{"to", store.EventQuery{To: at(3)}, []int64{1, 2}},
		{"to, a nanosecond later", store.EventQuery{To: at(3).Add(1)}, []int64{1, 2, 3}},
		{"between", store.EventQuery{From: at(3), To: at(5)}, []int64{3, 4}},
		{"at no time", store.EventQuery{From: at(3), To: at(3)}, nil},
		{"subject and verb", store.EventQuery{Subject: alice, Verbs: []grant.Verb{grant.Revoke}}, []int64{9}},
		{"subject and pool", store.EventQuery{Subject: alice, Environment: "prod", Pool: "search"}, []int64{6, 7}},
		{"subject and time", store.EventQuery{Subject: alice, From: at(4), To: at(7)}, []int64{4, 5, 6}},
		{"grant and verb", store.EventQuery{GrantID: "g1", Verbs: []grant.Verb{grant.Activate}}, []int64{5}},
	}
	all := log(t, s)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, limit := range []int{1, 2, 3, 1000} {
				for _, newest := range []bool{false, true} {
					want := slices.Clone(test.want)
					if newest {
						slices.Reverse(want)
					}
					test.query.Newest, test.query.Limit, test.query.After = newest, limit, 0
					equal(t, "events", pages(t, s, test.query, all), want)
				}
			}
		})
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := s.History(t.Context(), store.EventQuery{Limit: limit}); err == nil {
			t.Errorf("a limit of %d was accepted", limit)
		}
	}
}

// pages reads what a query lets through, page by page, and checks each event against the log.
func pages(t *testing.T, s Store, q store.EventQuery, all []store.Entry) (revisions []int64) {
	t.Helper()
	for range 100 {
		page, err := s.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return revisions
		}
		if len(page) > q.Limit {
			t.Fatalf("%d events, %d were asked for", len(page), q.Limit)
		}
		for _, e := range page {
			revisions = append(revisions, e.Revision)
			equal(t, "event", e, all[e.Revision-1])
		}
		q.After = page[len(page)-1].Revision
	}
	t.Fatal("the pages do not end")
	return nil
}

// testHistoryPaging: new events move no page, in either direction.
func testHistoryPaging(t *testing.T, h Harness) {
	s := h(t)()
	past(t, s)
	q := store.EventQuery{Subject: alice, Newest: true, Limit: 2}
	var got []int64
	for n := 0; ; n++ {
		page, err := s.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, e.Revision)
		}
		q.After = page[len(page)-1].Revision
		commit(t, s, asked("new"+string(rune('a'+n)), alice, search, noon))
	}
	equal(t, "newest first", got, []int64{9, 7, 6, 5, 4, 1})
	equal(t, "oldest first", pages(t, s, store.EventQuery{Subject: alice, After: 7, Limit: 2}, log(t, s)), []int64{9, 10, 11, 12})
}

func testHead(t *testing.T, h Harness) {
	s := h(t)()
	for want := range int64(3) {
		if got, err := s.Head(t.Context()); err != nil || got != want {
			t.Fatalf("head %d, %v; want %d", got, err, want)
		}
		commit(t, s, asked("g"+string(rune('a'+want)), alice, billing, noon))
	}
}

// testVerify: what was written verifies, against each mark of it, and against no other.
func testVerify(t *testing.T, h Harness) {
	s := h(t)()
	if mark, err := store.Verify(t.Context(), s, store.Mark{}); err != nil || mark != (store.Mark{}) {
		t.Fatalf("an empty log: %v, %v", mark, err)
	}
	past(t, s)
	commit(t, s, emergency("g4", carol, "security")...)
	all := log(t, s)
	end := all[len(all)-1]
	for _, noted := range append([]store.Entry{{}}, all...) {
		mark, err := store.Verify(t.Context(), s, store.Mark{Revision: noted.Revision, Hash: noted.Hash})
		if err != nil || mark != (store.Mark{Revision: end.Revision, Hash: end.Hash}) {
			t.Fatalf("against %d: %v, %v", noted.Revision, mark, err)
		}
	}
	for _, noted := range []store.Mark{{Revision: 3, Hash: all[3].Hash}, {Revision: end.Revision + 1, Hash: end.Hash}} {
		var broken *store.ChainError
		if _, err := store.Verify(t.Context(), s, noted); !errors.As(err, &broken) || broken.Revision != noted.Revision {
			t.Errorf("against %d: %v", noted.Revision, err)
		}
	}
}

// testVerifyBesideWriters: what is written meanwhile is taken for no forgery.
func testVerifyBesideWriters(t *testing.T, h Harness) {
	s := h(t)()
	var done atomic.Bool
	var wg sync.WaitGroup
	var verified error
	wg.Go(func() {
		for ending := false; !ending && verified == nil; {
			ending = done.Load()
			_, verified = store.Verify(t.Context(), s, store.Mark{})
		}
	})
	err := writeMany(t.Context(), s)
	done.Store(true)
	wg.Wait()
	if err := errors.Join(err, verified); err != nil {
		t.Fatal(err)
	}
}
