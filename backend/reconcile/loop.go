package reconcile

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// loop keeps one node right, while this gateway is its writer.
type loop struct {
	target Target
	fleet  *Fleet
	timing Timing
	now    func() time.Time

	poke chan struct{} // holds one: there is something new in the store
	stop chan struct{}
	once sync.Once
	done chan struct{}

	// What follows belongs to the loop's own goroutine, and is handed on when another loop takes its place.
	tenure    Tenure
	claimed   time.Time
	before    memory
	lastFull  time.Time // began
	fullDue   time.Time // when the next must begin
	share     float64   // of an interval: where in it this loop's full passes are
	next      time.Time // when the first row expires for which a stream may run
	unsettled time.Time
	record    record

	state *state
}

func newLoop(f *Fleet, t Target) *loop {
	t = t.normal()
	return &loop{
		share: f.share(), target: t, fleet: f, timing: f.timing.of(t), now: f.options.Now,
		poke: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		before: memory{full: true, purge: true, cut: true},
		state:  newState(t, f.options.Name, f.options.Writers == nil, f.options.Now, f.broadcast),
	}
}

// inherit takes the place of a loop that has ended.
func (l *loop) inherit(older *loop) {
	l.tenure, l.claimed, l.unsettled, l.record = older.tenure, older.claimed, older.unsettled, older.record
	older.tenure = nil
	l.before.left, l.before.owed = older.before.left, older.before.owed
	l.state.inherit(older.state)
	if l.tenure != nil {
		l.state.writing = true
	}
}

// wake asks for a pass soon. It does not block; several wakes before the pass begins are one.
func (l *loop) wake() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// close ends the loop. It keeps its tenure for whoever inherits it.
func (l *loop) close() {
	l.once.Do(func() { close(l.stop) })
	<-l.done
}

// release gives the node back to other gateways, once the loop has ended.
func (l *loop) release() {
	if l.tenure != nil {
		l.tenure.Release()
		l.tenure = nil
	}
}

// run writes to the node whenever this gateway is elected.
func (l *loop) run() {
	defer close(l.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-l.stop
		cancel()
	}()
	for l.elected(ctx) {
		l.reign(ctx)
	}
}

// reign passes at once, and then whenever wait says so. After a failure it tries again with backoff. It returns when the
// loop is to end, or when another gateway is the writer.
func (l *loop) reign(ctx context.Context) {
	failures := 0
	for {
		err := l.pass(ctx)
		switch {
		case err == nil:
			failures = 0
		case errors.Is(err, ErrNotWriter):
			l.depose()
			return
		case errors.Is(err, errWorkerChanged):
			failures = 1 // the node is well, and its lease goes on ageing: somebody reloads it often
		default:
			failures++
		}
		if !l.wait(ctx, failures) {
			return
		}
	}
}

// wait returns when the next pass is due; false if the loop is to end.
func (l *loop) wait(ctx context.Context, failures int) bool {
	if failures > 0 {
		return l.backOff(ctx, l.backoff(failures))
	}
	for {
		if !l.sleep(ctx, l.pause(), true) {
			return false
		}
		if l.due() {
			return true
		}
		asked := l.now()
		worker, err := l.target.Node.Worker(ctx)
		if err != nil || !worker.follows(l.before.worker) || worker.Offset < -l.target.ClockBound && l.leased() {
			l.before.full = true
			return ctx.Err() == nil
		}
		l.before.worker, l.before.seen = worker, asked // older than before: a restart shows, even one soon after the last pass
	}
}

func (l *loop) leased() bool { return len(l.before.leases) > 0 }

// nextFull is when the next full pass must begin after one that began then: at the loop's own place in the interval, so
// that the passes of many nodes, which a start or a new key makes begin together, do not stay together.
func (l *loop) nextFull(began time.Time) time.Time {
	if l.fullDue.IsZero() {
		return began.Add(l.timing.Full - time.Duration(l.share*float64(l.timing.Full)))
	}
	late := began.Sub(l.fullDue) % l.timing.Full
	if late < 0 {
		late += l.timing.Full
	}
	return began.Add(l.timing.Full - late)
}

// minPause keeps rows that expire one after the other from making a pass each.
const minPause = 100 * time.Millisecond

// pause is how long there is nothing to look for.
func (l *loop) pause() time.Duration {
	d := l.timing.Watch
	if due := l.fullDue.Sub(l.now()); due < d {
		d = max(due, minPause)
	}
	if l.target.Streams != nil && !l.next.IsZero() {
		d = min(d, max(l.next.Sub(l.now()), minPause))
	}
	return d
}

// due reports whether a pass is: an interval is over, somebody has woken the loop, a row has expired for which a stream may
// run, or the last pass has left something behind. The wake is taken by the pass.
func (l *loop) due() bool {
	now := l.now()
	expired := l.target.Streams != nil && !l.next.IsZero() && !now.Before(l.next)
	uncertain := !l.unsettled.IsZero()
	if !now.Before(l.fullDue) || now.Before(l.lastFull) || uncertain {
		l.before.full = true
		return true
	}
	return expired || l.before.purge || l.before.cut || len(l.poke) > 0
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

// backOff waits for d, or for a wake and the floor, which has its jitter too.
func (l *loop) backOff(ctx context.Context, d time.Duration) bool {
	floor := min(d, l.spread(l.timing.Floor))
	return l.sleep(ctx, floor, false) && l.sleep(ctx, d-floor, true)
}

// backoff is the time until the next try: doubled with each failure up to the maximum, half of it by chance, so that
// nodes that failed together do not all come back together.
func (l *loop) backoff(failures int) time.Duration {
	d := l.timing.MaxBackoff
	if shift := failures - 1; shift < 10 && l.timing.Backoff<<shift < d {
		d = l.timing.Backoff << shift
	}
	return l.spread(d)
}

// spread is d, half of it by chance.
func (l *loop) spread(d time.Duration) time.Duration {
	return d/2 + l.fleet.options.Jitter(l.target.Name, d/2)
}

func (l *loop) pass(ctx context.Context) error {
	select {
	case <-l.poke: // this pass reads the store after whatever woke it
	default:
	}
	attempt := l.state.begin()
	p := &pass{
		target: l.target, now: l.now, feed: l.fleet.feed, before: l.before, leasing: l.state.leasing,
		guard: &guard{tenure: l.tenure, now: l.now, within: l.timing.Call},
	}
	known := l.state.enforced()
	err := l.carryOut(ctx, p)
	for _, d := range p.result.Drift {
		l.fleet.options.Observer.Drifted(l.target.Name, d)
	}
	if !errors.Is(err, ErrNotWriter) { // else it may be the work of who is
		l.fleet.journal.add(l.target, p.result, err)
	}
	l.record.note(p, l.target, known)
	if p.unsettled {
		l.unsettled = l.now().Add(l.timing.Late)
	}
	if err != nil {
		l.fail(attempt, err, p)
	} else {
		l.succeed(attempt, p)
	}
	if !errors.Is(err, ErrNotWriter) {
		l.fleet.post(l)
	}
	return err
}

// carryOut runs a pass. What it has seen counts only if we were the node's writer until then: else another's calls may have
// been under way.
func (l *loop) carryOut(ctx context.Context, p *pass) error {
	bounded, cancel := context.WithTimeout(ctx, l.timing.Pass)
	defer cancel()
	err := p.run(bounded)
	if errors.Is(err, ErrNotWriter) {
		return err
	}
	at, lost := p.guard.confirm(ctx)
	if lost != nil {
		return lost
	}
	l.state.confirmed(at)
	return err
}

func (l *loop) fail(attempt int64, err error, p *pass) {
	// What the node holds now is not known: nothing that the next pass finds is anybody's drift.
	l.before = memory{full: true, purge: true, cut: true, left: l.before.left, owed: l.before.owed}
	if p.want != nil {
		l.before.left, l.before.owed = p.want, p.owed
	}
	l.state.failed(attempt, err, p.result, l.record.pending(), l.unsettled)
	l.fleet.options.Observer.Failed(l.target.Name, err)
}

func (l *loop) succeed(attempt int64, p *pass) {
	r := &p.result
	l.before = memory{
		sheets: p.want, left: p.want, digests: p.digests, worker: r.Worker, seen: p.seen, leases: r.Leases, stuck: l.before.stuck,
		cut: r.StreamsErr != nil, purge: r.EldersErr != nil,
	}
	if r.Kind == Full {
		l.before.stuck = p.stuck
		l.lastFull, l.fullDue = r.Read, l.nextFull(r.Read)
		if !r.Read.Before(l.unsettled) {
			l.unsettled = time.Time{}
		}
	}
	l.next = p.want[desired.Grants].Next
	now := l.now()
	r.Removals = l.record.verified(r.Revision, now)
	l.state.passed(attempt, *r, now, l.record.pending(), l.unsettled)
	l.fleet.recorder.add(l.target.Name, l.record.reports(p, l.state.enforced(), now))
	l.fleet.options.Observer.Passed(l.target.Name, *r)
}
