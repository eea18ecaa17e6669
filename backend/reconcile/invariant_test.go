package reconcile_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// chronicle is what the test itself knows of a grant.
type chronicle struct {
	grant    grant.Grant
	given    int64 // revision
	ended    int64 // revision; 0 while it is active
	endedAt  time.Time
	reported bool // its end was reported as enforced once
}

func (c *chronicle) key() string { return string(c.grant.Subject) + "|" + c.grant.Pool.String() }

// history drives a world by random steps and holds it to the invariants after each.
type history struct {
	*world
	rt      *rapid.T
	all     []*chronicle
	foreign bool // somebody else has written to the node
	changed chan struct{}
}

// TestI1ToI4AndI8UnderRandomFaults: grants come and go while the node is reloaded, restarted, edited by others, cut off
// and lied to, and the gateway and its store come and go. What any worker admits is worked out by the model of HAProxy.
// All calls take a while, so that things happen in the middle of passes, and what happens follows from what is drawn.
func TestI1ToI4AndI8UnderRandomFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// rapid ends a case by a panic, and the bubble of the clock is another goroutine.
		var ended any
		synctest.Test(t, func(*testing.T) {
			defer func() { ended = recover() }()
			time.Sleep(time.Until(begin))
			h := &history{world: newWorld(rt), rt: rt}
			h.options.Jitter = jitter(rapid.Uint64().Draw(rt, "jitter"))
			h.node.latency = quick
			h.follow()
			h.target.Bulk = h.node
			if rapid.Bool().Draw(rt, "prober") {
				h.target.Prober = h.node
			}
			if rapid.Bool().Draw(rt, "recognizer") {
				h.target.Recognizer = h.node
			}
			defer h.stop()
			h.start()
			rt.Repeat(h.steps())
			h.calm()
		})
		if ended != nil {
			panic(ended)
		}
	})
}

// quick and slow are how long a call takes: no round times, so that few things happen at the same moment.
const quick, slow = 1700 * time.Microsecond, 40300 * time.Microsecond

// jitter is the same for the same seed.
func jitter(seed uint64) func(string, time.Duration) time.Duration {
	var mu sync.Mutex
	source := rand.New(rand.NewPCG(seed, 0))
	return func(_ string, d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(source.Int64N(int64(d) + 1))
	}
}

func (h *history) steps() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"give":        h.give,
		"revoke":      h.revoke,
		"in a pass":   h.revokeInPass,
		"outage":      h.outage,
		"sweep":       func(*rapid.T) { h.sweep() },
		"pass":        func(*rapid.T) { h.pass() },
		"reload":      func(*rapid.T) { h.node.reload() },
		"restart":     func(*rapid.T) { h.node.restart() },
		"foreign":     h.edit,
		"fault":       h.fault,
		"no fault":    func(*rapid.T) { h.node.configure(func(n *haproxy) { n.meet = nil }) },
		"down":        func(*rapid.T) { h.node.configure(func(n *haproxy) { n.down = !n.down }) },
		"store":       func(*rapid.T) { h.source.configure(func(s *source) { s.down = !s.down }) },
		"slow":        func(*rapid.T) { h.node.configure(func(n *haproxy) { n.latency = quick + slow - n.latency }) },
		"slow store":  func(*rapid.T) { h.source.configure(func(s *source) { s.lag = slow - s.lag }) },
		"clock":       h.clock,
		"crash":       func(*rapid.T) { h.crash() },
		"short sleep": func(rt *rapid.T) { h.sleep(rapid.IntRange(1, 1500).Draw(rt, "ms")) },
		"long sleep":  func(rt *rapid.T) { h.sleep(rapid.IntRange(1500, 40000).Draw(rt, "ms")) },
		"":            func(*rapid.T) { synctest.Wait(); h.check() },
	}
}

// sleep looks at the invariants all along, and whenever the node was changed: what is wrong may be so for a moment.
func (h *history) sleep(ms int) {
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
		timer := time.NewTimer(min(time.Until(end), 500*time.Millisecond))
		select {
		case <-timer.C:
		case <-h.changed:
		}
		timer.Stop()
		synctest.Wait()
		h.check()
	}
}

// follow notes when the node was changed.
func (h *history) follow() {
	h.changed = make(chan struct{}, 1)
	h.node.configure(func(n *haproxy) {
		n.after = func(call string) {
			if len(changing([]string{call})) == 0 {
				return
			}
			select {
			case h.changed <- struct{}{}:
			default:
			}
		}
	})
}

func (h *history) give(rt *rapid.T) {
	subject := rapid.SampledFrom([]grant.Subject{"alice@example.com", "bob@example.com"}).Draw(rt, "subject")
	environment := rapid.SampledFrom([]string{"prod", "staging"}).Draw(rt, "environment")
	g := granted(fmt.Sprintf("g%d", len(h.all)), subject, environment)
	g.ExpiresAt = time.Now().Add(time.Duration(rapid.IntRange(1, 300).Draw(rt, "seconds")) * time.Second).Truncate(time.Second)
	c := &chronicle{grant: g}
	h.sweep()
	if slices.ContainsFunc(h.all, func(o *chronicle) bool { return o.ended == 0 && o.key() == c.key() }) {
		return // the store has one active grant for a subject and a pool
	}
	c.given = h.source.give(g)
	h.all = append(h.all, c)
	h.fleet.Wake()
}

func (h *history) revoke(rt *rapid.T) {
	active := slices.DeleteFunc(slices.Clone(h.all), func(c *chronicle) bool { return c.ended != 0 })
	if len(active) == 0 {
		return
	}
	h.end(rapid.SampledFrom(active).Draw(rt, "grant"))
}

// revokeInPass ends a grant while a pass is under way, if none is failing.
func (h *history) revokeInPass(rt *rapid.T) {
	h.fleet.Wake()
	time.Sleep(time.Duration(rapid.IntRange(0, 50).Draw(rt, "ms")) * time.Millisecond)
	h.revoke(rt)
}

// outage lasts for longer than the lease.
func (h *history) outage(rt *rapid.T) {
	h.node.configure(func(n *haproxy) { n.down = true })
	h.sleep(rapid.IntRange(32000, 45000).Draw(rt, "ms"))
	h.node.configure(func(n *haproxy) { n.down = false })
}

// sweep is what the clock of the store does.
func (h *history) sweep() {
	for _, c := range h.all {
		if c.ended == 0 && !time.Now().Before(c.grant.ExpiresAt) {
			h.end(c)
		}
	}
}

func (h *history) end(c *chronicle) {
	c.ended, c.endedAt = h.source.end(c.grant.ID), time.Now()
	h.fleet.Wake()
}

// edit is a foreign hand that opens nothing of ours: what it opened would be its own deed until the next pass.
func (h *history) edit(rt *rapid.T) {
	h.foreign = true
	kind := rapid.SampledFrom([]string{"add", "remove", "change", "double", "file", "bare", "bare file"}).Draw(rt, "edit")
	m := rapid.SampledFrom(allMaps).Draw(rt, "map")
	h.node.edit(func(p *process, files map[desired.Map][]byte) {
		rows := p.maps[m]
		switch {
		case kind == "add":
			p.maps[m] = append(rows, desired.Row{Key: "mallory@example.com|prod/db", Value: "9999999999:foreign"})
		case kind == "bare":
			p.maps[m] = append(rows, desired.Row{Key: "mallory@example.com|prod/db"})
		case kind == "bare file":
			files[m] = append(files[m], "mallory@example.com|pr"...)
		case kind == "file":
			files[m] = append([]byte("mallory@example.com|prod/db 9999999999:foreign\n# x\n"), files[m]...)
		case len(rows) == 0:
		case kind == "remove":
			p.maps[m] = rows[1:]
		case kind == "change":
			rows[0].Value = "x"
		case kind == "double":
			p.maps[m] = append(rows, desired.Row{Key: rows[0].Key, Value: "x"})
		}
	})
}

// fault lets some calls go wrong. Reads do not lie: nobody could notice that.
func (h *history) fault(rt *rapid.T) {
	met := rapid.SampledFrom([]fault{refuse, lose, pretend, hang, late}).Draw(rt, "fault")
	word := rapid.SampledFrom([]string{"rows", "file", "remove", "set", "add", "write", "worker", "clear", "row ", "recognize", "compare"}).Draw(rt, "call")
	every := rapid.IntRange(1, 3).Draw(rt, "every")
	if (met == pretend || met == late) && slices.Contains([]string{"rows", "row ", "file", "worker", "recognize", "compare"}, word) {
		met = refuse
	}
	n := 0
	lateness := time.Duration(rapid.IntRange(0, 24000).Draw(rt, "lateness")) * time.Millisecond
	h.node.configure(func(node *haproxy) {
		node.lateness = lateness
		node.meet = func(call string) fault {
			if strings.HasPrefix(call, word) {
				if n++; n%every == 0 {
					return met
				}
			}
			return none
		}
	})
}

// clock sets the node's clock within the bound, where the invariants hold.
func (h *history) clock(rt *rapid.T) {
	offset := time.Duration(rapid.IntRange(-2000, 3000).Draw(rt, "offset")) * time.Millisecond
	h.node.configure(func(n *haproxy) { n.offset = offset })
}

func (h *history) check() {
	for _, c := range h.all {
		admitted := slices.Contains(h.node.admitted(c.grant.Pool.Environment, c.key()), c.grant.ID)
		if c.ended == 0 {
			h.checkOpen(c, admitted)
			continue
		}
		if admitted && c.reported {
			h.rt.Fatalf("I2: the end of %s was reported as enforced, and it is admitted\n%v", c.grant.ID, h.node)
		}
		// The bound of the node's clock on top. A row that a late call brings back is there until the next look, or the lease's end.
		if over := min(time.Since(c.endedAt), time.Since(h.node.arrived())); admitted && c.grant.Pool.Environment == "prod" && over > 32*time.Second {
			h.rt.Fatalf("I3: %s ended %s ago and is admitted\n%v", c.grant.ID, over, h.node)
		}
		a := h.ended(c.grant.Pool.Environment, c.ended, c.grant.ExpiresAt)
		c.reported = c.reported || a.Enforced == a.Total
		if c.reported && admitted {
			h.rt.Fatalf("I2: the end of %s is reported as enforced while it is admitted\n%v", c.grant.ID, h.node)
		}
	}
	for _, key := range []string{aliceProd, aliceStaging, bobProd, "bob@example.com|staging/db"} {
		environment := "prod"
		if strings.Contains(key, "staging") {
			environment = "staging"
		}
		for _, id := range h.node.admitted(environment, key) {
			if !slices.ContainsFunc(h.all, func(c *chronicle) bool { return c.grant.ID == id && c.key() == key }) {
				h.rt.Fatalf("I1: %s is admitted by %q, which is no grant of theirs\n%v", key, id, h.node)
			}
		}
	}
}

// checkOpen: what is reported as open is open, unless somebody else closed it.
func (h *history) checkOpen(c *chronicle, admitted bool) {
	if admitted || h.foreign || !time.Now().Before(c.grant.ExpiresAt.Add(-3*time.Second)) {
		return
	}
	a := h.fleet.Ask(reconcile.Question{
		Environment: c.grant.Pool.Environment, Revision: c.given, Opens: true, Expires: c.grant.ExpiresAt,
	})
	if a.Enforced == 1 {
		h.rt.Fatalf("%s is reported as open, and refused\n%v", c.grant.ID, h.node)
	}
}

// calm ends all faults: the node converges, and a second pass writes nothing but the lease (I8).
func (h *history) calm() {
	h.node.configure(func(n *haproxy) { n.meet, n.down, n.latency, n.offset = nil, false, 0, 0 })
	h.source.configure(func(s *source) { s.down, s.lag = false, 0 })
	h.sleep(45000)
	h.sweep()
	h.mustPass()
	h.node.takeLog()
	h.mustPass()
	for _, call := range changing(h.node.takeLog()) {
		if !strings.Contains(call, "leases.map") {
			h.rt.Errorf("I8: the second pass did: %s", call)
		}
	}
	var want []string
	for _, c := range h.all {
		if c.ended == 0 {
			want = append(want, fmt.Sprintf("%s %d:%s", c.key(), c.grant.ExpiresAt.Unix(), c.grant.ID))
			h.equal("open", h.opened(c.grant.Pool.Environment, c.given).Enforced, 1)
		} else {
			a := h.ended(c.grant.Pool.Environment, c.ended, c.grant.ExpiresAt)
			h.equal("ended", [2]int{a.Total, a.Enforced}, [2]int{1, 1})
		}
	}
	slices.Sort(want)
	text := ""
	for _, row := range want {
		text += row + "\n"
	}
	rows := h.node.rows(desired.Grants)
	slices.Sort(rows)
	h.equal("I8: memory", strings.Join(rows, "\n"), strings.TrimSuffix(text, "\n"))
	h.equal("I8: file", h.node.file(desired.Grants), text)
	h.equal("hosts", h.node.file(desired.Hosts), "db.example.com prod/db\nsdb.example.com staging/db\n")
	h.equal("kids", h.node.rows(desired.KIDs), []string{"clutch|k1 /keys/k1.pub"})
}
