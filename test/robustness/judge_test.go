package robustness

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

const (
	clockBound = 2 * time.Second
	// clockSlack is how far a node's clock may keep a row open: the bound, and the resolution by which it is measured.
	clockSlack = clockBound + 1100*time.Millisecond
	// settle is how long after the last fault everything is as if there had been none: the longest backoff, a take-over and a
	// pass.
	settle = 20 * time.Second
	// prompt is X of I1 and I2 where a node is reachable; afterReload where HAProxy was reloaded just before, which is looked
	// for every second; afterEdit where somebody else wrote to the node, which a full pass finds.
	prompt      = 1200 * time.Millisecond
	afterReload = 3 * time.Second
	afterEdit   = 12 * time.Second
	// passTime is how long a pass may take.
	passTime = 40 * time.Second
)

// judge holds the nodes to the invariants, by the log of what was committed. It knows nothing of the code under test but
// what that claims.
type judge struct {
	sim *sim

	mu       sync.Mutex
	reported map[string]time.Time // by node and grant: its end was said to be enforced there
	everyone map[string]time.Time // by grant: its end was said to be enforced on all nodes
	cut      map[string]time.Time // by grant: no stream of it was said to run
	bounded  map[string]time.Time // by grant: until when one was said to run at most
	gateways time.Time            // when a gateway, or the store, was last in trouble
	first    map[string]time.Time // by node: a pass has first succeeded
	lags     int
}

func newJudge(s *sim) *judge {
	return &judge{
		sim: s, reported: map[string]time.Time{}, everyone: map[string]time.Time{}, cut: map[string]time.Time{},
		bounded: map[string]time.Time{}, first: map[string]time.Time{},
	}
}

// writes is told of each write that a gateway begins. Nobody writes once another gateway may, and nobody before the calls
// of the one before must have ended.
func (j *judge) writes(l *link, now time.Time) {
	if !j.sim.several {
		return
	}
	holder, claimed := j.sim.locks.holder(l.node.name)
	since := now.Sub(claimed)
	switch {
	case holder == nil:
	case holder != l.gateway && since > callTime+time.Second:
		j.sim.fail("%s writes to %s, which is %s's for %s", l.gateway.name, l.node.name, holder.name, since)
	case holder == l.gateway && since < callTime:
		j.sim.fail("%s writes to %s %s after it has claimed it: calls of the writer before may still be under way",
			l.gateway.name, l.node.name, since)
	}
}

// leased is told of each lease as it reaches a node, with the node's lock held: it rests on a look at the rows, it is no
// longer than from that look, and what the look must have shown is gone.
func (j *judge) leased(l *link, r desired.Row) {
	n, now := l.node, time.Now()
	looked := n.looked[l.gateway.name]
	length, on := j.sim.length(r.Key)
	if on && tenDigits(r.Value) > looked.Add(length).Unix() {
		j.sim.fail("I3: %s gets a lease until %s, looked at %s\n%s", n.name, r.Value, stamp(looked), n.describe())
	}
	if !n.skewed.IsZero() && now.Sub(n.skewed) > passTime {
		j.sim.fail("I3: %s gets a lease though its clock is behind by %s for %s", n.name, -n.offset, now.Sub(n.skewed))
	}
	if n.lateCall || n.disturbed.After(looked.Add(-time.Second)) || n.running.took.After(looked) {
		return
	}
	for _, row := range n.running.maps[desired.Grants] {
		_, id, _ := strings.Cut(row.Value, ":")
		e := j.sim.entry(id)
		if environmentOf(row.Key) == r.Key && (e == nil || e.ended != 0 && e.endedAt.Before(looked.Add(-passTime))) {
			j.sim.fail("I4: %s gets a lease over the row %v\n%s", n.name, row, n.describe())
		}
	}
}

func (j *judge) passed(_ *gateway, node string, r reconcile.Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.first[node].IsZero() {
		j.first[node] = time.Now()
	}
	for _, removal := range r.Removals {
		j.lags++
		if e := j.sim.entry(removal.GrantID); e != nil && e.ended != 0 && removal.EndedAt.After(time.Now()) {
			j.sim.fail("%s: %s ended in the future", node, removal.GrantID)
		}
	}
}

// check looks at all nodes as they are now.
func (j *judge) check() {
	now := time.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sim.inTrouble() {
		j.gateways = now
	}
	for _, n := range j.sim.everyNode() {
		n.mu.Lock()
		if n.weather.trouble() || n.dead || n.offset.Abs() > 500*time.Millisecond {
			n.troubled = now
		}
		if n.weather.any() {
			n.weathered = now
		}
		for _, w := range append([]*worker{n.running}, n.old...) {
			j.checkWorker(n, w, now)
		}
		n.mu.Unlock()
	}
	j.listen(now)
}

func (j *judge) checkWorker(n *node, w *worker, now time.Time) {
	admitted := map[string]bool{}
	for _, a := range n.admits(w, now) {
		admitted[a.id] = true
		j.checkLease(n, w, a, now)
		e := j.sim.entry(a.id)
		if e != nil && e.key == a.key && e.ended == 0 {
			continue
		}
		if n.left.IsZero() {
			j.checkEnded(n, w, a, e, now)
		} else if at := j.everyone[a.id]; !at.IsZero() && !j.off(a.environment) && !n.clockBad() && j.sim.remembers(n) {
			j.sim.fail("I2: %s ended everywhere at %s, and %s, which is gone, admits it\n%s", a.id, stamp(at), n.name, n.describe())
		}
	}
	if w == n.running && n.left.IsZero() {
		j.checkOpen(n, admitted, now)
	}
	if w.alive(now) && !n.dead && n.left.IsZero() {
		j.checkStreams(n, w, now)
	}
}

func (j *judge) off(environment string) bool {
	_, on := j.sim.length(environment)
	return !on
}

// clockBad reports whether the node's clock was off by more than the bound while a lease of now may have been given.
func (n *node) clockBad() bool { return n.offset.Abs() > clockBound }

// checkLease is I3: whoever has not heard of a gateway for longer than the lease refuses everything.
func (j *judge) checkLease(n *node, w *worker, a admission, now time.Time) {
	length, on := j.sim.length(a.environment)
	if on && !w.tainted[a.environment] && !n.clockBad() && now.After(n.leaseGiven.Add(length+clockSlack)) {
		j.sim.fail("I3: %s admits %s, and was last heard of at %s\n%s", n.name, a.id, stamp(n.leaseGiven), n.describe())
	}
}

// checkEnded is I1, I2 and I4: a row that is no live grant's is admitted for a short while at most, and never once its end
// was said to be enforced, but for what somebody else did since.
func (j *judge) checkEnded(n *node, w *worker, a admission, e *entry, now time.Time) {
	var ended time.Time
	if e != nil && e.key == a.key {
		ended = e.endedAt
	}
	base, grace := j.since(n, w, ended)
	quiet := n.troubled
	if j.gateways.After(quiet) {
		quiet = j.gateways
	}
	length, on := j.sim.length(a.environment)
	switch calm := base.After(quiet.Add(settle)); {
	case w != n.running && !j.sim.kinds[n.name].elders: // its lease ends it, or its own end
		grace = length + clockSlack
		on = on && !w.tainted[a.environment] && !n.clockBad()
	case calm:
		on = true
	default:
		grace = max(length+clockSlack, grace)
		on = on && !w.tainted[a.environment] && !n.clockBad()
	}
	if on && now.After(base.Add(grace)) {
		j.sim.fail("I1, I4: %s admits %s, which ended at %s (from %s on, for %s)\n%s", n.name, a.id, stamp(ended), stamp(base), grace, n.describe())
	}
	at := j.reported[n.name+" "+a.id]
	hole := w.hole(at)
	if !at.IsZero() && !hole && !n.disturbed.After(at.Add(-passTime)) {
		j.sim.fail("I2: the end of %s was said to be enforced on %s at %s, and it is admitted\n%s", a.id, n.name, stamp(at), n.describe())
	}
}

// look is how long the judge looks away at most.
const look = 1600 * time.Millisecond

// hole reports whether a worker had read the files before the time at, or when that was noted, and took over since: the
// one exception of I2, which is to be taken back.
func (w *worker) hole(at time.Time) bool { return w.took.After(at.Add(-look)) && !w.loaded.After(at) }

// since is from when on a row must go, and how soon.
func (j *judge) since(n *node, w *worker, ended time.Time) (base time.Time, grace time.Duration) {
	base, grace = ended, prompt
	if w.took.After(ended.Add(-5 * time.Second)) {
		grace = afterReload
	}
	if w.took.After(base) {
		base = w.took
	}
	if n.lateAt.After(base) {
		base, grace = n.lateAt, afterReload
	}
	if n.disturbed.After(ended.Add(-afterEdit)) {
		grace = afterEdit
		if n.disturbed.After(base) {
			base = n.disturbed
		}
	}
	return base, grace
}

// checkOpen: where nothing is wrong a live grant works, without a gap.
func (j *judge) checkOpen(n *node, admitted map[string]bool, now time.Time) {
	recent := n.troubled
	for _, t := range []time.Time{j.gateways, n.disturbed, n.joined, n.weathered} {
		if t.After(recent) {
			recent = t
		}
	}
	if now.Before(recent.Add(settle)) || now.Before(n.running.took.Add(2*afterReload)) || n.weather.any() {
		return
	}
	for _, e := range j.sim.live() {
		if j.sim.serves(n, environmentOf(e.key)) && !admitted[e.grant.ID] && now.After(e.givenAt.Add(afterReload)) &&
			now.Add(2*time.Second).Before(e.grant.ExpiresAt) {
			j.sim.fail("%s refuses %s, which is live since %s\n%s", n.name, e.grant.ID, stamp(e.givenAt), n.describe())
		}
	}
}

// checkStreams: what was said of running streams is true, and where they can be cut they are.
func (j *judge) checkStreams(n *node, w *worker, now time.Time) {
	kind := j.sim.kinds[n.name]
	for _, st := range w.streams {
		e := j.sim.entry(st.id)
		if e == nil || e.ended == 0 || j.sim.liveKey(st.key) {
			continue
		}
		base, grace := j.since(n, w, e.endedAt)
		quiet := n.troubled
		if j.gateways.After(quiet) {
			quiet = j.gateways
		}
		if kind.streams && (w == n.running || kind.elders) && base.After(quiet.Add(settle)) && now.After(base.Add(grace+time.Second)) {
			j.sim.fail("a stream of %s, which ended at %s, runs on %s\n%s", st.id, stamp(e.endedAt), n.name, n.describe())
		}
		at := j.cut[st.id]
		if !at.IsZero() && !n.disturbed.After(at.Add(-passTime)) && !w.hole(at) {
			j.sim.fail("no stream of %s was said to run at %s, and one does on %s\n%s", st.id, stamp(at), n.name, n.describe())
		}
		if until := j.bounded[st.id]; !until.IsZero() && now.After(until) && !n.disturbed.After(e.endedAt) {
			j.sim.fail("a stream of %s was said to run until %s, and does on %s\n%s", st.id, stamp(until), n.name, n.describe())
		}
	}
}

// claims are what at least one gateway says now.
type claims struct{ reported, everyone, cut map[string]bool }

// listen notes what the gateways claim.
func (j *judge) listen(now time.Time) {
	c := claims{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	asked := false
	for _, g := range j.sim.gateways {
		if !g.fine() {
			continue
		}
		asked = true
		statuses := g.fleet.Status("")
		for _, e := range j.sim.recentlyEnded(now) {
			j.hear(c, g, e, statuses)
		}
	}
	if asked {
		mark(j.reported, c.reported, now)
		mark(j.everyone, c.everyone, now)
		mark(j.cut, c.cut, now)
	}
}

func (j *judge) hear(c claims, g *gateway, e *entry, statuses []reconcile.Status) {
	environment, id := environmentOf(e.key), e.grant.ID
	for _, s := range statuses {
		for _, se := range s.Environments {
			if se.Name == environment && se.Enforced >= e.ended {
				c.reported[s.Name+" "+id] = true
			}
		}
	}
	a := g.fleet.Ask(reconcile.Question{Environment: environment, Revision: e.ended, Expires: e.grant.ExpiresAt})
	c.everyone[id] = c.everyone[id] || a.Total > 0 && a.Enforced == a.Total
	c.cut[id] = c.cut[id] || a.Total > 0 && a.StreamsCut
	if a.StreamsUntil.After(j.bounded[id]) {
		j.bounded[id] = a.StreamsUntil
	}
}

// mark notes since when something is said. What is taken back is not held against whoever said it from then on.
func mark(said map[string]time.Time, now map[string]bool, at time.Time) {
	for what, holds := range now {
		if _, there := said[what]; holds && !there {
			said[what] = at
		}
	}
	for what := range said {
		if !now[what] {
			delete(said, what)
		}
	}
}

func (j *judge) String() string {
	return fmt.Sprintf("%d ends reported by node, %d by all, %d lags", len(j.reported), len(j.everyone), j.lags)
}
