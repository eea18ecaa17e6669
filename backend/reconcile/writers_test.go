package reconcile_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// hall is what two gateways share: a lock for each node, and a board.
type hall struct {
	mu     sync.Mutex
	holder map[string]*gateway
	board  map[string]reconcile.Status
}

// gateway is one of them.
type gateway struct {
	*hall
	name string
	// silent is for how long the one before it has been seen to be silent when this one claims.
	silent time.Duration
}

func (g *gateway) Claim(_ context.Context, node string) (reconcile.Tenure, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holder[node] != nil && g.holder[node] != g {
		return nil, reconcile.ErrNotWriter
	}
	g.holder[node] = g
	return tenure{g, node, time.Now().Add(-g.silent)}, nil
}

type tenure struct {
	*gateway
	node  string
	since time.Time
}

func (t tenure) Since() time.Time { return t.since }

func (t tenure) Check(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder[t.node] != t.gateway {
		return errors.New("the session is over")
	}
	return nil
}

func (t tenure) Release() { t.give(t.gateway, nil) }

// give takes nodes from one gateway.
func (h *hall) give(from, to *gateway) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node, g := range h.holder {
		if g == from {
			h.holder[node] = to
		}
	}
}

func (g *gateway) Publish(_ context.Context, s reconcile.Status) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.board[s.Name] = s
	return nil
}

func (g *gateway) Read(context.Context) ([]reconcile.Status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.board)), nil
}

// pair starts two gateways over the world's node, the first of which writes.
func (w *world) pair() (h *hall, first, second *gateway, other *reconcile.Fleet) {
	return w.pairWith(nil)
}

// pairWith is pair with a journal that both write to.
func (w *world) pairWith(j reconcile.Journal) (h *hall, first, second *gateway, other *reconcile.Fleet) {
	h = &hall{holder: map[string]*gateway{}, board: map[string]reconcile.Status{}}
	first, second = &gateway{hall: h, name: "a"}, &gateway{hall: h, name: "b"}
	w.options = reconcile.Options{Name: "a", Writers: first, Board: first, Journal: j}
	w.start()
	w.options = reconcile.Options{Name: "b", Writers: second, Board: second, Journal: j}
	other = w.newFleet(w.target)
	other.Start()
	synctest.Wait()
	return h, first, second, other
}

// A writer waits until no call of the one before can be under way; others answer as it does.
func TestAWriterWaitsAndOthersAnswerTheSame(t *testing.T) {
	inWorld(t, func(w *world) {
		revision := w.source.give(alice("g1", "prod"))
		_, _, _, other := w.pair()
		defer other.Stop()
		time.Sleep(5900 * time.Millisecond)
		w.equal("calls before 6 s", w.node.takeLog(), []string(nil))
		time.Sleep(600 * time.Millisecond)
		q := reconcile.Question{Environment: "prod", Revision: revision, Opens: true, Expires: begin.Add(time.Hour)}
		w.equal("the writer", w.fleet.Ask(q).Enforced, 1)
		w.equal("the other", other.Ask(q).Enforced, 1)
		w.equal("who writes", other.Status("")[0].Writer, "a")

		revision = w.source.end("g1")
		w.fleet.Wake()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		other.Await(ctx, "prod", revision)
		ended := reconcile.Question{Environment: "prod", Revision: revision, Expires: begin.Add(time.Hour)}
		w.equal("the other, of the end", other.Ask(ended).Enforced, 1)
	})
}

// What a gateway could have begun counts from its last word, where that is known; but nobody writes at once.
func TestAWriterThatWasSilentForLongIsWaitedForNoLonger(t *testing.T) {
	for silent, want := range map[time.Duration]time.Duration{
		0: 6 * time.Second, 4 * time.Second: 2 * time.Second, time.Minute: 1500 * time.Millisecond,
	} {
		inWorld(t, func(w *world) {
			h := &hall{holder: map[string]*gateway{}, board: map[string]reconcile.Status{}}
			w.options = reconcile.Options{Name: "a", Writers: &gateway{hall: h, name: "a", silent: silent}}
			w.start()
			time.Sleep(want - time.Millisecond)
			w.equal("calls before", w.node.takeLog(), []string(nil))
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			w.equal("healthy", w.status().Healthy, true)
		})
	}
}

// A writer that is passed over writes nothing more, and the next one does within 10 s. Its own word is worth nothing from
// the moment on when it could not prove that it still was the writer.
func TestI4AWriterThatIsPassedOverWritesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		h, first, _, other := w.pair()
		defer other.Stop()
		time.Sleep(7 * time.Second)
		revision := w.source.give(granted("g2", "bob@example.com", "prod"))
		w.source.configure(func(s *source) {
			s.reading = func() { h.give(first, nil) } // in the middle of the pass
		})
		w.node.takeLog()
		w.fleet.Wake()
		synctest.Wait()
		w.source.configure(func(s *source) { s.reading = nil })
		w.equal("changes", changing(w.node.takeLog()), []string{})
		time.Sleep(10 * time.Second)
		w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1", bobProd + " " + inAnHour + ":g2"})
		w.equal("enforced", w.opened("prod", revision).Enforced, 1)
	})
}

// Nobody has heard of the writer for longer than a lease lasts: what it said is not taken for how it is.
func TestAStatusOfAWriterThatIsSilentIsStale(t *testing.T) {
	inWorld(t, func(w *world) {
		revision := w.source.give(alice("g1", "prod"))
		h, _, _, other := w.pair()
		defer other.Stop()
		time.Sleep(7 * time.Second)
		w.equal("healthy", other.Status("")[0].Healthy, true)
		h.give(nil, nil)
		w.stop()
		h.mu.Lock()
		h.holder["n1"] = &gateway{hall: h, name: "nobody"} // still has the lock, and says nothing
		h.mu.Unlock()
		time.Sleep(36 * time.Second)
		w.equal("healthy", other.Status("")[0].Healthy, false)
		w.equal("open", other.Ask(reconcile.Question{Environment: "prod", Revision: revision, Opens: true, Expires: begin.Add(time.Hour)}).Enforced, 0)
	})
}
