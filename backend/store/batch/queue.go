package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	// maxChanges and maxEvents bound a batch, and so how long the one lock is held. A change of more events is a batch of
	// its own.
	maxChanges = 512
	maxEvents  = 2048
	// limit bounds a batch where the database does not answer.
	limit = 30 * time.Second
)

var errClosed = errors.New("the store is closed")

// Queue commits the changes of concurrent callers in batches. It is safe for concurrent use; Close ends it.
type Queue struct {
	db Database

	mu      sync.Mutex
	waiting []*job
	running bool          // whether a goroutine takes from waiting
	idle    chan struct{} // closed when it ends
	closed  bool
}

// NewQueue makes a queue before a database.
func NewQueue(db Database) *Queue { return &Queue{db: db} }

// Commit is store.Grants' Commit.
func (q *Queue) Commit(ctx context.Context, c store.Change) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	j, err := newJob(c)
	if err != nil {
		return 0, err
	}
	if err := q.add(j); err != nil {
		return 0, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if q.withdraw(j) {
			return 0, ctx.Err()
		}
		<-j.done // it was taken up: what becomes of it is the answer
	}
	return j.revision, j.err
}

// Close lets what waits be written and ends the queue. It may be called twice.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	idle := q.idle
	running := q.running
	q.mu.Unlock()
	if running {
		<-idle
	}
}

func (q *Queue) add(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, j)
	if !q.running {
		q.running, q.idle = true, make(chan struct{})
		go q.run()
	}
	return nil
}

// withdraw takes a job back, and reports whether it still waited.
func (q *Queue) withdraw(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, j)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// run commits until nothing waits. What comes meanwhile waits for the next batch.
func (q *Queue) run() {
	for jobs := q.take(); jobs != nil; jobs = q.take() {
		q.commit(jobs)
	}
}

func (q *Queue) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		close(q.idle)
		return nil
	}
	n, events := 0, 0
	for n < len(q.waiting) && n < maxChanges {
		events += len(q.waiting[n].change.Events)
		if n > 0 && events > maxEvents {
			break
		}
		n++
	}
	jobs := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return jobs
}

// commit gives each job its answer.
func (q *Queue) commit(jobs []*job) {
	results, err := q.attempt(jobs)
	if errors.Is(err, ErrRefused) && len(jobs) > 1 {
		half := len(jobs) / 2
		q.commit(jobs[:half])
		q.commit(jobs[half:])
		return
	}
	for i, j := range jobs {
		if err != nil {
			j.finish(0, err)
		} else {
			j.finish(results[i].revision, results[i].err)
		}
	}
}

type result struct {
	revision int64
	err      error
}

// attempt is one transaction. The results count only if it returns no error: they were found on what was written.
func (q *Queue) attempt(jobs []*job) (results []result, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err = q.db.Write(ctx, func(tx Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		known, err := tx.Read(ask(jobs))
		if err != nil {
			return err
		}
		l := newLedger(head, known)
		for _, j := range jobs {
			revision, err := l.judge(j)
			results = append(results, result{revision, err})
		}
		if l.empty() {
			return nil
		}
		return tx.Put(l.rows())
	})
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return results, nil
}
