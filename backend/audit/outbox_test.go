package audit

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// start runs an outbox until the test's end. Time in these tests is synctest's: it moves when all wait.
func start(t *testing.T, log Log, o Observer, timing Timing, sinks ...Sink) *Outbox {
	box := New(log, sinks, alone(), o, timing)
	box.Start()
	t.Cleanup(box.Stop)
	return box
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func TestI7EverySinkHearsEveryEventInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, one, two := newLog(3*batch+1), newSink("one"), newSink("two")
		log.positions["two"] = 7
		start(t, log, &fakeObserver{}, Timing{}, one, two)
		synctest.Wait()
		expect(t, "one", one.heard(), upTo(3*batch+1))
		expect(t, "two", two.heard(), upTo(3*batch + 1)[7:])
		expect(t, "position of one", log.position("one"), int64(3*batch+1))
	})
}

func TestPokeDeliversAtOnceAndPollWithoutIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newLog(1), newSink("s")
		box := start(t, log, &fakeObserver{}, Timing{Poll: time.Minute}, sink)
		synctest.Wait()
		began := time.Now()
		log.grow(1)
		box.Poke()
		box.Poke() // does not block, however often
		box.Poke()
		synctest.Wait()
		expect(t, "after a poke", sink.heard(), upTo(2))
		if waited := time.Since(began); waited != 0 {
			t.Fatalf("it waited for %v", waited)
		}
		log.grow(1)
		synctest.Wait()
		expect(t, "before the poll", sink.heard(), upTo(2))
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "after the poll", sink.heard(), upTo(3))
	})
}

// I7: the process ends after an event was delivered and before that was written down.
func TestI7CrashBetweenDeliverAndSaveDeliversAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newLog(5), newSink("s")
		dead := false
		log.saveFails = func(revision int64) bool {
			dead = dead || revision == 3
			return dead
		}
		box := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{Backoff: time.Hour, MaxBackoff: time.Hour})
		box.Start()
		synctest.Wait()
		box.Stop()
		expect(t, "before the crash", sink.heard(), upTo(3))
		expect(t, "position", log.position("s"), int64(2))

		log.saveFails = func(int64) bool { return false }
		start(t, log, &fakeObserver{}, Timing{}, sink)
		synctest.Wait()
		expect(t, "in both lives", sink.heard(), []int64{1, 2, 3, 3, 4, 5})
	})
}

func TestAFailingSinkIsTriedAgainWithBoundedBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, other, o := newLog(3), newSink("s"), newSink("other"), &fakeObserver{}
		sink.failBy(func(_ context.Context, revision int64) error {
			if revision == 2 {
				return errFault
			}
			return nil
		})
		box := start(t, log, o, Timing{Poll: time.Hour, Backoff: time.Second, MaxBackoff: 10 * time.Second}, sink, other)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		expect(t, "told", sink.heard(), upTo(1))
		expect(t, "the other sink", other.heard(), upTo(3))

		// At 0.5 to 1 s, then 1 to 2, 2 to 4, 4 to 8, and 5 to 10 for ever.
		bounds := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second}
		tries := sink.attempts()[1:]
		if len(tries) < 15 {
			t.Fatalf("tried %d times in two minutes", len(tries))
		}
		for i := range tries[1:] {
			longest := bounds[min(i, len(bounds)-1)]
			if gap := tries[i+1].Sub(tries[i]); gap < longest/2 || gap > longest {
				t.Errorf("try %d came after %v, want %v to %v", i+2, gap, longest/2, longest)
			}
		}
		if got := o.failures(); len(got) != len(tries) || got[0] != "s: deliver event 2: fault" {
			t.Errorf("%d reports for %d failures, the first %q", len(got), len(tries), got[0])
		}

		before := len(sink.attempts())
		box.Poke() // does not break into the backoff
		synctest.Wait()
		expect(t, "tries after a poke", len(sink.attempts()), before)

		sink.failBy(func(context.Context, int64) error { return nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expect(t, "after it recovered", sink.heard(), upTo(3))
		// The next failure begins at the first step again.
		log.grow(1)
		sink.failBy(func(context.Context, int64) error { return errFault })
		box.Poke()
		synctest.Wait()
		before = len(sink.attempts())
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "tries in the second after", len(sink.attempts()), before+1)
	})
}

func TestJitterSpreadsTheTries(t *testing.T) {
	timing := Timing{Backoff: time.Second, MaxBackoff: time.Minute}
	seen := map[time.Duration]bool{}
	for range 50 {
		seen[timing.backoff(3)] = true
	}
	if len(seen) < 10 {
		t.Fatalf("%d different waits out of 50", len(seen))
	}
	for _, failures := range []int{1, 2, 11, 64, 1 << 40} { // no shift may overflow
		if d := timing.backoff(failures); d <= 0 || d > time.Minute {
			t.Errorf("after %d failures %v", failures, d)
		}
	}
}

func TestAStuckSinkHoldsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, stuck, other, o := newLog(4), newSink("stuck"), newSink("other"), &fakeObserver{}
		stuck.fails = func(ctx context.Context, _ int64) error {
			<-ctx.Done()
			return ctx.Err()
		}
		start(t, log, o, Timing{Deliver: 5 * time.Second}, stuck, other)
		synctest.Wait()
		expect(t, "the other sink", other.heard(), upTo(4))
		expect(t, "reports", len(o.failures()), 0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, "reports after the deadline", o.failures(), []string{"stuck: deliver event 1: context deadline exceeded"})
	})
}

func TestAnUnreadableLogIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, o := newLog(2), newSink("s"), &fakeObserver{}
		failures := 3
		log.readFails = func() bool {
			failures--
			return failures >= 0
		}
		start(t, log, o, Timing{}, sink)
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "told", sink.heard(), upTo(2))
		expect(t, "reports", len(o.failures()), 3)
		expect(t, "broken chains", len(o.breaks()), 0)
	})
}

func TestStartAndStopAsOftenAsOneLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink := newLog(1), newSink("s")
		box := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{})
		box.Start()
		box.Start()
		synctest.Wait()
		expect(t, "told", sink.heard(), upTo(1))
		box.Stop()
		box.Stop()
		log.grow(1)
		box.Start()
		box.Poke()
		synctest.Wait()
		expect(t, "told after the end", sink.heard(), upTo(1))

		never := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{})
		never.Stop()
		never.Start()
		synctest.Wait()
		expect(t, "told by what was stopped first", sink.heard(), upTo(1))
	})
}

func TestStopEndsADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, o := newLog(1), newSink("s"), &fakeObserver{}
		sink.fails = func(ctx context.Context, _ int64) error {
			<-ctx.Done()
			return ctx.Err()
		}
		box := New(log, []Sink{sink}, alone(), o, Timing{Deliver: time.Hour})
		box.Start()
		synctest.Wait()
		began := time.Now()
		box.Stop()
		if time.Since(began) != 0 || !slices.Equal(o.failures(), nil) {
			t.Fatalf("it took %v, and %v was reported", time.Since(began), o.failed)
		}
	})
}
