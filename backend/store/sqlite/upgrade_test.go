package sqlite

import (
	"database/sql"
	"encoding/hex"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// first is a log as the first version wrote it: a request of an agent that waits, a grant that is active, a refusal, and
// an event that somebody has damaged. Two keys are current, as two gateways that started together made them.
const first = `
INSERT INTO events VALUES
 (1, 'g1', 'request', '{"grant":{"id":"g1","subject":"agent:triage","owner":"carol@example.com","environment":"prod","pool":"billing","state":"pending","reason":"r","seconds":60,"steps":[{"groups":["sre","leads"],"count":1},{"groups":["security","sre"],"count":1}],"policy":"rule","requested_at":1900000000000,"lapses_at":1900000900000,"version":1},"verb":"request","actor":"agent:triage","comment":"r","at":1900000000000}', X'%1'),
 (2, 'g2', 'request', '{"grant":{"id":"g2","subject":"alice@example.com","environment":"prod","pool":"search","state":"pending","reason":"r","seconds":60,"policy":"rule","requested_at":1900000001000,"lapses_at":1900000900000,"version":1},"verb":"request","at":1900000001000}', zeroblob(32)),
 (3, 'g2', 'complete', '{"grant":{"id":"g2","subject":"alice@example.com","environment":"prod","pool":"search","state":"approved","reason":"r","seconds":60,"policy":"rule","requested_at":1900000001000,"lapses_at":1900000900000,"version":2},"from":"pending","verb":"complete","at":1900000002000}', zeroblob(32)),
 (4, 'g2', 'activate', '{"grant":{"id":"g2","subject":"alice@example.com","environment":"prod","pool":"search","state":"active","reason":"r","seconds":60,"policy":"rule","requested_at":1900000001000,"activated_at":1900000002000,"expires_at":1900000062000,"version":3},"from":"approved","verb":"activate","at":1900000002000}', zeroblob(32)),
 (5, 'g3', 'refuse', '{"grant":{"id":"g3","subject":"bob@example.com","environment":"staging","pool":"web","state":"","reason":"r","seconds":60,"version":0},"verb":"refuse","at":1900000003000}', zeroblob(32)),
 (6, 'g4', 'request', '{', zeroblob(32));
INSERT INTO grants SELECT 'g1', 'agent:triage', 'carol@example.com', 'prod', 'billing', 'pending', 1, 1, 1900000000000, 0, 1900000900000, 0, json_extract(doc, '$.grant') FROM events WHERE revision = 1;
INSERT INTO grants VALUES ('g2', 'alice@example.com', '', 'prod', 'search', 'pending', 1, 2, 1900000001000, 0, 1900000900000, 0, '{}');
UPDATE grants SET state = 'approved', version = 2, revision = 3 WHERE id = 'g2';
UPDATE grants SET state = 'active', version = 3, revision = 4, lapses_at = 0, expires_at = 1900000062000, doc = (SELECT json_extract(doc, '$.grant') FROM events WHERE revision = 4) WHERE id = 'g2';
INSERT INTO keys VALUES ('newer', 'RS256', x'00', x'00', 'current', 2), ('older', 'RS256', x'00', x'00', 'current', 1), ('old', 'RS256', x'00', x'00', 'retired', 0)`

// upgraded is a database of the first version, opened by this program.
func upgraded(t *testing.T) (*DB, *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	if err := Migrate(t.Context(), path, 1); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	const doc = `{"grant":{"id":"g1","subject":"agent:triage","owner":"carol@example.com","environment":"prod","pool":"billing","state":"pending","reason":"r","seconds":60,"steps":[{"groups":["sre","leads"],"count":1},{"groups":["security","sre"],"count":1}],"policy":"rule","requested_at":1900000000000,"lapses_at":1900000900000,"version":1},"verb":"request","actor":"agent:triage","comment":"r","at":1900000000000}`
	hash := store.Chain([32]byte{}, 1, []byte(doc))
	if _, err := raw.Exec("BEGIN;" + replaceHash(first, hash) + "; COMMIT"); err != nil {
		t.Fatal(err)
	}
	return opened(t, path), raw
}

func replaceHash(text string, hash [32]byte) string {
	const mark = "%1"
	for i := range len(text) - 1 {
		if text[i:i+2] == mark {
			return text[:i] + hex.EncodeToString(hash[:]) + text[i+2:]
		}
	}
	return text
}

func TestUpgradeMakesOldEventsSearchable(t *testing.T) {
	db, _ := upgraded(t)
	for name, test := range map[string]struct {
		query store.EventQuery
		want  []int64
	}{
		"subject":     {store.EventQuery{Subject: "alice@example.com"}, []int64{2, 3, 4}},
		"owner":       {store.EventQuery{Subject: "carol@example.com"}, []int64{1}},
		"refused":     {store.EventQuery{Subject: "bob@example.com"}, []int64{5}},
		"environment": {store.EventQuery{Environment: "staging"}, []int64{5}},
		"pool":        {store.EventQuery{Environment: "prod", Pool: "billing"}, []int64{1}},
		"other verbs": {store.EventQuery{Verbs: []grant.Verb{grant.Refuse, grant.PutLock}}, []int64{5}},
		"time":        {store.EventQuery{From: time.UnixMilli(1_900_000_001_000), To: time.UnixMilli(1_900_000_003_000)}, []int64{2, 3, 4}},
	} {
		test.query.Limit = 100
		entries, err := db.History(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, e := range entries {
			got = append(got, e.Revision)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// The damaged event is found where it stands, and what was hashed is what was hashed.
	mark, err := store.Verify(t.Context(), db, store.Mark{})
	if mark.Revision != 1 || err == nil {
		t.Errorf("the log is good until %d, %v", mark.Revision, err)
	}
}

// What was written whole by the first version verifies after the upgrade: the columns that it did not have, too.
func TestAnUpgradedStoreVerifies(t *testing.T) {
	db, raw := upgraded(t)
	if _, err := raw.Exec("DROP TRIGGER events_unchanged; DROP TRIGGER events_stay; DELETE FROM events WHERE revision = 6"); err != nil {
		t.Fatal(err)
	}
	entries, err := db.Events(t.Context(), 0, 10)
	if err != nil || len(entries) != 5 {
		t.Fatalf("%d events, %v", len(entries), err)
	}
	var hash [32]byte
	for _, e := range entries {
		hash = store.Chain(hash, e.Revision, e.Doc)
		if _, err := raw.Exec("UPDATE events SET hash = ?1 WHERE revision = ?2", hash[:], e.Revision); err != nil {
			t.Fatal(err)
		}
	}
	if mark, err := store.Verify(t.Context(), db, store.Mark{}); err != nil || mark != (store.Mark{Revision: 5, Hash: hash}) {
		t.Errorf("good until %d, %v", mark.Revision, err)
	}
}

func TestUpgradeKeepsWhatIsWaitedFor(t *testing.T) {
	db, _ := upgraded(t)
	for _, group := range []string{"sre", "leads", "security"} {
		got, err := db.List(t.Context(), store.Query{AwaitingGroups: []string{group}, Limit: 10})
		if err != nil || len(got.Records) != 1 || got.Records[0].Grant.ID != "g1" {
			t.Errorf("waiting for %s: %v, %v", group, got, err)
		}
	}
	for ms, want := range map[int64]int{1_900_000_061_999: 0, 1_900_000_062_000: 1, 1_900_000_899_999: 1, 1_900_000_900_000: 2} {
		if got, err := db.Due(t.Context(), time.UnixMilli(ms), 10); err != nil || len(got.Records) != want {
			t.Errorf("at %d %d are due, %v; want %d", ms, len(got.Records), err, want)
		}
	}
	// Its life goes on, along the table.
	r, err := db.Grant(t.Context(), "g2")
	if err != nil {
		t.Fatal(err)
	}
	g, e, err := grant.Advance(r.Grant, grant.Action{Verb: grant.Expire}, time.UnixMilli(1_900_000_062_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Commit(t.Context(), store.Change{Events: []grant.Event{e}}); err != nil {
		t.Fatal(err)
	}
	if r, err := db.Grant(t.Context(), "g2"); err != nil || !cmp.Equal(r.Grant, g) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Of two keys that are current the one stays that the issuer has signed with: the oldest.
func TestUpgradeLeavesOneCurrentKey(t *testing.T) {
	db, _ := upgraded(t)
	keys, err := db.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, k := range keys {
		got[k.KID] = k.State
	}
	if diff := cmp.Diff(map[string]string{"newer": "retired", "older": "current", "old": "retired"}, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestUpgradeLeavesRowsAsTheyAre(t *testing.T) {
	_, raw := upgraded(t)
	for _, statement := range []string{
		"UPDATE events SET subject = 'x'", "DELETE FROM events WHERE revision = 6", "UPDATE grants SET due_at = 0", "DELETE FROM grants",
	} {
		if err := besides(raw)(statement); err == nil {
			t.Errorf("%s: let through", statement)
		}
	}
}
