package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var errDisk = errors.New("the disk is on fire")

// memory is a Database that keeps idempotency keys only: enough to see which changes were written, and together with which.
type memory struct {
	mu      sync.Mutex
	kept    map[ReplayKey]bool
	batches [][]string

	entered chan struct{} // if set, told of each transaction that begins
	gate    chan struct{} // if set, a transaction waits for it
	refuse  string        // a key that the schema refuses
	fail    error         // what COMMIT answers
}

func (m *memory) Write(ctx context.Context, do func(Tx) error) error {
	if m.entered != nil {
		m.entered <- struct{}{}
	}
	if m.gate != nil {
		<-m.gate
	}
	t := &memoryTx{memory: m}
	if err := do(t); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for _, r := range t.put.Replays {
		m.kept[keyOf(r)] = true
		keys = append(keys, r.Key)
	}
	m.batches = append(m.batches, keys)
	return nil
}

type memoryTx struct {
	memory *memory
	put    Rows
}

func (t *memoryTx) Head() (store.Mark, error) { return store.Mark{}, nil }

func (t *memoryTx) Read(q Question) (Answer, error) {
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	a := Answer{Replays: map[ReplayKey]bool{}}
	for _, k := range q.Replays {
		a.Replays[k] = t.memory.kept[k]
	}
	return a, nil
}

func (t *memoryTx) Put(rows Rows) error {
	for _, r := range rows.Replays {
		if r.Key == t.memory.refuse {
			return fmt.Errorf("%w: %s", ErrRefused, r.Key)
		}
	}
	t.put = rows
	return nil
}

func keyed(key string) store.Change {
	return store.Change{Replay: &store.Replay{Caller: "alice@example.com", Method: "m", Key: key}}
}

func newMemory() *memory { return &memory{kept: map[ReplayKey]bool{}} }

func (m *memory) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[keyOf(*keyed(key).Replay)]
}

// held is a queue whose first transaction, of the key "first", waits at the gate.
func held(t *testing.T) (*Queue, *memory, *sync.WaitGroup) {
	t.Helper()
	m := newMemory()
	m.entered, m.gate = make(chan struct{}, 1000), make(chan struct{})
	q := NewQueue(m)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := q.Commit(t.Context(), keyed("first")); err != nil {
			t.Error(err)
		}
	})
	<-m.entered
	return q, m, &wg
}

// queued waits until n changes wait.
func queued(t *testing.T, q *Queue, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		q.mu.Lock()
		have := len(q.waiting)
		q.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d changes wait, want %d", have, n)
		}
	}
}

func TestWhatComesMeanwhileIsWrittenTogether(t *testing.T) {
	q, m, wg := held(t)
	const callers = 30
	for n := range callers {
		wg.Go(func() {
			if _, err := q.Commit(t.Context(), keyed(fmt.Sprint("k", n))); err != nil {
				t.Error(err)
			}
		})
	}
	queued(t, q, callers)
	close(m.gate)
	wg.Wait()
	if len(m.batches) != 2 || len(m.batches[0]) != 1 || len(m.batches[1]) != callers {
		t.Errorf("batches %v", m.batches)
	}
}

func TestABatchIsBounded(t *testing.T) {
	q, m, wg := held(t)
	const callers = maxChanges + 10
	for n := range callers {
		wg.Go(func() {
			if _, err := q.Commit(t.Context(), keyed(fmt.Sprint("k", n))); err != nil {
				t.Error(err)
			}
		})
	}
	queued(t, q, callers)
	close(m.gate)
	wg.Wait()
	if len(m.batches) != 3 || len(m.batches[1]) != maxChanges || len(m.batches[2]) != 10 {
		t.Errorf("%d batches", len(m.batches))
	}
	// By the events in it, too; one change of more is a batch of its own.
	refusal := grant.Event{Verb: grant.Refuse}
	sized := func(n int) *job {
		c := store.Change{}
		for range n {
			c.Events = append(c.Events, refusal)
		}
		return &job{change: c}
	}
	alone := NewQueue(m)
	alone.waiting, alone.running = []*job{sized(maxEvents + 5), sized(maxEvents - 1), sized(1), sized(1)}, true
	for _, want := range []int{1, 2, 1} {
		if got := len(alone.take()); got != want {
			t.Errorf("a batch of %d changes, want %d", got, want)
		}
	}
}

// A change whose context ends while it waits is not written; one that was taken up gets the real answer.
func TestAContextEndsTheWaitAndNotTheWriting(t *testing.T) {
	q, m, wg := held(t)
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error, 1)
	wg.Go(func() {
		_, err := q.Commit(ctx, keyed("waiting"))
		answers <- err
	})
	queued(t, q, 1)
	cancel()
	if err := <-answers; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waited got %v", err)
	}
	close(m.gate)
	wg.Wait()
	if m.has("waiting") {
		t.Error("it was written all the same")
	}

	m.gate = make(chan struct{})
	ctx, cancel = context.WithCancel(t.Context())
	wg.Go(func() {
		_, err := q.Commit(ctx, keyed("taken"))
		answers <- err
	})
	<-m.entered
	cancel()
	select {
	case err := <-answers:
		t.Fatalf("an answer before there is one: %v", err)
	case <-time.After(50 * time.Millisecond): // no proof, but a chance to be wrong
	}
	close(m.gate)
	if err := <-answers; err != nil || !m.has("taken") {
		t.Errorf("the one that was taken up: %v, written: %v", err, m.has("taken"))
	}
	wg.Wait()
}

func TestACancelledContextWritesNothing(t *testing.T) {
	m := newMemory()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewQueue(m).Commit(ctx, keyed("k")); !errors.Is(err, context.Canceled) || m.has("k") {
		t.Errorf("%v, written: %v", err, m.has("k"))
	}
}

// What the schema refuses fails the one change that brought it, wherever in the batch it stands.
func TestWhatIsRefusedStandsAlone(t *testing.T) {
	for _, bad := range []int{0, 7, 12} {
		q, m, wg := held(t)
		const callers = 13
		errs := make([]error, callers)
		m.refuse = fmt.Sprint("k", bad)
		for n := range callers {
			wg.Go(func() { _, errs[n] = q.Commit(t.Context(), keyed(fmt.Sprint("k", n))) })
			queued(t, q, n+1)
		}
		close(m.gate)
		wg.Wait()
		for n, err := range errs {
			if refused := errors.Is(err, ErrRefused); refused != (n == bad) || !refused && err != nil || m.has(fmt.Sprint("k", n)) == refused {
				t.Errorf("bad %d: change %d: %v", bad, n, err)
			}
		}
	}
}

// A judgement counts only if what it was made on was written: the later of two with one key is no replay of one that failed.
func TestAFailureIsEverybodys(t *testing.T) {
	q, m, wg := held(t)
	errs := make([]error, 4)
	for n := range errs {
		wg.Go(func() { _, errs[n] = q.Commit(t.Context(), keyed("same")) })
	}
	queued(t, q, len(errs))
	m.gate <- struct{}{}
	<-m.entered
	m.mu.Lock()
	m.fail = errDisk
	m.mu.Unlock()
	close(m.gate)
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, errDisk) || errors.Is(err, store.ErrReplay) {
			t.Errorf("error %v", err)
		}
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	q, m, wg := held(t)
	wg.Go(func() {
		if _, err := q.Commit(t.Context(), keyed("waiting")); err != nil {
			t.Error(err)
		}
	})
	queued(t, q, 1)
	closed := make(chan struct{})
	wg.Go(func() {
		q.Close()
		close(closed)
	})
	select {
	case <-closed:
		t.Fatal("closed while something is written")
	case <-time.After(20 * time.Millisecond): // no proof, but a chance to be wrong
	}
	close(m.gate)
	wg.Wait()
	q.Close()
	if !m.has("waiting") {
		t.Error("what waited was dropped")
	}
	if _, err := q.Commit(t.Context(), keyed("late")); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}
