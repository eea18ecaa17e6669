package reconcile_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// After a failure the next try comes after 200 ms, doubled with each failure up to 5 s, half of it by chance.
func TestBackoffIsBoundedAndJittered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.configure(func(h *haproxy) { h.down = true })
		w.start()
		time.Sleep(40 * time.Second)
		most := []time.Duration{200, 400, 800, 1600, 3200, 5000}
		pauses := w.seen.pauses()
		distinct := map[time.Duration]bool{}
		for i, d := range pauses {
			limit := most[min(i, len(most)-1)] * time.Millisecond
			if d < limit/2 || d > limit {
				t.Errorf("%s after failure %d, want %s to %s", d, i+1, limit/2, limit)
			}
			distinct[d] = true
		}
		if len(pauses) < 10 || len(distinct) < 8 {
			t.Errorf("%d failures with %d distances: no jitter", len(pauses), len(distinct))
		}
	})
}

// A pass that meets a reload is made again soon, however many did: the node is well, and its lease goes on ageing.
func TestReloadsByOthersDoNotMakeTheNextTryLate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.configure(func(h *haproxy) {
			h.after = func(call string) {
				if call == "rows hosts.map" {
					h.reload()
				}
			}
		})
		for range 10 {
			w.mustFailFull()
		}
		for _, d := range w.seen.pauses() {
			if d > 200*time.Millisecond {
				t.Errorf("%s until the next try", d)
			}
		}
		w.node.configure(func(h *haproxy) { h.after = nil })
		w.mustFull()
	})
}

// A wake makes the next try sooner, so that a revocation does not wait for the whole of a backoff, but not without end: a
// node that fails is not hammered by everything that people do.
func TestAWakeCutsTheBackoffShortButNotBelowAFloor(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.configure(func(h *haproxy) { h.down = true })
		w.start()
		time.Sleep(20 * time.Second)
		before := len(w.seen.pauses())
		for range 400 {
			w.fleet.Wake()
			time.Sleep(10 * time.Millisecond)
		}
		pauses := w.seen.pauses()[before+1:]
		distinct := map[time.Duration]bool{}
		for _, d := range pauses {
			if d < 250*time.Millisecond || d > 510*time.Millisecond {
				t.Errorf("%s between two tries, want 250 to 510 ms", d)
			}
			distinct[d] = true
		}
		if len(pauses) < 6 || len(distinct) < 3 {
			t.Errorf("%d tries with %d distances", len(pauses), len(distinct))
		}
	})
}

func TestBackoffBeginsAnewAfterASuccess(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.configure(func(h *haproxy) { h.down = true })
		w.start()
		time.Sleep(30 * time.Second)
		w.node.configure(func(h *haproxy) { h.down = false })
		time.Sleep(6 * time.Second)
		w.node.configure(func(h *haproxy) { h.down = true })
		w.mustFail()
		_, before := w.seen.counts()
		time.Sleep(200 * time.Millisecond)
		if _, after := w.seen.counts(); after != before+1 {
			t.Error("the first try after a success came late")
		}
	})
}

// A change that is committed while a pass is under way, after it has read the store, leads to another pass.
func TestAWakeDuringAPassIsNotLost(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		var revision int64
		w.node.configure(func(h *haproxy) {
			h.after = func(call string) {
				if call == "worker" && revision == 0 {
					revision = w.source.give(alice("g1", "prod"))
					w.fleet.Wake()
				}
			}
		})
		w.fleet.Wake()
		synctest.Wait() // no time passes
		w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
		w.equal("revision", w.status().Revision, revision)
	})
}

func TestManyWakesAreOnePass(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.latency = 10 * time.Millisecond
		w.start()
		time.Sleep(2 * time.Second)
		before, _ := w.seen.counts()
		for range 1000 {
			w.fleet.Wake()
		}
		time.Sleep(5 * time.Second)
		if after, _ := w.seen.counts(); after-before > 2 {
			t.Errorf("%d passes", after-before)
		}
	})
}

func TestAFullPassFollowsAReloadAndARestartWithinASecond(t *testing.T) {
	for name, event := range map[string]func(*haproxy){"reload": (*haproxy).reload, "restart": (*haproxy).restart} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.source.give(alice("g1", "prod"))
				w.start()
				time.Sleep(3 * time.Second)
				w.node.configure(func(h *haproxy) { h.files[desired.Grants] = []byte("mallory@example.com|prod/db 9999999999:g9\n") })
				event(w.node)
				time.Sleep(1001 * time.Millisecond)
				w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
			})
		})
	}
}

// Where no lease asks for more, drift is found within ten seconds.
func TestAFullPassComesAtAnInterval(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Environments = w.target.Environments[1:]
		w.start()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Grants] = []desired.Row{{Key: "x", Value: "y"}}
		})
		time.Sleep(10001 * time.Millisecond)
		w.equal("memory", w.node.rows(desired.Grants), []string{})
	})
}

func TestStopEndsAPassThatHangsAndMayBeCalledTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.configure(func(h *haproxy) { h.meet = func(string) fault { return hang } })
		w.start()
		start := time.Now()
		go w.fleet.Stop()
		w.fleet.Stop()
		w.fleet.Stop()
		w.equal("took", time.Since(start), time.Duration(0))
		passes, failures := w.seen.counts()
		w.fleet.Wake()
		w.fleet.Start()
		time.Sleep(time.Minute)
		afterPasses, afterFailures := w.seen.counts()
		w.equal("passes after Stop", afterPasses+afterFailures, passes+failures)
	})
}

func TestStopWithoutStartAndStartTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		never := w.newFleet(w.target)
		never.Stop()
		never.Start()
		w.start()
		w.fleet.Start()
		synctest.Wait()
		passes, _ := w.seen.counts()
		w.equal("passes", passes, 1)
	})
}

// A node that hangs in every call does not hold up another one.
func TestANodeThatHangsDoesNotHoldUpAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		other := newHAProxy()
		other.meet = func(string) fault { return hang }
		slow := w.target
		slow.Name, slow.Node = "n0", other
		w.fleet = w.newFleet(slow, w.target)
		revision := w.source.give(alice("g1", "prod"))
		w.fleet.Start()
		synctest.Wait()
		w.equal("answer", w.opened("prod", revision), reconcile.Answer{Total: 2, Enforced: 1})
		// The rest of the pass under way, backoff, and the whole of the next: each call to the node is given up after 5 s.
		if took := w.awaited(time.Minute, revision); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("Await took %s", took)
		}
	})
}

// A pass is bounded as a whole: a node that answers each call just in time is given up.
func TestAPassIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.latency = 4 * time.Second
		w.start()
		time.Sleep(31 * time.Second)
		if _, failures := w.seen.counts(); failures != 1 {
			t.Errorf("%d failures", failures)
		}
		if err := w.status().Err; err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("error %v", err)
		}
	})
}
