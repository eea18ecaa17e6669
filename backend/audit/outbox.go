// Package audit is the outbox: it tells sinks of every event in the log, in order and at least once, however often the
// process ends in between (I7). It verifies the chain as it reads.
//
// It imports store; grant comes with it.
package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Sink takes events. Deliver returns nil only when the event is kept: it may come again after that, never before an
// earlier one.
type Sink interface {
	// Name keeps the sink's position apart from those of others: it must stay the same.
	Name() string
	Deliver(ctx context.Context, e store.Entry) error
}

// Log is what the outbox reads and where it keeps how far each sink is.
type Log interface {
	store.Reader
	store.Positions
}

// Observer is told what goes wrong; it must not block.
type Observer interface {
	// SinkFailed: an event could not be delivered, or the log not be read; it is tried again.
	SinkFailed(sink string, err error)
	// ChainBroken: the log is not what was written. The sink is told of no event from revision on, since the rest may be
	// forged; a person must look.
	ChainBroken(sink string, revision int64)
}

// Timing of the outbox. The zero value of a field takes its default.
type Timing struct {
	// Poll is how often the log is looked at without a Poke; 1s.
	Poll time.Duration
	// Deliver is the longest time for one event; 10s.
	Deliver time.Duration
	// Backoff after a failure: at first, doubled up to the maximum, with jitter; 200ms and 30s.
	Backoff, MaxBackoff time.Duration
}

// batch is how many events are read at once.
const batch = 200

// ErrChain says that an event's hash does not follow from those before it.
var ErrChain = errors.New("the chain of events is broken")

// Outbox runs one loop a sink, so that one that is stuck holds up no other.
type Outbox struct {
	loops  []*loop
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	state  int // 0 new, 1 started, 2 stopped
}

// New makes an outbox; nothing is delivered before Start. Of several gateways the one tells a sink that writers elects for
// "outbox/<sink>"; another takes over where it left off, and may repeat the last event.
func New(log Log, sinks []Sink, writers store.Writers, o Observer, t Timing) *Outbox {
	box := &Outbox{}
	for _, s := range sinks {
		box.loops = append(box.loops, &loop{
			log: log, sink: s, writers: writers, observer: o, timing: t.withDefaults(), poke: make(chan struct{}, 1),
		})
	}
	return box
}

// Start starts the loops. A second call does nothing.
func (b *Outbox) Start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != 0 {
		return
	}
	b.state = 1
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	for _, l := range b.loops {
		b.wg.Go(func() { l.run(ctx) })
	}
}

// Stop ends the loops and waits for them. It may be called twice, or without Start.
func (b *Outbox) Stop() {
	b.mu.Lock()
	if b.state == 1 {
		b.cancel()
	}
	b.state = 2
	b.mu.Unlock()
	b.wg.Wait()
}

// Poke says that there may be new events. It does not block.
func (b *Outbox) Poke() {
	for _, l := range b.loops {
		select {
		case l.poke <- struct{}{}:
		default:
		}
	}
}

// loop tells one sink.
type loop struct {
	log      Log
	sink     Sink
	writers  store.Writers
	observer Observer
	timing   Timing
	poke     chan struct{}

	// position and hash are those of the last event that the sink was told of; known once they were read.
	position int64
	hash     [32]byte
	known    bool
	tenure   store.Tenure // nil: another gateway tells the sink
}

func (l *loop) run(ctx context.Context) {
	defer l.leave()
	failures := 0
	for {
		err := l.deliver(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrChain):
			l.observer.ChainBroken(l.sink.Name(), l.position+1)
			return
		case err != nil:
			failures++
			l.observer.SinkFailed(l.sink.Name(), err)
		default:
			failures = 0
		}
		if !l.wait(ctx, failures) {
			return
		}
	}
}

// lead reports whether this gateway tells the sink. Where it has just begun to, the position is read anew: another has told
// it since.
func (l *loop) lead(ctx context.Context) (bool, error) {
	if l.tenure != nil {
		return true, nil
	}
	tenure, err := l.writers.Claim(ctx, "outbox/"+l.sink.Name())
	switch {
	case errors.Is(err, store.ErrHeld):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("claim sink: %w", err)
	}
	l.tenure, l.known = tenure, false
	return true, nil
}

func (l *loop) leave() {
	if l.tenure != nil {
		l.tenure.Release()
		l.tenure = nil
	}
}

// deliver tells the sink of everything that it does not know yet, if it is ours to tell.
func (l *loop) deliver(ctx context.Context) error {
	if ours, err := l.lead(ctx); err != nil || !ours {
		return err
	}
	if err := l.resume(ctx); err != nil {
		return err
	}
	for {
		entries, err := l.read(ctx, l.position, batch)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := l.one(ctx, e); err != nil {
				return err
			}
		}
		if len(entries) < batch {
			return nil
		}
	}
}

// resume finds out where the sink stands, and the hash there.
func (l *loop) resume(ctx context.Context) error {
	if l.known {
		return nil
	}
	position, err := l.log.Position(ctx, l.sink.Name())
	if err != nil {
		return fmt.Errorf("read position: %w", err)
	}
	var hash [32]byte
	if position > 0 {
		last, err := l.read(ctx, position-1, 1)
		if err != nil {
			return err
		}
		if len(last) != 1 || last[0].Revision != position {
			l.position = position - 1
			return fmt.Errorf("%w: revision %d is gone", ErrChain, position)
		}
		hash = last[0].Hash
	}
	l.position, l.hash, l.known = position, hash, true
	return nil
}

// read reads the log. An event that cannot be read is as forged as one that does not fit: trying again helps neither.
func (l *loop) read(ctx context.Context, after int64, limit int) ([]store.Entry, error) {
	entries, err := l.log.Events(ctx, after, limit)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		l.position = after
		return nil, fmt.Errorf("%w: %w", ErrChain, err)
	case err != nil:
		return nil, fmt.Errorf("read events: %w", err)
	}
	return entries, nil
}

// one delivers one event and then says so: a crash in between delivers it again.
func (l *loop) one(ctx context.Context, e store.Entry) error {
	if err := ctx.Err(); err != nil {
		return err // stopped, though neither sink nor log cared
	}
	if err := l.verify(e); err != nil {
		return err
	}
	if err := l.tenure.Check(ctx); err != nil {
		l.leave()
		return fmt.Errorf("tell sink: %w", err)
	}
	deliver, cancel := context.WithTimeout(ctx, l.timing.Deliver)
	defer cancel()
	if err := l.sink.Deliver(deliver, e); err != nil {
		return fmt.Errorf("deliver event %d: %w", e.Revision, err)
	}
	if err := l.log.SetPosition(ctx, l.sink.Name(), e.Revision); err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	l.position, l.hash = e.Revision, e.Hash
	return nil
}

func (l *loop) verify(e store.Entry) error {
	if e.Revision != l.position+1 {
		return fmt.Errorf("%w: revision %d follows %d", ErrChain, e.Revision, l.position)
	}
	if store.Chain(l.hash, e.Revision, e.Doc) != e.Hash {
		return fmt.Errorf("%w at revision %d", ErrChain, e.Revision)
	}
	return nil
}

// wait returns when there may be something to do: after a poke or the poll's interval, after a failure with backoff.
func (l *loop) wait(ctx context.Context, failures int) bool {
	d, poke := l.timing.Poll, l.poke
	if failures > 0 {
		d, poke = l.timing.backoff(failures), nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-poke:
	}
	return true
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&t.Poll, time.Second)
	set(&t.Deliver, 10*time.Second)
	set(&t.Backoff, 200*time.Millisecond)
	set(&t.MaxBackoff, 30*time.Second)
	return t
}

// backoff doubles with each failure up to the maximum; half of it is by chance.
func (t Timing) backoff(failures int) time.Duration {
	d := t.MaxBackoff
	if shift := failures - 1; shift < 10 && t.Backoff<<shift < d {
		d = t.Backoff << shift
	}
	return d/2 + rand.N(d/2+1)
}
