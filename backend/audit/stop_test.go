package audit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// gated is a sink that keeps each event only once the gate lets it, and does not care for its context.
func gated(name string) (sink *fakeSink, gate chan struct{}) {
	sink, gate = newSink(name), make(chan struct{})
	sink.fails = func(context.Context, int64) error {
		<-gate
		return nil
	}
	return sink, gate
}

// The page is read and its one event being delivered: who pokes now means an event that is not in it.
func TestAPokeDuringADeliveryIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(1)
		sink, gate := gated("s")
		box := start(t, log, &fakeObserver{}, Timing{Poll: time.Hour}, sink)
		synctest.Wait()
		log.grow(1)
		box.Poke()
		began := time.Now()
		close(gate)
		synctest.Wait()
		expect(t, "told", sink.heard(), upTo(2))
		if waited := time.Since(began); waited != 0 {
			t.Fatalf("it waited for %v", waited)
		}
	})
}

// After Stop nothing is delivered any more: the store may be closed. That holds for the second caller too.
func TestStopWaitsForADeliveryThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(5)
		sink, gate := gated("s")
		box := New(log, []Sink{sink}, alone(), &fakeObserver{}, Timing{})
		box.Start()
		synctest.Wait()
		stopped := make(chan struct{}, 2)
		for range 2 {
			go func() {
				box.Stop()
				stopped <- struct{}{}
			}()
		}
		synctest.Wait()
		expect(t, "returned during the delivery", len(stopped), 0)
		gate <- struct{}{}
		synctest.Wait()
		expect(t, "returned after it", len(stopped), 2)
		// The rest of the page waits for the next start, though sink and log would have taken it.
		expect(t, "told", sink.heard(), upTo(1))
	})
}

func TestTimingHasDefaults(t *testing.T) {
	expect(t, "all defaults", Timing{}.withDefaults(), Timing{
		Poll: time.Second, Deliver: 10 * time.Second, Backoff: 200 * time.Millisecond, MaxBackoff: 30 * time.Second,
	})
	expect(t, "negative ones", Timing{Poll: -1, Deliver: -1, Backoff: -1, MaxBackoff: -1}.withDefaults(), Timing{}.withDefaults())
	own := Timing{Poll: 1, Deliver: 2, Backoff: 3, MaxBackoff: 4}
	expect(t, "own ones", own.withDefaults(), own)
}
