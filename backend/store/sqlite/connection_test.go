package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// request is a change that makes one grant.
func request(id string) store.Change {
	g := grant.Grant{
		ID: id, Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"}, State: grant.Pending,
		Reason: "look", RequestedAt: time.Unix(1000, 0).UTC(), LapsesAt: time.Unix(2000, 0).UTC(), Version: 1,
	}
	return store.Change{Events: []grant.Event{{Grant: g, Verb: grant.Request, At: g.RequestedAt}}}
}

// I5: a killed process loses nothing whatever the setting, a machine without power does. So the setting itself is held:
// 2 is FULL, with which the log is on disk before COMMIT returns.
func TestI5TheWritingConnectionSyncs(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "s.db"))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		if err := db.write.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	if n := db.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may write", n)
	}
}

// A transaction that began as a reader and writes later may find that another one was quicker, and fails in the midst.
func TestATransactionHasTheLockFromItsBeginning(t *testing.T) {
	db, raw := filled(t)
	err := db.Transact(t.Context(), func(*sql.Tx) error {
		_, err := raw.Exec("BEGIN IMMEDIATE")
		if err == nil {
			t.Error("another program began to write in the midst of a transaction")
			_, err = raw.Exec("ROLLBACK")
			return err
		}
		if !strings.Contains(err.Error(), "locked") {
			t.Errorf("error %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadingConnectionsCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db := opened(t, path)
	beside, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = beside.Close() }()
	for name, d := range map[string]*DB{"the gateway's": db, "one beside it": beside} {
		if _, err := d.read.Exec("INSERT INTO positions VALUES ('s', 1)"); err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A COMMIT that fails, as here by a rule that is checked at the end alone, leaves nothing behind: neither of what it was
// to write nor a transaction that the next one would fall over.
func TestAFailedCommitLeavesNothingInTheWay(t *testing.T) {
	db, raw := filled(t)
	if _, err := raw.Exec("CREATE TABLE late (of INTEGER REFERENCES events (revision) DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	err := db.Transact(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO late VALUES (99)")
		return err
	})
	if err == nil || !strings.HasPrefix(err.Error(), "commit: ") {
		t.Fatalf("error %v, want one of COMMIT", err)
	}
	var rows int
	if err := raw.QueryRow("SELECT count(*) FROM late").Scan(&rows); err != nil || rows != 0 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if revision, err := db.Commit(t.Context(), request("g2")); err != nil || revision != 4 {
		t.Fatalf("the next change: revision %d, %v", revision, err)
	}
}

// A full disk is an error to the caller, and not the end of the store.
func TestAFullDiskIsAnErrorAndNoDamage(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "s.db"))
	limit := func(pages string) {
		t.Helper()
		var now int
		if err := db.write.QueryRow("PRAGMA max_page_count = " + pages).Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // SQLite makes it as many as there are
	big := request("big")
	big.Events[0].Comment = strings.Repeat("x", 1<<20)
	big.Replay = &store.Replay{Caller: "alice@example.com", Method: "m", Key: "k", At: time.Unix(1000, 0)}
	if _, err := db.Commit(t.Context(), big); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("error %v", err)
	}
	if _, err := db.Grant(t.Context(), "big"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its row: %v", err)
	}
	if _, err := db.Replayed(t.Context(), "alice@example.com", "m", "k"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its key: %v", err)
	}
	limit("1000000")
	if revision, err := db.Commit(t.Context(), big); err != nil || revision != 1 {
		t.Fatalf("once there is room: revision %d, %v", revision, err)
	}
}

// meddling is a context that does something whenever it is looked at: between any two statements, among others.
type meddling struct {
	context.Context
	meddle func()
}

func (m meddling) Done() <-chan struct{} {
	m.meddle()
	return m.Context.Done()
}

// I7: whatever is committed while a snapshot is read, it is the state at its revision. The suite tries that with luck,
// which a machine with one processor does not have.
func TestI7ASnapshotIsOfOneMoment(t *testing.T) {
	db := opened(t, filepath.Join(t.TempDir(), "s.db"))
	var mu sync.Mutex
	var n int64
	over := false // goroutines of database/sql look at the context for some time still
	open := func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		n++
		if _, err := db.Commit(context.WithoutCancel(t.Context()), atOnce(n)); err != nil {
			t.Error(err)
		}
	}
	have, err := db.Snapshot(meddling{t.Context(), open})
	mu.Lock()
	over = true
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if n < 3 {
		t.Fatalf("only %d changes came in between", n)
	}
	// Each change opens one grant by three events.
	if int64(len(have.Active)) != have.Revision/3 {
		t.Errorf("%d grants are active at revision %d", len(have.Active), have.Revision)
	}
	for _, r := range have.Active {
		if r.Revision > have.Revision {
			t.Errorf("a grant of revision %d stands in a snapshot of %d", r.Revision, have.Revision)
		}
	}
}

// atOnce is the n-th change: a subject's request, approved and activated.
func atOnce(n int64) store.Change {
	id := fmt.Sprintf("b%d", n)
	e := request(id).Events[0]
	e.Grant.Subject = grant.Subject("service:" + id)
	events := []grant.Event{e}
	for verb, to := grant.Complete, grant.Approved; len(events) < 3; verb, to = grant.Activate, grant.Active {
		from := e.Grant.State
		e.Grant.State, e.Grant.Version = to, e.Grant.Version+1
		e.From, e.Verb = from, verb
		events = append(events, e)
	}
	return store.Change{Events: events}
}
