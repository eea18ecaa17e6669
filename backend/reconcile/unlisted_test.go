package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// Whichever map has a row without a value, the rows that must go do, also where no lease ends them; what is wanted stays or
// comes back, the row is gone from memory and file, and it is named.
func TestI1AndI4RowsGoThoughAMapCannotBeListed(t *testing.T) {
	const staging = "alice@example.com|staging/db"
	for name, c := range map[string]struct {
		m      desired.Map
		damage func(p *process, files map[desired.Map][]byte) // before a reload
		bulk   bool
		after  func(p *process) // after it
		want   reconcile.Drift
	}{
		"the file of the grants is cut within a key": {
			m: desired.Grants,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Grants] = append(f[desired.Grants], "carol@example.com|pr"...)
			},
			want: reconcile.Drift{Foreign: []string{"carol@example.com|pr"}, Rows: 1, File: true},
		},
		"a row of ours has lost its value": {
			m: desired.Grants,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Grants] = []byte(strings.Replace(string(f[desired.Grants]), bobProd+" "+inAnHour+":g2", bobProd, 1))
			},
			want: reconcile.Drift{Changed: []string{bobProd}, Rows: 1, File: true},
		},
		"a row stands there twice, the second time without a value": {
			m: desired.Grants,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Grants] = append(f[desired.Grants], bobProd+"\n"...)
			},
			want: reconcile.Drift{Changed: []string{bobProd}, Rows: 1, File: true},
		},
		"a foreign row came with it": {
			m: desired.Grants,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Grants] = append(f[desired.Grants], "mallory@example.com|prod/db 9999999999:g9\nx\n"...)
			},
			want: reconcile.Drift{Foreign: []string{"mallory@example.com|prod/db", "x"}, Rows: 2, File: true},
		},
		"no call can name its key": {
			m: desired.Grants, bulk: true,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Grants] = append(f[desired.Grants], "ev\"il\n"...)
			},
			want: reconcile.Drift{Foreign: []string{"ev\"il"}, Rows: 1, File: true},
		},
		"the file does not name it": {
			m: desired.Grants, bulk: true,
			after: func(p *process) { p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "x"}) },
			want:  reconcile.Drift{Rows: 1},
		},
		"it is in the map of the hosts": {
			m: desired.Hosts,
			damage: func(_ *process, f map[desired.Map][]byte) {
				f[desired.Hosts] = append(f[desired.Hosts], "x.example.com\n"...)
			},
			want: reconcile.Drift{Foreign: []string{"x.example.com"}, Rows: 1, File: true},
		},
		"it is in the map of the leases": {
			m:      desired.Leases,
			damage: func(_ *process, f map[desired.Map][]byte) { f[desired.Leases] = append(f[desired.Leases], "x\n"...) },
			want:   reconcile.Drift{Foreign: []string{"x"}, Rows: 1, File: true},
		},
		"it is in the map of the leases, and the file does not name it": {
			m: desired.Leases, bulk: true,
			after: func(p *process) { p.maps[desired.Leases] = append(p.maps[desired.Leases], desired.Row{Key: "x"}) },
			want:  reconcile.Drift{Rows: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if c.bulk {
					w.target.Bulk = w.node
				}
				w.source.give(alice("g1", "staging"))
				w.source.give(granted("g2", "bob@example.com", "prod"))
				w.start()
				if c.damage != nil {
					w.node.edit(c.damage)
				}
				w.node.reload()
				if c.after != nil {
					w.node.edit(func(p *process, _ map[desired.Map][]byte) { c.after(p) })
				}
				w.source.end("g1")
				w.seen.takeDrifts()
				time.Sleep(1100 * time.Millisecond) // the look at the worker
				w.equal("the row that must go", w.node.admitted("staging", staging), []string{"g1"})
				w.node.configure(func(h *haproxy) { h.old = nil }) // that was the worker of before
				w.equal("the row that must go", w.node.admitted("staging", staging), []string(nil))
				w.equal("the row that stays", w.node.admitted("prod", bobProd), []string{"g2"})
				w.equal("healthy", w.status().Healthy, true)
				w.equal("memory", w.node.rows(desired.Grants), []string{bobProd + " " + inAnHour + ":g2"})
				w.equal("file", w.node.file(desired.Grants), bobProd+" "+inAnHour+":g2\n")
				w.equal("hosts", w.node.rows(desired.Hosts), []string{"db.example.com prod/db", "sdb.example.com staging/db"})
				w.equal("rows of leases", len(w.node.rows(desired.Leases)), 2)
				want := c.want
				want.Map, want.Unlisted = c.m, true
				w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift{want})
				w.mustFull()
				w.node.takeLog()
				w.mustFull()
				w.equal("a second pass changes", slices.DeleteFunc(changing(w.node.takeLog()), ofLeases), []string{})
			})
		})
	}
}

func ofLeases(call string) bool { return strings.Contains(call, "leases.map") }

// Where the row can neither be named nor the map be emptied, what must go does so all the same, out of memory and file, and is
// not said to be enforced. It is tried again as long as a row is not gone.
func TestI1RowsGoThoughTheMapStaysUnlisted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Prober = w.node
		w.source.give(alice("g1", "staging"))
		w.source.give(granted("g2", "bob@example.com", "staging"))
		w.start()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "x"})
		})
		w.mustFailFull()
		removals := 0
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if call != "remove grants.map alice@example.com|staging/db" {
					return none
				}
				removals++
				return []fault{refuse, pretend, refuse, none}[min(removals, 4)-1]
			}
		})
		revision := w.source.end("g1")
		w.source.end("g2")
		for range 4 {
			w.mustFailFull()
		}
		w.equal("alice", w.node.admitted("staging", "alice@example.com|staging/db"), []string(nil))
		w.equal("bob", w.node.admitted("staging", "bob@example.com|staging/db"), []string(nil))
		w.equal("file", w.node.file(desired.Grants), "")
		w.equal("enforced", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 0)
		w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift(nil)) // nothing was repaired
		w.node.takeLog()
		w.mustFailFull()
		w.equal("what is gone is not removed again", changing(w.node.takeLog()), []string{})
		w.node.edit(func(p *process, _ map[desired.Map][]byte) { p.remove(desired.Grants, "x") })
		w.mustFull()
		w.equal("enforced", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 1)
	})
}

// What cannot be listed keeps no other map's rows.
func TestI1AMapThatStaysUnlistedKeepsNoRowOfAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "staging"))
		w.start()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Hosts] = append(p.maps[desired.Hosts], desired.Row{Key: "x.example.com"})
		})
		w.mustFailFull()
		revision := w.source.end("g1")
		w.source.give(granted("g2", "bob@example.com", "staging"))
		w.mustFailFull()
		w.equal("memory", w.node.rows(desired.Grants), []string{}) // what opens waits
		w.equal("file", w.node.file(desired.Grants), "bob@example.com|staging/db 1767326645:g2\n")
		w.equal("enforced", w.ended("staging", revision, begin.Add(time.Hour)).Enforced, 0)
	})
}

// A gateway that knows nothing yet goes by the file.
func TestI4AGatewayThatStartsClosesWhatTheFileOfAnUnlistedMapHas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "staging"))
		w.start()
		w.stop()
		w.node.edit(func(_ *process, f map[desired.Map][]byte) { f[desired.Grants] = append(f[desired.Grants], "x"...) })
		w.node.restart()
		w.source.end("g1")
		w.start()
		w.equal("healthy", w.status().Healthy, true)
		w.equal("memory", w.node.rows(desired.Grants), []string{})
		w.equal("drift", w.seen.takeDrifts(), []reconcile.Drift{
			{Map: desired.Grants, Foreign: []string{"x"}, Rows: 1, Unlisted: true},
		})
	})
}

// A large table is put in the place of the whole map, so that nobody who has a grant meets an empty one.
func TestALargeMapThatCannotBeListedIsReplacedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Bulk = w.node
		for i := range 300 {
			w.source.give(granted(fmt.Sprint("g", i), grant.Subject(fmt.Sprintf("p%d@example.com", i)), "prod"))
		}
		w.start()
		w.node.takeLog()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "x"})
		})
		w.mustFull()
		w.equal("changes", slices.DeleteFunc(changing(w.node.takeLog()), ofLeases), []string{"replace grants.map"})
		w.equal("rows", len(w.node.rows(desired.Grants)), 300)
	})
}

// deaf does not list grants.map, for no reason that a row could have.
type deaf struct {
	*haproxy
	on atomic.Bool
}

func (d *deaf) Rows(ctx context.Context, m desired.Map) ([]desired.Row, error) {
	if m == desired.Grants && d.on.Load() {
		return nil, errors.Join(errNode, reconcile.ErrUnlisted)
	}
	return d.haproxy.Rows(ctx, m)
}

// A list that fails otherwise is no reason to take away what may be right.
func TestAListThatFailsOtherwiseClosesWhatMustGoAndNothingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		d := &deaf{haproxy: w.node}
		w.target.Node, w.target.Bulk = d, w.node
		w.source.give(alice("g1", "staging"))
		w.source.give(granted("g2", "bob@example.com", "staging"))
		g3 := granted("g3", "carol@example.com", "staging")
		w.source.give(g3)
		w.start()
		d.on.Store(true)
		w.mustFailFull()
		w.node.takeLog()
		w.source.end("g1")
		w.source.end("g3")
		g3.ExpiresAt = g3.ExpiresAt.Add(time.Hour) // extended: the row of before opens nothing more
		w.source.give(g3)
		w.mustFailFull()
		w.equal("changes", changing(w.node.takeLog()), []string{"remove grants.map alice@example.com|staging/db", "write grants.map"})
		w.equal("bob", w.node.admitted("staging", "bob@example.com|staging/db"), []string{"g2"})
		w.equal("carol", w.node.admitted("staging", "carol@example.com|staging/db"), []string{"g3"})
	})
}
