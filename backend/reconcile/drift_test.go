package reconcile_test

import (
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

func TestDriftIsRepairedAndReportedByName(t *testing.T) {
	aliceRow := desired.Row{Key: aliceProd, Value: inAnHour + ":g1"}
	bobRow := desired.Row{Key: bobProd, Value: inAnHour + ":g2"}
	for name, c := range map[string]struct {
		edit func(p *process, files map[desired.Map][]byte)
		want reconcile.Drift
	}{
		"a row was added": {
			func(p *process, _ map[desired.Map][]byte) {
				p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: mallory, Value: "9999999999:g9"})
			},
			reconcile.Drift{Map: desired.Grants, Foreign: []string{mallory}, Rows: 1},
		},
		"a value was changed": {
			func(p *process, _ map[desired.Map][]byte) { p.maps[desired.Grants][0].Value = "9999999999:g1" },
			reconcile.Drift{Map: desired.Grants, Changed: []string{aliceProd}, Rows: 1},
		},
		"a row was removed": {
			func(p *process, _ map[desired.Map][]byte) { p.remove(desired.Grants, aliceProd) },
			reconcile.Drift{Map: desired.Grants, Missing: []string{aliceProd}, Rows: 1},
		},
		"a row stands there twice": {
			func(p *process, _ map[desired.Map][]byte) {
				p.maps[desired.Grants] = slices.Insert(p.maps[desired.Grants], 0, desired.Row{Key: aliceProd, Value: "9999999999:g1"})
			},
			reconcile.Drift{Map: desired.Grants, Foreign: []string{aliceProd}, Missing: []string{aliceProd}, Rows: 2},
		},
		"only the file was changed": {
			func(_ *process, files map[desired.Map][]byte) {
				files[desired.Grants] = append(files[desired.Grants], []byte(mallory+" 9999999999:g9\n")...)
			},
			reconcile.Drift{Map: desired.Grants, File: true, InFile: reconcile.FileRows{Foreign: []string{mallory}}},
		},
		"the file was cut off": {
			func(_ *process, files map[desired.Map][]byte) {
				files[desired.Grants] = files[desired.Grants][:len(files[desired.Grants])-5]
			},
			reconcile.Drift{Map: desired.Grants, File: true, InFile: reconcile.FileRows{Changed: []string{bobProd}}},
		},
		"a host was moved to another pool": {
			func(p *process, _ map[desired.Map][]byte) { p.maps[desired.Hosts][0].Value = "staging/db" },
			reconcile.Drift{Map: desired.Hosts, Changed: []string{"db.example.com"}, Rows: 1},
		},
		"a key was added": {
			func(p *process, _ map[desired.Map][]byte) {
				p.maps[desired.KIDs] = append(p.maps[desired.KIDs], desired.Row{Key: "clutch|k9", Value: "/tmp/k"})
			},
			reconcile.Drift{Map: desired.KIDs, Foreign: []string{"clutch|k9"}, Rows: 1},
		},
		"the lease was made longer": {
			func(p *process, _ map[desired.Map][]byte) { p.maps[desired.Leases][0].Value = "9999999999" },
			reconcile.Drift{Map: desired.Leases, Changed: []string{"prod"}, Rows: 1},
		},
		"a row that no call can remove was added": {
			func(p *process, _ map[desired.Map][]byte) {
				p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "ev\"il", Value: "x"})
			},
			reconcile.Drift{Map: desired.Grants, Foreign: []string{"ev\"il"}, Rows: 1},
		},
	} {
		both := func(t *testing.T, test func(w *world)) {
			inWorld(t, test)
			inWorld(t, func(w *world) {
				w.target.Recognizer = w.node
				test(w)
			})
		}
		t.Run(name, func(t *testing.T) {
			both(t, func(w *world) {
				w.source.give(alice("g1", "prod"))
				w.source.give(granted("g2", "bob@example.com", "prod"))
				w.start()
				w.equal("drift at the start", w.seen.takeDrifts(), []reconcile.Drift(nil))
				w.node.edit(c.edit)
				w.mustFull()
				w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift{c.want})
				rows := slices.DeleteFunc(w.node.rows(desired.Grants), func(row string) bool { return row == "ev\"il x" })
				slices.Sort(rows)
				w.equal("memory", rows, []string{aliceRow.Key + " " + aliceRow.Value, bobRow.Key + " " + bobRow.Value})
				w.equal("file", w.node.file(desired.Grants), rows[0]+"\n"+rows[1]+"\n")
				w.equal("hosts", w.node.rows(desired.Hosts)[0], "db.example.com prod/db")
				w.equal("kids", w.node.rows(desired.KIDs), []string{"clutch|k1 /keys/k1.pub"})
				if w.status().DriftRepaired == 0 {
					t.Error("the drift was not counted")
				}
			})
		})
	}
}

// What our own changes, a reload, and a pass that failed half-way leave behind is nobody's drift.
func TestWhatWeDidOurselvesIsNoDrift(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		w.source.end("g1")
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.mustPass()
		w.node.reload()
		time.Sleep(2 * time.Second)
		w.source.end("g2")
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if call == "write grants.map" {
					return lose
				}
				return none
			}
		})
		w.mustFail()
		w.node.configure(func(h *haproxy) { h.meet = nil })
		time.Sleep(time.Minute)
		w.crash()
		w.equal("healthy", w.status().Healthy, true)
		w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift(nil))
	})
}

// A change that began on a worker of which nobody knew yet is no drift; what somebody put there meanwhile is.
func TestAChangeAfterAReloadThatWasNotSeenIsNoDrift(t *testing.T) {
	for name, foreign := range map[string][]string{"nobody": nil, "somebody": {"mallory@example.com|prod/db"}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.source.give(alice("g1", "prod"))
				w.source.give(granted("g2", "bob@example.com", "prod"))
				w.start()
				w.node.edit(func(_ *process, files map[desired.Map][]byte) {
					for _, key := range foreign {
						files[desired.Grants] = append(files[desired.Grants], key+" 9999999999:g9\n"...)
					}
				})
				w.node.reload()
				w.source.end("g1")
				w.source.give(granted("g3", "carol@example.com", "prod"))
				w.equal("kind", w.mustPass().Kind, reconcile.Full)
				var want []reconcile.Drift
				if foreign != nil {
					want = []reconcile.Drift{{Map: desired.Grants, Foreign: foreign, Rows: 1}} // its file was written anew before
				}
				w.equal("drift", w.seen.takeDrifts(), want)
				w.equal("memory", w.node.rows(desired.Grants), []string{bobProd + " " + inAnHour + ":g2", "carol@example.com|prod/db " + inAnHour + ":g3"})
			})
		})
	}
}

// What a map held before a change is not recognized after it, and a row that cannot be removed is never taken for nothing.
func TestDriftIsFoundHoweverMuchIsRecognized(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Recognizer, w.target.Prober = w.node, w.node
		w.source.give(alice("g1", "prod"))
		w.start()
		w.mustFull()
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.mustPass()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) { p.remove(desired.Grants, bobProd) })
		w.mustFull()
		w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift{{Map: desired.Grants, Missing: []string{bobProd}, Rows: 1}})
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "ev\"il", Value: "x"})
		})
		w.mustFull()
		w.equal("stuck", w.seen.takeDrifts(), []reconcile.Drift{{Map: desired.Grants, Foreign: []string{"ev\"il"}, Rows: 1}})
		w.node.takeLog()
		w.mustFull()
		if !slices.Contains(w.node.takeLog(), "parse grants.map") {
			t.Error("what holds a row that is stuck was recognized")
		}
		w.equal("and again", w.seen.takeDrifts(), []reconcile.Drift(nil))
	})
}

// Somebody who writes to the map all the time is not fought for ever: the pass fails, and the lease runs out.
func TestAnotherWriterMakesThePassFail(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.configure(func(h *haproxy) {
			h.after = func(call string) {
				if call == "write grants.map" || call == "remove grants.map mallory@example.com|prod/db" {
					h.edit(func(p *process, _ map[desired.Map][]byte) {
						p.maps[desired.Grants] = []desired.Row{{Key: "mallory@example.com|prod/db", Value: "9999999999:g9"}}
					})
				}
			}
		})
		w.node.edit(func(_ *process, files map[desired.Map][]byte) { files[desired.Grants] = []byte("x y\n") })
		w.mustFailFull()
		time.Sleep(time.Minute)
		w.equal("prod admits", w.node.admitted("prod", "mallory@example.com|prod/db"), []string(nil))
	})
}
