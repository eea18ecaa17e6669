package reconcile_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// stopped is the node as a gateway sees it that stands still in the middle of a pass, as by SIGSTOP.
type stopped struct {
	*haproxy
	now atomic.Bool
}

func (s *stopped) Worker(ctx context.Context) (reconcile.Worker, error) {
	if s.now.Load() {
		<-ctx.Done()
	}
	return s.haproxy.Worker(ctx)
}

// A writer that stands still and is passed over does not take the lease that it gave for the last one: the next writer has
// given another, by which the row of the grant admits.
func TestI2TheWordOfAWriterThatIsPassedOverIsOfWhenItLastWasTheWriter(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.target.Environments[0].Lease = 3 * time.Second
		h := &hall{holder: map[string]*gateway{}, board: map[string]reconcile.Status{}}
		first, second := &gateway{hall: h, name: "a"}, &gateway{hall: h, name: "b"}
		halting := &stopped{haproxy: w.node}
		theirs := w.target
		w.target.Node = halting
		w.options = reconcile.Options{Name: "a", Writers: first, Board: first}
		w.start()
		w.options = reconcile.Options{Name: "b", Writers: second, Board: second}
		other := w.newFleet(theirs)
		other.Start()
		defer other.Stop()
		time.Sleep(8 * time.Second)

		halting.now.Store(true)
		time.Sleep(1100 * time.Millisecond) // it asks for the worker each second
		h.give(first, second)
		time.Sleep(8 * time.Second)
		revision := w.source.end("g1")
		q := reconcile.Question{Environment: "prod", Revision: revision, Expires: begin.Add(time.Hour)}
		w.equal("admitted by the lease of the next writer", w.node.admitted("prod", aliceProd), []string{"g1"})
		w.equal("the one that was passed over", w.fleet.Ask(q).Enforced, 0)
		w.equal("the next", other.Ask(q).Enforced, 0)
	})
}

// What a pass has seen counts only if its gateway was the writer until it had seen all: else another's calls may have been
// under way.
func TestI2APassThatOutlivesItsTenureReportsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "staging"))
		h, first, _, other := w.pair()
		defer other.Stop()
		time.Sleep(7 * time.Second)
		revision := w.source.end("g1")
		w.node.configure(func(n *haproxy) {
			n.after = func(call string) {
				if call == "file "+string(desired.Grants) {
					h.give(first, nil) // all is written, and read back
				}
			}
		})
		before, _ := w.seen.counts()
		w.fleet.Wake()
		synctest.Wait()
		after, _ := w.seen.counts()
		w.equal("memory", w.node.rows(desired.Grants), []string{})
		w.equal("passes that count", after-before, 0)
		w.equal("enforced", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 0)
	})
}

// A write that got no answer may arrive when its grant has ended: until that can no longer be, no end is said to be enforced.
func TestI2WhileAWriteMayStillArriveNoEndIsReported(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.source.give(alice("g1", "staging"))
		w.node.configure(func(n *haproxy) {
			n.meet = func(call string) fault {
				if call == "add "+string(desired.Grants)+" "+aliceStaging {
					return hang
				}
				return none
			}
		})
		w.fleet.Wake()
		time.Sleep(5100 * time.Millisecond) // it is given up
		w.node.configure(func(n *haproxy) { n.meet = nil })
		revision := w.source.end("g1")
		time.Sleep(6 * time.Second)
		w.equal("healthy", w.status().Healthy, true)
		w.equal("enforced", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 0)
		w.node.edit(func(running *process, _ map[desired.Map][]byte) { // here it comes
			running.maps[desired.Grants] = append(running.maps[desired.Grants], desired.Row{Key: aliceStaging, Value: inAnHour + ":g1"})
		})
		time.Sleep(45 * time.Second)
		w.equal("memory", w.node.rows(desired.Grants), []string{})
		w.equal("enforced at last", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 1)
	})
}

// An older worker keeps the lease that it was frozen with, however short the environment's is by now.
func TestI2ALongerLeaseInAnOlderWorkerCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.hardStop = 10 * time.Minute
		w.target.HardStopAfter = 10 * time.Minute
		w.target.Environments = []reconcile.Environment{{Name: "prod", Lease: 25 * time.Minute}}
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.reload()
		time.Sleep(2 * time.Second)
		shorter := w.target
		shorter.Environments = []reconcile.Environment{{Name: "prod", Lease: 30 * time.Second}}
		w.fleet.SetTargets([]reconcile.Target{shorter})
		revision := w.source.end("g1")
		w.fleet.Wake()
		time.Sleep(2 * time.Minute)
		w.equal("admitted by the older worker", w.node.admitted("prod", aliceProd), []string{"g1"})
		w.equal("enforced", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 0)
		time.Sleep(10 * time.Minute)
		w.equal("enforced when it has ended", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 1)
	})
}

// Streams are cut in the running worker; those of an older one that cannot be reached run until it is stopped.
func TestStreamsOfAnOlderWorkerThatIsNotReachedAreNotSaidToBeCut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Streams = &streams{haproxy: w.node}
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.reload()
		reloaded := time.Now()
		time.Sleep(2 * time.Second)
		revision := w.source.end("g1")
		w.mustPass()
		a := w.ended("prod", revision, begin.Add(time.Hour))
		w.equal("said to be cut", a.StreamsCut, false)
		if until := a.StreamsUntil.Sub(reloaded); until < 30*time.Second || until > 40*time.Second {
			t.Errorf("until %s after the reload", until)
		}
		time.Sleep(50 * time.Second)
		w.equal("when it has been stopped", w.ended("prod", revision, begin.Add(time.Hour)).StreamsCut, true)
	})
}
