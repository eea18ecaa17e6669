package storetest

import (
	"errors"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Bare is a database as its owner has it, past all that the schema holds.
type Bare struct {
	Open func(*testing.T) (Store, Raw)
	// Loosen takes the triggers away.
	Loosen string
	// Head sets the row that names the log's end to the last event that is left; empty where there is none.
	Head string
}

// Tampered holds that Verify sees what somebody does who may write to the database, and says what it cannot see.
func Tampered(t *testing.T, b Bare) {
	for name, test := range tampering {
		t.Run(name, func(t *testing.T) {
			s, raw := b.written(t)
			b.tamper(t, raw, test.statements+"; "+b.Head) // the head hides what it can: it is not by it that it is seen
			_, err := store.Verify(t.Context(), s, store.Mark{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
			var broken *store.ChainError
			if !errors.Is(err, store.ErrCorrupt) && !errors.As(err, &broken) {
				t.Errorf("%v is a failure of the database", err)
			}
		})
	}
	t.Run("what a wrong column hides from a filter", b.testMisfiled)
	t.Run("what the program of the version before forgets", b.testForgotten)
	t.Run("the end alone", b.testEndOfLog)
}

// written is the past of history's tests and an emergency, g4, whose review is to be done: 12 events, of which a sink was
// told. It verifies.
func (b Bare) written(t *testing.T) (Store, Raw) {
	t.Helper()
	s, raw := b.Open(t)
	past(t, s)
	commit(t, s, emergency("g4", carol, "security")...)
	if err := s.SetPosition(t.Context(), "clutch", 12); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Verify(t.Context(), s, store.Mark{}); err != nil {
		t.Fatal(err)
	}
	return s, raw
}

func (b Bare) tamper(t *testing.T, raw Raw, statements string) {
	t.Helper()
	if err := raw(b.Loosen); err != nil {
		t.Fatal(err)
	}
	if err := raw(statements); err != nil {
		t.Fatal(err)
	}
}

var tampering = map[string]struct{ statements, want string }{
	// What the log is searched by.
	"an event of another subject":    {"UPDATE #events SET subject = 'x@example.com', at = 0 WHERE revision = 4", "revision 4: what is stored cannot be read: its document says another subject"},
	"an event of another owner":      {"UPDATE #events SET owner = '' WHERE revision = 2", "revision 2: what is stored cannot be read: its document says another owner"},
	"an event in another place":      {"UPDATE #events SET environment = 'staging' WHERE revision = 5", "another pool than"},
	"an event at another pool":       {"UPDATE #events SET pool = 'x' WHERE revision = 5", "another pool than"},
	"an event of another time":       {"UPDATE #events SET at = at - 1 WHERE revision = 9", "another time than"},
	"an event of another verb":       {"UPDATE #events SET verb = 'deny' WHERE revision = 9", "another verb than"},
	"an event of another grant":      {"UPDATE #events SET grant_id = 'g2' WHERE revision = 9", "another id than"},
	"an event of another version":    {"UPDATE #events SET version = 7 WHERE revision = 5", "another version than"},
	"an event from another state":    {"UPDATE #events SET from_state = '' WHERE revision = 5", "another state before than"},
	"an event to another state":      {"UPDATE #events SET to_state = 'denied' WHERE revision = 5", "another state after than"},
	"a refusal of another subject":   {"UPDATE #events SET subject = '' WHERE revision = 3", "another subject than"},
	"the event of another lock":      {"UPDATE #events SET grant_id = 'l2' WHERE revision = 7", "another id than"},
	"a lock's event, of nobody":      {"UPDATE #events SET subject = '' WHERE revision = 6", "another subject than"},
	"the policy's, at another time":  {"UPDATE #events SET at = 0 WHERE revision = 8", "another time than"},
	"an event's document, all of it": {"UPDATE #events SET doc = replace(doc, 'alice', 'mallo'), subject = 'mallo@example.com' WHERE revision = 4", "breaks at revision 4"},
	"an event is gone":               {"DELETE FROM #events WHERE revision = 4", "breaks at revision 4: the event is gone"},

	// The log's end, with something left that names it.
	"its end is gone":                          {"DELETE FROM #events WHERE revision > 6", "breaks at revision 7: the event is gone"},
	"its end is gone, no sink was told":        {"DELETE FROM #positions; DELETE FROM #events WHERE revision > 6", "the row of a grant says 12"},
	"its end is gone, and the rows":            {"DELETE FROM #grants WHERE revision > 7; DELETE FROM #events WHERE revision > 7", "the position of sink clutch says 12"},
	"its end is gone, but for a lock's row":    {"DELETE FROM #positions; DELETE FROM #grants; DELETE FROM #events WHERE revision > 6", "the row of a lock says 7"},
	"a sink is said to have been told of more": {"UPDATE #positions SET revision = 13", "breaks at revision 13"},

	// Rows, and what they are searched by.
	"a grant's row is gone":               {"DELETE FROM #grants WHERE id = 'g2'", "grant g2 has events in the log and no row"},
	"a lock's row is gone":                {"DELETE FROM #locks", "lock l1 has events in the log and no row"},
	"a row without an event":              {"UPDATE #grants SET id = 'g9', doc = replace(doc, '\"g2\"', '\"g9\"') WHERE id = 'g2'", "grant g9: what is stored cannot be read: the log has no event of it"},
	"a lock without an event":             {"UPDATE #locks SET id = 'l9', doc = replace(doc, '\"l1\"', '\"l9\"')", "lock l9: what is stored cannot be read: the log has no event of it"},
	"a row of another revision":           {"UPDATE #grants SET revision = 1 WHERE id = 'g1'", "its row is of revision 1, its last event is 9"},
	"a lock of another revision":          {"UPDATE #locks SET revision = 6", "its row is of revision 6, its last event is 7"},
	"a grant's row, of another state":     {"UPDATE #grants SET state = 'active' WHERE id = 'g1'", "another state than"},
	"a grant's row with its document":     {"UPDATE #grants SET state = 'active', doc = replace(doc, '\"revoked\"', '\"active\"') WHERE id = 'g1'", "its row says something else than its last event, 9"},
	"a grant's document, beside columns":  {"UPDATE #grants SET doc = replace(doc, 'oncall', 'admins') WHERE id = 'g2'", "its row says something else than its last event, 2"},
	"a grant's document, unreadable":      {"UPDATE #grants SET doc = '{' WHERE id = 'g2'", "grant g2"},
	"a grant that is never due":           {"UPDATE #grants SET due_at = due_at + 1000 WHERE id = 'g4'", "another time at which something is due than"},
	"a vote that nobody sees":             {"UPDATE #grants SET waiting = review WHERE id = 'g2'", "another vote than"},
	"a review that others see":            {"UPDATE #grants SET review = waiting WHERE id = 'g2'", "another review than"},
	"a review that is never overdue":      {"UPDATE #grants SET review_due = 0 WHERE id = 'g4'", "its document waits for a review, and its row does not"},
	"a review that is overdue much later": {"UPDATE #grants SET review_due = review_due + 1000 WHERE id = 'g4'", "another time by which it is reviewed than"},
	"a lock that ends at once":            {"UPDATE #locks SET until = 0", "lock l1: what is stored cannot be read: its document says another end than its row"},
	"a lock of somebody else":             {"UPDATE #locks SET subject = 'bob@example.com'", "another subject than"},
	"a lock's row with its document":      {"UPDATE #locks SET subject = 'mallo@example.com', doc = replace(doc, 'alice', 'mallo')", "its row says something else than its last event, 7"},
	"a lock's document, unreadable":       {"UPDATE #locks SET doc = '['", "lock l1"},
}

// testMisfiled: an event that was filed elsewhere is missed by who searches for it. Who reads all of the log sees it, and
// who searches where it stands now is not told that it is theirs.
func (b Bare) testMisfiled(t *testing.T) {
	s, raw := b.written(t)
	before := log(t, s)
	b.tamper(t, raw, "UPDATE #events SET subject = 'bob@example.com', pool = 'x' WHERE revision = 4")
	found := func(q store.EventQuery) ([]int64, error) {
		q.Limit = 100
		var revisions []int64
		entries, err := s.History(t.Context(), q)
		for _, e := range entries {
			revisions = append(revisions, e.Revision)
			equal(t, "event", e.Event, before[e.Revision-1].Event)
			if (e.Misfiled != nil) != (e.Revision == 4) || e.Misfiled != nil && !errors.Is(e.Misfiled, store.ErrCorrupt) {
				t.Errorf("revision %d: %v", e.Revision, e.Misfiled)
			}
		}
		return revisions, err
	}
	for _, test := range []struct {
		name  string
		query store.EventQuery
		want  []int64
	}{
		{"all", store.EventQuery{}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{"all, the newest first", store.EventQuery{Newest: true, After: 6}, []int64{5, 4, 3, 2, 1}},
		{"by whose it was", store.EventQuery{Subject: alice}, []int64{1, 5, 6, 7, 9}},
		{"by whose it seems to be", store.EventQuery{Subject: bob}, []int64{3}},
		{"by what is as it was", store.EventQuery{GrantID: "g1"}, []int64{1}},
	} {
		got, err := found(test.query)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		equal(t, test.name, got, test.want)
	}
	for name, q := range map[string]store.EventQuery{
		"where it stands": {Pool: "x"}, "of its verb": {Verbs: []grant.Verb{grant.Complete}}, "on": {Subject: bob, After: 3},
		"of its time": {From: before[3].Event.At, To: before[4].Event.At},
	} {
		if got, err := found(q); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	equal(t, "events", len(log(t, s)), len(before))
}

// testForgotten: a program of the version before forgets in a document that it was said that a review is overdue; in the
// column it stays. That is as it was written.
func (b Bare) testForgotten(t *testing.T) {
	s, raw := b.written(t)
	told := overdue(record(t, s, "g4").Grant, noon)
	forgotten := then(told.Grant, grant.Expire, grant.Expired, noon)
	forgotten.Grant.Review = record(t, s, "g4").Grant.Review
	commit(t, s, told, forgotten)
	b.tamper(t, raw, "UPDATE #grants SET review_due = 0 WHERE id = 'g4'") // this one has written it anew
	if _, err := store.Verify(t.Context(), s, store.Mark{}); err != nil {
		t.Error(err)
	}
}

// testEndOfLog: who takes away the log's end and every trace of it is not seen by the store alone, but by a mark.
func (b Bare) testEndOfLog(t *testing.T) {
	s, raw := b.written(t)
	all := log(t, s)
	mark := store.Mark{Revision: 12, Hash: all[11].Hash}
	b.tamper(t, raw, "DELETE FROM #positions; DELETE FROM #grants WHERE revision > 9; DELETE FROM #events WHERE revision > 9")
	if _, err := store.Verify(t.Context(), s, store.Mark{}); (err != nil) != (b.Head != "") {
		t.Errorf("the head is left: %v", err)
	}
	if b.Head != "" {
		if err := raw(b.Head); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := store.Verify(t.Context(), s, store.Mark{}); err != nil || got.Revision != 9 {
		t.Errorf("no trace is left: %v, %v", got, err)
	}
	var broken *store.ChainError
	if _, err := store.Verify(t.Context(), s, mark); !errors.As(err, &broken) || broken.Revision != 10 {
		t.Errorf("against the mark: %v", err)
	}
}
