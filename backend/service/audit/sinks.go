package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"

	"github.com/lyft/clutch/backend/service/auditsink"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// namedSink is one of Clutch's sinks.
type namedSink struct {
	name string
	auditsink.Sink
}

const (
	sinkPoll  = time.Second
	sinkBatch = 200
	// lostAfter is when a call without an outcome counts as lost and no longer holds up the events after it.
	lostAfter = time.Minute
)

// sinks tell Clutch's sinks of finished events, in order and at least once: Clutch itself tells them at most once.
type sinks struct {
	log    Log
	all    []namedSink
	logger *zap.Logger
	scope  tally.Scope
	now    func() time.Time

	pokes  []chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSinks(log Log, all []namedSink, logger *zap.Logger, scope tally.Scope, now func() time.Time) *sinks {
	s := &sinks{log: log, all: all, logger: logger, scope: scope, now: now}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for range all {
		s.pokes = append(s.pokes, make(chan struct{}, 1))
	}
	return s
}

// start runs one loop a sink. Call it once.
func (s *sinks) start() {
	for i, sink := range s.all {
		s.wg.Go(func() { s.run(sink, s.pokes[i]) })
	}
}

func (s *sinks) stop() {
	s.cancel()
	s.wg.Wait()
}

func (s *sinks) poke() {
	for _, p := range s.pokes {
		select {
		case p <- struct{}{}:
		default:
		}
	}
}

func (s *sinks) run(sink namedSink, poke <-chan struct{}) {
	ticker := time.NewTicker(sinkPoll)
	defer ticker.Stop()
	for {
		wake := poke
		if err := s.deliver(sink); err != nil && s.ctx.Err() == nil {
			s.scope.Counter("sink_failed").Inc(1)
			s.logger.Error("an audit sink could not be told; it is tried again", zap.String("sink", sink.name), zap.Error(err))
			wake = nil // after a failure not before the next tick
		}
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		case <-wake:
		}
	}
}

// deliver tells the sink of every event up to the first that has no outcome yet.
func (s *sinks) deliver(sink namedSink) error {
	position := "audit:" + sink.name
	last, err := s.log.Position(s.ctx, position)
	if err != nil {
		return err
	}
	for {
		rows, err := s.log.ReadAudit(s.ctx, time.UnixMilli(0), s.now().Add(time.Hour), last, sinkBatch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Response == nil && s.now().Sub(r.At) < lostAfter {
				return nil
			}
			if err := s.tell(sink, position, r); err != nil {
				return err
			}
			last = r.ID
		}
		if len(rows) < sinkBatch {
			return nil
		}
	}
}

func (s *sinks) tell(sink namedSink, position string, r store.AuditRow) error {
	event, err := eventOf(r)
	if err != nil {
		return err
	}
	if err := sink.Write(event); err != nil {
		return fmt.Errorf("write event %d: %w", r.ID, err)
	}
	return s.log.SetPosition(s.ctx, position, r.ID)
}
