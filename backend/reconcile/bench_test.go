package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// signal says when a pass has succeeded.
type signal chan reconcile.Result

func (s signal) Passed(_ string, r reconcile.Result) { s <- r }
func (s signal) Failed(string, error)                {}
func (s signal) Drifted(string, reconcile.Drift)     {}
func (s signal) DriftNotKept(string, error)          {}
func (s signal) Elected(string, bool)                {}
func (s signal) until(kind reconcile.Kind, revision int64) {
	for r := range s {
		if r.Kind == kind && r.Revision >= revision {
			return
		}
	}
}

// BenchmarkFullPassOf10000 is what a look at everything costs the gateway for one node, the node's answers apart, and
// BenchmarkChangePassOf10000 what a grant and its end cost.
func BenchmarkFullPassOf10000(b *testing.B) {
	w, passed := bigWorld(b)
	for b.Loop() {
		w.node.configure(func(h *haproxy) { h.running.pid++ })
		w.fleet.Wake()
		passed.until(reconcile.Full, 0)
	}
}

func BenchmarkChangePassOf10000(b *testing.B) {
	w, passed := bigWorld(b)
	for i := 0; b.Loop(); i++ {
		w.source.give(alice(fmt.Sprint("g", i), "prod"))
		w.fleet.Wake()
		passed.until(reconcile.Change, w.source.end(fmt.Sprint("g", i)))
	}
}

func bigWorld(b *testing.B) (*world, signal) {
	w, passed := newWorld(b), make(signal, 1000)
	w.target.Bulk, w.target.Prober = w.node, w.node
	for i := range 10000 {
		g := granted(fmt.Sprintf("0190a1b2-0000-7000-8000-%012d", i), grant.Subject(fmt.Sprintf("person%d@example.com", i)), "prod")
		g.ExpiresAt = time.Now().Add(time.Hour)
		w.source.give(g)
	}
	w.fleet = reconcile.New(reconcile.Options{
		Targets: []reconcile.Target{w.target}, Source: w.source, Observer: passed, Now: time.Now,
	})
	w.fleet.Start()
	b.Cleanup(w.stop)
	passed.until(reconcile.Full, 10000)
	return w, passed
}
