package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// Replace, Clear, Row, Purge and Cut make the model what a node may have beside.
func (h *haproxy) Replace(ctx context.Context, m desired.Map, t desired.Table) error {
	return h.do(ctx, "replace "+string(m), func() error {
		h.running.maps[m] = t.Rows()
		return nil
	})
}

func (h *haproxy) Clear(ctx context.Context, m desired.Map) error {
	return h.do(ctx, "clear "+string(m), func() error {
		h.running.maps[m] = nil
		return nil
	})
}

func (h *haproxy) Row(ctx context.Context, m desired.Map, key string) (value string, there bool, err error) {
	err = h.do(ctx, "row "+string(m), func() error {
		value, there = h.running.value(m, key)
		return nil
	})
	return value, there, err
}

func (h *haproxy) Purge(ctx context.Context, keep map[desired.Map]desired.Table) (n int, err error) {
	err = h.do(ctx, "purge", func() error {
		for _, p := range h.old {
			for m, t := range keep {
				p.maps[m] = slices.DeleteFunc(p.maps[m], func(r desired.Row) bool { return t[r.Key] != r.Value })
			}
		}
		n = len(h.old)
		return nil
	})
	return n, err
}

// streams are those that run, by key.
type streams struct {
	*haproxy
	mu   sync.Mutex
	keys []string
	at   time.Time // of the last one that was cut
}

func (s *streams) Cut(ctx context.Context, live func(string) bool) (n int, err error) {
	err = s.do(ctx, "cut", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		before := len(s.keys)
		s.keys = slices.DeleteFunc(s.keys, func(key string) bool { return !live(key) })
		if n = before - len(s.keys); n > 0 {
			s.at = time.Now()
		}
		return nil
	})
	return n, err
}

func (s *streams) running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

func (w *world) many(n int, environment string) {
	for i := range n {
		w.source.give(granted(fmt.Sprintf("m%d", i), grant.Subject(fmt.Sprintf("person%d@example.com", i)), environment))
	}
}

// A cold start of many rows is one call where the node can replace a map; where the API would add to the map and not
// replace it, which it does up to 8 KiB, rows go one by one.
func TestManyRowsAreReplacedAtOnceAboveEightKiB(t *testing.T) {
	for _, c := range []struct {
		rows, replaced, added int
	}{{300, 1, 0}, {100, 0, 100}, {60, 0, 60}} {
		inWorld(t, func(w *world) {
			w.target.Bulk = w.node
			w.many(c.rows, "prod")
			w.start()
			calls := w.node.takeLog()
			count := func(word string) (n int) {
				for _, call := range calls {
					if strings.HasPrefix(call, word+" grants.map") {
						n++
					}
				}
				return n
			}
			replaced := strings.Count(strings.Join(calls, "\n"), "replace grants.map")
			w.equal(fmt.Sprintf("%d rows: replaced, added", c.rows), [2]int{replaced, count("add")}, [2]int{c.replaced, c.added})
			w.equal("rows", len(w.node.rows(desired.Grants)), c.rows)
		})
	}
}

// A revocation on a node that is known to be right takes four calls and the file, and the first of them is the removal.
func TestARevocationTakesFewCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Prober = w.node
		w.source.give(alice("g1", "prod"))
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.start()
		w.node.takeLog()
		w.source.end("g1")
		r := w.mustPass()
		w.equal("calls", w.node.takeLog(), []string{
			"remove grants.map " + aliceProd, "write grants.map", "row grants.map", "file grants.map", "worker",
		})
		w.equal("kind", r.Kind, reconcile.Change)
		w.source.configure(func(s *source) { s.revision++ })
		w.mustPass()
		w.equal("a change that concerns no row takes", w.node.takeLog(), []string{"worker"})
	})
}

// A worker that has not run for long may not be the one that was seen: another can have its process id, and the same time.
func TestAYoungWorkerIsAskedForBeforeAChange(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Prober = w.node
		w.source.give(alice("g1", "prod"))
		w.node.restart()
		w.start()
		for _, c := range []struct {
			age   time.Duration
			first string
		}{{2 * time.Second, "worker"}, {7 * time.Second, "worker"}, {13 * time.Second, "add grants.map " + bobProd}} {
			time.Sleep(time.Until(begin.Add(c.age)))
			w.node.takeLog()
			w.source.give(granted("g2", "bob@example.com", "prod"))
			w.mustPass()
			w.equal(c.age.String(), w.node.takeLog()[0], c.first)
			w.source.end("g2")
			w.mustPass()
		}
	})
}

// What has not changed since the pass before is recognized, and not read again; so is it after a change once it was read.
func TestWhatAFullPassHasLeftIsRecognizedByTheNext(t *testing.T) {
	inWorld(t, func(w *world) {
		w.target.Recognizer = w.node
		w.source.give(alice("g1", "prod"))
		w.start()
		parsed := func() (maps []string) {
			w.node.takeLog()
			w.mustFull()
			for _, call := range w.node.takeLog() {
				if word, m, _ := strings.Cut(call, " "); (word == "parse" || word == "file") && m != string(desired.Leases) {
					maps = append(maps, m)
				}
			}
			return maps
		}
		w.equal("nothing changed", parsed(), []string(nil))
		w.source.give(granted("g2", "bob@example.com", "prod"))
		w.mustPass()
		w.equal("after a change", parsed(), []string{string(desired.Grants)})
		w.equal("and then", parsed(), []string(nil))
		w.node.reload()
		w.equal("after a reload", len(parsed()), 4)
		w.equal("and then", parsed(), []string(nil))
	})
}

// The full passes of nodes that began together do not stay together, and each is in time.
func TestFullPassesAreSpreadOverTheInterval(t *testing.T) {
	inWorld(t, func(w *world) {
		const nodes = 20
		var targets []reconcile.Target
		for i := range nodes {
			one := w.target
			one.Name, one.Node = fmt.Sprint("n", i), newHAProxy()
			targets = append(targets, one)
		}
		w.fleet = w.newFleet(targets...)
		w.fleet.Start()
		synctest.Wait()
		time.Sleep(10 * time.Second) // until each has found its place
		last, most := map[string]time.Time{}, 0
		for range 400 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			together := 0
			for _, s := range w.fleet.Status("") {
				if !last[s.Name].IsZero() && s.LastFull.After(last[s.Name]) {
					together++
					if apart := s.LastFull.Sub(last[s.Name]); apart > 10*time.Second {
						t.Errorf("%s had none for %s", s.Name, apart)
					}
				}
				last[s.Name] = s.LastFull
			}
			most = max(most, together)
		}
		if most > 2 {
			t.Errorf("%d of %d within a tenth of a second of ten", most, nodes)
		}
	})
}

// What closes in one map comes before what opens in another.
func TestRemovalsOfAllMapsComeBeforeAnyAddition(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.node.edit(func(p *process, files map[desired.Map][]byte) {
			p.maps[desired.Hosts] = append(p.maps[desired.Hosts], desired.Row{Key: "x.example.com", Value: "prod/db"})
			p.maps[desired.KIDs] = nil
		})
		w.source.give(alice("g1", "prod"))
		w.node.takeLog()
		w.crash()
		w.equal("changes", changing(w.node.takeLog()), []string{
			"remove hosts.map x.example.com", "add grants.map " + aliceProd, "add kids.map clutch|k1", "write grants.map",
		})
	})
}

// With the master socket a removal is enforced at once; if that fails it waits as without; and a worker that takes over
// with an older file takes back what was said, purge or no purge.
func TestI2EldersThatArePurgedEnforceAtOnceAndAnErrorDoesNot(t *testing.T) {
	for _, fails := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.target.Elders = w.node
			w.source.give(alice("g1", "staging"))
			w.start()
			w.node.reload()
			time.Sleep(2 * time.Second)
			w.node.configure(func(h *haproxy) {
				h.meet = func(call string) fault {
					if call == "purge" && fails {
						return refuse
					}
					return none
				}
			})
			revision := w.source.end("g1")
			w.mustPass()
			enforced := w.ended("staging", revision, begin.Add(time.Hour)).Enforced
			w.equal("enforced, admitted", [2]bool{enforced == 1, w.node.admitted("staging", aliceStaging) != nil}, [2]bool{!fails, fails})
		})
	}
}

// A stream is cut when its grant is revoked, and within a second of the second on which it expires.
func TestStreamsAreCutAtRevokeAndAtExpiry(t *testing.T) {
	inWorld(t, func(w *world) {
		s := &streams{haproxy: w.node, keys: []string{aliceProd, bobProd}}
		w.target.Streams, w.target.Elders = s, w.node
		short := granted("g2", "bob@example.com", "prod")
		short.ExpiresAt = begin.Add(7 * time.Second)
		w.source.give(alice("g1", "prod"))
		w.source.give(short)
		w.start()
		w.equal("at first", len(s.running()), 2)
		time.Sleep(8 * time.Second) // the store has not said a word
		w.equal("after the expiry", s.running(), []string{aliceProd})
		if late := s.at.Sub(short.ExpiresAt); late < 0 || late > time.Second {
			t.Errorf("cut %s after the expiry", late)
		}
		revision := w.source.end("g1")
		w.equal("cut before the pass", w.ended("prod", revision, begin.Add(time.Hour)).StreamsCut, false)
		w.mustPass()
		w.equal("after the revocation", len(s.running()), 0)
		w.equal("said to be cut", w.ended("prod", revision, begin.Add(time.Hour)).StreamsCut, true)
	})
}

// Without a runtime socket a stream in the running worker is bounded by nothing; once a reload has made it an old one, by
// hard-stop-after.
func TestStreamsThatNobodyCutsAreBoundedAfterAReloadOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		revision := w.source.end("g1")
		w.mustPass()
		ask := func() reconcile.Answer { return w.ended("prod", revision, begin.Add(time.Hour)) }
		w.equal("at first", [2]any{ask().StreamsCut, ask().StreamsUntil}, [2]any{false, time.Time{}})
		time.Sleep(10 * time.Second)
		w.node.reload()
		reloaded := time.Now()
		time.Sleep(11 * time.Second)
		if until := ask().StreamsUntil; until.Before(reloaded.Add(30*time.Second)) || until.After(reloaded.Add(40*time.Second)) {
			t.Errorf("until %s after the reload", until.Sub(reloaded))
		}
		time.Sleep(40 * time.Second)
		w.equal("at last", ask().StreamsCut, true)
	})
}

// Nodes come and go: a new one is filled before it gets a lease, one that is gone counts while its lease lasts, and one
// whose settings change keeps what is known of it.
func TestTargetsComeAndGo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		other := w.target
		added := newHAProxy()
		added.running.maps[desired.Grants] = []desired.Row{{Key: bobProd, Value: "9999999999:old"}}
		other.Name, other.Node = "n2", added
		w.fleet.SetTargets([]reconcile.Target{w.target, other})
		synctest.Wait()
		calls := changing(added.takeLog())
		w.equal("what was there goes first", calls[0], "remove grants.map "+bobProd)
		w.equal("the lease comes last", calls[len(calls)-1], "write leases.map")

		revision := w.source.end("g1")
		w.pass()
		w.equal("both", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 2)
		changed := w.target
		changed.Settings = "other"
		before, _ := w.seen.counts()
		w.fleet.SetTargets([]reconcile.Target{changed})
		w.equal("kept", w.ended("prod", revision, begin.Add(time.Hour)).Enforced, 1)
		synctest.Wait()
		after, _ := w.seen.counts()
		w.equal("passes of the loop that began anew", after-before, 1)
		w.equal("status", len(w.fleet.Status("")), 1)

		later := w.source.end("")
		w.pass()
		w.equal("with the one that is gone", w.ended("prod", later, begin.Add(time.Hour)).Total, 2)
		time.Sleep(35 * time.Second)
		w.equal("when its lease is over", w.ended("prod", later, begin.Add(time.Hour)).Total, 1)
	})
}

func TestAStatusIsTheSameAfterJSON(t *testing.T) {
	inWorld(t, func(w *world) {
		w.source.give(alice("g1", "prod"))
		w.start()
		w.node.configure(func(h *haproxy) { h.down = true })
		w.mustFail()
		before := w.status()
		text, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		var after reconcile.Status
		if err := json.Unmarshal(text, &after); err != nil {
			t.Fatal(err)
		}
		w.equal("error", after.Err.Error(), before.Err.Error())
		again, err := json.Marshal(after)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s\n%s", text, again)
		}
	})
}

// ledger takes reports, or refuses them.
type ledger struct {
	mu      sync.Mutex
	refuses bool
	got     map[string]reconcile.Report
}

func (l *ledger) Record(_ context.Context, node string, reports []reconcile.Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuses {
		return errors.New("no")
	}
	for _, r := range reports {
		have := l.got[node+" "+r.GrantID]
		if !r.VerifiedAt.IsZero() {
			have.WrittenAt, have.VerifiedAt = r.WrittenAt, r.VerifiedAt
		}
		if !r.RemovedAt.IsZero() {
			have.RemovedAt = r.RemovedAt
		}
		l.got[node+" "+r.GrantID] = have
	}
	return nil
}

// The ledger is told of rows that were read back and of removals that are in force, again until it takes it, and nothing
// waits for it.
func TestTheLedgerIsToldUntilItTakesIt(t *testing.T) {
	inWorld(t, func(w *world) {
		l := &ledger{refuses: true, got: map[string]reconcile.Report{}}
		w.options.Ledger = l
		w.source.give(alice("g1", "prod"))
		w.start()
		time.Sleep(5 * time.Second)
		w.source.end("g1")
		w.mustPass()
		removed := time.Now()
		l.mu.Lock()
		l.refuses = false
		l.mu.Unlock()
		time.Sleep(6 * time.Second)
		l.mu.Lock()
		got := l.got["n1 g1"]
		l.mu.Unlock()
		w.equal("written, verified, removed", []time.Time{got.WrittenAt.UTC(), got.VerifiedAt.UTC(), got.RemovedAt}, []time.Time{begin, begin, removed})
	})
}
