package postgres

import (
	"bufio"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// A gateway that is stopped within a transaction holds a lock that all need. The others go on all the same, and it has
// written nothing when it goes on itself.
func TestI5AGatewayStoppedInATransactionHoldsNobodyUp(t *testing.T) {
	for job, other := range map[string]func(owned) error{
		"stand at the head": func(db owned) error {
			_, err := db.Commit(t.Context(), storetest.OneChange("other"))
			return err
		},
		"stand at a row": func(db owned) error { return db.SetPosition(t.Context(), "s", 2) },
	} {
		t.Run(job, func(t *testing.T) {
			dsn := newDatabase(t)
			db := opened(t, dsn)
			if _, err := db.Commit(t.Context(), storetest.OneChange("first")); err != nil { // three revisions
				t.Fatal(err)
			}
			if err := db.SetPosition(t.Context(), "s", 1); err != nil {
				t.Fatal(err)
			}
			cmd := childCommand(job, dsn)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hang := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer hang.Stop()
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "holding" {
				t.Fatalf("the child says %q", lines.Text())
			}
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			done := make(chan error, 1)
			go func() { done <- other(db) }()
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(30 * time.Second): // 4 s are what it takes
				t.Error("it holds the other up")
				_ = cmd.Process.Kill()
				<-done
			}
			t.Logf("the other went on after %v", time.Since(began).Round(time.Millisecond))
			if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintln(in, "on"); err != nil {
				t.Fatal(err)
			}
			if !lines.Scan() || lines.Text() != "lost" {
				t.Errorf("the child says %q", lines.Text())
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if at, err := db.Position(t.Context(), "s"); err != nil || at == 7 {
				t.Errorf("position %d, %v", at, err)
			}
			if _, err := store.Verify(t.Context(), db, store.Mark{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// The limit is the transaction's own: Clutch's other users of the connection keep theirs.
func TestTheLimitIsNotLeftOnTheConnection(t *testing.T) {
	db := opened(t, newDatabase(t))
	db.pool.SetMaxOpenConns(1)
	read := func() (value string) {
		t.Helper()
		if err := db.pool.QueryRow("SHOW idle_in_transaction_session_timeout").Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	before := read()
	if _, err := db.Commit(t.Context(), storetest.OneChange("one")); err != nil {
		t.Fatal(err)
	}
	if err := db.SetPosition(t.Context(), "s", 1); err != nil {
		t.Fatal(err)
	}
	if after := read(); after != before {
		t.Errorf("it was %s and is %s", before, after)
	}
}
