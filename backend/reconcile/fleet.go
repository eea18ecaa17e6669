package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Fleet runs a loop for each node. It is safe for concurrent use.
type Fleet struct {
	loops []*loop
	now   func() time.Time

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when any status changes
	started bool
	stopped bool
}

// New makes the loops of the targets; none runs before Start.
func New(targets []Target, source Source, observer Observer, timing Timing, now func() time.Time) *Fleet {
	f := &Fleet{now: now, changed: make(chan struct{})}
	for _, t := range targets {
		f.loops = append(f.loops, newLoop(t, source, observer, timing, now, f.broadcast))
	}
	return f
}

// Start starts all loops. A second call does nothing.
func (f *Fleet) Start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started || f.stopped {
		return
	}
	f.started = true
	for _, l := range f.loops {
		go l.run()
	}
}

// Stop ends all loops and waits for them. It may be called twice, or without Start.
func (f *Fleet) Stop() {
	f.mu.Lock()
	started := f.started
	f.stopped = true
	f.mu.Unlock()
	if !started {
		return
	}
	var wg sync.WaitGroup
	for _, l := range f.loops {
		wg.Go(l.close)
	}
	wg.Wait()
}

// Wake asks every loop for a pass soon. It does not block.
func (f *Fleet) Wake() {
	for _, l := range f.loops {
		l.wake()
	}
}

// Status lists the nodes that serve the environment, in the configuration's order; all if it is empty.
func (f *Fleet) Status(environment string) []Status {
	var all []Status
	for _, l := range f.loops {
		if status, _, _ := l.state.snapshot(); environment == "" || status.serves(environment) {
			all = append(all, status)
		}
	}
	return all
}

func (s Status) serves(environment string) bool { return s.in(environment) != nil }

func (s Status) in(environment string) *EnvironmentStatus {
	i := slices.IndexFunc(s.Environments, func(e EnvironmentStatus) bool { return e.Name == environment })
	if i < 0 {
		return nil
	}
	return &s.Environments[i]
}

// Question asks where a grant's present state is in force.
type Question struct {
	Environment string
	Revision    int64 // of the grant's last event
	// Opens says that the grant admits; otherwise it has ended and nothing may be admitted.
	Opens bool
	// Expires is the grant's own end.
	Expires time.Time
}

// Answer says on how many nodes it is.
type Answer struct {
	Total, Enforced int
	OldWorkersUntil time.Time // the latest, over the nodes where it is not
}

// Ask answers the question as of now. What a node was not heard of for is counted as not enforced, except that an ended
// grant is refused anyway once its own expiry or the node's lease is past.
func (f *Fleet) Ask(q Question) Answer {
	var a Answer
	for _, l := range f.loops {
		status, _, _ := l.state.snapshot()
		e := status.in(q.Environment)
		if e == nil {
			continue
		}
		a.Total++
		if q.holds(status, *e, f.now().Add(-l.target.ClockBound)) {
			a.Enforced++
		} else if !q.Opens && e.OldWorkersUntil.After(a.OldWorkersUntil) {
			a.OldWorkersUntil = e.OldWorkersUntil
		}
	}
	if !a.OldWorkersUntil.IsZero() && !q.Expires.IsZero() && q.Expires.Before(a.OldWorkersUntil) {
		a.OldWorkersUntil = q.Expires
	}
	return a
}

// holds reports whether the node does what the question asks; now is the earliest time that the node's clock may show.
func (q Question) holds(s Status, e EnvironmentStatus, now time.Time) bool {
	if q.Opens {
		return s.Healthy && e.Open && s.Revision >= q.Revision
	}
	switch {
	case e.Enforced >= q.Revision:
		return true
	case !q.Expires.IsZero() && !now.Before(q.Expires):
		return true
	}
	return e.Lease > 0 && e.Read && !now.Before(e.LeaseUntil)
}

// Await returns when every node of the environment has taken the revision in or has failed in a pass that began after
// this call, or when ctx is done.
func (f *Fleet) Await(ctx context.Context, environment string, revision int64) {
	begun := make(map[*loop]int64, len(f.loops))
	for _, l := range f.loops {
		_, started, _ := l.state.snapshot()
		begun[l] = started
	}
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		waiting := slices.ContainsFunc(f.loops, func(l *loop) bool {
			status, _, settled := l.state.snapshot()
			return status.serves(environment) && status.Revision < revision && settled <= begun[l]
		})
		if !waiting {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (f *Fleet) broadcast() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}
