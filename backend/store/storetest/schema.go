package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Raw runs statements in one transaction beside the driver, as another program would that may write. A table's name has
// a # before it, and HASH stands for 32 bytes.
type Raw func(statements string) error

// RefusedBySchema tries what a driver never does: I6 and I7 are held by the schema itself, whoever writes. open makes a new
// database, and what writes to it beside the driver.
func RefusedBySchema(t *testing.T, open func(*testing.T) (Store, Raw)) {
	s, raw := open(t)
	fill(t, s)
	before, rows, locks := log(t, s), snap(t, s), allLocks(t, s)
	for name, statements := range refusedBySchema {
		t.Run(name, func(t *testing.T) {
			if err := raw(statements); err == nil {
				t.Fatal("the schema lets it through")
			}
			equal(t, "log", log(t, s), before)
			equal(t, "snapshot", snap(t, s), rows)
			equal(t, "locks", allLocks(t, s), locks)
		})
	}
	// The way in which a driver does it is open, so the above failed for what they say. What is let through is taken back.
	for name, statements := range letThrough {
		t.Run(name, func(t *testing.T) {
			if err := raw(statements + "; ROLLBACK; BEGIN"); err != nil {
				t.Fatalf("the schema says %v", err)
			}
		})
	}
}

func allLocks(t testing.TB, s Store) []grant.Lock {
	t.Helper()
	locks, err := s.Locks(t.Context(), time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return locks
}

// fill writes an active grant g1 (revisions 1 to 3), a lock l1 (4) and one that was lifted, l2 (5 and 6), an audit row 1
// and a current key.
func fill(t *testing.T, s Store) {
	t.Helper()
	events := opened("g1", alice, billing, noon)
	for _, id := range []string{"l1", "l2"} {
		events = append(events, locked(grant.Lock{ID: id, Subject: "mallory@example.com", Until: noon.Add(time.Hour)}))
	}
	lifted := events[4]
	lifted.Verb, lifted.Lock.LiftedAt, lifted.Lock.LiftedBy = grant.LiftLock, noon, bob
	commit(t, s, append(events, lifted)...)
	if _, err := s.WriteAudit(t.Context(), noon, []byte("request")); err != nil {
		t.Fatal(err)
	}
	if err := s.AddKey(t.Context(), store.Key{KID: "k1", Alg: "RS256", State: "current", Created: noon}); err != nil {
		t.Fatal(err)
	}
}

// locked is the event of a new lock.
func locked(l grant.Lock) grant.Event {
	l.Reason, l.By, l.At = "incident", bob, noon
	return grant.Event{Verb: grant.PutLock, Actor: bob, Comment: l.Reason, At: noon, Lock: l}
}

// insertEvent is the statement for an event of g1's subject and pool, unless of says otherwise: subject, environment, pool.
func insertEvent(revision int, id, verb string, version int, from, to string, of ...string) string {
	who := []string{"alice@example.com", "prod", "billing"}
	if len(of) > 0 {
		who = of
	}
	return fmt.Sprintf(`INSERT INTO #events (revision, grant_id, verb, doc, hash, subject, owner, environment, pool, at, version, from_state, to_state)
		VALUES (%d, '%s', '%s', '{}', HASH, '%s', '', '%s', '%s', %d, %d, '%s', '%s');`,
		revision, id, verb, who[0], who[1], who[2], noon.UnixMilli(), version, from, to)
}

func insertGrant(id, state string, version, revision int) string {
	return fmt.Sprintf(`INSERT INTO #grants (id, subject, owner, environment, pool, state, version, revision, requested_at, starts_at,
		lapses_at, expires_at, due_at, doc) VALUES ('%s', 'alice@example.com', '', 'prod', 'billing', '%s', %d, %d, 0, 0, 0, 0, 0, '{}');`,
		id, state, version, revision)
}

func updateGrant(state string, version, revision int, more ...string) string {
	return fmt.Sprintf("UPDATE #grants SET state = '%s', version = %d, revision = %d%s WHERE id = 'g1';", state, version, revision, strings.Join(more, ""))
}

func insertLock(id string, revision int) string {
	return fmt.Sprintf("INSERT INTO #locks (id, subject, environment, pool, at, until, lifted_at, revision, doc) VALUES ('%s', '', '', '', 0, 1, 0, %d, '{}');", id, revision)
}

var (
	expired = insertEvent(7, "g1", "expire", 4, "active", "expired")
	begun   = insertEvent(7, "g2", "request", 1, "", "pending")
	lifted  = insertEvent(7, "l1", "unlock", 0, "", "", "", "", "")
)

var refusedBySchema = map[string]string{
	// The log.
	"an event that its verb does not lead to":   insertEvent(7, "g1", "expire", 4, "active", "revoked"),
	"an event out of the table":                 insertEvent(7, "g1", "complete", 4, "active", "approved"),
	"a verb of no grant's life":                 insertEvent(7, "g1", "own", 4, "active", "active"),
	"an event from another state than the last": insertEvent(7, "g1", "complete", 4, "pending", "approved"),
	"an event whose version was left out":       insertEvent(7, "g1", "expire", 5, "active", "expired"),
	"an event whose version was there":          insertEvent(7, "g1", "activate", 3, "approved", "active"),
	"a transition without a version":            insertEvent(7, "g1", "expire", 0, "active", "expired"),
	"a grant that begins again":                 insertEvent(7, "g1", "request", 1, "", "pending"),
	"a grant that begins at version 2":          insertEvent(7, "g2", "request", 2, "", "pending"),
	"a grant that begins approved":              insertEvent(7, "g2", "complete", 1, "pending", "approved"),
	"another subject":                           insertEvent(7, "g1", "expire", 4, "active", "expired", "bob@example.com", "prod", "billing"),
	"another environment":                       insertEvent(7, "g1", "expire", 4, "active", "expired", "alice@example.com", "staging", "billing"),
	"another pool":                              insertEvent(7, "g1", "expire", 4, "active", "expired", "alice@example.com", "prod", "search"),
	"a refusal that is a transition":            insertEvent(7, "g1", "refuse", 4, "active", "active"),
	"a drift that is a transition":              insertEvent(7, "g1", "drift", 4, "active", "active"),
	"a refused policy that is a transition":     insertEvent(7, "g1", "policy_refused", 4, "active", "active"),
	"a gap in the log":                          insertEvent(8, "g1", "expire", 4, "active", "expired"),
	"a revision twice":                          insertEvent(6, "g1", "expire", 4, "active", "expired"),
	"a revision before the first":               insertEvent(0, "g1", "expire", 4, "active", "expired"),
	"a hash of another length":                  strings.Replace(expired, "HASH", "'x'", 1),
	"an event deleted":                          "DELETE FROM #events WHERE revision = 2",
	"the last event deleted":                    "DELETE FROM #events WHERE revision = 6",
	"an event changed":                          "UPDATE #events SET doc = '{}' WHERE revision = 3",
	"an event's column changed":                 "UPDATE #events SET subject = 'bob@example.com' WHERE revision = 3",
	"a request under a lock": insertLockEvent(7, "l3") + strings.Replace(insertLock("l3", 7), "0, 1, 0", "0, 9000000000000, 0", 1) +
		insertEvent(8, "g2", "request", 1, "", "pending"),
	// Rows of grants.
	"a state that the event does not say":  expired + updateGrant("revoked", 4, 7),
	"a state without an event":             updateGrant("expired", 4, 7),
	"a state by an old event":              updateGrant("expired", 4, 3),
	"another grant's event":                begun + updateGrant("pending", 4, 7),
	"a row's version left out":             expired + updateGrant("expired", 5, 7),
	"a row's version twice":                expired + updateGrant("expired", 3, 7),
	"a row's other subject":                expired + updateGrant("expired", 4, 7, ", subject = 'bob@example.com'"),
	"a row's other owner":                  expired + updateGrant("expired", 4, 7, ", owner = 'bob@example.com'"),
	"a row's other environment":            expired + updateGrant("expired", 4, 7, ", environment = 'staging'"),
	"a row's other pool":                   expired + updateGrant("expired", 4, 7, ", pool = 'search'"),
	"a row's other beginning":              expired + updateGrant("expired", 4, 7, ", requested_at = 1"),
	"a row renamed":                        expired + updateGrant("expired", 4, 7, ", id = 'g2'"),
	"a document alone":                     "UPDATE #grants SET doc = '{}'",
	"a grant deleted":                      "DELETE FROM #grants",
	"a row born in another state":          begun + insertGrant("g2", "active", 1, 7),
	"a row born at another version":        begun + insertGrant("g2", "pending", 2, 7),
	"a row of an event that is not there":  insertGrant("g2", "pending", 1, 7),
	"a row of another grant's event":       insertGrant("g2", "pending", 1, 1),
	"a row that is behind the log":         begun + insertEvent(8, "g2", "deny", 2, "pending", "denied") + insertGrant("g2", "pending", 1, 7),
	"a row that stays behind the log":      insertEvent(7, "g1", "extend", 4, "active", "active") + insertEvent(8, "g1", "expire", 5, "active", "expired") + updateGrant("active", 4, 7),
	"a second live grant":                  begun + insertEvent(8, "g2", "complete", 2, "pending", "approved") + insertGrant("g2", "approved", 2, 8),
	"a transition that is not in the code": "UPDATE #grants SET state = 'pending', version = 4",
	// Locks.
	"a lock without an event":        insertLock("l3", 7),
	"a lock of another event":        insertLockEvent(7, "l4") + insertLock("l3", 7),
	"a lock of an event of another":  expired + insertLock("g1", 7),
	"a lock born lifted":             insertLockEvent(7, "l3") + strings.Replace(insertLock("l3", 7), "1, 0,", "1, 1,", 1),
	"a lock without a name":          insertLockEvent(7, "") + insertLock("", 7),
	"a lock deleted":                 "DELETE FROM #locks WHERE id = 'l1'",
	"a lock lifted without an event": "UPDATE #locks SET lifted_at = 1 WHERE id = 'l1'",
	"a lock lifted twice":            insertEvent(7, "l2", "unlock", 0, "", "", "", "", "") + "UPDATE #locks SET lifted_at = 2, revision = 7 WHERE id = 'l2'",
	"a lock's end moved":             lifted + "UPDATE #locks SET until = 1, revision = 7 WHERE id = 'l1'",
	"a lock's end moved as lifted":   lifted + "UPDATE #locks SET until = 1, lifted_at = 1, revision = 7 WHERE id = 'l1'",
	"a lock's subject changed":       lifted + "UPDATE #locks SET subject = 'x', lifted_at = 1, revision = 7 WHERE id = 'l1'",
	"a lock's environment changed":   lifted + "UPDATE #locks SET environment = 'x', lifted_at = 1, revision = 7 WHERE id = 'l1'",
	"a lock's pool changed":          lifted + "UPDATE #locks SET pool = 'x', lifted_at = 1, revision = 7 WHERE id = 'l1'",
	"a lock renamed":                 lifted + "UPDATE #locks SET id = 'x', lifted_at = 1, revision = 7 WHERE id = 'l1'",
	// Audit rows and keys.
	"an audit row deleted":           "DELETE FROM #audit",
	"an audit row's request changed": "UPDATE #audit SET request = HASH, response = HASH",
	"an audit row's time changed":    "UPDATE #audit SET at = 0, response = HASH",
	"an audit row renumbered":        "UPDATE #audit SET id = 7, response = HASH",
	"a change that is no answer":     "UPDATE #audit SET response = NULL",
	"an audit row born answered":     "INSERT INTO #audit (at, request, response) VALUES (0, HASH, HASH)",
	"an answer changed":              "UPDATE #audit SET response = HASH; UPDATE #audit SET response = 'x'",
	"a second current key":           "INSERT INTO #keys (kid, alg, public, sealed, state, created) VALUES ('k2', 'RS256', HASH, HASH, 'current', 0)",
}

var letThrough = map[string]string{
	"an end, as the driver writes it":       expired + updateGrant("expired", 4, 7),
	"two steps, of which the row is last":   insertEvent(7, "g1", "extend", 4, "active", "active") + insertEvent(8, "g1", "expire", 5, "active", "expired") + updateGrant("expired", 5, 8),
	"a beginning":                           begun + insertGrant("g2", "pending", 1, 7),
	"a lock":                                insertLockEvent(7, "l3") + insertLock("l3", 7),
	"a lock lifted":                         lifted + "UPDATE #locks SET lifted_at = 1, revision = 7 WHERE id = 'l1'",
	"an answer":                             "UPDATE #audit SET response = HASH",
	"another key":                           "INSERT INTO #keys (kid, alg, public, sealed, state, created) VALUES ('k2', 'RS256', HASH, HASH, 'retired', 0)",
	"a refusal":                             insertEvent(7, "g1", "refuse", 0, "", ""),
	"a drift":                               insertEvent(7, "", "drift", 0, "", "", "", "prod", ""),
	"a refused policy":                      insertEvent(7, "", "policy_refused", 0, "", "", "", "", ""),
	"a request beside an expired lock":      insertLockEvent(7, "l3") + insertLock("l3", 7) + insertEvent(8, "g2", "request", 1, "", "pending"),
	"an end under a lock that covers it":    insertLockEvent(7, "l3") + strings.Replace(insertLock("l3", 7), "0, 1, 0", "0, 9000000000000, 0", 1) + insertEvent(8, "g1", "expire", 4, "active", "expired"),
	"a request beside a lock of other pool": insertLockEvent(7, "l3") + strings.Replace(insertLock("l3", 7), "'', '', '', 0, 1, 0", "'', 'prod', 'search', 0, 9000000000000, 0", 1) + insertEvent(8, "g2", "request", 1, "", "pending"),
}

func insertLockEvent(revision int, id string) string {
	return insertEvent(revision, id, "lock", 0, "", "", "", "", "")
}
