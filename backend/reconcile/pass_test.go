package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// The values that rows have in these tests, worked out by hand.
const (
	aliceProd    = "alice@example.com|prod/db"
	aliceStaging = "alice@example.com|staging/db"
	bobProd      = "bob@example.com|prod/db"
	inAnHour     = "1767326645"
	in30s        = "1767323075"
)

func TestTheFirstPassWritesMemoryAndFilesOfEveryMap(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		want := map[desired.Map][]string{
			desired.Grants: {aliceProd + " " + inAnHour + ":g1"},
			desired.Pools:  {"prod/db be_db", "staging/db be_sdb"},
			desired.Hosts:  {"db.example.com prod/db", "sdb.example.com staging/db"},
			desired.KIDs:   {"clutch|k1 /keys/k1.pub"},
			desired.Leases: {"prod " + in30s, "staging 9999999999"},
		}
		for m, rows := range want {
			w.equal("memory of "+string(m), w.node.rows(m), rows)
			w.equal("file of "+string(m), w.node.file(m), strings.Join(rows, "\n")+"\n")
		}
	})
}

func TestI8ASecondPassWritesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.takeLog()
		r := w.mustPass()
		w.equal("calls that change something", changing(w.node.takeLog()), []string{})
		w.equal("reported writes", r.Writes, 0)
		if w.node.admitted("prod", aliceProd) == nil {
			t.Error("alice is refused")
		}
	})
}

// Removals first: from the running map, before anything is added, and before the file; the running map is read again
// after the file was written.
func TestRemovalsComeFirstAndTheMapIsReadAgainAfterTheFile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.source.give(alice("g2", "staging"))
		w.start()
		w.source.end("g1")
		w.source.end("g2")
		w.source.give(granted("g3", "bob@example.com", "prod"))
		w.source.give(alice("g4", "staging")) // another grant for the same key: set
		w.node.takeLog()
		r := w.mustPass()
		log := w.node.takeLog()
		w.equal("changes", changing(log), []string{
			"remove grants.map " + aliceProd, "set grants.map " + aliceStaging, "write grants.map", "add grants.map " + bobProd,
		})
		w.equal("reported writes", r.Writes, 4)
		written := slices.Index(log, "write grants.map")
		if again := slices.Index(log[written:], "rows grants.map"); again < 0 {
			t.Error("the running map was not read again after the file was written")
		}
		if again := slices.Index(log[written:], "file grants.map"); again < 0 {
			t.Error("the file was not read back")
		}
		w.equal("file", w.node.file(desired.Grants), aliceStaging+" "+inAnHour+":g4\n"+bobProd+" "+inAnHour+":g3\n")
	})
}

func TestLeasesAreWrittenAfterEverythingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		changes := changing(w.node.takeLog())
		first := slices.IndexFunc(changes, func(c string) bool { return strings.Contains(c, "leases.map") })
		for _, call := range changes[first:] {
			if !strings.Contains(call, "leases.map") {
				t.Errorf("%s came after the first lease was written", call)
			}
		}
	})
}

// A reload between the two brings the row back from the file: the same pass must remove it from the new worker, and it is
// not enforced while the old one may still hold it.
func TestI4AReloadBetweenMemoryAndFileDoesNotBringARemovedRowBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		revision := w.source.end("g1")
		w.node.takeLog()
		reloaded := false
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if call == "write grants.map" && !reloaded {
					reloaded = true
					h.reload()
				}
				return none
			}
		})
		w.equal("kind", w.mustPass().Kind, reconcile.Full)
		w.equal("the row was removed twice", changing(w.node.takeLog()), []string{
			"remove grants.map " + aliceProd, "write grants.map", "remove grants.map " + aliceProd,
		})
		w.equal("memory", w.node.rows(desired.Grants), []string{})
		w.equal("file", w.node.file(desired.Grants), "")
		w.equal("enforced", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 0)
	})
}

// A worker that began to load before the file was written can take over at the last moment: it has the old rows, so a
// pass that ends with another worker than it began with never counts.
func TestAWorkerThatTakesOverWhileTheLeaseIsWrittenDoesNotCount(t *testing.T) {
	for _, moment := range []string{
		"rows grants.map", "write grants.map", "file hosts.map", "rows leases.map", "set leases.map prod", "write leases.map",
	} {
		t.Run(moment, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.source.give(alice("g1", "prod"))
				w.start()
				time.Sleep(9 * time.Second)
				revision := w.source.end("g1")
				time.Sleep(900 * time.Millisecond) // the lease is to be renewed in the next pass
				stale := map[desired.Map][]byte{}
				for _, m := range allMaps {
					stale[m] = []byte(w.node.file(m))
				}
				done := false
				w.node.configure(func(h *haproxy) {
					h.after = func(call string) {
						if call == moment && !done {
							done = true
							h.takeOver(stale)
						}
					}
				})
				time.Sleep(100 * time.Millisecond)
				w.pass()
				if !done {
					t.Fatal("the moment never came")
				}
				if a := w.ended("prod", revision, begin.Add(time.Hour)); a.Enforced != 0 && w.node.admitted("prod", aliceProd) != nil {
					t.Errorf("reported as enforced, and alice is admitted: %v", w.node)
				}
				time.Sleep(2 * time.Second)
				w.equal("afterwards", w.node.rows(desired.Grants), []string{})
			})
		})
	}
}

// A worker is told by its process identifier when two have run for as long, and by its age when both have the same
// identifier, as in a container.
func TestAnotherWorkerIsToldByItsIdentifierAndByItsAge(t *testing.T) {
	for name, change := range map[string]func(h *haproxy){
		"identifier": func(h *haproxy) { h.running.pid++ },
		"age":        func(h *haproxy) { h.running.started = time.Now() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				done := false
				w.node.configure(func(h *haproxy) {
					h.meet = func(call string) fault {
						if call == "rows hosts.map" && !done {
							done = true
							h.configure(change)
						}
						return none
					}
				})
				if err := w.mustFailFull(); !strings.Contains(err.Error(), "reloaded") {
					t.Errorf("in a pass: %v", err)
				}
				time.Sleep(3 * time.Second)
				before, _ := w.seen.counts()
				w.node.configure(change)
				time.Sleep(1001 * time.Millisecond)
				if after, _ := w.seen.counts(); after != before+1 {
					t.Errorf("between passes: %d passes followed", after-before)
				}
			})
		})
	}
}

func TestARowThatCannotBeRemovedDoesNotKeepTheOthers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.start()
		w.source.end("g1")
		w.source.end("g2")
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if call == "remove grants.map "+aliceProd {
					return refuse
				}
				return none
			}
		})
		w.mustFail()
		w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
	})
}

func TestANodeThatRemovesNothingIsNotAskedForever(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
				p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: name, Value: "x"})
			}
		})
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if strings.HasPrefix(call, "remove") {
					return refuse
				}
				return none
			}
		})
		w.node.takeLog()
		w.mustFailFull()
		if n := len(changing(w.node.takeLog())); n < 2 || n > 10 {
			t.Errorf("%d tries to remove a row in one pass", n)
		}
	})
}

// A node that says yes and does nothing is found out by reading back: no lease, nothing reported.
func TestWhatTheNodePretendsIsFoundByReadingBack(t *testing.T) {
	for _, call := range []string{"remove grants.map " + aliceProd, "write grants.map", "add grants.map " + bobProd} {
		t.Run(call, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.source.give(alice("g1", "prod"))
				w.start()
				w.source.end("g1")
				revision := w.source.give(granted("g2", "bob@example.com", "prod"))
				w.node.configure(func(h *haproxy) {
					h.meet = func(c string) fault {
						if c == call {
							return pretend
						}
						return none
					}
				})
				w.mustFail()
				w.equal("ended", w.ended("prod", revision, begin.Add(time.Hour)), reconcile.Answer{Total: 1})
				w.equal("opened", w.opened("prod", revision), reconcile.Answer{Total: 1})
			})
		})
	}
}

func TestARowOfAnUnknownPoolAndAnExpiredGrantNeverReachTheNode(t *testing.T) {
	inWorld(t, func(w *world) {
		unserved := alice("g1", "dev")
		expired := alice("g2", "prod")
		expired.ExpiresAt = begin
		w.source.give(unserved)
		w.source.give(expired)
		w.start()
		w.equal("memory", w.node.rows(desired.Grants), []string{})
	})
}

// A row that cannot be written safely stops the pass before anything is written, so the lease runs out.
func TestARowThatWouldNotBeSafeStopsThePassBeforeAnyWrite(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(granted("g1", "eve\n@example.com", "prod"))
		w.start()
		w.equal("healthy", w.status().Healthy, false)
		w.equal("changes", changing(w.node.takeLog()), []string{})
	})
}
