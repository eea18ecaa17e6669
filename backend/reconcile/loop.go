package reconcile

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// Timing of a loop. The zero value of a field takes its default.
type Timing struct {
	// Watch is how often the node is asked whether its worker is still the same; 1s.
	Watch time.Duration
	// Full is the longest time between two passes where no lease asks for a shorter one; 10s.
	Full time.Duration
	// Pass is the longest time that a pass may take; 30s.
	Pass time.Duration
	// Backoff after a failed pass: at first, doubled each time up to the maximum, with jitter; 200ms and 5s.
	Backoff, MaxBackoff time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&t.Watch, time.Second)
	set(&t.Full, 10*time.Second)
	set(&t.Pass, 30*time.Second)
	set(&t.Backoff, 200*time.Millisecond)
	set(&t.MaxBackoff, 5*time.Second)
	return t
}

// loop keeps one node right.
type loop struct {
	target   Target
	source   Source
	observer Observer
	timing   Timing
	now      func() time.Time

	poke chan struct{} // holds one: there is something new in the store
	stop chan struct{}
	once sync.Once
	done chan struct{}

	before   desired.State // of the last pass, if it succeeded
	worker   Worker        // as it was seen last, if the last pass succeeded
	lastPass time.Time     // began then

	state *state
}

func newLoop(t Target, s Source, o Observer, timing Timing, now func() time.Time, changed func()) *loop {
	timing = timing.withDefaults()
	for _, e := range t.Environments {
		// A lease is renewed every third of its length.
		if third := e.Lease / 3; third > 0 && third < timing.Full {
			timing.Full = third
		}
	}
	timing.Watch = min(timing.Watch, timing.Full)
	return &loop{
		target: t, source: s, observer: o, timing: timing, now: now,
		poke: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		state: newState(t, changed),
	}
}

// wake asks for a pass soon. It does not block; several wakes before the pass begins are one.
func (l *loop) wake() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

func (l *loop) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

// run passes at once, and then on every wake, when the worker has changed, and when the last pass is too long ago. After
// a failure it tries again with backoff, whatever happens.
func (l *loop) run() {
	defer close(l.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-l.stop
		cancel()
	}()
	failures := 0
	for {
		if err := l.pass(ctx); err != nil {
			failures++
		} else {
			failures = 0
		}
		if !l.wait(ctx, failures) {
			return
		}
	}
}

// wait returns when the next pass is due; false if the loop is to end.
func (l *loop) wait(ctx context.Context, failures int) bool {
	if failures > 0 {
		return l.sleep(ctx, l.backoff(failures), false)
	}
	for {
		if !l.sleep(ctx, l.timing.Watch, true) {
			return false
		}
		if l.now().Sub(l.lastPass) >= l.timing.Full {
			return true
		}
		select {
		case <-l.poke:
			return true
		default:
		}
		worker, err := l.target.Node.Worker(ctx)
		if err != nil || worker.PID != l.worker.PID || worker.Uptime < l.worker.Uptime {
			return ctx.Err() == nil
		}
		l.worker = worker // older than before: a restart shows, even one soon after the last pass
	}
}

// sleep waits for d, or for a wake where that counts: the wake stays in the channel for the caller to take.
func (l *loop) sleep(ctx context.Context, d time.Duration, wakes bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	var poke chan struct{}
	if wakes {
		poke = l.poke
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-poke:
		l.wake()
		return true
	}
}

// backoff is the time until the next try: doubled with each failure up to the maximum, half of it by chance, so that
// nodes that failed together do not all come back together.
func (l *loop) backoff(failures int) time.Duration {
	d := l.timing.MaxBackoff
	if shift := failures - 1; shift < 10 && l.timing.Backoff<<shift < d {
		d = l.timing.Backoff << shift
	}
	return d/2 + rand.N(d/2+1)
}

func (l *loop) pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.timing.Pass)
	defer cancel()
	select {
	case <-l.poke: // this pass reads the store after whatever woke it
	default:
	}
	l.lastPass = l.now()
	attempt := l.state.begin()
	p := &pass{target: l.target, now: l.now, before: l.before, leasing: l.state.leasing}
	want, err := p.run(ctx, l.source)
	for _, d := range p.result.Drift {
		l.observer.Drifted(l.target.Name, d)
	}
	if err != nil {
		// What the node holds now is not known: nothing that the next pass finds is anybody's drift.
		l.before, l.worker = nil, Worker{}
		l.state.failed(attempt, err, p.result)
		l.observer.Failed(l.target.Name, err)
		return err
	}
	l.before, l.worker = want, p.result.Worker
	l.state.passed(attempt, p.result, l.now())
	l.observer.Passed(l.target.Name, p.result)
	return nil
}
