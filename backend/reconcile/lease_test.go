package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// The lease is the time at which the store was read plus its length, never that of the write: a pass that is slow gives
// less.
func TestTheLeaseCountsFromTheReadingOfTheStore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.node.latency = 250 * time.Millisecond
		w.start()
		time.Sleep(15 * time.Second)
		r := w.seen.first()
		if r.Took < 4*time.Second {
			t.Fatalf("the pass took only %s", r.Took)
		}
		w.equal("lease", r.Leases["prod"], in30s)
	})
}

// The time that counts is before the answer of a store that is slow to read.
func TestTheLeaseCountsFromBeforeTheStoreAnswers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.reading = func() { time.Sleep(3 * time.Second) }
		w.start()
		time.Sleep(4 * time.Second)
		w.equal("leases", w.node.rows(desired.Leases), []string{"prod " + in30s, "staging 9999999999"})
	})
}

func TestTheLeaseIsRenewedEachThirdOfItsLength(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for _, step := range []struct {
			after time.Duration
			want  string
		}{
			{9 * time.Second, in30s},
			{3 * time.Second, "1767323085"},
			{7 * time.Second, "1767323085"},
			{4 * time.Second, "1767323095"},
		} {
			time.Sleep(step.after)
			w.equal("memory at "+time.Since(begin).String(), w.node.rows(desired.Leases)[0], "prod "+step.want)
			w.equal("file", w.node.file(desired.Leases), "prod "+step.want+"\nstaging 9999999999\n")
		}
	})
}

// A lease never runs out while everything is well, however short it is.
func TestTheLeaseNeverRunsOutWhileAllIsWell(t *testing.T) {
	for _, length := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 30 * time.Second, time.Hour} {
		t.Run(length.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.target.Environments[0].Lease = length
				g := alice("g1", "prod")
				g.ExpiresAt = begin.Add(48 * time.Hour)
				w.source.give(g)
				w.node.latency = 5 * time.Millisecond
				time.Sleep(990 * time.Millisecond)
				w.start()
				time.Sleep(200 * time.Millisecond)
				for range 2000 {
					time.Sleep(60 * time.Millisecond)
					if w.node.admitted("prod", aliceProd) == nil {
						t.Fatalf("refused at %s: %v", time.Since(begin), w.node.rows(desired.Leases))
					}
				}
			})
		})
	}
}

// I3: a node out of touch for longer than the lease refuses everything.
func TestI3ANodeOutOfTouchRefusesWhenItsLeaseIsOver(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.source.give(alice("g2", "staging"))
		w.start()
		w.node.configure(func(h *haproxy) { h.down = true })
		time.Sleep(29 * time.Second)
		if w.node.admitted("prod", aliceProd) == nil {
			t.Error("prod is refused before its lease is over")
		}
		time.Sleep(time.Second)
		w.equal("prod admits", w.node.admitted("prod", aliceProd), []string(nil))
		time.Sleep(29 * time.Minute)
		w.equal("staging, whose lease is off, admits", w.node.admitted("staging", aliceStaging), []string{"g2"})
		time.Sleep(time.Hour)
		w.equal("staging after the grant's end", w.node.admitted("staging", aliceStaging), []string(nil))
	})
}

// A store that cannot be read gives no lease, nor does anything else that goes wrong in a pass.
func TestNoLeaseIsGivenWhenAnyStepFails(t *testing.T) {
	steps := []string{
		"worker", "rows grants.map", "file grants.map", "remove grants.map " + aliceProd, "write grants.map",
		"add grants.map " + bobProd, "rows kids.map", "file kids.map", "rows pools.map", "file pools.map", "rows hosts.map",
		"file hosts.map",
	}
	for _, met := range []fault{refuse, hang} {
		for _, step := range steps {
			t.Run(step, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.source.give(alice("g1", "prod"))
					w.start()
					w.source.end("g1")
					w.source.give(granted("g2", "bob@example.com", "prod"))
					w.node.configure(func(h *haproxy) {
						h.meet = func(call string) fault {
							if call == step {
								return met
							}
							return none
						}
					})
					// The lease that is there runs out; it is never renewed.
					time.Sleep(2 * time.Minute)
					w.equal("lease", w.node.rows(desired.Leases)[0], "prod "+in30s)
					w.equal("healthy", w.status().Healthy, false)
					// What the last answer could not say, the next pass finds out.
					w.node.configure(func(h *haproxy) { h.meet = nil })
					time.Sleep(40 * time.Second)
					w.equal("healthy again", w.status().Healthy, true)
					w.equal("memory", w.node.rows(desired.Grants), []string{bobProd + " " + inAnHour + ":g2"})
				})
			})
		}
	}
}

func TestNoLeaseIsGivenWithoutTheStoreOrTheKeys(t *testing.T) {
	for name, failing := range map[string]func(w *world){
		"store": func(w *world) { w.source.configure(func(s *source) { s.down = true }) },
		"keys": func(w *world) {
			fixed := w.target.Fixed
			start := time.Now()
			w.target.Fixed = func(ctx context.Context) (desired.State, error) {
				if time.Since(start) > time.Second {
					return nil, errors.New("no keys")
				}
				return fixed(ctx)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if name == "keys" {
					failing(w)
				}
				w.start()
				failing(w)
				time.Sleep(time.Minute)
				w.equal("lease", w.node.rows(desired.Leases)[0], "prod "+in30s)
				w.equal("healthy", w.status().Healthy, false)
			})
		})
	}
}

// A node whose clock is behind by more than the bound would keep rows open for too long.
func TestANodeWhoseClockIsBehindGetsNoLease(t *testing.T) {
	for _, c := range []struct {
		offset time.Duration
		given  bool
	}{
		{0, true},
		{-2 * time.Second, true},
		{-2*time.Second - time.Millisecond, false},
		{-time.Hour, false},
		{time.Hour, true}, // ahead: it ends everything too early, which is safe
	} {
		t.Run(c.offset.String(), func(t *testing.T) {
			inWorld(t, func(w *world) {
				revision := w.source.give(alice("g1", "prod"))
				w.source.give(alice("g2", "staging"))
				w.start()
				w.node.configure(func(h *haproxy) { h.offset = c.offset })
				w.mustPass()
				want := []string{"prod " + in30s, "staging 9999999999"}
				if !c.given {
					want = []string{}
				}
				w.equal("memory", w.node.rows(desired.Leases), want)
				w.equal("file", w.node.file(desired.Leases), strings.Join(append(want, ""), "\n"))
				enforced := 0
				if c.given {
					enforced = 1
				}
				w.equal("the grant is reported as open on", w.opened("prod", revision).Enforced, enforced)
			})
		})
	}
}

// A worker from before keeps the lease that the node got when its clock was right.
func TestALeaseThatIsTakenAwayIsStillKnown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.configure(func(h *haproxy) { h.offset = -time.Hour })
		w.mustPass()
		w.equal("memory", w.node.rows(desired.Leases), []string{})
		w.equal("lease", w.environment("prod").LeaseUntil, begin.Add(30*time.Second))
	})
}

// A lease that somebody else wrote is worth nothing, whichever way it is wrong.
func TestALeaseThatIsNotOursIsReplaced(t *testing.T) {
	for _, value := range []string{"9999999999", "1767323076", "0000000000", "17673230751", "+1767323075", "x"} {
		t.Run(value, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				w.node.edit(func(p *process, files map[desired.Map][]byte) {
					p.maps[desired.Leases] = []desired.Row{{Key: "prod", Value: value}, {Key: "dev", Value: "9999999999"}}
					files[desired.Leases] = []byte("prod " + value + "\ndev 9999999999\n")
				})
				w.node.configure(func(h *haproxy) { h.running.pid++ }) // so that the pass is a full one
				w.mustPass()
				w.equal("memory", w.node.rows(desired.Leases), []string{"prod " + in30s, "staging 9999999999"})
				w.equal("file", w.node.file(desired.Leases), "prod "+in30s+"\nstaging 9999999999\n")
			})
		})
	}
}

// The lease that a node may hold is known before it is written: nothing is reported as ended because an older lease has
// run out while a slow pass that has renewed it is still under way.
func TestALeaseCountsFromTheMomentBeforeItIsWritten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Environments[0].Lease = 12 * time.Second
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.configure(func(h *haproxy) {
			h.after = func(call string) {
				if call == "set leases.map prod" {
					h.configure(func(h *haproxy) { h.latency = 4900 * time.Millisecond })
				}
			}
		})
		time.Sleep(5 * time.Second)
		w.equal("memory", w.node.rows(desired.Leases)[0], "prod 1767323061") // 16 s after the begin
		revision := w.source.end("g1")
		w.fleet.Wake()
		time.Sleep(9500 * time.Millisecond) // beyond the first lease and the bound of clocks, within the second
		if w.node.admitted("prod", aliceProd) == nil {
			t.Fatal("alice should still be admitted")
		}
		w.equal("reported as ended on", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 0)
	})
}
