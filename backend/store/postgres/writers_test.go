package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// writers has a session of its own, as a gateway has.
func writers(t testing.TB, dsn string) *Writers {
	t.Helper()
	db, err := Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriters(db)
	t.Cleanup(func() {
		w.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func mustClaim(t testing.TB, w *Writers, name string) store.Tenure {
	t.Helper()
	tenure, err := w.Claim(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return tenure
}

func TestOneWriterHasAName(t *testing.T) {
	dsn := newDatabase(t)
	permit(t, dsn)
	gateway := strings.Replace(dsn, "user=", "user=gateway application_name=", 1) // no more rights than it needs
	one, other := writers(t, gateway), writers(t, gateway)
	held := mustClaim(t, one, "edge-1")
	if err := held.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Claim(t.Context(), "edge-1"); !errors.Is(err, store.ErrHeld) {
		t.Fatalf("the other gets it as well: %v", err)
	}
	if again := mustClaim(t, one, "edge-1"); again != held {
		t.Error("who has it gets another tenure")
	}
	mustClaim(t, other, "edge-2") // names are apart
	if _, err := one.Claim(t.Context(), "edge-2"); !errors.Is(err, store.ErrHeld) {
		t.Fatal(err)
	}

	held.Release()
	held.Release()
	if err := held.Check(t.Context()); err == nil {
		t.Error("what was released is still ours")
	}
	taken := mustClaim(t, other, "edge-1")
	held.Release() // it is another's now
	if err := taken.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A loop that is ended while it asks must not take every other name from this gateway.
func TestWhoGivesUpEndsNobodysTenure(t *testing.T) {
	one := writers(t, newDatabase(t))
	held := mustClaim(t, one, "edge-1")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := held.Check(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who has given up is told %v", err)
	}
	if _, err := one.Claim(gone, "edge-2"); !errors.Is(err, context.Canceled) {
		t.Errorf("who has given up is told %v", err)
	}
	// While it is asked: the other end of a context that ends at any moment.
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*5*time.Microsecond)
		_ = held.Check(ctx)
		_, _ = one.Claim(ctx, "edge-2")
		cancel()
	}
	if err := held.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A tenure is over when its connection is: Postgres has given the lock to who asked for it first by then.
func TestALostSessionEndsEveryTenure(t *testing.T) {
	dsn := newDatabase(t)
	one, other := writers(t, dsn), writers(t, dsn)
	first, second := mustClaim(t, one, "edge-1"), mustClaim(t, one, "edge-2")
	set(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	for _, held := range []store.Tenure{first, second} {
		if err := held.Check(t.Context()); err == nil {
			t.Error("a tenure outlives its session")
		}
	}
	taken := mustClaim(t, other, "edge-1")
	back := mustClaim(t, one, "edge-2") // with a new session
	for _, held := range []store.Tenure{taken, back} {
		if err := held.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := first.Check(t.Context()); err == nil {
		t.Error("a tenure of before came back")
	}
}

// A gateway keeps its names however long a pass takes between two checks.
func TestASessionSpeaksByItself(t *testing.T) {
	w := writers(t, newDatabase(t))
	held := mustClaim(t, w, "edge-1")
	select {
	case <-w.session.ended:
		t.Fatal("the session was ended for silence")
	case <-time.After(silence + 2*beat): // the one thing that only time shows
	}
	if err := held.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// takeOver bounds how long another gateway may wait for a name; a writer's first write comes later than that.
const takeOver = silence + 2*time.Second

func TestAKilledWriterIsPassedOver(t *testing.T)  { testPassedOver(t, syscall.SIGKILL) }
func TestAStoppedWriterIsPassedOver(t *testing.T) { testPassedOver(t, syscall.SIGSTOP) }

func testPassedOver(t *testing.T, signal syscall.Signal) {
	dsn := newDatabase(t)
	w := writers(t, dsn)
	cmd, lines := startWriter(t, dsn)
	if _, err := w.Claim(t.Context(), "edge-1"); !errors.Is(err, store.ErrHeld) {
		t.Fatalf("before: %v", err)
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var held store.Tenure
	for err := store.ErrHeld; err != nil; time.Sleep(pollEvery) {
		if time.Since(began) > 2*takeOver {
			t.Fatalf("not passed over in %v: %v", time.Since(began), err)
		}
		held, err = w.Claim(t.Context(), "edge-1")
		if err != nil && !errors.Is(err, store.ErrHeld) {
			t.Fatal(err)
		}
	}
	t.Logf("passed over after %v; the last word of the one before is %v old", time.Since(began).Round(time.Millisecond),
		time.Since(held.Since()).Round(time.Millisecond))
	if signal != syscall.SIGSTOP { // it may have spoken until then
		if time.Since(held.Since()) > time.Since(began) {
			t.Error("it is said to have been silent")
		}
		return
	}
	// It asks every 50 ms: its last word is hardly older than the signal, and never younger.
	if held.Since().After(began.Add(time.Second)) {
		t.Errorf("its last word is said to be %v old; it was stopped %v ago", time.Since(held.Since()), time.Since(began))
	}
	if held.Since().Before(began.Add(-beat)) {
		t.Errorf("it has spoken %v before it was stopped", began.Sub(held.Since()))
	}
	// It goes on, and finds that it is not the writer any more before it writes.
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		if line == "lost" {
			break
		}
	}
	if err := held.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pollEvery is how often another gateway asks for the name.
const pollEvery = 100 * time.Millisecond

// A session that is ended for another reason may have proved that a name is its own up to that moment.
func TestOnlyASilentHolderIsTakenForSilent(t *testing.T) {
	dsn := newDatabase(t)
	one, other := writers(t, dsn), writers(t, dsn)
	mustClaim(t, one, "edge-1")
	for began := time.Now(); time.Since(began) < 2*lookEvery; time.Sleep(pollEvery) { // it is seen, and speaks
		if _, err := other.Claim(t.Context(), "edge-1"); !errors.Is(err, store.ErrHeld) {
			t.Fatal(err)
		}
	}
	set(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	asked := time.Now()
	held, err := other.Claim(t.Context(), "edge-1")
	for ; errors.Is(err, store.ErrHeld) && time.Since(asked) < time.Minute; held, err = other.Claim(t.Context(), "edge-1") {
		time.Sleep(pollEvery)
	}
	if err != nil {
		t.Fatal(err)
	}
	if held.Since().Before(asked) {
		t.Errorf("its last word is said to be %v old", time.Since(held.Since()))
	}
}

// What others rest on: a session that was silent for so long that it looks dead says so itself, and asks nothing more.
func TestASessionThatWasSilentGivesItselfUp(t *testing.T) {
	w := writers(t, newDatabase(t))
	held := mustClaim(t, w, "edge-1")
	w.session.mu.Lock()
	w.session.spoke = time.Now().Add(-quiet - time.Millisecond) // as after a pause of the process
	w.session.mu.Unlock()
	if err := held.Check(t.Context()); !errors.Is(err, errSessionOver) {
		t.Errorf("it says %v", err)
	}
	mustClaim(t, w, "edge-1") // by another session
}

func TestASightingHoldsOnlyWhereItProvesSomething(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		seen sighting
		want time.Time
	}{
		"none":              {sighting{}, now},
		"silent for long":   {sighting{ago(time.Second), ago(900 * time.Millisecond), 5 * time.Second}, ago(5900 * time.Millisecond)},
		"not for long":      {sighting{ago(time.Second), ago(900 * time.Millisecond), 4100 * time.Millisecond}, now},
		"seen too long ago": {sighting{ago(1600 * time.Millisecond), ago(1400 * time.Millisecond), 5 * time.Second}, now},
		"just long enough":  {sighting{ago(1500 * time.Millisecond), ago(time.Second), 4250 * time.Millisecond}, ago(5250 * time.Millisecond)},
	} {
		if got := c.seen.since(now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// startWriter starts a process that holds edge-1, and says "lost" when it finds that it does not any more.
func startWriter(t *testing.T, dsn string) (*exec.Cmd, <-chan string) {
	t.Helper()
	cmd := childCommand("write", dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	select {
	case line := <-lines:
		if line != "held" {
			t.Fatalf("the child says %q", line)
		}
	case <-time.After(time.Minute):
		t.Fatal("the child holds nothing")
	}
	return cmd, lines
}

func holdName(ctx context.Context, db owned) error {
	held, err := NewWriters(db.pool).Claim(ctx, "edge-1")
	if err != nil {
		return err
	}
	if _, err := fmt.Println("held"); err != nil {
		return err
	}
	for held.Check(ctx) == nil {
		time.Sleep(50 * time.Millisecond)
	}
	_, err = fmt.Println("lost")
	return err
}
