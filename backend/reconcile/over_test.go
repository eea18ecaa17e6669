package reconcile_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// These are about an end that is reported because the node's lease has run out, though nobody has taken the row away. It
// holds only if nothing gives the node a lease while the row is there, nor the row back once it has one.

// at calls what once, when the node is asked for call, before it is done.
func (w *world) at(call string, what func()) {
	var met atomic.Bool
	w.node.configure(func(n *haproxy) {
		n.meet = func(c string) fault {
			if c == call && met.CompareAndSwap(false, true) {
				what()
			}
			return none
		}
	})
}

// cutOff takes the node out of touch for longer than its lease and the bound of clocks.
func (w *world) cutOff() {
	w.node.configure(func(n *haproxy) { n.down = true })
	time.Sleep(40 * time.Second)
	w.node.configure(func(n *haproxy) { n.down = false })
}

// admittedAfter notes by which grants the node admits alice when call was done.
func (w *world) admittedAfter(call string) (ids *[]string) {
	ids = new([]string)
	w.node.configure(func(n *haproxy) {
		n.after = func(c string) {
			if c == call && *ids == nil {
				*ids = n.admitted("prod", aliceProd)
			}
		}
	})
	return ids
}

// askOfTheEnd asks a gateway on how many nodes the end of alice's grant is in force.
func (w *world) askOfTheEnd(f *reconcile.Fleet, revision int64) int {
	return f.Ask(reconcile.Question{Environment: "prod", Revision: revision, Expires: begin.Add(time.Hour)}).Enforced
}

// A pass that was under way when the grant ended goes by what it has read: it gives the lease, and by it the row admits.
func TestI2ALeaseThatIsOverEndsNothingWhileAPassIsUnderWayThatDoesNotKnowTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		var revision int64
		var reported int
		w.at("rows hosts.map", func() {
			revision = w.source.end("g1")
			w.fleet.Wake()
			reported = w.askOfTheEnd(w.fleet, revision)
		})
		admitted := w.admittedAfter("set leases.map prod")
		w.cutOff()
		time.Sleep(6 * time.Second) // the longest backoff
		synctest.Wait()
		w.equal("admitted after the end", *admitted, []string{"g1"})
		w.equal("was reported as enforced on", reported, 0)
		w.equal("admitted at last", w.node.admitted("prod", aliceProd), []string(nil))
		w.equal("enforced at last", w.askOfTheEnd(w.fleet, revision), 1)
	})
}

// So does what another gateway answers for the writer, whatever its clock says of when the grant ended.
func TestI2ALeaseThatIsOverEndsNothingForOthersWhileTheWriterDoesNotKnowTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		_, _, _, other := w.pair()
		defer other.Stop()
		time.Sleep(7 * time.Second)
		var revision int64
		reported := -1
		w.at("rows hosts.map", func() {
			revision = w.source.end("g1")
			reported = w.askOfTheEnd(other, revision)
		})
		admitted := w.admittedAfter("set leases.map prod")
		w.cutOff()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		w.equal("admitted after the end", *admitted, []string{"g1"})
		w.equal("was reported as enforced on", reported, 0)
		w.fleet.Wake()
		time.Sleep(time.Second)
		w.equal("enforced at last", w.askOfTheEnd(other, revision), 1)
	})
}

// halting is the store as a gateway sees it that stands still while gate is there: it says so, and waits.
type halting struct {
	*source
	mu     sync.Mutex
	gate   chan struct{}
	stands chan struct{}
}

func (h *halting) Revision(ctx context.Context) (int64, error) {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate != nil {
		h.stands <- struct{}{}
		select {
		case <-gate:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return h.source.Revision(ctx)
}

func (h *halting) halt(gate chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = gate
}

// A gateway that stood still, was passed over, and then reads of the end does not know what the next writer's pass goes by.
func TestI2WhatAGatewayReadsThatIsPassedOverSaysNothingOfTheNextOnesPass(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		h := &hall{holder: map[string]*gateway{}, board: map[string]reconcile.Status{}}
		first, second := &gateway{hall: h, name: "a"}, &gateway{hall: h, name: "b"}
		theirs := &halting{source: w.source, stands: make(chan struct{}, 1)}
		one := reconcile.New(reconcile.Options{
			Name: "a", Writers: first, Board: first, Targets: []reconcile.Target{w.target},
			Source: theirs, Observer: w.seen, Now: time.Now,
		})
		one.Start()
		defer one.Stop()
		synctest.Wait()
		w.options = reconcile.Options{Name: "b", Writers: second, Board: second}
		w.start()
		time.Sleep(8 * time.Second)

		w.node.configure(func(n *haproxy) { n.down = true })
		time.Sleep(40 * time.Second)
		gate := make(chan struct{})
		theirs.halt(gate)
		<-theirs.stands
		h.give(first, second)
		reported := -1
		w.at("rows hosts.map", func() { // by the second
			revision := w.source.end("g1")
			theirs.halt(nil)
			close(gate)
			time.Sleep(time.Second) // the first reads of it, and finds that it is not the writer
			reported = w.askOfTheEnd(one, revision)
		})
		admitted := w.admittedAfter("set leases.map prod")
		w.node.configure(func(n *haproxy) { n.down = false })
		time.Sleep(9 * time.Second) // 1 s to claim it, and 6 s to take it over
		synctest.Wait()
		w.equal("admitted after the end", *admitted, []string{"g1"})
		w.equal("was reported as enforced on", reported, 0)
	})
}

// A write that got no answer may bring the row back, and by then the node may have a lease.
func TestI2ALeaseThatIsOverEndsNothingWhileAWriteMayStillArrive(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Environments[0].Lease = 12 * time.Second
		w.start()
		time.Sleep(10 * time.Second)
		w.source.give(alice("g1", "prod"))
		w.node.configure(func(n *haproxy) {
			n.meet = func(c string) fault {
				if c == "add grants.map "+aliceProd {
					return hang
				}
				return none
			}
		})
		w.fleet.Wake()
		time.Sleep(5100 * time.Millisecond) // it is given up
		w.node.configure(func(n *haproxy) { n.meet, n.down = nil, true })
		revision := w.source.end("g1")
		w.fleet.Wake()
		time.Sleep(20 * time.Second) // the lease is over
		w.equal("reported as enforced on", w.askOfTheEnd(w.fleet, revision), 0)
		w.node.configure(func(n *haproxy) { n.down = false })
		time.Sleep(6 * time.Second)
		w.node.edit(func(running *process, _ map[desired.Map][]byte) { // here it comes
			running.maps[desired.Grants] = append(running.maps[desired.Grants], desired.Row{Key: aliceProd, Value: inAnHour + ":g1"})
		})
		w.equal("admitted after the end", w.node.admitted("prod", aliceProd), []string{"g1"})
		w.node.configure(func(n *haproxy) { n.down = true })
		time.Sleep(16 * time.Second) // it can arrive no more, and the lease is over
		w.equal("reported as enforced on at last", w.askOfTheEnd(w.fleet, revision), 1)
		w.equal("admitted at last", w.node.admitted("prod", aliceProd), []string(nil))
	})
}
