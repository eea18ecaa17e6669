package audit

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// I7: a log that is not what was written is told to no sink, from the first forged event on, and a person hears of it.
func TestI7AForgedLogStopsDelivery(t *testing.T) {
	tests := map[string]struct {
		forge func(*fakeLog)
		told  int64
	}{
		"an event changed":  {func(l *fakeLog) { l.entries[3].Doc[20] ^= 1 }, 3},
		"the first changed": {func(l *fakeLog) { l.entries[0].Doc[20] ^= 1 }, 0},
		"a hash changed":    {func(l *fakeLog) { l.entries[2].Hash[0] ^= 1 }, 2},
		"an event gone":     {func(l *fakeLog) { l.entries = slices.Delete(l.entries, 4, 5) }, 4},
		"an event put in, all after it renumbered": {func(l *fakeLog) {
			l.entries = slices.Insert(l.entries, 2, l.entries[1])
			for i := range l.entries {
				l.entries[i].Revision = int64(i + 1)
			}
		}, 2},
		"a number left out, and the hash made to fit": {func(l *fakeLog) {
			l.grow(2)
			l.entries = slices.Delete(l.entries, 6, 7)
			last := &l.entries[6]
			l.entries = l.entries[:6]
			last.Hash = l.hash(last.Revision, last.Doc)
			l.entries = append(l.entries, *last)
		}, 6},
		"two interchanged": {func(l *fakeLog) {
			l.entries[1].Doc, l.entries[2].Doc = l.entries[2].Doc, l.entries[1].Doc
		}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, sink := newLog(6), newSink("s")
				test.forge(log)
				want := []string{"s: " + string(rune('0'+test.told+1))}
				for range 2 { // a restart changes nothing
					o := &fakeObserver{}
					box := New(log, []Sink{sink}, alone(), o, Timing{})
					box.Start()
					time.Sleep(time.Hour)
					synctest.Wait()
					expect(t, "told", sink.heard(), upTo(test.told))
					expect(t, "reported", o.breaks(), want)
					box.Stop()
				}
			})
		})
	}
}

// A sink that was told of more than the log has: its end was cut off, or an old copy was put in its place.
func TestI7ALogThatLostItsEndStopsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, o := newLog(3), newSink("s"), &fakeObserver{}
		log.positions["s"] = 5
		start(t, log, o, Timing{}, sink)
		synctest.Wait()
		log.grow(4)
		time.Sleep(time.Hour)
		synctest.Wait()
		expect(t, "told", len(sink.heard()), 0)
		expect(t, "reported", o.breaks(), []string{"s: 5"})
	})
}

// A log that is cut while the outbox runs, and grows again with other events.
func TestI7ALogThatIsRewrittenStopsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, o := newLog(3), newSink("s"), &fakeObserver{}
		box := start(t, log, o, Timing{}, sink)
		synctest.Wait()
		log.mu.Lock()
		log.entries = log.entries[:1]
		log.entries[0].Hash[5] ^= 1
		log.mu.Unlock()
		log.grow(5)
		box.Poke()
		synctest.Wait()
		expect(t, "told", sink.heard(), upTo(3))
		expect(t, "reported", o.breaks(), []string{"s: 4"})
	})
}

// An event whose stored form is none that was ever written is not tried for ever like a database that fails.
func TestI7AnUnreadableEventStopsDelivery(t *testing.T) {
	for name, told := range map[string]int64{"met on the way": 0, "met on the way after a restart": 2, "the last one that was told": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, sink, o := newLog(6), newSink("s"), &fakeObserver{}
				log.positions["s"], log.corrupt = told, 4
				start(t, log, o, Timing{}, sink)
				time.Sleep(time.Hour)
				synctest.Wait()
				expect(t, "told", sink.heard(), append([]int64(nil), upTo(3)[min(told, 3):]...))
				expect(t, "reported", o.breaks(), []string{"s: 4"})
				expect(t, "failures", len(o.failures()), 0)
			})
		})
	}
}

// The event that a sink was told last is gone from the midst of the log: what comes after it follows from nothing.
func TestI7ALogWithoutTheLastToldEventStopsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, sink, o := newLog(5), newSink("s"), &fakeObserver{}
		log.positions["s"] = 3
		log.entries = slices.Delete(log.entries, 2, 3)
		start(t, log, o, Timing{}, sink)
		time.Sleep(time.Hour)
		synctest.Wait()
		expect(t, "told", len(sink.heard()), 0)
		expect(t, "reported", o.breaks(), []string{"s: 3"})
	})
}

// Who was told before of what is forged now goes on; who was not stops, and each says so for itself.
func TestI7ABreakStopsOnlyWhoComesToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, behind, ahead, o := newLog(6), newSink("behind"), newSink("ahead"), &fakeObserver{}
		log.positions["ahead"] = 4
		log.entries[2].Doc[20] ^= 1
		box := start(t, log, o, Timing{}, behind, ahead)
		synctest.Wait()
		log.grow(1)
		box.Poke() // nobody listens to one of them any more
		synctest.Wait()
		expect(t, "behind", behind.heard(), upTo(2))
		expect(t, "ahead", ahead.heard(), upTo(7)[4:])
		expect(t, "reported", o.breaks(), []string{"behind: 3"})
	})
}

// I7 under random faults and restarts: no event is left out, none comes before an earlier one was told.
func TestI7RandomFaultsLoseNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		faults := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 60).Draw(rt, "faults")
		grow := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 8).Draw(rt, "growth")
		synctest.Test(t, func(t *testing.T) {
			log, sink := newLog(0), newSink("s")
			next := func(kind int) bool { // each fault is met once, by whoever comes to it
				if len(faults) > 0 && faults[0] == kind {
					faults = faults[1:]
					return true
				}
				if len(faults) > 0 && faults[0] > 2 {
					faults = faults[1:]
				}
				return false
			}
			log.readFails = func() bool { return next(0) }
			log.saveFails = func(int64) bool { return next(1) }
			sink.fails = func(context.Context, int64) error {
				log.mu.Lock()
				defer log.mu.Unlock()
				if next(2) {
					return errFault
				}
				return nil
			}
			for _, n := range grow {
				box := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{})
				box.Start()
				log.grow(n)
				box.Poke()
				synctest.Wait()
				box.Stop() // in the midst of a backoff, or idle
			}
			box := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{})
			box.Start()
			time.Sleep(time.Hour)
			synctest.Wait()
			box.Stop()
			checkHeard(rt, sink.heard(), log.entries)
		})
	})
}

func checkHeard(rt *rapid.T, heard []int64, entries []store.Entry) {
	known := int64(0)
	for _, revision := range heard {
		switch {
		case revision > known+1:
			rt.Fatalf("%d was told after %d: %v", revision, known, heard)
		case revision < known:
			rt.Fatalf("%d was told again after %d: %v", revision, known, heard)
		}
		known = max(known, revision)
	}
	if known != int64(len(entries)) {
		rt.Fatalf("told up to %d of %d: %v", known, len(entries), heard)
	}
}
