package access

import (
	"context"
	"sync"
	"time"
)

// Loop does one thing again and again: at an interval, and when it is poked.
type Loop struct {
	pass     func(context.Context) error
	interval time.Duration
	poked    <-chan struct{}
	failed   func(error)

	started, stopped sync.Once
	stop, done       chan struct{}
}

// NewClock makes the loop that does what time does to grants: expire, lapse, and activate at the start of a window.
// HAProxy ends a grant by its own clock; this loop makes the record follow. failed is told of every pass that failed and must not
// block.
func NewClock(s *Service, interval time.Duration, failed func(error)) *Loop {
	return NewLoop(s.Sweep, interval, nil, failed)
}

// NewJudge makes the loop that ends what policy, the newest groups and the locks do not let stand (see Service.Judge): at
// the interval, and at once after Service.Poke.
func NewJudge(s *Service, interval time.Duration, failed func(error)) *Loop {
	return NewLoop(s.Judge, interval, s.poked, failed)
}

// NewLoop makes a loop: pass is called at once, at the interval, and when something comes out of poked, which may be nil.
func NewLoop(pass func(context.Context) error, interval time.Duration, poked <-chan struct{}, failed func(error)) *Loop {
	return &Loop{
		pass: pass, interval: interval, poked: poked, failed: failed, stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start runs the loop until Stop. A second call does nothing, nor does one after Stop.
func (l *Loop) Start() { l.started.Do(func() { go l.run() }) }

// Stop ends the loop and waits for it. It may be called twice, or without Start.
func (l *Loop) Stop() {
	l.stopped.Do(func() { close(l.stop) })
	l.started.Do(func() { close(l.done) }) // there is no loop, and there will be none
	<-l.done
}

func (l *Loop) run() {
	defer close(l.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-l.stop
		cancel()
	}()
	ticker := time.NewTicker(l.interval)
	defer ticker.Stop()
	for {
		if err := l.once(ctx); err != nil && ctx.Err() == nil {
			l.failed(err)
		}
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		case <-l.poked:
		}
	}
}

// maxPass bounds a pass: one that hangs, on a database that does not answer, must fail and be seen.
const maxPass = 5 * time.Minute

func (l *Loop) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxPass)
	defer cancel()
	return l.pass(ctx)
}
