package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// population is a small world with one grant of each kind that a filter tells apart, asked for one second after the
// other: g1 is the oldest.
func population(t *testing.T, s Store) {
	t.Helper()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	commit(t, s, opened("g1", alice, billing, at(1))...)
	commit(t, s, asked("g2", alice, search, at(2)))
	third := asked("g3", bob, staging, at(3))
	third.Grant.Steps = append(steps(1, "leads"), steps(1, "security", "audit")...)
	commit(t, s, third)
	fourth := asked("g4", "agent:triage", billing, at(4))
	fourth.Grant.Owner, fourth.Grant.Steps = carol, nil
	commit(t, s, fourth, then(fourth.Grant, grant.Deny, grant.Denied, at(4)))
	fifth := asked("g5", "agent:triage", search, at(5))
	fifth.Grant.Owner = carol
	commit(t, s, fifth, approved(fifth))
}

func testListFilters(t *testing.T, h Harness) {
	s := h(t)()
	population(t, s)
	tests := []struct {
		name  string
		query store.Query
		want  []string
	}{
		{"all, newest first", store.Query{}, []string{"g5", "g4", "g3", "g2", "g1"}},
		{"subject", store.Query{Subject: alice}, []string{"g2", "g1"}},
		{"a subject is whole", store.Query{Subject: "alice"}, []string{}},
		{"a subject is no pattern", store.Query{Subject: "%@example.com"}, []string{}},
		{"a subject is no SQL", store.Query{Subject: "' OR '1'='1"}, []string{}},
		{"what concerns a person", store.Query{Concerns: alice}, []string{"g2", "g1"}},
		{"what concerns an owner", store.Query{Concerns: carol}, []string{"g5", "g4"}},
		{"what concerns an agent", store.Query{Concerns: "agent:triage", Pool: "search"}, []string{"g5"}},
		{"what is open", store.Query{States: []grant.State{"pending", "approved", "active"}}, []string{"g5", "g3", "g2", "g1"}},
		{"what concerns an owner and is open", store.Query{Concerns: carol, States: []grant.State{"approved", "active"}}, []string{"g5"}},
		{"environment", store.Query{Environment: "staging"}, []string{"g3"}},
		{"pool", store.Query{Pool: "billing"}, []string{"g4", "g3", "g1"}},
		{"both", store.Query{Environment: "prod", Pool: "billing"}, []string{"g4", "g1"}},
		{"a state", store.Query{States: []grant.State{"pending"}}, []string{"g3", "g2"}},
		{"states", store.Query{States: []grant.State{"active", "denied"}}, []string{"g4", "g1"}},
		{"subject and state", store.Query{Subject: alice, States: []grant.State{"active"}}, []string{"g1"}},
		{"awaiting sre", store.Query{AwaitingGroups: []string{"sre"}}, []string{"g2"}},
		{"awaiting in a second step", store.Query{AwaitingGroups: []string{"audit"}}, []string{"g3"}},
		{"awaiting one of several", store.Query{AwaitingGroups: []string{"x", "leads", "y"}}, []string{"g3", "g2"}},
		{"awaiting a part of a name", store.Query{AwaitingGroups: []string{"lead"}}, []string{}},
		{"awaiting nobody's groups", store.Query{AwaitingGroups: []string{}}, []string{}},
		{"limit", store.Query{Limit: 2}, []string{"g5", "g4"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.query.Limit == 0 {
				test.query.Limit = 1000
			}
			got, err := readable(s.List(t.Context(), test.query))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "grants", ids(got), test.want)
			for _, r := range got {
				equal(t, "row", r, record(t, s, r.Grant.ID))
			}
		})
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := readable(s.List(t.Context(), store.Query{Limit: limit})); err == nil {
			t.Errorf("a limit of %d was accepted", limit)
		}
	}
}

func testListVisible(t *testing.T, h Harness) {
	s := h(t)()
	population(t, s)
	tests := []struct {
		name  string
		who   grant.Subject
		group []string
		want  []string
	}{
		{"her own", alice, nil, []string{"g2", "g1"}},
		{"his own", bob, nil, []string{"g3"}},
		{"her agent's", carol, nil, []string{"g5", "g4"}},
		{"the agent's own", "agent:triage", nil, []string{"g5", "g4"}},
		{"what waits for a group, and no longer once decided", "dave@example.com", []string{"sre"}, []string{"g2"}},
		{"his own, and what waits for him", bob, []string{"leads"}, []string{"g3", "g2"}},
		{"a group of the requester opens nothing", "dave@example.com", []string{"eng", "oncall"}, []string{}},
		{"a stranger", "dave@example.com", []string{"other"}, []string{}},
		{"nobody", "", nil, []string{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readable(s.List(t.Context(), store.Query{Visible: &store.Visible{Viewer: test.who, Groups: test.group}, Limit: 100}))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "grants", ids(got), test.want)
		})
	}
	// Visibility narrows what a filter asks for; a filter never widens it.
	got, err := readable(s.List(t.Context(), store.Query{Subject: alice, Visible: &store.Visible{Viewer: bob, Groups: []string{"sre"}}, Limit: 100}))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "grants", ids(got), []string{"g2"})
}

func testListPaging(t *testing.T, h Harness) {
	s := h(t)()
	var want []string
	for n := range 23 {
		id := fmt.Sprintf("g%02d", n)
		commit(t, s, asked(id, alice, billing, noon.Add(time.Duration(n/4)*time.Second))) // four share each moment
		want = append(want, id)
	}
	slices.Reverse(want) // by time, then by id, both downwards

	var got []string
	var after *store.Cursor
	for round := range 100 {
		page, err := readable(s.List(t.Context(), store.Query{After: after, Limit: 3}))
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got = append(got, ids(page)...)
		last := page[len(page)-1].Grant
		after = &store.Cursor{RequestedAt: last.RequestedAt, ID: last.ID}
		// Newer requests, and changes of those that were listed or not yet, move nothing.
		commit(t, s, asked(fmt.Sprintf("new%d", round), bob, billing, noon.Add(time.Hour)))
		if round == 2 {
			commit(t, s, then(record(t, s, "g00").Grant, grant.Approve, grant.Pending, noon))
			commit(t, s, then(record(t, s, "g22").Grant, grant.Approve, grant.Pending, noon))
		}
	}
	equal(t, "pages", got, want)
}

func testDue(t *testing.T, h Harness) {
	s := h(t)()
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	pending := asked("pending", "service:a", billing, noon)
	pending.Grant.LapsesAt = second(10)
	waits := asked("waits", "service:b", billing, noon)
	waits.Grant.StartsAt, waits.Grant.LapsesAt = second(20), second(100)
	late := asked("late", "service:c", billing, noon)
	late.Grant.StartsAt, late.Grant.LapsesAt = second(1000), second(30)
	open := approved(asked("open", "service:d", billing, noon))
	way := active(open)
	way.Grant.ExpiresAt = second(40)
	commit(t, s, pending, waits, approved(waits), late, approved(late), asked("open", "service:d", billing, noon), open, way)
	ended := opened("ended", "service:e", billing, noon)
	commit(t, s, append(ended, then(ended[2].Grant, grant.Revoke, grant.Revoked, noon))...)

	tests := []struct {
		at   time.Time
		want []string
	}{
		{second(9), []string{}},
		{second(10).Add(-time.Millisecond), []string{}},
		{second(10), []string{"pending"}},
		{second(20).Add(-time.Millisecond), []string{"pending"}},
		{second(20), []string{"pending", "waits"}},
		{second(30).Add(-time.Millisecond), []string{"pending", "waits"}},
		{second(30), []string{"late", "pending", "waits"}},
		{second(40).Add(-time.Millisecond), []string{"late", "pending", "waits"}},
		{second(40), []string{"late", "open", "pending", "waits"}},
		{second(1 << 30), []string{"late", "open", "pending", "waits"}},
	}
	for _, test := range tests {
		got, err := readable(s.Due(t.Context(), test.at, 100))
		if err != nil {
			t.Fatal(err)
		}
		names := ids(got)
		slices.Sort(names)
		equal(t, "due at "+test.at.String(), names, test.want)
		for _, r := range got {
			equal(t, "row", r, record(t, s, r.Grant.ID))
		}
	}
	if got, err := readable(s.Due(t.Context(), second(1000), 2)); err != nil || len(got) != 2 {
		t.Fatalf("with a limit of 2: %d, %v", len(got), err)
	}
	// A request approved by policy at once has no start: it is due as soon as it is approved.
	atOnce := asked("atonce", "service:f", billing, noon)
	commit(t, s, atOnce, approved(atOnce))
	if got, err := readable(s.Due(t.Context(), noon, 10)); err != nil || !slices.Equal(ids(got), []string{"atonce"}) {
		t.Fatalf("due %v, %v", ids(got), err)
	}
}

// testDueFollowsTheRow: what is due is what the row says now, earlier or later than it said before.
func testDueFollowsTheRow(t *testing.T, h Harness) {
	s := h(t)()
	second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	due := func(n int, want ...string) {
		t.Helper()
		got, err := readable(s.Due(t.Context(), second(n), 10))
		if err != nil || !slices.Equal(ids(got), want) {
			t.Fatalf("due after %d s: %v, %v; want %v", n, ids(got), err, want)
		}
	}
	request := asked("g1", alice, billing, noon)
	request.Grant.LapsesAt = second(100)
	commit(t, s, request)
	one := then(request.Grant, grant.Approve, grant.Pending, noon)
	one.Grant.LapsesAt = second(50)
	commit(t, s, one)
	due(49)
	due(50, "g1")
	one.Grant.LapsesAt, one.Grant.StartsAt = second(200), second(80)
	yes := approved(one)
	commit(t, s, yes)
	due(79)
	due(80, "g1")
	way := active(yes)
	way.Grant.ExpiresAt = second(300)
	commit(t, s, way)
	due(299)
	due(300, "g1")
	for n, at := range []int{400, 350} {
		way = then(way.Grant, grant.Extend, grant.Active, noon)
		way.Grant.ExpiresAt = second(at)
		commit(t, s, way)
		due(at - 1)
		due(at, "g1")
		equal(t, "version", record(t, s, "g1").Grant.Version, int64(5+n))
	}
	commit(t, s, then(way.Grant, grant.Expire, grant.Expired, second(350)))
	due(1 << 30)
}
