package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// filled is a database with one active grant, and a bare connection to it as another program would have it.
func filled(t *testing.T) (*DB, *sql.DB) {
	t.Helper()
	db, raw := empty(t)
	g := grant.Grant{
		ID: "g1", Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"}, State: grant.Pending,
		RequestedAt: time.Unix(1000, 0).UTC(), LapsesAt: time.Unix(2000, 0).UTC(), Version: 1,
	}
	events := []grant.Event{{Grant: g, Verb: grant.Request, At: g.RequestedAt}}
	for _, next := range []struct {
		verb grant.Verb
		to   grant.State
	}{{grant.Complete, grant.Approved}, {grant.Activate, grant.Active}} {
		from := g.State
		g.State, g.Version = next.to, g.Version+1
		events = append(events, grant.Event{Grant: g, From: from, Verb: next.verb, At: g.RequestedAt})
	}
	if _, err := db.Commit(t.Context(), store.Change{Events: events}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.WriteAudit(t.Context(), g.RequestedAt, []byte("request")); err != nil {
		t.Fatal(err)
	}
	return db, raw
}

func empty(t *testing.T) (*DB, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	db := opened(t, path)
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return db, raw
}

func opened(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// The schema's table of transitions and grant's are two copies of one truth.
func TestTransitionsAreThoseOfGrant(t *testing.T) {
	_, raw := filled(t)
	rows, err := raw.Query("SELECT from_state, verb, to_state FROM transitions")
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

// besides runs statements in one transaction, by a bare connection.
func besides(raw *sql.DB) storetest.Raw {
	return func(statements string) error {
		statements = strings.NewReplacer("#", "", "HASH", "zeroblob(32)").Replace(statements)
		conn, err := raw.Conn(context.Background())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(context.Background(), "PRAGMA foreign_keys = 1; BEGIN;"+statements+"; COMMIT"); err != nil {
			_, back := conn.ExecContext(context.Background(), "ROLLBACK")
			return errors.Join(err, back)
		}
		return nil
	}
}

// withRaw is a new database, and what writes to it beside the driver.
func withRaw(t *testing.T) (storetest.Store, storetest.Raw) {
	db, raw := empty(t)
	return db, besides(raw)
}

func TestSchemaRefuses(t *testing.T) { storetest.RefusedBySchema(t, withRaw) }

func TestUnreadableRows(t *testing.T) { storetest.Unreadable(t, withRaw) }

func TestI7TamperingIsSeen(t *testing.T) {
	storetest.Tampered(t, storetest.Bare{Open: withRaw, Loosen: `DROP TRIGGER events_unchanged; DROP TRIGGER events_stay;
		DROP TRIGGER grants_advance; DROP TRIGGER grants_stay; DROP TRIGGER locks_lift; DROP TRIGGER locks_stay`})
}

func TestTheProgramBeforeGoesOn(t *testing.T) {
	storetest.ProgramBefore(t, withRaw, func(group string) string { return `'["` + group + `"]'` })
}

// What SQLite alone has to offer: a row may be replaced without a trigger's notice of its end.
func TestSchemaRefusesReplacing(t *testing.T) {
	for name, statements := range map[string]string{
		"a grant": `INSERT INTO events SELECT 4, grant_id, 'extend', subject, owner, environment, pool, at, 4, 'active', 'active', hash, doc FROM events WHERE revision = 3;
			INSERT OR REPLACE INTO grants SELECT id, subject, owner, environment, pool, state, 4, 4, 0, 0, 0, 0, 0, '[]', '[]', doc, 0 FROM grants`,
		"an event":     "INSERT OR REPLACE INTO events SELECT revision, grant_id, verb, subject, owner, environment, pool, at, version, from_state, to_state, hash, '{}' FROM events WHERE revision = 3",
		"an audit row": "INSERT OR REPLACE INTO audit (id, at, request) VALUES (1, 0, x'00')",
	} {
		t.Run(name, func(t *testing.T) {
			_, raw := filled(t)
			if err := besides(raw)(statements); err == nil || !strings.Contains(err.Error(), "constraint") {
				t.Fatalf("the schema says %v", err)
			}
		})
	}
}

// I7: who gets past the triggers is seen by the chain.
func TestTamperedFileIsSeen(t *testing.T) {
	for name, statement := range map[string]string{
		"changed":      `UPDATE events SET doc = replace(doc, 'alice', 'mallory') WHERE revision = 2`,
		"deleted":      `DELETE FROM events WHERE revision = 2`,
		"interchanged": `UPDATE events SET doc = (SELECT doc FROM events WHERE revision = 3) WHERE revision = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			db, raw := filled(t)
			if _, err := raw.Exec("DROP TRIGGER events_unchanged; DROP TRIGGER events_stay;" + statement); err != nil {
				t.Fatal(err)
			}
			entries, err := db.Events(t.Context(), 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			if storetest.VerifyChain(entries) == nil {
				t.Fatal("the chain verifies")
			}
		})
	}
}

// I7: an event that cannot be read even holds up none before it, and is told apart from a database that fails.
func TestI7AnUnreadableEventIsSeen(t *testing.T) {
	db, raw := filled(t)
	if _, err := raw.Exec("DROP TRIGGER events_unchanged; UPDATE events SET doc = '{' WHERE revision = 2"); err != nil {
		t.Fatal(err)
	}
	good, err := db.Events(t.Context(), 0, 10)
	if err != nil || len(good) != 1 || good[0].Revision != 1 {
		t.Fatalf("before it: %v, %v", good, err)
	}
	if none, err := db.Events(t.Context(), 1, 10); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "revision 2") {
		t.Fatalf("it: %v, %v", none, err)
	}
	if rest, err := db.Events(t.Context(), 2, 10); err != nil || len(rest) != 1 || rest[0].Revision != 3 {
		t.Fatalf("after it: %v, %v", rest, err)
	}
}
