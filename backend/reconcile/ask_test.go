package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// A removal counts as enforced when the running worker started longer ago than an older one can live with a lease (lease,
// bound of clocks, 5 s for the start) or, where the lease is off, at all (hard-stop-after, 5 s for the start).
func TestARemovalIsEnforcedOnlyWhenNoOlderWorkerCanHoldIt(t *testing.T) {
	for _, c := range []struct {
		environment string
		uptime      time.Duration
		enforced    int
		until       time.Duration // from begin
	}{
		{"prod", 0, 0, 37 * time.Second},
		{"prod", 36 * time.Second, 0, time.Second},
		{"prod", 37 * time.Second, 1, 0},
		{"prod", time.Hour, 1, 0},
		{"staging", 0, 0, 65 * time.Second},
		{"staging", 64 * time.Second, 0, time.Second},
		{"staging", 65 * time.Second, 1, 0},
	} {
		t.Run(c.environment+" "+c.uptime.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.target.HardStopAfter = time.Minute
				w.source.give(alice("g1", "prod"))
				w.source.give(alice("g2", "staging"))
				w.start()
				w.node.reload()
				time.Sleep(c.uptime)
				w.pass() // the worker may have changed: this pass may fail
				time.Sleep(time.Millisecond)
				w.source.end("g1")
				revision := w.source.end("g2")
				r := w.mustPass()
				want := reconcile.Answer{Total: 1, Enforced: c.enforced}
				if c.enforced == 0 {
					want.OldWorkersUntil = r.Read.Add(c.until)
				}
				w.equal("answer", w.ended(c.environment, revision, begin.Add(time.Hour)), want)
			})
		})
	}
}

// An old worker whose bound is longer than the grant cannot outlive the grant.
func TestOldWorkersUntilIsNeverLaterThanTheGrantsOwnEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.reload()
		time.Sleep(2 * time.Second)
		w.equal("until", w.ended("prod", 1, begin.Add(20*time.Second)).OldWorkersUntil, begin.Add(20*time.Second))
	})
}

// I2: a grant is reported as ended everywhere only when no worker admits it, old ones with an open connection included.
func TestI2AfterARevokeIsReportedAsEnforcedNoWorkerAdmits(t *testing.T) {
	for _, environment := range []string{"prod", "staging"} {
		t.Run(environment, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.source.give(alice("g1", environment))
				w.start()
				w.node.reload()
				time.Sleep(1500 * time.Millisecond)
				revision := w.source.end("g1")
				w.pass()
				key := "alice@example.com|" + environment + "/db"
				admittedByOld := false
				for range 600 {
					admitted := w.node.admitted(environment, key) != nil
					admittedByOld = admittedByOld || admitted
					a := w.ended(environment, revision, begin.Add(time.Hour))
					if a.Enforced == 1 && admitted {
						t.Fatalf("reported as enforced at %s, and admitted", time.Since(begin))
					}
					if a.Enforced == 0 && !a.OldWorkersUntil.After(time.Now().Add(-11*time.Second)) {
						t.Fatalf("not enforced at %s, and older workers only until %s", time.Since(begin), a.OldWorkersUntil)
					}
					time.Sleep(100 * time.Millisecond)
				}
				w.equal("the old worker admitted for a while", admittedByOld, true)
				w.equal("enforced at last", w.ended(environment, revision, begin.Add(time.Hour)), reconcile.Answer{Total: 1, Enforced: 1})
			})
		})
	}
}

// A node that cannot be reached has not taken a revoke in; by its lease, or by the grant's own end, it refuses it all the
// same. Both are judged by the latest that its clock may be behind.
func TestAnEndedGrantIsEnforcedWhenTheLeaseOrTheGrantIsOver(t *testing.T) {
	for _, c := range []struct {
		environment string
		expires     time.Duration
		enforced    time.Duration // from begin on
	}{
		{"prod", time.Hour, 32 * time.Second},
		{"prod", 10 * time.Second, 12 * time.Second},
		{"staging", time.Hour, time.Hour + 2*time.Second},
		{"staging", 10 * time.Second, 12 * time.Second},
	} {
		t.Run(c.environment+" "+c.expires.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				g := alice("g1", c.environment)
				g.ExpiresAt = begin.Add(c.expires)
				w.source.give(g)
				w.start()
				w.node.configure(func(h *haproxy) { h.down = true })
				revision := w.source.end("g1")
				w.mustFail()
				time.Sleep(time.Until(begin.Add(c.enforced - time.Millisecond)))
				w.equal("before", w.ended(c.environment, revision, g.ExpiresAt).Enforced, 0)
				time.Sleep(time.Millisecond)
				w.equal("then", w.ended(c.environment, revision, g.ExpiresAt), reconcile.Answer{Total: 1, Enforced: 1})
				w.equal("admitted", w.node.admitted(c.environment, "alice@example.com|"+c.environment+"/db"), []string(nil))
			})
		})
	}
}

func TestANodeThatIsLostCountsAsOpenNoMore(t *testing.T) {
	inWorld(t, func(w *world) {
		revision := w.source.give(alice("g1", "prod"))
		w.start()
		w.equal("before", w.opened("prod", revision), reconcile.Answer{Total: 1, Enforced: 1})
		w.node.configure(func(h *haproxy) { h.down = true })
		time.Sleep(1001 * time.Millisecond)
		w.equal("lost", w.opened("prod", revision), reconcile.Answer{Total: 1})
	})
}

func TestAnUnreachableNodeIsZeroOfOneAndComesBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.configure(func(h *haproxy) { h.down = true })
		w.start()
		revision := w.source.give(alice("g1", "prod"))
		w.fleet.Wake()
		w.equal("down", w.opened("prod", revision), reconcile.Answer{Total: 1})
		w.equal("healthy", w.status().Healthy, false)
		if w.status().Err == nil {
			t.Error("the status says no reason")
		}
		w.node.configure(func(h *haproxy) { h.down = false })
		time.Sleep(6 * time.Second) // the longest backoff
		w.equal("back", w.opened("prod", revision), reconcile.Answer{Total: 1, Enforced: 1})
		w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
		w.equal("error", w.status().Err, error(nil))
	})
}

// A gateway that has just started knows nothing: nothing is enforced before its first pass, and a lease may be there that
// the process before it gave.
func TestAfterARestartOfTheGatewayNothingIsClaimedTooEarly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		time.Sleep(19 * time.Second)
		revision := w.source.end("g1")
		w.stop() // in the moment between commit and pass
		w.node.configure(func(h *haproxy) { h.down = true })
		w.start()
		w.equal("status", w.ended("prod", revision, begin.Add(time.Hour)), reconcile.Answer{Total: 1})
		for range 400 {
			if w.ended("prod", revision, begin.Add(time.Hour)).Enforced == 1 && w.node.admitted("prod", aliceProd) != nil {
				t.Fatalf("reported as enforced at %s, and admitted", time.Since(begin))
			}
			time.Sleep(100 * time.Millisecond)
		}
		// What lease the process before gave, and of which settings, only the node could tell.
		w.equal("never read", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 0)
		w.node.configure(func(h *haproxy) { h.down = false })
		time.Sleep(6 * time.Second) // the longest backoff
		w.equal("read", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 1)
	})
}

// The node still has the lease of other settings: one without an end, which a process before had given.
func TestI2LongerLeaseOfOtherSettingsIsNotForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.node.edit(func(running *process, files map[desired.Map][]byte) {
			running.maps[desired.Leases] = []desired.Row{{Key: "prod", Value: desired.LeaseOff}}
			files[desired.Leases] = []byte("prod " + desired.LeaseOff + "\n")
		})
		w.node.reload() // an older worker has it as well
		w.start()
		revision := w.source.end("g1")
		w.node.configure(func(h *haproxy) { h.down = true })
		time.Sleep(time.Minute)
		w.equal("enforced", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 0)
	})
}

// A reload was under way while a row was removed: its worker had read the files before, and takes over after everything
// was verified on the worker before it. What was said is taken back, and the row goes again.
func TestI2ReloadUnderWayTakesBackWhatWasReported(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "staging"))
		w.start()
		w.mustPass()
		stale := map[desired.Map][]byte{}
		w.node.edit(func(_ *process, files map[desired.Map][]byte) {
			for m, text := range files {
				stale[m] = text
			}
		})
		revision := w.source.end("g1")
		w.mustPass()
		w.equal("reported", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 1)

		began := time.Now().Add(-time.Second)
		w.node.takeOver(stale)
		w.node.configure(func(h *haproxy) { h.running.started = began })
		w.mustPass()
		w.equal("memory", w.node.rows(desired.Grants), []string{})
		w.equal("taken back", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 0)
		time.Sleep(time.Minute)
		w.equal("reported again", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 1)
	})
}

func TestAQuestionOfAnotherEnvironmentConcernsNoNode(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.equal("answer", w.opened("dev", 0), reconcile.Answer{})
		w.equal("status", len(w.fleet.Status("dev")), 0)
		w.equal("status", w.fleet.Status("prod")[0].Name, "n1")
	})
}

// awaited runs Await and answers how long it took.
func (w *world) awaited(limit time.Duration, revision int64) time.Duration {
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	start := time.Now()
	w.fleet.Await(ctx, "prod", revision)
	return time.Since(start)
}

func TestAwaitReturnsWhenTheRevisionIsThere(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.latency = 50 * time.Millisecond
		w.start()
		time.Sleep(3 * time.Second)
		revision := w.source.give(alice("g1", "prod"))
		w.fleet.Wake()
		took := w.awaited(time.Minute, revision)
		if took < 200*time.Millisecond || took > 2*time.Second {
			t.Errorf("took %s", took)
		}
		w.equal("enforced", w.opened("prod", revision).Enforced, 1)
		w.equal("what is there already takes", w.awaited(time.Minute, revision), time.Duration(0))
		w.equal("another environment takes", func() time.Duration {
			start := time.Now()
			w.fleet.Await(t.Context(), "dev", revision+10)
			return time.Since(start)
		}(), time.Duration(0))
	})
}

// A pass that was under way when the call came may have read the store before: its failure says nothing.
func TestAwaitReturnsAfterAFailedPassThatBeganAfterTheCall(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if call == "rows grants.map" {
					return hang // 5 s
				}
				return none
			}
		})
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.fleet.Wake()
		time.Sleep(3 * time.Second)
		revision := w.source.give(alice("g1", "prod"))
		w.fleet.Wake()
		// 2 s until the pass under way fails, backoff, and 5 s for the next.
		if took := w.awaited(time.Minute, revision); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("took %s", took)
		}
		w.equal("enforced", w.opened("prod", revision).Enforced, 0)
	})
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.configure(func(h *haproxy) { h.meet = func(string) fault { return hang } })
		w.equal("took", w.awaited(2*time.Second, 99), 2*time.Second)
		synctest.Wait()
	})
}

func TestSeveralWaitersAllReturn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		revision := w.source.give(alice("g1", "prod"))
		done := make(chan struct{})
		for range 50 {
			go func() {
				w.fleet.Await(context.Background(), "prod", revision)
				done <- struct{}{}
			}()
		}
		w.fleet.Wake()
		for range 50 {
			<-done
		}
	})
}
