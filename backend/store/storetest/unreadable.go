package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Unreadable damages rows beside the driver: each hurts itself alone, and is named. open is that of RefusedBySchema.
func Unreadable(t *testing.T, open func(*testing.T) (Store, Raw)) {
	t.Run("each damage hurts itself alone", func(t *testing.T) { testDamages(t, open) })
	t.Run("pages go on past damaged rows", func(t *testing.T) { testDamagedPages(t, open) })
	t.Run("what is due goes on past damaged rows", func(t *testing.T) { testDamagedDue(t, open) })
}

// damage writes a transition of a grant that stays in its state, as another program might, with another document.
func damage(t *testing.T, s Store, raw Raw, g grant.Grant, doc string) {
	t.Helper()
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verb := map[grant.State]string{grant.Pending: "approve", grant.Active: "extend"}[g.State]
	event := insertEvent(int(head+1), g.ID, verb, int(g.Version+1), string(g.State), string(g.State),
		string(g.Subject), g.Pool.Environment, g.Pool.Name)
	row := fmt.Sprintf("UPDATE #grants SET version = %d, revision = %d, doc = %s WHERE id = '%s'", g.Version+1, head+1, doc, g.ID)
	if err := raw(event + row); err != nil {
		t.Fatal(err)
	}
}

// said is the document of version 4, with one word replaced by another.
func said(word, by string) string {
	return fmt.Sprintf(`replace(replace(doc, '"version":3', '"version":4'), '%s', '%s')`, word, by)
}

var damages = map[string]string{
	"no document":          "''",
	"half of one":          "'{'",
	"another kind":         "'[1]'",
	"an empty one":         "'{}'",
	"an old one":           "doc",
	"another id":           said(`"id":"g1"`, `"id":"g2"`),
	"another subject":      said(`"subject":"alice@example.com"`, `"subject":"bob@example.com"`),
	"an owner":             said(`"environment"`, `"owner":"bob@example.com","environment"`),
	"another environment":  said(`"environment":"prod"`, `"environment":"staging"`),
	"another pool":         said(`"pool":"billing"`, `"pool":"search"`),
	"another state":        said(`"state":"active"`, `"state":"approved"`),
	"another beginning":    said(fmt.Sprint(`"requested_at":`, noon.UnixMilli()), `"requested_at":1`),
	"a window":             said(`"lapses_at"`, `"starts_at":1,"lapses_at"`),
	"another lapse":        said(`"lapses_at":`, `"lapses_at":9`),
	"another end":          said(`"expires_at":`, `"expires_at":9`),
	"an end of other form": said(`"expires_at":`, `"expires_at":"x","was":`),
}

func testDamages(t *testing.T, open func(*testing.T) (Store, Raw)) {
	for name, doc := range damages {
		t.Run(name, func(t *testing.T) {
			s, raw := open(t)
			commit(t, s, opened("g1", alice, billing, noon)...)
			commit(t, s, opened("g2", bob, billing, noon)...)
			damage(t, s, raw, record(t, s, "g1").Grant, doc)
			have := snap(t, s)
			head, _ := s.Head(t.Context())
			equal(t, "revision", have.Revision, head)
			equal(t, "active", ids(have.Active), []string{"g2"})
			equal(t, "unreadable", have.Unreadable, []string{"g1"})

			all, err := s.List(t.Context(), store.Query{Limit: 10})
			wantPage(t, all, err, []string{"g2"}, "g1")
			u := all.Unreadable[0]
			equal(t, "row", store.Unreadable{ID: u.ID, Subject: u.Subject, Owner: u.Owner, Pool: u.Pool, State: u.State},
				store.Unreadable{ID: "g1", Subject: alice, Pool: billing, State: grant.Active})
			other, err := s.List(t.Context(), store.Query{Subject: bob, Limit: 10})
			wantPage(t, other, err, []string{"g2"})
			due, err := s.Due(t.Context(), noon.Add(24*time.Hour), 10)
			wantPage(t, due, err, []string{"g2"}, "g1")

			_, err = s.Grant(t.Context(), "g1")
			wantError(t, err, store.ErrCorrupt)
			_, err = s.LiveGrant(t.Context(), alice, billing)
			wantError(t, err, store.ErrCorrupt)
			// The place is taken all the same: what is there may be open somewhere.
			_, err = s.Commit(t.Context(), store.Change{Events: opened("g3", alice, billing, noon)})
			var live *store.LiveError
			if !errors.As(err, &live) || live.ID != "g1" {
				t.Errorf("a second grant: %v", err)
			}
			commit(t, s, then(record(t, s, "g2").Grant, grant.Revoke, grant.Revoked, noon))
		})
	}
	t.Run("none", func(t *testing.T) { // the way in which they are done is open: they are found for what they say
		s, raw := open(t)
		commit(t, s, opened("g1", alice, billing, noon)...)
		damage(t, s, raw, record(t, s, "g1").Grant, said("x", "x"))
		equal(t, "active", ids(snap(t, s).Active), []string{"g1"})
	})
}

func wantPage(t testing.TB, p store.Page, err error, want []string, unreadable ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "records", ids(p.Records), want)
	names := []string(nil)
	for _, u := range p.Unreadable {
		names = append(names, u.ID)
		wantError(t, u.Err, store.ErrCorrupt)
	}
	equal(t, "unreadable", names, unreadable)
}

// damaged makes twelve grants, g00 the oldest, and damages some: a run that is longer than a page, and both ends.
func damaged(t *testing.T, open func(*testing.T) (Store, Raw)) (s Store, good, bad []string) {
	t.Helper()
	s, raw := open(t)
	for n := range 12 {
		e := asked(fmt.Sprintf("g%02d", n), subjectOf(n), billing, noon.Add(time.Duration(n/2)*time.Second))
		commit(t, s, e)
		if slices.Contains([]int{0, 3, 4, 5, 6, 7, 11}, n) {
			damage(t, s, raw, e.Grant, "'{'")
			bad = append(bad, e.Grant.ID)
		} else {
			good = append(good, e.Grant.ID)
		}
	}
	return s, good, bad
}

func testDamagedPages(t *testing.T, open func(*testing.T) (Store, Raw)) {
	s, good, bad := damaged(t, open)
	slices.Reverse(good)
	for limit := 1; limit <= 13; limit++ {
		var got []string
		named := map[string]bool{}
		q := store.Query{Limit: limit}
		for round := 0; ; round++ {
			page, err := s.List(t.Context(), q)
			if err != nil || round > 12 {
				t.Fatalf("pages of %d, the %d.: %v", limit, round, err)
			}
			got = append(got, ids(page.Records)...)
			for _, u := range page.Unreadable {
				named[u.ID] = true
			}
			if len(page.Records) < limit {
				break
			}
			last := page.Records[limit-1].Grant
			q.After = &store.Cursor{RequestedAt: last.RequestedAt, ID: last.ID}
		}
		equal(t, fmt.Sprintf("pages of %d", limit), got, good)
		equal(t, "named", len(named), len(bad))
	}
}

func testDamagedDue(t *testing.T, open func(*testing.T) (Store, Raw)) {
	s, good, bad := damaged(t, open)
	due := func(limit int) store.Page {
		t.Helper()
		page, err := s.Due(t.Context(), noon.Add(24*time.Hour), limit)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	wantPage(t, due(100), nil, good, bad...)
	// What is done is due no more; the damaged rows stay and hold up nothing.
	for len(good) > 0 {
		page := due(2)
		equal(t, "first", ids(page.Records), good[:min(2, len(good))])
		for _, r := range page.Records {
			commit(t, s, then(r.Grant, grant.Lapse, grant.Lapsed, noon))
		}
		good = good[len(page.Records):]
	}
	wantPage(t, due(2), nil, []string{}, bad...)
}
