package sqlite

import (
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
	path := filepath.Join(t.TempDir(), "s.db")
	db := opened(t, path)
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

// I6, I7: the schema itself refuses what the driver would never do, whoever writes.
func TestSchemaRefuses(t *testing.T) {
	const hash = "zeroblob(32)"
	tests := map[string]string{
		"a state that the event's verb does not lead to": `INSERT INTO events VALUES (4, 'g1', 'expire', '{}', ` + hash + `);
			UPDATE grants SET state = 'revoked', version = 4, revision = 4`,
		"a state out of the table": `INSERT INTO events VALUES (4, 'g1', 'complete', '{}', ` + hash + `);
			UPDATE grants SET state = 'approved', version = 4, revision = 4`,
		"a state without an event":       "UPDATE grants SET state = 'expired', version = 4, revision = 4",
		"a state by an old event":        "UPDATE grants SET state = 'expired', version = 4",
		"another grant's event":          `INSERT INTO events VALUES (4, 'g2', 'expire', '{}', ` + hash + `); UPDATE grants SET state = 'expired', version = 4, revision = 4`,
		"a version left out":             `INSERT INTO events VALUES (4, 'g1', 'expire', '{}', ` + hash + `); UPDATE grants SET state = 'expired', version = 5, revision = 4`,
		"a version twice":                `INSERT INTO events VALUES (4, 'g1', 'expire', '{}', ` + hash + `); UPDATE grants SET state = 'expired', revision = 4`,
		"another subject":                `INSERT INTO events VALUES (4, 'g1', 'extend', '{}', ` + hash + `); UPDATE grants SET subject = 'bob@example.com', version = 4, revision = 4`,
		"a document alone":               "UPDATE grants SET doc = '{}'",
		"a grant deleted":                "DELETE FROM grants",
		"a grant replaced":               `INSERT INTO events VALUES (4, 'g1', 'request', '{}', ` + hash + `); INSERT OR REPLACE INTO grants SELECT id, subject, owner, environment, pool, 'pending', 1, 4, 0, 0, 0, 0, doc FROM grants`,
		"a grant born active":            `INSERT INTO events VALUES (4, 'g2', 'request', '{}', ` + hash + `); INSERT INTO grants VALUES ('g2', 's', '', 'e', 'p', 'active', 1, 4, 0, 0, 0, 0, '{}')`,
		"a grant born at version 2":      `INSERT INTO events VALUES (4, 'g2', 'request', '{}', ` + hash + `); INSERT INTO grants VALUES ('g2', 's', '', 'e', 'p', 'pending', 2, 4, 0, 0, 0, 0, '{}')`,
		"a grant renamed":                `INSERT INTO events VALUES (4, 'g1', 'expire', '{}', ` + hash + `); UPDATE grants SET id = 'g2', state = 'expired', version = 4, revision = 4`,
		"an event used twice":            `INSERT INTO events VALUES (4, 'g1', 'extend', '{}', ` + hash + `); UPDATE grants SET version = 4, revision = 4; UPDATE grants SET version = 5, revision = 4`,
		"a grant without an event":       "INSERT INTO grants VALUES ('g2', 's', '', 'e', 'p', 'pending', 1, 3, 0, 0, 0, 0, '{}')",
		"an event deleted":               "DELETE FROM events WHERE revision = 2",
		"the last event deleted":         "DELETE FROM events WHERE revision = 3",
		"an event changed":               "UPDATE events SET doc = '{}' WHERE revision = 3",
		"an event replaced":              "INSERT OR REPLACE INTO events VALUES (3, 'g1', 'expire', '{}', " + hash + ")",
		"a gap in the log":               "INSERT INTO events VALUES (5, 'g1', 'expire', '{}', " + hash + ")",
		"a hash of another length":       "INSERT INTO events VALUES (4, 'g1', 'expire', '{}', zeroblob(31))",
		"an audit row deleted":           "DELETE FROM audit",
		"an audit row's request changed": "UPDATE audit SET request = x'00', response = x'00'",
		"an audit row's time changed":    "UPDATE audit SET at = 0, response = x'00'",
		"an audit row renumbered":        "UPDATE audit SET id = 7, response = x'00'",
		"a change that is no answer":     "UPDATE audit SET response = NULL",
		"an audit row replaced":          "INSERT OR REPLACE INTO audit (id, at, request) VALUES (1, 0, x'00')",
		"an audit row born answered":     "INSERT INTO audit (at, request, response) VALUES (0, x'00', x'00')",
		"an answer changed":              "UPDATE audit SET response = x'00'; UPDATE audit SET response = x'01'",
	}
	for name, statements := range tests {
		t.Run(name, func(t *testing.T) {
			_, raw := filled(t)
			if _, err := raw.Exec("BEGIN;" + statements + "; COMMIT"); err == nil || !strings.Contains(err.Error(), "constraint") {
				t.Fatalf("the schema says %v", err)
			}
		})
	}
	// The way in which the driver does it is open, so the above failed for what they say.
	_, raw := filled(t)
	if _, err := raw.Exec("BEGIN; INSERT INTO events VALUES (4, 'g1', 'expire', '{}', " + hash + `);
		UPDATE grants SET state = 'expired', version = 4, revision = 4; COMMIT; UPDATE audit SET response = x'00'`); err != nil {
		t.Fatal(err)
	}
}

// Two live grants are refused by the schema too, and not only by the driver's look-up.
func TestSchemaHoldsOneLiveGrant(t *testing.T) {
	_, raw := filled(t)
	_, err := raw.Exec(`BEGIN; INSERT INTO events VALUES (4, 'g2', 'request', '{}', zeroblob(32));
		INSERT INTO grants VALUES ('g2', 'alice@example.com', '', 'prod', 'billing', 'pending', 1, 4, 0, 0, 0, 0, '{}');
		INSERT INTO events VALUES (5, 'g2', 'complete', '{}', zeroblob(32))`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.Exec("UPDATE grants SET state = 'approved', version = 2, revision = 5 WHERE id = 'g2'")
	if err == nil || !strings.Contains(err.Error(), "UNIQUE") {
		t.Fatalf("the schema says %v", err)
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

// A grant that cannot be read makes the snapshot fail: a node must not take what is left for the whole.
func TestAnUnreadableGrantIsAnErrorEverywhere(t *testing.T) {
	db, raw := filled(t)
	if _, err := raw.Exec("DROP TRIGGER grants_advance; UPDATE grants SET doc = '{'"); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() error{
		"Snapshot": func() error { _, err := db.Snapshot(t.Context()); return err },
		"Grant":    func() error { _, err := db.Grant(t.Context(), "g1"); return err },
		"List":     func() error { _, err := db.List(t.Context(), store.Query{Limit: 10}); return err },
		"Due":      func() error { _, err := db.Due(t.Context(), time.Unix(1<<33, 0), 10); return err },
		"LiveGrant": func() error {
			_, err := db.LiveGrant(t.Context(), "alice@example.com", grant.Pool{Environment: "prod", Name: "billing"})
			return err
		},
	} {
		if err := read(); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
