package audit

import (
	"context"
	"fmt"
	"math"
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
	// lostAfter is when a call without an outcome counts as lost and no longer holds up the events after it. Should its
	// outcome come after all, the sinks hear of it then.
	lostAfter = time.Minute
)

// sinks tell Clutch's sinks of finished events, in order and at least once: Clutch itself tells them at most once.
type sinks struct {
	loops  []*sinkLoop
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSinks(log Log, all []namedSink, logger *zap.Logger, scope tally.Scope, now func() time.Time) *sinks {
	s := &sinks{}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, sink := range all {
		s.loops = append(s.loops, &sinkLoop{
			sink: sink, position: "audit:" + sink.name, log: log, logger: logger, failed: scope.Counter("sink_failed"), now: now,
			poke: make(chan struct{}, 1),
		})
	}
	return s
}

// start runs one loop a sink. Call it once.
func (s *sinks) start() {
	for _, l := range s.loops {
		s.wg.Go(func() { l.run(s.ctx) })
	}
}

// stop ends the loops and waits for them; a sink's Write knows no deadline, and is waited for.
func (s *sinks) stop() {
	s.cancel()
	s.wg.Wait()
}

// finished says that an event has its outcome now.
func (s *sinks) finished(id int64) {
	for _, l := range s.loops {
		l.finished(id)
	}
}

// sinkLoop tells one sink.
type sinkLoop struct {
	sink     namedSink
	position string // its name in store.Positions
	log      Log
	logger   *zap.Logger
	failed   tally.Counter
	now      func() time.Time
	poke     chan struct{}

	mu sync.Mutex
	// untold is the lowest event that was finished since the sink was last told of it, or 0. Where it is behind the
	// position, the event was told as lost before, and everything from it on is told again.
	untold int64
}

func (l *sinkLoop) finished(id int64) {
	l.mu.Lock()
	if l.untold == 0 || id < l.untold {
		l.untold = id
	}
	l.mu.Unlock()
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

func (l *sinkLoop) run(ctx context.Context) {
	ticker := time.NewTicker(sinkPoll)
	defer ticker.Stop()
	for {
		wake := l.poke
		if err := l.deliver(ctx); err != nil && ctx.Err() == nil {
			l.failed.Inc(1)
			l.logger.Error("an audit sink could not be told; it is tried again", zap.String("sink", l.sink.name), zap.Error(err))
			wake = nil // after a failure not before the next tick
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-wake:
		}
	}
}

// deliver tells the sink of every event up to the first that has no outcome yet.
func (l *sinkLoop) deliver(ctx context.Context) error {
	last, err := l.start(ctx)
	if err != nil {
		return err
	}
	for {
		// Of all times: the clock may have been wrong when they were written.
		rows, err := l.log.ReadAudit(ctx, time.UnixMilli(0), time.UnixMilli(math.MaxInt64), last, sinkBatch)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.Response == nil && l.now().Sub(r.At).Abs() < lostAfter {
				return nil
			}
			if err := l.tell(ctx, r); err != nil {
				return err
			}
			last = r.ID
		}
		if len(rows) < sinkBatch {
			return nil
		}
	}
}

// start is the event after which to begin.
func (l *sinkLoop) start(ctx context.Context) (int64, error) {
	last, err := l.log.Position(ctx, l.position)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.untold != 0 && l.untold <= last {
		last = l.untold - 1
	}
	return last, nil
}

func (l *sinkLoop) tell(ctx context.Context, r store.AuditRow) error {
	event, err := eventOf(r)
	if err != nil {
		return err
	}
	if err := l.sink.Write(event); err != nil {
		return fmt.Errorf("write event %d: %w", r.ID, err)
	}
	if err := l.log.SetPosition(ctx, l.position, r.ID); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.ID == l.untold && r.Response != nil {
		l.untold = 0
	}
	return nil
}
