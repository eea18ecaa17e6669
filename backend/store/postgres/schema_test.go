package postgres

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// besides runs statements in one transaction beside the driver.
func besides(pool *sql.DB) storetest.Raw {
	return func(statements string) error {
		statements = strings.NewReplacer("#", "haproxyaccess.", "HASH", `decode(repeat('00', 32), 'hex')`).Replace(statements)
		conn, err := pool.Conn(context.Background())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(context.Background(), "BEGIN;"+statements+"; COMMIT"); err != nil {
			_, back := conn.ExecContext(context.Background(), "ROLLBACK")
			return errors.Join(err, back)
		}
		return nil
	}
}

// withRaw is a new database, and what writes to it beside the driver.
func withRaw(t *testing.T) (storetest.Store, storetest.Raw) {
	db := opened(t, newDatabase(t))
	return db, besides(db.pool)
}

func TestSchemaRefuses(t *testing.T) { storetest.RefusedBySchema(t, withRaw) }

func TestUnreadableRows(t *testing.T) { storetest.Unreadable(t, withRaw) }

func TestI7TamperingIsSeen(t *testing.T) {
	storetest.Tampered(t, storetest.Bare{
		Open: withRaw,
		Loosen: `ALTER TABLE #events DISABLE TRIGGER USER; ALTER TABLE #grants DISABLE TRIGGER USER;
			ALTER TABLE #locks DISABLE TRIGGER USER; ALTER TABLE #head DISABLE TRIGGER USER`,
		Head: "UPDATE #head SET (revision, hash) = (SELECT revision, hash FROM #events ORDER BY revision DESC LIMIT 1)",
	})
}

// The row that names the log's end is held to the log as well.
func TestI7TheHeadIsHeldToTheLog(t *testing.T) {
	for name, statement := range map[string]string{
		"behind": "UPDATE #head SET revision = revision - 1", "another hash": "UPDATE #head SET hash = HASH", "gone": "DELETE FROM #head",
	} {
		t.Run(name, func(t *testing.T) {
			db, raw := withRaw(t)
			if _, err := db.Commit(t.Context(), storetest.OneChange("g1")); err != nil {
				t.Fatal(err)
			}
			if err := raw("ALTER TABLE #head DISABLE TRIGGER USER;" + statement); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Verify(t.Context(), db, store.Mark{}); err == nil {
				t.Error("it verifies")
			}
		})
	}
}

func TestTheProgramBeforeGoesOn(t *testing.T) {
	storetest.ProgramBefore(t, withRaw, func(group string) string { return "'{" + group + "}'" })
}

// The schema's table of transitions and grant's are two copies of one truth.
func TestTransitionsAreThoseOfGrant(t *testing.T) {
	db := opened(t, newDatabase(t))
	rows, err := db.pool.Query("SELECT from_state, verb, to_state FROM haproxyaccess.transitions")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []grant.Transition
	for rows.Next() {
		var tr grant.Transition
		if err := rows.Scan(&tr.From, &tr.Verb, &tr.To); err != nil {
			t.Fatal(err)
		}
		got = append(got, tr)
	}
	order := func(a, b grant.Transition) int {
		return strings.Compare(string(a.From+"|")+string(a.Verb), string(b.From+"|")+string(b.Verb))
	}
	want := grant.Transitions()
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %v, grant %v", got, want)
	}
}
