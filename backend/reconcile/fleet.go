package reconcile

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Options say what a fleet is made of. Source, Observer and Now must be set.
type Options struct {
	// Name is this gateway's, for others to read.
	Name     string
	Targets  []Target
	Source   Source
	Observer Observer
	Timing   Timing
	Now      func() time.Time
	// Endings tells of grants that ended; nil: how long an end took is counted from when its row was seen too many.
	Endings Endings
	// Writers elects the writer of each node; nil: this process is the only one.
	Writers Writers
	// Board is where writers say how their nodes are; nil: others are not told.
	Board Board
	// Ledger is told what became of grants; nil: nobody is.
	Ledger Ledger
	// Journal is told of drift; nil: the observer alone is.
	Journal Journal
	// Jitter is a time up to d by chance; nil: rand.N. A test that is to be repeated has its own.
	Jitter func(node string, d time.Duration) time.Duration
}

// Fleet runs a loop for each node. It is safe for concurrent use.
type Fleet struct {
	options  Options
	timing   Timing
	feed     *feed
	recorder *recorder
	journal  *journal
	notices  *notices

	changing sync.Mutex // held while loops come and go
	cancel   context.CancelFunc
	helpers  sync.WaitGroup

	mu       sync.Mutex
	made     int // loops
	loops    []*loop
	departed map[string]*state // of nodes that are gone and may still admit
	changed  chan struct{}     // closed and replaced when any status changes
	started  bool
	stopped  bool
}

// New makes the loops of the targets; none runs before Start.
func New(o Options) *Fleet {
	if o.Jitter == nil {
		o.Jitter = func(_ string, d time.Duration) time.Duration { return rand.N(d + 1) }
	}
	f := &Fleet{
		options: o, timing: o.Timing.withDefaults(), feed: newFeed(o.Source, o.Endings, o.Now), notices: newNotices(o.Board),
		changed: make(chan struct{}), departed: map[string]*state{},
	}
	f.recorder, f.journal = newRecorder(o, f.timing), newJournal(o, f.timing)
	for _, t := range o.Targets {
		f.loops = append(f.loops, newLoop(f, t))
	}
	return f
}

// share is the place of one more loop between 0 and 1, spread evenly however many there are. New and replan alone make
// loops, one after the other.
func (f *Fleet) share() float64 {
	_, place := math.Modf(float64(f.made) * math.Phi)
	f.made++
	return place
}

// Start starts all loops. A second call does nothing.
func (f *Fleet) Start() {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.started || f.stopped {
		return
	}
	f.started = true
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.helpers.Go(func() { f.recorder.run(ctx) })
	if f.options.Journal != nil {
		f.helpers.Go(func() { f.journal.run(ctx) })
	}
	if f.options.Board != nil {
		f.helpers.Go(func() { f.notices.publish(ctx) })
	}
	if f.options.Board != nil && f.options.Writers != nil {
		f.helpers.Go(func() { f.follow(ctx) })
	}
	for _, l := range f.loops {
		go l.run()
	}
}

// Stop ends all loops and waits for them. It may be called twice, or without Start.
func (f *Fleet) Stop() {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	running := f.started && !f.stopped
	f.stopped = true
	f.mu.Unlock()
	if !running {
		return
	}
	closeAll(f.all())
	for _, l := range f.all() {
		l.release()
	}
	f.cancel()
	f.helpers.Wait()
	f.feed.close()
}

func closeAll(loops []*loop) {
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(l.close)
	}
	wg.Wait()
}

// SetTargets makes the fleet that of the targets: it begins loops for new nodes, ends and forgets those that are gone, and
// begins anew one whose settings have changed, which keeps what is known of its node. It returns when loops that end have
// ended. Two targets of one name are not allowed; the first counts.
func (f *Fleet) SetTargets(targets []Target) {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	running, stopped := f.started, f.stopped
	f.mu.Unlock()
	if stopped {
		return
	}
	next, begun, ended := f.replan(targets)
	if running {
		closeAll(ended)
	}
	for _, l := range ended {
		l.state.rest()
	}
	f.replace(next, begun, ended)
	if running {
		for _, l := range begun {
			go l.run()
		}
	}
	f.broadcast()
}

// replan lists the loops that the targets need, those of them that are new, and those that are there now and are to end.
func (f *Fleet) replan(targets []Target) (next, begun, ended []*loop) {
	old := map[string]*loop{}
	for _, l := range f.all() {
		old[l.target.Name] = l
	}
	named := map[string]bool{}
	for _, t := range targets {
		if named[t.Name] {
			continue
		}
		named[t.Name] = true
		l := old[t.Name]
		if l == nil || !l.target.same(t.normal()) {
			if l != nil {
				ended = append(ended, l)
			}
			l = newLoop(f, t)
			begun = append(begun, l)
		}
		next = append(next, l)
	}
	for name, l := range old {
		if !named[name] {
			ended = append(ended, l)
		}
	}
	return next, begun, ended
}

// replace hands on what ended loops know.
func (f *Fleet) replace(next, begun, ended []*loop) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range begun {
		if gone := f.departed[l.target.Name]; gone != nil {
			l.state.inherit(gone)
			delete(f.departed, l.target.Name)
		}
	}
	for _, old := range ended {
		i := slices.IndexFunc(begun, func(l *loop) bool { return l.target.Name == old.target.Name })
		if i >= 0 {
			begun[i].inherit(old)
			continue
		}
		old.release()
		f.departed[old.target.Name] = old.state
	}
	f.loops = next
	for name, s := range f.departed {
		if s.harmless() {
			delete(f.departed, name)
		}
	}
}

// all are the loops of now.
func (f *Fleet) all() []*loop {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.loops)
}

// Wake asks every loop for a pass soon. It does not block.
func (f *Fleet) Wake() {
	for _, l := range f.all() {
		l.wake()
	}
}

// Status lists the nodes that serve the environment, in the targets' order; all if it is empty.
func (f *Fleet) Status(environment string) []Status {
	var all []Status
	for _, l := range f.all() {
		if status, _, _ := l.state.snapshot(); environment == "" || status.serves(environment) {
			all = append(all, status)
		}
	}
	return all
}

func (f *Fleet) post(l *loop) { f.notices.add(l) }

func (f *Fleet) broadcast() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}
