package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Clock is the loop that does what time does to grants: expire, lapse, and activate at the start of a window. HAProxy
// ends a grant by its own clock; this loop makes the record follow.
type Clock struct {
	service  *Service
	interval time.Duration
	failed   func(error)

	started, stopped sync.Once
	stop, done       chan struct{}
}

// sweepLimit is how many grants one pass takes; the next follows at once while there are more.
const sweepLimit = 500

// NewClock makes the loop; failed is told of every pass that failed and must not block.
func NewClock(s *Service, interval time.Duration, failed func(error)) *Clock {
	return &Clock{service: s, interval: interval, failed: failed, stop: make(chan struct{}), done: make(chan struct{})}
}

// Start runs the loop until Stop. A second call does nothing, nor does one after Stop.
func (c *Clock) Start() { c.started.Do(func() { go c.run() }) }

// Stop ends the loop and waits for it. It may be called twice, or without Start.
func (c *Clock) Stop() {
	c.stopped.Do(func() { close(c.stop) })
	c.started.Do(func() { close(c.done) }) // there is no loop, and there will be none
	<-c.done
}

func (c *Clock) run() {
	defer close(c.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-c.stop
		cancel()
	}()
	ticker := time.NewTicker(c.interval)
	defer ticker.Stop()
	for {
		if err := c.service.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.failed(err)
		}
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
	}
}

// Sweep carries out everything that is due. A grant that somebody else changed in between is left to them. One that
// fails does not hold up the others: the errors come back together.
func (s *Service) Sweep(ctx context.Context) error {
	var errs []error
	for {
		due, err := s.Grants.Due(ctx, s.Now(), sweepLimit)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		moved := 0
		for _, r := range due {
			ok, err := s.sweepOne(ctx, r.Grant)
			if err != nil {
				errs = append(errs, err)
			}
			if ok {
				moved++
			}
		}
		if len(due) < sweepLimit || moved == 0 {
			return errors.Join(errs...)
		}
	}
}

// sweepOne reports whether the grant moved.
func (s *Service) sweepOne(ctx context.Context, g grant.Grant) (bool, error) {
	_, e, err := grant.Advance(g, grant.Action{Verb: due(g, s.Now())}, s.Now())
	if err != nil {
		return false, err
	}
	revision, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}})
	switch {
	case errors.Is(err, store.ErrConflict):
		return false, nil
	case err != nil:
		return false, err
	}
	s.Enforcer.Changed(revision)
	return true, nil
}

// due is what time does to the grant now.
func due(g grant.Grant, now time.Time) grant.Verb {
	switch {
	case g.State == grant.Active:
		return grant.Expire
	case g.State == grant.Approved && now.Before(g.LapsesAt):
		return grant.Activate
	default:
		return grant.Lapse
	}
}
