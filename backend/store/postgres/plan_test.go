package postgres

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// crowd is many grants that are over, and some that wait, all of others than the tests ask for.
const crowd = `ALTER TABLE haproxyaccess.grants DISABLE TRIGGER USER;
	INSERT INTO haproxyaccess.grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at, lapses_at,
		expires_at, due_at, waiting, review, doc, review_due)
	SELECT 'g' || i, 'service:s' || (i % 500), '', 'prod', 'billing', CASE WHEN i % 1000 = 0 THEN 'pending' ELSE 'expired' END, 1, i, i, 0, i,
		0, i, (CASE WHEN i % 1000 = 0 THEN '{sre}' ELSE '{}' END)::text[], '{}', '{}', 0 FROM generate_series(1, 20000) AS i;
	ANALYZE haproxyaccess.grants`

func plan(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.Query("EXPLAIN "+strings.NewReplacer("@", dialect.Schema, "?", dialect.Parameter).Replace(query), args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		all.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// What is read all the time looks at few of many grants: Postgres, which knows how many there are, goes along all of them
// for none of it.
func TestReadingFindsItsIndex(t *testing.T) {
	db := opened(t, newDatabase(t))
	if _, err := db.pool.Exec(crowd); err != nil {
		t.Fatal(err)
	}
	alice := grant.Subject("alice@example.com")
	opens := []grant.State{grant.Pending, grant.Approved, grant.Active}
	plans := map[string]string{
		"due":     plan(t, db.pool, sqlstore.DueQuery, 1, 0, 500),
		"overdue": plan(t, db.pool, sqlstore.OverdueQuery(dialect), 1, 0, 500),
	}
	for name, q := range map[string]store.Query{
		"what alice sees":                  {Visible: &store.Visible{Viewer: alice}},
		"what alice sees, with her groups": {Visible: &store.Visible{Viewer: alice, Groups: []string{"eng"}}},
		"what alice sees that is open":     {Visible: &store.Visible{Viewer: alice, Groups: []string{"eng"}}, States: opens},
		"a lock of alice":                  {Concerns: alice, States: opens},
		"a lock of a pool":                 {Environment: "prod", Pool: "search", States: opens},
		"all that is open":                 {States: opens},
		"what awaits a group":              {AwaitingGroups: []string{"eng"}},
		"what a group reviews":             {ReviewGroups: []string{"eng"}},
	} {
		q.Limit = 50
		query, args := sqlstore.ListQuery(dialect, q)
		plans[name] = plan(t, db.pool, query, args...)
	}
	for name, p := range plans {
		if !strings.Contains(p, "Index") || strings.Contains(p, "Seq Scan on grants") || strings.Contains(p, "using grants_order") {
			t.Errorf("%s:\n%s", name, p)
		}
	}
	if !strings.Contains(plans["all that is open"], "grants_open") || !strings.Contains(plans["overdue"], "grants_overdue") {
		t.Errorf("%s\n%s", plans["all that is open"], plans["overdue"])
	}
}
