package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// overdueNow lists what is overdue, in the order of the grants' last events.
func overdueNow(t testing.TB, s Store, at time.Time, limit int) []string {
	t.Helper()
	found, err := readable(s.Overdue(t.Context(), at, limit))
	if err != nil {
		t.Fatal(err)
	}
	return ids(found)
}

// overdue is the event that says so.
func overdue(g grant.Grant, at time.Time) grant.Event {
	from := g.State
	g.Version++
	g.Review.OverdueAt = at
	return grant.Event{Grant: g, From: from, Verb: grant.ReviewOverdue, At: at}
}

// testOverdue: a review is overdue from its time on, once there was access, until it is done or that was said.
func testOverdue(t *testing.T, h Harness) {
	s := h(t)()
	due := noon.Add(time.Hour)
	events := emergency("g1", alice, "security")
	commit(t, s, events[:2]...)
	equal(t, "before there was access", overdueNow(t, s, due, 10), []string{})
	commit(t, s, events[2])
	commit(t, s, emergency("g2", bob, "security")...)
	commit(t, s, opened("g3", carol, billing, noon)...)
	equal(t, "before its time", overdueNow(t, s, due.Add(-time.Millisecond), 10), []string{})
	equal(t, "at its time", overdueNow(t, s, due, 10), []string{"g1", "g2"})
	equal(t, "at most", overdueNow(t, s, due, 1), []string{"g1"})

	end := then(events[2].Grant, grant.Expire, grant.Expired, due)
	commit(t, s, end)
	equal(t, "after its end too", overdueNow(t, s, due, 10), []string{"g2", "g1"})
	told := overdue(end.Grant, due)
	commit(t, s, told)
	equal(t, "row", record(t, s, "g1").Grant, told.Grant)
	equal(t, "once it was said", overdueNow(t, s, due.Add(time.Hour), 10), []string{"g2"})
	equal(t, "it is waited for all the same", listedFor(t, s, "security"), []string{"g2", "g1"})
	// Of two that say it one wins.
	_, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{overdue(end.Grant, due)}})
	wantError(t, err, store.ErrConflict)

	second := record(t, s, "g2").Grant
	done := second
	done.Review.By, done.Review.At = carol, due
	review := then(done, grant.DoReview, grant.Active, due)
	review.Grant.ActivatedAt, review.Grant.ExpiresAt = second.ActivatedAt, second.ExpiresAt
	commit(t, s, review)
	equal(t, "once it was done", overdueNow(t, s, due.Add(time.Hour), 10), []string{})
}

func listedFor(t testing.TB, s Store, group string) []string {
	t.Helper()
	found, err := readable(s.List(t.Context(), store.Query{ReviewGroups: []string{group}, Limit: 10}))
	if err != nil {
		t.Fatal(err)
	}
	return ids(found)
}

// ProgramBefore writes beside the driver as the program of the version before does, which goes on running while and after the
// schema is migrated: it knows no column for when a review is due. open is that of RefusedBySchema; list is how the
// database writes a list of one group as a literal.
func ProgramBefore(t *testing.T, open func(*testing.T) (Store, Raw), list func(string) string) {
	s, raw := open(t)
	due := noon.Add(time.Hour)
	events := emergency("g1", alice, "security")
	for n, e := range events {
		at := insertEvent(n+1, "g1", string(e.Verb), n+1, string(e.From), string(e.Grant.State))
		doc, err := store.EncodeGrant(e.Grant)
		if err != nil {
			t.Fatal(err)
		}
		g := e.Grant
		literal := "'" + strings.ReplaceAll(string(doc), "'", "''") + "'"
		row := fmt.Sprintf(`UPDATE #grants SET state = '%s', version = %d, revision = %d, lapses_at = %d, expires_at = %d, due_at = %d, review = %s,
			doc = %s WHERE id = 'g1'`, g.State, g.Version, n+1, store.Millis(g.LapsesAt), store.Millis(g.ExpiresAt), store.Millis(g.ExpiresAt), list("security"), literal)
		if n == 0 {
			row = fmt.Sprintf(`INSERT INTO #grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at,
				lapses_at, expires_at, due_at, doc) VALUES ('g1', '%s', '', '%s', '%s', '%s', 1, 1, %d, 0, %d, 0, %d, %s)`,
				g.Subject, g.Pool.Environment, g.Pool.Name, g.State, store.Millis(g.RequestedAt), store.Millis(g.LapsesAt), store.Millis(g.LapsesAt), literal)
		}
		if err := raw(at + row); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "row", record(t, s, "g1").Grant, events[2].Grant)
	commit(t, s, emergency("g2", bob, "security")...)
	equal(t, "before its time", overdueNow(t, s, due.Add(-time.Millisecond), 10), []string{})
	equal(t, "at its time", overdueNow(t, s, due, 10), []string{"g1", "g2"})
	told := overdue(events[2].Grant, due)
	commit(t, s, told)
	equal(t, "once it was said", overdueNow(t, s, due, 10), []string{"g2"})

	// It goes on with what it read, and forgets what it does not know: that is not said again.
	forgotten := then(told.Grant, grant.Expire, grant.Expired, due)
	forgotten.Grant.Review.OverdueAt = time.Time{}
	doc, err := store.EncodeGrant(forgotten.Grant)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = raw(insertEvent(int(head+1), "g1", "expire", 5, "active", "expired") + fmt.Sprintf(
		"UPDATE #grants SET state = 'expired', version = 5, revision = %d, doc = '%s' WHERE id = 'g1'", head+1, strings.ReplaceAll(string(doc), "'", "''")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "row", record(t, s, "g1").Grant, forgotten.Grant)
	equal(t, "after the program before went on", overdueNow(t, s, due, 10), []string{"g2"})
}
