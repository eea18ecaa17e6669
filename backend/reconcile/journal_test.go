package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

const mallory = "mallory@example.com|prod/db"

// diary is a journal that can be made to fail.
type diary struct {
	mu    sync.Mutex
	told  []grant.Drift // whatever became of it
	at    []time.Time
	kept  []grant.Drift
	fails bool
	hangs bool
}

func (d *diary) DriftFound(ctx context.Context, of grant.Drift) error {
	d.mu.Lock()
	d.told, d.at = append(d.told, of), append(d.at, time.Now())
	fails, hangs := d.fails, d.hangs
	d.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if fails {
		return errStore
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = append(d.kept, of)
	return nil
}

func (d *diary) configure(change func(d *diary)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *diary) taken() []grant.Drift {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]grant.Drift(nil), d.kept...)
}

// plant puts a row into the running map by hand.
func (w *world) plant(key string) {
	w.node.edit(func(p *process, _ map[desired.Map][]byte) {
		p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: key, Value: "9999999999:secret"})
	})
}

// withDiary is a node that is right and whose drift is written down.
func withDiary(t *testing.T, test func(w *world, d *diary)) {
	t.Helper()
	inWorld(t, func(w *world) {
		d := &diary{}
		w.options.Journal = d
		w.source.give(alice("g1", "prod"))
		w.start()
		test(w, d)
	})
}

// One pass has one entry, whatever it found: in memory, in the file, in several maps.
func TestADriftIsWrittenDownOnceForAPassWithItsRows(t *testing.T) {
	withDiary(t, func(w *world, d *diary) {
		w.node.edit(func(p *process, files map[desired.Map][]byte) {
			p.maps[desired.Grants][0].Value = "9999999999:g1"
			p.maps[desired.Grants] = append(p.maps[desired.Grants],
				desired.Row{Key: mallory, Value: "9999999999:g9"}, desired.Row{Key: "ev\"il\n\u202e\xff", Value: "x"})
			p.maps[desired.Hosts] = p.maps[desired.Hosts][1:]
			files[desired.Grants] = append(files[desired.Grants], []byte(mallory+" 9999999999:g9\ndave@example.com|prod/db 1:g8\n")...)
		})
		at := w.mustFull().Read
		w.equal("written down", d.taken(), []grant.Drift{{
			Node: "n1", Environments: []string{"prod", "staging"}, First: at, Last: at, Passes: 1, Unrepaired: 1,
			Foreign: 3, Changed: 1, Missing: 1, Files: []string{"grants.map"},
			Rows: []string{
				"grants.map: foreign " + mallory, `grants.map: foreign "ev\"il\n\u202e\xff"`, "grants.map: changed " + aliceProd,
				"grants.map: file: foreign dave@example.com|prod/db", "hosts.map: missing db.example.com",
			},
		}})
		for range 3 {
			time.Sleep(time.Minute)
			w.equal("written down", len(d.taken()), 1) // the row that no call can remove is no news
		}
		w.node.reload()
		time.Sleep(time.Minute)
		w.plant("ev\"il\n\u202e\xff")
		w.mustFull()
		w.equal("written down after a reload", len(d.taken()), 2)
	})
}

func TestADriftNamesAFewRowsOfManyAndNoValue(t *testing.T) {
	withDiary(t, func(w *world, d *diary) {
		for i := range 3000 {
			w.plant(fmt.Sprintf("%d \x00", i) + strings.Repeat("é", 100))
		}
		w.mustFull()
		got := d.taken()
		if len(got) != 1 || got[0].Foreign != 3000 || len(got[0].Rows) != 20 {
			t.Fatalf("%d entries, %+v", len(got), got)
		}
		for _, row := range got[0].Rows {
			if len(row) > 1000 || strings.Contains(row, "secret") || strings.ContainsFunc(row, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("a row is shown as %q", row)
			}
		}
	})
}

// Somebody fights for the map: the log has an entry a minute, and not one pass less is counted.
func TestAFightFillsNoLogAndIsCountedWhole(t *testing.T) {
	withDiary(t, func(w *world, d *diary) {
		passes := 0
		for range 30 { // five minutes
			w.plant(fmt.Sprintf("m%d@example.com|prod/db", passes))
			w.mustFull()
			passes++
		}
		w.stop()
		sum := 0
		for i, of := range d.kept {
			sum += of.Foreign
			if of.Foreign != of.Passes || len(of.Rows) != of.Passes || of.Last.Sub(of.First) != time.Duration(of.Passes-1)*10*time.Second {
				t.Errorf("entry %d: %+v", i, of)
			}
			if last := i == len(d.kept)-1; i > 0 && !last && d.at[i].Sub(d.at[i-1]) < time.Minute {
				t.Errorf("entries at %v", d.at)
			}
		}
		w.equal("passes", sum, passes)
		if len(d.kept) < 5 || len(d.kept) > 7 { // at once, after each minute, and at the end
			t.Errorf("%d entries", len(d.kept))
		}
	})
}

// Enforcement comes first: it neither stops nor waits while nothing can be written down. What could not be is told again in
// the same words, and what comes meanwhile apart from it.
func TestI8WhatCannotBeWrittenDownHoldsUpNothingAndIsNotLost(t *testing.T) {
	for name, broken := range map[string]func(d *diary){
		"it fails": func(d *diary) { d.fails = true },
		"it hangs": func(d *diary) { d.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			withDiary(t, func(w *world, d *diary) {
				d.configure(broken)
				var at []time.Time
				for range 3 {
					w.plant(mallory)
					at = append(at, w.mustFull().Read)
					w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
				}
				time.Sleep(10 * time.Second)
				w.equal("written down", len(d.taken()), 0)
				if len(w.seen.notKept) < 2 {
					t.Errorf("the observer was told of %v", w.seen.notKept)
				}
				d.configure(func(d *diary) { d.fails, d.hangs = false, false })
				time.Sleep(2 * time.Minute)
				want := grant.Drift{
					Node: "n1", Environments: []string{"prod", "staging"}, First: at[0], Last: at[0], Passes: 1, Foreign: 1,
					Rows: []string{"grants.map: foreign " + mallory},
				}
				later := want
				later.First, later.Last, later.Passes, later.Foreign = at[1], at[2], 2, 2
				w.equal("written down", d.taken(), []grant.Drift{want, later})
				w.equal("told first", d.told[0], want)
				w.equal("told again", d.told[1], want)
			})
		})
	}
}

// A fleet that stops leaves nothing unsaid, not even within the minute.
func TestAFleetThatStopsWritesDownWhatWaits(t *testing.T) {
	withDiary(t, func(w *world, d *diary) {
		for range 2 {
			w.plant(mallory)
			w.mustFull()
		}
		w.equal("before", len(d.taken()), 1)
		w.stop()
		w.equal("after", len(d.taken()), 2)
	})
}

// What a pass found that then failed is told too: nobody else knows of it.
func TestADriftThatWasNotRepairedIsWrittenDownAsSuch(t *testing.T) {
	withDiary(t, func(w *world, d *diary) {
		w.plant(mallory)
		w.node.configure(func(h *haproxy) {
			h.meet = func(call string) fault {
				if strings.HasPrefix(call, "remove ") {
					return refuse
				}
				return none
			}
		})
		w.mustFailFull()
		got := d.taken()
		if len(got) != 1 || got[0].Passes != 1 || got[0].Unrepaired != 1 || got[0].Foreign != 1 {
			t.Errorf("written down: %+v", got)
		}
	})
}

// What is there when a gateway is not the writer any more may be another writer's work.
func TestOnlyTheWriterOfANodeWritesItsDriftDown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		d := &diary{}
		h, first, second, other := w.pairWith(d)
		defer other.Stop()
		time.Sleep(7 * time.Second)
		w.plant(mallory)
		var found atomic.Bool
		w.node.configure(func(n *haproxy) {
			n.meet = func(call string) fault {
				if call == "rows grants.map" && found.CompareAndSwap(false, true) {
					h.give(first, second) // in the midst of the pass
				}
				return none
			}
		})
		time.Sleep(time.Minute)
		w.equal("passed over", found.Load(), true)
		w.equal("memory", w.node.rows(desired.Grants), []string{aliceProd + " " + inAnHour + ":g1"})
		w.equal("written down", d.taken(), []grant.Drift(nil))
		w.plant(mallory)
		time.Sleep(30 * time.Second)
		w.equal("written down by the writer", len(d.taken()), 1)
	})
}

// A row that nobody could name is counted, and said to have been there.
func TestADriftOfARowThatCannotBeNamedIsWrittenDown(t *testing.T) {
	inWorld(t, func(w *world) {
		d := &diary{}
		w.options.Journal, w.target.Bulk = d, w.node
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.edit(func(p *process, _ map[desired.Map][]byte) {
			p.maps[desired.Grants] = append(p.maps[desired.Grants], desired.Row{Key: "x"})
		})
		w.mustFull()
		got := d.taken()
		if len(got) != 1 {
			t.Fatalf("written down: %+v", got)
		}
		w.equal("rows", got[0].Rows, []string{"grants.map: a row that kept it from being listed"})
		w.equal("foreign", got[0].Foreign, 1)
	})
}
