package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

// fakeSink is one of Clutch's sinks. It keeps "<method> <code>" of each event.
type fakeSink struct {
	mu    sync.Mutex
	fails int
	tries int
	told  []string
	// during runs in the midst of each Write.
	during func(method string)
}

func (s *fakeSink) Write(e *auditv1.Event) error {
	if s.during != nil {
		s.during(e.GetEvent().GetMethodName())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fails > 0 {
		s.fails--
		return errors.New("fault")
	}
	s.told = append(s.told, fmt.Sprintf("%s %v", e.GetEvent().GetMethodName(), codes.Code(e.GetEvent().GetStatus().GetCode())))
	return nil
}

func (s *fakeSink) failTimes(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = n
}

func (s *fakeSink) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *fakeSink) expect(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.told, want) {
		t.Fatalf("the sink was told %q, want %q", s.told, want)
	}
}

// withSinks runs a test in synctest's time, over a real store. The store belongs to the bubble too, since the loops wait
// for its connections; it is closed before the bubble's end.
func withSinks(t *testing.T, test func(t *testing.T, begin func(sinks map[string]*fakeSink) *Auditor)) {
	path := filepath.Join(t.TempDir(), "s.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		var all []*Auditor
		defer func() {
			for _, a := range all {
				a.Stop()
				a.Stop()
			}
		}()
		test(t, func(sinks map[string]*fakeSink) *Auditor {
			var named []namedSink
			for name, s := range sinks {
				named = append(named, namedSink{name: name, Sink: s})
			}
			a := newAuditor(db, named, zap.NewNop(), tally.NoopScope, time.Now)
			a.sinks.start()
			all = append(all, a)
			return a
		})
	})
}

func TestI7SinksHearOfFinishedEventsInOrder(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		one, two := &fakeSink{}, &fakeSink{}
		a := begin(map[string]*fakeSink{"one": one, "two": two})
		first, second, third := write(t, a, "first"), write(t, a, "second"), write(t, a, "third")
		one.expect(t)
		update(t, a, second, codes.OK)
		one.expect(t) // the first still runs
		update(t, a, first, codes.PermissionDenied)
		one.expect(t, "first PermissionDenied", "second OK")
		update(t, a, third, codes.OK)
		one.expect(t, "first PermissionDenied", "second OK", "third OK")
		two.expect(t, "first PermissionDenied", "second OK", "third OK")
		time.Sleep(time.Hour)
		one.expect(t, "first PermissionDenied", "second OK", "third OK")
	})
}

func TestI7AFailingSinkIsToldAgainAndHoldsNoOther(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		bad, good := &fakeSink{fails: 3}, &fakeSink{}
		a := begin(map[string]*fakeSink{"bad": bad, "good": good})
		update(t, a, write(t, a, "first"), codes.OK)
		update(t, a, write(t, a, "second"), codes.OK)
		good.expect(t, "first OK", "second OK")
		bad.expect(t)
		if n := bad.attempts(); n != 1 { // events that end meanwhile do not hammer it
			t.Fatalf("it was tried %d times at once", n)
		}
		time.Sleep(3 * sinkPoll)
		bad.expect(t, "first OK", "second OK")
	})
}

func TestI7SinksGoOnWhereTheyWereAfterARestart(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		sink := &fakeSink{}
		a := begin(map[string]*fakeSink{"s": sink})
		update(t, a, write(t, a, "first"), codes.OK)
		sink.expect(t, "first OK")
		sink.failTimes(1)
		update(t, a, write(t, a, "second"), codes.OK)
		synctest.Wait()
		a.Stop()
		begin(map[string]*fakeSink{"s": sink})
		sink.expect(t, "first OK", "second OK")
	})
}

// A call whose end was lost holds up the others for a while only; if it ends after all, the sink hears of that too.
func TestI7ALostCallIsToldAsSuchAndAgainWhenItEnds(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		sink := &fakeSink{}
		a := begin(map[string]*fakeSink{"s": sink})
		slow := write(t, a, "slow")
		update(t, a, write(t, a, "after"), codes.OK)
		time.Sleep(lostAfter - time.Second)
		sink.expect(t)
		time.Sleep(2 * time.Second)
		sink.expect(t, "slow Unknown", "after OK")
		sink.failTimes(2) // being told late is no less certain
		update(t, a, slow, codes.Aborted)
		time.Sleep(time.Minute)
		sink.expect(t, "slow Unknown", "after OK", "slow Aborted", "after OK")
		update(t, a, write(t, a, "next"), codes.OK)
		sink.expect(t, "slow Unknown", "after OK", "slow Aborted", "after OK", "next OK")
	})
}

// The outcome comes just as the sink is being told that there is none.
func TestI7AnOutcomeIsNotMissedWhileItsLossIsTold(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		var a atomic.Pointer[Auditor]
		var slow atomic.Int64
		sink := &fakeSink{}
		sink.during = func(string) {
			if id := slow.Swap(0); id != 0 {
				update(t, a.Load(), id, codes.Aborted)
			}
		}
		a.Store(begin(map[string]*fakeSink{"s": sink}))
		slow.Store(write(t, a.Load(), "slow"))
		time.Sleep(lostAfter + time.Second)
		sink.expect(t, "slow Unknown", "slow Aborted")
	})
}

func TestSinksReadInBatches(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		a := begin(nil)
		var want []string
		for n := range sinkBatch + 5 {
			method := fmt.Sprint("m", n)
			id := write(t, a, method)
			if err := a.UpdateRequestEvent(t.Context(), id, &auditv1.RequestEvent{Status: &status.Status{}}); err != nil {
				t.Fatal(err)
			}
			want = append(want, method+" OK")
		}
		sink := &fakeSink{}
		begin(map[string]*fakeSink{"s": sink})
		sink.expect(t, want...)
	})
}

// The clock was years ahead for a while, and was set right: what was written then is told of all the same, and a call
// that was lost then holds up the others no longer than any.
func TestI7EventsOfAClockThatWasAheadAreTold(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		a := begin(nil)
		a.now = func() time.Time { return time.Now().AddDate(3, 0, 0) }
		update(t, a, write(t, a, "ahead"), codes.OK)
		write(t, a, "lost")
		a.now = time.Now
		update(t, a, write(t, a, "right"), codes.OK)
		sink := &fakeSink{}
		begin(map[string]*fakeSink{"s": sink})
		time.Sleep(lostAfter + 2*sinkPoll)
		sink.expect(t, "ahead OK", "lost Unknown", "right OK")
	})
}

// A sink's place is kept under a name that no update of the program may change, apart from that of the outbox's sinks.
func TestI7SinksKeepTheirNames(t *testing.T) {
	if got := NewGrantSink(nil).Name(); got != "grants:clutch.service.audit" {
		t.Errorf("the outbox's sink is %q", got)
	}
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		sink := &fakeSink{}
		a := begin(map[string]*fakeSink{"clutch.service.audit.sink.logger": sink})
		id := write(t, a, "m")
		update(t, a, id, codes.OK)
		sink.expect(t, "m OK")
		position, err := a.log.Position(t.Context(), "audit:clutch.service.audit.sink.logger")
		if err != nil || position != id {
			t.Fatalf("position %d, %v; want %d", position, err, id)
		}
	})
}

// Two lost calls end after all, the later one first, while the sink is down: it hears of both.
func TestI7OfSeveralLateOutcomesNoneIsMissed(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		sink := &fakeSink{}
		a := begin(map[string]*fakeSink{"s": sink})
		one, two := write(t, a, "one"), write(t, a, "two")
		time.Sleep(lostAfter + 2*sinkPoll)
		sink.expect(t, "one Unknown", "two Unknown")
		sink.failTimes(5)
		update(t, a, two, codes.Aborted)
		synctest.Wait()
		update(t, a, one, codes.NotFound)
		time.Sleep(time.Minute)
		sink.expect(t, "one Unknown", "two Unknown", "one NotFound", "two Aborted")
	})
}

// The outcome of a lost call comes just as the sink is being told of another event.
func TestI7ALateOutcomeIsNotMissedDuringAnotherEvent(t *testing.T) {
	withSinks(t, func(t *testing.T, begin func(map[string]*fakeSink) *Auditor) {
		var a atomic.Pointer[Auditor]
		var slow atomic.Int64
		sink := &fakeSink{}
		sink.during = func(method string) {
			if method != "other" {
				return
			}
			if id := slow.Swap(0); id != 0 {
				update(t, a.Load(), id, codes.Aborted)
			}
		}
		a.Store(begin(map[string]*fakeSink{"s": sink}))
		slow.Store(write(t, a.Load(), "slow"))
		time.Sleep(lostAfter + 2*sinkPoll)
		sink.expect(t, "slow Unknown")
		update(t, a.Load(), write(t, a.Load(), "other"), codes.OK)
		time.Sleep(time.Minute)
		sink.expect(t, "slow Unknown", "other OK", "slow Aborted", "other OK")
	})
}
