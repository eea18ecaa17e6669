package sqlite

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

const many = 20_000

// crowded is a database with many grants that are over, and some that wait, all of others than the tests ask for.
func crowded(t *testing.T) (*DB, *sql.DB) {
	t.Helper()
	db, raw := empty(t)
	_, err := raw.Exec(fmt.Sprintf(`DROP TRIGGER grants_begin;
		INSERT INTO grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at, lapses_at, expires_at,
			due_at, waiting, review, doc, review_due)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'g' || i, 'service:s' || (i %% 500), '', 'prod', 'billing', iif(i %% 1000 = 0, 'pending', 'expired'), 1, i, i, 0, i, 0, i,
			iif(i %% 1000 = 0, '["sre"]', '[]'), '[]', '{}', 0 FROM n`, many))
	if err != nil {
		t.Fatal(err)
	}
	return db, raw
}

// plan is what SQLite does with the table of grants to answer a query, line by line.
func plan(t *testing.T, db *sql.DB, query string, args ...any) (lines []string) {
	t.Helper()
	rows, err := db.Query("EXPLAIN QUERY PLAN "+strings.ReplaceAll(query, "@", ""), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "grants") {
			lines = append(lines, line)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// What is read all the time looks at few of many grants: by its own index, or along one that holds only what is open or waits.
func TestReadingFindsItsIndex(t *testing.T) {
	const (
		byID    = "SEARCH grants USING INDEX sqlite_autoindex_grants_1 (id=?)"
		subject = "SEARCH grants USING COVERING INDEX grants_subject (subject=?)"
		owner   = "SEARCH grants USING COVERING INDEX grants_owner (owner=?)"
		waiting = "SCAN grants USING INDEX grants_waiting"
		review  = "SCAN grants USING INDEX grants_review"
		open    = "SCAN grants USING INDEX grants_open"
		onwards = "SEARCH grants USING INDEX grants_open (requested_at<?)"
		due     = "SEARCH grants USING INDEX grants_due (state=? AND due_at<?)"
		overdue = "SEARCH grants USING INDEX grants_overdue (review_due<?)"
	)
	alice := grant.Subject("alice@example.com")
	opens := []grant.State{grant.Pending, grant.Approved, grant.Active}
	_, raw := crowded(t)
	type asked struct {
		query string
		args  []any
		want  []string
	}
	list := func(q store.Query, want ...string) asked {
		q.Limit = 50
		query, args := sqlstore.ListQuery(dialect, q)
		return asked{query, args, want}
	}
	all := map[string]asked{
		"what alice sees":                  list(store.Query{Visible: &store.Visible{Viewer: alice}}, byID, subject, owner),
		"what alice sees, with her groups": list(store.Query{Visible: &store.Visible{Viewer: alice, Groups: []string{"eng"}}}, byID, waiting, review, subject, owner),
		"what alice sees that is open":     list(store.Query{Visible: &store.Visible{Viewer: alice}, States: opens}, byID, subject, owner),
		"a lock of alice":                  list(store.Query{Concerns: alice, States: opens}, byID, subject, owner),
		"a lock of a pool":                 list(store.Query{Environment: "prod", Pool: "search", States: opens}, open),
		"all that is open":                 list(store.Query{States: opens}, open),
		"a page of it":                     list(store.Query{States: opens, After: &store.Cursor{ID: "g"}}, onwards),
		"what awaits a group":              list(store.Query{AwaitingGroups: []string{"eng"}}, waiting),
		"what a group reviews":             list(store.Query{ReviewGroups: []string{"eng"}}, review),
		"due":                              {sqlstore.DueQuery, []any{1, 0, 500}, []string{due}},
		"overdue":                          {sqlstore.OverdueQuery(dialect), []any{1, 0, 500}, []string{overdue}},
	}
	for _, statistics := range []bool{false, true} {
		if statistics {
			if _, err := raw.Exec("ANALYZE"); err != nil {
				t.Fatal(err)
			}
		}
		for name, a := range all {
			if got := plan(t, raw, a.query, a.args...); !slices.Equal(got, a.want) && !statistics || statistics && searchesAll(got) {
				t.Errorf("%s (statistics: %v):\n  %s", name, statistics, strings.Join(got, "\n  "))
			}
		}
	}
}

// searchesAll reports whether a plan goes along all grants: with statistics it may choose another way, but not that.
func searchesAll(plan []string) bool {
	return slices.ContainsFunc(plan, func(line string) bool {
		return strings.HasPrefix(line, "SCAN") && !slices.ContainsFunc([]string{"grants_waiting", "grants_review", "grants_open"},
			func(index string) bool { return strings.HasSuffix(line, index) })
	})
}

// The same is answered as without an index, and by little of the table.
func TestWhoHasNoGrantsIsAnsweredAmongMany(t *testing.T) {
	db, _ := crowded(t)
	page, err := db.List(t.Context(), store.Query{Visible: &store.Visible{Viewer: "alice@example.com", Groups: []string{"eng"}}, Limit: 50})
	if err != nil || len(page.Records)+len(page.Unreadable) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = db.List(t.Context(), store.Query{Concerns: "service:s0", States: []grant.State{grant.Pending}, Limit: 50})
	if err != nil || len(page.Unreadable) != many/1000 { // their documents are empty
		t.Errorf("%d, %v", len(page.Unreadable), err)
	}
}
