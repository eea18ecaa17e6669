package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// reportsKept bounds the reports that wait for the ledger.
	reportsKept = 200_000
	// recordTime bounds a call to the ledger, and batch is how many reports it gets at once.
	recordTime = 5 * time.Second
	batch      = 1000
)

// errReportsDropped: the ledger does not take reports as fast as they come.
var errReportsDropped = errors.New("reports of grants were dropped: the ledger does not take them")

// recorder hands reports on to the ledger, again and again until it takes them. Nothing that enforces waits for it.
type recorder struct {
	ledger   Ledger
	observer Observer
	timing   Timing
	poke     chan struct{}

	mu      sync.Mutex
	waiting []nodeReports
	count   int
}

type nodeReports struct {
	node    string
	reports []Report
}

func newRecorder(o Options, t Timing) *recorder {
	return &recorder{ledger: o.Ledger, observer: o.Observer, timing: t, poke: make(chan struct{}, 1)}
}

// add takes reports. It does not block; where too many wait the oldest are dropped, and loudly.
func (r *recorder) add(node string, reports []Report) {
	if r.ledger == nil || len(reports) == 0 {
		return
	}
	r.mu.Lock()
	r.waiting = append(r.waiting, nodeReports{node, reports})
	r.count += len(reports)
	dropped := ""
	for r.count > reportsKept && len(r.waiting) > 1 {
		dropped = r.waiting[0].node
		r.count -= len(r.waiting[0].reports)
		r.waiting = r.waiting[1:]
	}
	r.mu.Unlock()
	if dropped != "" {
		r.observer.Failed(dropped, errReportsDropped)
	}
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// run hands on until ctx is done, and once more then.
func (r *recorder) run(ctx context.Context) {
	pause := r.timing.Backoff
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = r.handOn(last)
			return
		case <-r.poke:
		}
		for r.handOn(ctx) != nil && ctx.Err() == nil {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			pause = min(2*pause, r.timing.MaxBackoff)
		}
		pause = r.timing.Backoff
	}
}

// handOn hands on all that waits, oldest first, until the ledger refuses.
func (r *recorder) handOn(ctx context.Context) error {
	for {
		next, ok := r.first()
		if !ok {
			return nil
		}
		if err := r.tell(ctx, next); err != nil {
			r.giveBack(next)
			if ctx.Err() == nil {
				r.observer.Failed(next.node, err)
			}
			return err
		}
	}
}

func (r *recorder) tell(ctx context.Context, n nodeReports) error {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	return r.ledger.Record(ctx, n.node, n.reports)
}

// first takes the oldest reports of a node out of the queue, at most batch.
func (r *recorder) first() (nodeReports, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.waiting = nil
		return nodeReports{}, false
	}
	next := r.waiting[0]
	if len(next.reports) > batch {
		r.waiting[0].reports = next.reports[batch:]
		next.reports = next.reports[:batch]
	} else {
		r.waiting = r.waiting[1:]
	}
	r.count -= len(next.reports)
	return next, true
}

func (r *recorder) giveBack(n nodeReports) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append([]nodeReports{n}, r.waiting...)
	r.count += len(n.reports)
}
