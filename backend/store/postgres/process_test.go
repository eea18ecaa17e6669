package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
)

func TestTwoHandles(t *testing.T) { storetest.Two(t, harness) }

func TestI5AcknowledgedSurvivesKill(t *testing.T) {
	dsn := newDatabase(t)
	storetest.Kill(t, func() *exec.Cmd { return childCommand("acknowledge", dsn) }, func() storetest.Store {
		db, err := open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}, 6)
}

// I6: two processes on one database race for 10,000 transitions: none is lost, doubled or illegal.
func TestI6TwoProcessesRace(t *testing.T) {
	dsn := newDatabase(t)
	var said [2]bytes.Buffer
	var wg sync.WaitGroup
	errs := make([]error, len(said))
	for i := range said {
		cmd := childCommand("race", dsn)
		cmd.Stdout = &said[i]
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hang := time.AfterFunc(10*time.Minute, func() { _ = cmd.Process.Kill() })
		wg.Go(func() {
			errs[i] = cmd.Wait()
			hang.Stop()
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for i := range said {
		if said[i].Len() == 0 {
			t.Fatalf("process %d has won nothing", i)
		}
	}
	storetest.Raced(t, opened(t, dsn), io.MultiReader(&said[0], &said[1]), true)
}

// commitPoints calls try for each question of a commit, with the connection cut before it was heard and before its answer
// was, until there is none left. try says whether it came to the cut.
func commitPoints(t *testing.T, try func(t *testing.T, n int, answered bool) (cut bool)) {
	const most = 50
	for n := 1; n < most; n++ {
		for _, answered := range []bool{false, true} {
			name := fmt.Sprintf("before question %d", n)
			if answered {
				name = fmt.Sprintf("after question %d", n)
			}
			cut := false
			t.Run(name, func(t *testing.T) { cut = try(t, n, answered) })
			if t.Failed() {
				return
			}
			if !cut {
				if n < 5 { // BEGIN, the head, what is known, the writing, COMMIT
					t.Fatalf("a commit has %d questions", n-1)
				}
				t.Logf("a commit has %d questions", n-1)
				return
			}
		}
	}
	t.Fatal("there is no end of questions")
}

// I5: a process that is killed at whatever point of a commit, COMMIT's lost answer included, leaves all of it or nothing,
// holds up nobody, and has lost nothing that was acknowledged.
func TestI5KilledAtEachCommitPoint(t *testing.T) {
	dsn := newDatabase(t)
	direct := opened(t, dsn)
	p := newProxy(t)
	through := strings.Replace(dsn, "host="+server.Host(), "host="+p.host, 1)
	written := map[bool]int{}
	var acknowledged []string
	commitPoints(t, func(t *testing.T, n int, answered bool) bool {
		p.disarm()
		id := fmt.Sprintf("k%d-%v", n, answered)
		said := killAt(t, p, through, id, n, answered)
		whole := storetest.Whole(t, direct, id)
		if said && !whole {
			t.Fatalf("%s was acknowledged and is lost", id)
		}
		if said {
			acknowledged = append(acknowledged, id)
		}
		if p.acted() {
			written[whole]++
		}
		// The next one is held up by nothing.
		if _, err := direct.Commit(t.Context(), storetest.OneChange(id+"-next")); err != nil {
			t.Fatal(err)
		}
		return p.acted()
	})
	if written[true] != 1 { // after COMMIT alone
		t.Errorf("of those that were cut %d were written, %d not", written[true], written[false])
	}
	if len(acknowledged) != 1 {
		t.Errorf("%v were acknowledged", acknowledged)
	}
	if mark, err := store.Verify(t.Context(), direct, store.Mark{}); err != nil {
		t.Fatalf("good until %d: %v", mark.Revision, err)
	}
}

// killAt has a process commit one change, and kills it at the n-th question. It reports whether the change was acknowledged.
func killAt(t *testing.T, p *proxy, dsn, id string, n int, answered bool) (acknowledged bool) {
	t.Helper()
	cmd := childCommand("once", dsn)
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
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	p.arm(n, answered, func() { _ = cmd.Process.Kill() })
	if _, err := fmt.Fprintln(in, id); err != nil {
		t.Fatal(err)
	}
	line, _ := lines.ReadString('\n') // a child that was killed says nothing
	err = cmd.Wait()
	if p.acted() == (err == nil) {
		t.Fatalf("it was killed: %v; it ended with %v", p.acted(), err)
	}
	return line == "acknowledged\n"
}

// A connection that is cut at whatever point: the answer is the truth, also where COMMIT's was lost.
func TestALostAnswerIsFoundOut(t *testing.T) {
	dsn := newDatabase(t)
	direct := opened(t, dsn)
	p := newProxy(t)
	db := opened(t, strings.Replace(dsn, "host="+server.Host(), "host="+p.host, 1))
	// Its connections are open, and what is done with them is prepared.
	if _, err := db.Commit(t.Context(), storetest.OneChange("first")); err != nil {
		t.Fatal(err)
	}
	found := 0
	commitPoints(t, func(t *testing.T, n int, answered bool) bool {
		for i := range 3 { // connections that were cut are noticed and replaced
			if _, err := db.Commit(t.Context(), storetest.OneChange(fmt.Sprintf("warm%d-%v-%d", n, answered, i))); err == nil {
				break
			} else if i == 2 {
				t.Fatal(err)
			}
		}
		id := fmt.Sprintf("c%d-%v", n, answered)
		p.arm(n, answered, func() {})
		_, err := db.Commit(t.Context(), storetest.OneChange(id))
		p.disarm()
		whole := storetest.Whole(t, direct, id)
		if whole != (err == nil) {
			t.Fatalf("the answer is %v, and it is written: %v", err, whole)
		}
		if p.acted() && whole {
			found++
		}
		return p.acted()
	})
	// A cut before BEGIN is heard is overcome as well: on another connection.
	if found < 1 {
		t.Error("COMMIT's lost answer was never found out")
	}
}

// I5: the server goes down at once, again and again, while changes come in: what was acknowledged is there afterwards.
func TestI5AcknowledgedSurvivesARestart(t *testing.T) {
	own, err := pgproc.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	}()
	dsn := own.DSN("postgres")
	if err := migrated(t.Context(), dsn, Known); err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // before the server stops
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var counter, failures atomic.Int64
	var acknowledged sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := fmt.Sprintf("r%d", counter.Add(1))
				if _, err := db.Commit(context.WithoutCancel(ctx), storetest.OneChange(id)); err == nil {
					acknowledged.Store(id, true)
				} else {
					failures.Add(1)
				}
			}
		})
	}
	for range 3 {
		waitFor(t, &counter, 60)
		if err := own.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, &counter, 60)
	stop()
	wg.Wait()
	n := 0
	acknowledged.Range(func(id, _ any) bool {
		n++
		if !storetest.Whole(t, db, id.(string)) {
			t.Errorf("%s was acknowledged and is lost", id)
		}
		return true
	})
	mark, err := store.Verify(t.Context(), db, store.Mark{})
	if err != nil || mark.Revision%3 != 0 || n == 0 {
		t.Fatalf("%d acknowledged; the log is good until %d, %v", n, mark.Revision, err)
	}
	t.Logf("%d changes were acknowledged, %d failed, in 4 lives", n, failures.Load())
}

// waitFor waits until a counter has gone up by some.
func waitFor(t *testing.T, counter *atomic.Int64, by int64) {
	t.Helper()
	until := counter.Load() + by
	for deadline := time.Now().Add(2 * time.Minute); counter.Load() < until; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing goes on")
		}
	}
}
