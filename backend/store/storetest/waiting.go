package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// extending is the event by which an active grant asks for more time, of groups, until lapses.
func extending(e grant.Event, lapses time.Time, groups ...string) grant.Event {
	next := then(e.Grant, grant.AskExtension, grant.Active, e.At)
	next.Grant.ExpiresAt = e.Grant.ExpiresAt
	next.Grant.Extension = grant.Extension{By: time.Hour, Reason: "more", Steps: steps(1, groups...), RequestedAt: e.At, LapsesAt: lapses}
	return next
}

// after is the event that ends the wait for an extension.
func after(e grant.Event, verb grant.Verb) grant.Event {
	next := then(e.Grant, verb, grant.Active, e.At)
	next.Grant.ExpiresAt, next.Grant.Extension = e.Grant.ExpiresAt, grant.Extension{}
	return next
}

// emergency is the way of a grant that is looked at afterwards, by groups.
func emergency(id string, who grant.Subject, groups ...string) []grant.Event {
	events := opened(id, who, billing, noon)
	for i := range events {
		g := &events[i].Grant
		g.Steps, g.Approvals, g.BreakGlass, g.Review = nil, nil, true, grant.Review{Groups: groups, DueAt: noon.Add(time.Hour)}
	}
	return events
}

// testWaitingForExtension: an active grant is waited for by those who decide on its extension, for as long as they do.
func testWaitingForExtension(t *testing.T, h Harness) {
	s := h(t)()
	lists := func(want bool) {
		t.Helper()
		for what, q := range map[string]store.Query{
			"awaiting": {AwaitingGroups: []string{"x", "leads"}},
			"visible":  {Visible: &store.Visible{Viewer: "dave@example.com", Groups: []string{"leads"}}},
		} {
			q.Limit = 10
			got, err := readable(s.List(t.Context(), q))
			if err != nil || (len(got) == 1) != want {
				t.Fatalf("%s lists %v, %v; want it there: %v", what, ids(got), err, want)
			}
		}
	}
	events := opened("g1", alice, billing, noon)
	commit(t, s, events...)
	lists(false)
	way := events[2]
	for _, verb := range []grant.Verb{grant.DenyExtension, grant.CancelExtension, grant.LapseExtension, grant.Extend} {
		ask := extending(way, noon.Add(time.Minute), "leads", "heads")
		commit(t, s, ask)
		lists(true)
		yes := then(ask.Grant, grant.Approve, grant.Active, noon)
		yes.Grant.ExpiresAt = ask.Grant.ExpiresAt
		commit(t, s, yes)
		lists(true)
		way = after(yes, verb)
		commit(t, s, way)
		lists(false)
	}
	ask := extending(way, noon.Add(time.Minute), "leads")
	end := then(ask.Grant, grant.Revoke, grant.Revoked, noon)
	end.Grant.Extension = grant.Extension{}
	commit(t, s, ask, end)
	lists(false)
}

// testWaitingForReview: from the activation on, past the grant's end, until it was reviewed.
func testWaitingForReview(t *testing.T, h Harness) {
	s := h(t)()
	listed := func(q store.Query) []string {
		t.Helper()
		q.Limit = 10
		got, err := readable(s.List(t.Context(), q))
		if err != nil {
			t.Fatal(err)
		}
		return ids(got)
	}
	waits := func(want ...string) {
		t.Helper()
		want = append([]string{}, want...)
		equal(t, "reviews", listed(store.Query{ReviewGroups: []string{"x", "security"}}), want)
		equal(t, "visible", listed(store.Query{Visible: &store.Visible{Viewer: "dave@example.com", Groups: []string{"security"}}}), want)
	}
	events := emergency("g1", alice, "audit", "security")
	commit(t, s, events[:2]...)
	waits() // nothing was done yet
	commit(t, s, events[2])
	waits("g1")
	commit(t, s, emergency("g2", bob, "security")...)
	commit(t, s, emergency("g3", carol, "other")...)
	waits("g2", "g1")
	equal(t, "two filters", listed(store.Query{Subject: alice, ReviewGroups: []string{"security"}}), []string{"g1"})
	equal(t, "both kinds", listed(store.Query{ReviewGroups: []string{"security"}, AwaitingGroups: []string{"security"}}), []string{})
	equal(t, "nobody's groups", listed(store.Query{ReviewGroups: []string{}}), []string{})
	equal(t, "a part of a name", listed(store.Query{ReviewGroups: []string{"secur"}}), []string{})

	end := then(events[2].Grant, grant.Expire, grant.Expired, noon.Add(time.Hour))
	commit(t, s, end)
	waits("g2", "g1")
	done := end
	done.Grant.Review.By, done.Grant.Review.At = "dave@example.com", noon.Add(2*time.Hour)
	review := then(done.Grant, grant.DoReview, grant.Expired, noon.Add(2*time.Hour))
	commit(t, s, review)
	waits("g2")
	equal(t, "row", record(t, s, "g1").Grant, review.Grant)
}

// testDueExtension: the clock ends the wait for an extension, and the grant when it ends, whichever is first.
func testDueExtension(t *testing.T, h Harness) {
	s := h(t)()
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	due := func(n int, want ...string) {
		t.Helper()
		got, err := readable(s.Due(t.Context(), second(n), 10))
		if err != nil || !slices.Equal(ids(got), want) {
			t.Fatalf("due after %d s: %v, %v; want %v", n, ids(got), err, want)
		}
	}
	events := opened("g1", alice, billing, noon)
	events[2].Grant.ExpiresAt = second(100)
	ask := extending(events[2], second(40), "leads")
	commit(t, s, append(events, ask)...)
	due(39)
	due(40, "g1")
	end := after(ask, grant.LapseExtension)
	commit(t, s, end)
	due(99)
	due(100, "g1")
	late := extending(end, second(150), "leads") // never so by the domain; the earlier counts all the same
	commit(t, s, late)
	due(99)
	due(100, "g1")
	longer := after(late, grant.Extend)
	longer.Grant.ExpiresAt = second(200)
	commit(t, s, longer)
	due(199)
	due(200, "g1")
}
