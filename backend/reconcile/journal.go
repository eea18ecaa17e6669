package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

const (
	// journalEvery is how often the journal is told of one node at most: somebody who fights for its maps fills no log.
	journalEvery = time.Minute
	// journalTime bounds a call to the journal.
	journalTime = 5 * time.Second
)

// journal hands drift on to the Journal: at once, and what comes within a minute of that in one piece at its end. Nothing
// that enforces waits for it.
type journal struct {
	to       Journal
	observer Observer
	timing   Timing
	now      func() time.Time
	poke     chan struct{}

	mu    sync.Mutex
	nodes map[string]*nodeDrift
}

// nodeDrift is what a node's drift waits as.
type nodeDrift struct {
	told    time.Time    // when the Journal took something last
	sending *grant.Drift // tried before: it stays as it is, since it may have been taken
	waiting *grant.Drift // grows
}

func newJournal(o Options, t Timing) *journal {
	return &journal{
		to: o.Journal, observer: o.Observer, timing: t, now: o.Now, poke: make(chan struct{}, 1), nodes: map[string]*nodeDrift{},
	}
}

// add takes what a pass of the node's writer has found. It does not block.
func (j *journal) add(t Target, r Result, err error) {
	if j.to == nil || len(r.Drift) == 0 {
		return
	}
	found := summary(t, r, err)
	j.mu.Lock()
	n := j.nodes[t.Name]
	if n == nil {
		n = &nodeDrift{}
		j.nodes[t.Name] = n
	}
	if n.waiting == nil {
		n.waiting = &found
	} else {
		merge(n.waiting, found)
	}
	j.mu.Unlock()
	select {
	case j.poke <- struct{}{}:
	default:
	}
}

// summary is the drift of one pass.
func summary(t Target, r Result, err error) grant.Drift {
	d := grant.Drift{Node: t.Name, First: r.Read, Last: r.Read, Passes: 1}
	for _, e := range t.Environments {
		d.Environments = append(d.Environments, e.Name)
	}
	for _, of := range r.Drift {
		if err != nil || slices.ContainsFunc(of.Foreign, func(key string) bool { return !desired.CanSend(key) }) {
			d.Unrepaired = 1
		}
		unnamed := of.Rows - len(of.Foreign) - len(of.Changed) - len(of.Missing)
		d.Foreign += len(of.Foreign) + len(of.InFile.Foreign) + unnamed
		d.Changed += len(of.Changed) + len(of.InFile.Changed)
		d.Missing += len(of.Missing) + len(of.InFile.Missing)
		if of.File {
			d.Files = append(d.Files, string(of.Map))
		}
		d.Rows = append(d.Rows, of.rows()...)
	}
	slices.Sort(d.Files)
	d.Rows = named(d.Rows)
	return d
}

// merge adds a later pass's drift.
func merge(d *grant.Drift, later grant.Drift) {
	d.Last, d.Environments = later.Last, later.Environments
	d.Passes, d.Unrepaired = d.Passes+later.Passes, d.Unrepaired+later.Unrepaired
	d.Foreign, d.Changed, d.Missing = d.Foreign+later.Foreign, d.Changed+later.Changed, d.Missing+later.Missing
	d.Files = append(d.Files, later.Files...)
	slices.Sort(d.Files)
	d.Files = slices.Compact(d.Files)
	for _, row := range later.Rows {
		if !slices.Contains(d.Rows, row) {
			d.Rows = append(d.Rows, row)
		}
	}
	d.Rows = named(d.Rows)
}

// run hands on until ctx is done, and all that waits then.
func (j *journal) run(ctx context.Context) {
	pause := j.timing.Backoff
	for {
		wait, err := j.handOn(ctx, false)
		wake := j.poke
		if err != nil {
			wait, wake = pause, nil // after a failure not before the pause is over
			pause = min(2*pause, j.timing.MaxBackoff)
		} else {
			pause = j.timing.Backoff
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			j.leave(ctx)
			return
		case <-timer.C:
		case <-wake:
		}
		timer.Stop()
	}
}

// leave hands on the rest, which is lost if that fails: the observer has been told of it when it was found.
func (j *journal) leave(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = j.handOn(last, true) // the observer is told of an error
}

// handOn hands on what is due, or all, and answers when the next will be.
func (j *journal) handOn(ctx context.Context, all bool) (next time.Duration, err error) {
	for {
		node, d, next := j.due(all)
		if d == nil {
			return next, nil
		}
		if err := j.tell(ctx, *d); err != nil {
			if ctx.Err() == nil || all {
				j.observer.DriftNotKept(node, err)
			}
			return 0, err
		}
		j.taken(node)
	}
}

func (j *journal) tell(ctx context.Context, d grant.Drift) error {
	ctx, cancel := context.WithTimeout(ctx, journalTime)
	defer cancel()
	return j.to.DriftFound(ctx, d)
}

// due is a node's drift that may be told now; nil if there is none until next.
func (j *journal) due(all bool) (node string, d *grant.Drift, next time.Duration) {
	now := j.now()
	next = journalEvery
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, n := range j.nodes {
		since := now.Sub(n.told)
		ready := all || since < 0 || since >= journalEvery // a clock that went back holds up nothing
		switch {
		case n.sending == nil && n.waiting == nil:
			if ready {
				delete(j.nodes, name)
			}
		case ready:
			if n.sending == nil {
				n.sending, n.waiting = n.waiting, nil
			}
			return name, n.sending, 0
		default:
			next = min(next, journalEvery-since)
		}
	}
	return "", nil, next
}

func (j *journal) taken(node string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.nodes[node]
	n.sending, n.told = nil, j.now()
}
