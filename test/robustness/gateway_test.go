package robustness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
)

var (
	errKilled = errors.New("the process is dead")
	errStore  = errors.New("the store is away")
	errLost   = errors.New("the session is over")
)

// gateway is a process: it may be killed, or stopped and continued as by SIGSTOP and SIGCONT.
type gateway struct {
	sim   *sim
	name  string
	born  time.Time
	fleet *reconcile.Fleet

	mu     sync.Mutex
	dead   bool
	resume chan struct{} // not nil while it is stopped
}

// pass holds up whoever passes in a stopped process, and lets nobody pass in a dead one. After a stop all deadlines that
// have passed are noticed, as by a process that goes on.
func (g *gateway) pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		dead, resume := g.dead, g.resume
		g.mu.Unlock()
		if dead {
			return errKilled
		}
		if resume == nil {
			return ctx.Err()
		}
		<-resume
	}
}

func (g *gateway) fine() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.dead && g.resume == nil
}

func (g *gateway) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead && g.resume == nil {
		g.resume = make(chan struct{})
	}
}

func (g *gateway) goOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.resume != nil {
		close(g.resume)
		g.resume = nil
	}
}

// kill ends it without a word: none of its calls gets through any more.
func (g *gateway) kill() {
	g.mu.Lock()
	g.dead = true
	g.mu.Unlock()
	g.goOn()
	g.fleet.Stop()
}

// Passed, Failed, Drifted and Elected implement reconcile.Observer.
func (g *gateway) Passed(node string, r reconcile.Result) { g.sim.judge.passed(g, node, r) }
func (g *gateway) Failed(string, error)                   {}
func (g *gateway) Drifted(string, reconcile.Drift)        {}
func (g *gateway) DriftNotKept(string, error)             {}
func (g *gateway) Elected(string, bool)                   {}

// ledger is the store: the log of what was committed.
type ledger struct {
	mu       sync.Mutex
	revision int64
	all      []*entry
	byID     map[string]*entry
	away     bool
	reports  map[string]reconcile.Report // by node and grant
}

// entry is what the simulation itself knows of a grant.
type entry struct {
	grant    grant.Grant
	given    int64 // revision of its last opening
	givenAt  time.Time
	ended    int64 // revision; 0 while it is active
	endedAt  time.Time
	key      string
	previous string // the key's value before the last extension
}

func (l *ledger) active() []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.all), func(e *entry) bool { return e.ended != 0 })
}

func (l *ledger) end(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.ended == 0 {
		l.revision++
		e.ended, e.endedAt = l.revision, time.Now()
		e.grant.State, e.grant.EndedAt = grant.Revoked, time.Now()
	}
}

// view is the store as one gateway reads it, its lock and its board.
type view struct{ *gateway }

func (v view) log(ctx context.Context) (*ledger, error) {
	if err := v.pass(ctx); err != nil {
		return nil, err
	}
	l := v.sim.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errStore
	}
	return l, nil
}

func (v view) Revision(ctx context.Context) (int64, error) {
	l, err := v.log(ctx)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.revision, nil
}

func (v view) Snapshot(ctx context.Context) (reconcile.Snapshot, error) {
	l, err := v.log(ctx)
	if err != nil {
		return reconcile.Snapshot{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := reconcile.Snapshot{Revision: l.revision}
	for _, e := range l.all {
		if e.ended == 0 {
			s.Active = append(s.Active, e.grant)
		}
	}
	return s, nil
}

func (v view) Ended(ctx context.Context, after int64) ([]reconcile.Ending, int64, error) {
	l, err := v.log(ctx)
	if err != nil {
		return nil, 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var ended []reconcile.Ending
	for _, e := range l.all {
		if e.ended > after {
			ended = append(ended, reconcile.Ending{GrantID: e.grant.ID, Pool: e.grant.Pool, Revision: e.ended, At: e.endedAt})
		}
	}
	slices.SortFunc(ended, func(a, b reconcile.Ending) int { return int(a.Revision - b.Revision) })
	return ended, l.revision, nil
}

// Record implements reconcile.Ledger as the store keeps reports: the first writing of a revision, the last removal.
func (v view) Record(ctx context.Context, node string, reports []reconcile.Report) error {
	l, err := v.log(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range reports {
		have := l.reports[node+" "+r.GrantID]
		if have.VerifiedAt.IsZero() {
			have.VerifiedAt = r.VerifiedAt
		}
		if r.RemovedAt.After(have.RemovedAt) {
			have.RemovedAt = r.RemovedAt
		}
		l.reports[node+" "+r.GrantID] = have
	}
	return nil
}

// locks are the advisory locks of a database: each gateway has a session, which ends when it dies or is silent for 4 s, and
// with it its locks.
type locks struct {
	mu      sync.Mutex
	holders map[string]*session
	claimed map[string]time.Time // or earlier, where the holder before was seen to be silent
	open    map[*gateway]*session
	seen    map[string]sighting // by gateway and node
}

type session struct {
	gateway *gateway
	over    bool
	stopped time.Time // its gateway; zero: it speaks
}

// sighting is of a session that was silent for so long that it gives itself up if it goes on.
type sighting struct{ at, stopped time.Time }

// Of a session: after quiet it gives itself up, after silence the database ends it. Whoever claims waits for settling.
const (
	quiet    = 4 * time.Second
	silence  = 5500 * time.Millisecond
	settling = 1500 * time.Millisecond
)

func (k *locks) session(g *gateway) *session {
	if k.open[g] == nil || k.open[g].over {
		k.open[g] = &session{gateway: g}
	}
	return k.open[g]
}

// end ends a gateway's session; all of them for nil.
func (k *locks) end(g *gateway) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for owner, s := range k.open {
		if g == nil || owner == g {
			s.over = true
		}
	}
}

// stop marks a gateway's session as silent since now, or speaking again.
func (k *locks) stop(g *gateway, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.open[g]; s != nil {
		s.stopped = since
	}
}

// holder is the gateway that has a node; nil: none.
func (k *locks) holder(node string) (*gateway, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.holders[node]; s != nil && !s.over {
		return s.gateway, k.claimed[node]
	}
	return nil, time.Time{}
}

// Claim implements reconcile.Writers.
func (v view) Claim(ctx context.Context, node string) (reconcile.Tenure, error) {
	if _, err := v.log(ctx); err != nil {
		return nil, err
	}
	k := v.sim.locks
	k.mu.Lock()
	defer k.mu.Unlock()
	now, by := time.Now(), v.gateway.name+" "+node
	if s := k.holders[node]; s != nil && !s.over {
		delete(k.seen, by)
		if !s.stopped.IsZero() && now.Sub(s.stopped) > quiet {
			k.seen[by] = sighting{now, s.stopped}
		}
		return nil, reconcile.ErrNotWriter
	}
	since := now
	if seen, there := k.seen[by]; there && now.Sub(seen.at) <= settling {
		since = seen.stopped
	}
	s := k.session(v.gateway)
	k.holders[node], k.claimed[node] = s, since
	return tenure{v, node, s, since}, nil
}

type tenure struct {
	view
	node    string
	session *session
	since   time.Time
}

func (t tenure) Since() time.Time { return t.since }

func (t tenure) Check(ctx context.Context) error {
	if _, err := t.log(ctx); err != nil {
		return err
	}
	k := t.sim.locks
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.session.over || k.holders[t.node] != t.session {
		return errLost
	}
	return nil
}

func (t tenure) Release() {
	k := t.sim.locks
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holders[t.node] == t.session {
		delete(k.holders, t.node)
	}
}

// board keeps what writers say.
type board struct {
	mu        sync.Mutex
	statuses  map[string]reconcile.Status
	published int
}

// stored is a status as it comes out of a database: its error is text. One in sixteen is JSON in between, as there: that
// takes longer than all else here.
func (b *board) stored(s reconcile.Status) (reconcile.Status, error) {
	if b.published++; b.published%16 != 0 {
		if s.Err != nil {
			s.Err = errors.New(s.Err.Error())
		}
		return s, nil
	}
	var read reconcile.Status
	doc, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(doc, &read)
	}
	return read, err
}

func (v view) Publish(ctx context.Context, s reconcile.Status) error {
	if _, err := v.log(ctx); err != nil {
		return err
	}
	b := v.sim.board
	b.mu.Lock()
	defer b.mu.Unlock()
	read, err := b.stored(s)
	if err != nil {
		return err
	}
	if s.At.After(b.statuses[s.Name].At) {
		b.statuses[s.Name] = read
	}
	return nil
}

func (v view) Read(ctx context.Context) ([]reconcile.Status, error) {
	if _, err := v.log(ctx); err != nil {
		return nil, err
	}
	b := v.sim.board
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.statuses)), nil
}

// target is a node as this gateway reaches it.
func (g *gateway) target(n *node) reconcile.Target {
	l := &link{sim: g.sim, gateway: g, node: n, rand: g.sim.dice(g.name + n.name)}
	t := reconcile.Target{
		Name: n.name, Dialect: "v2", Node: l, Settings: fmt.Sprint(g.sim.leases), HardStopAfter: n.hardStop, ClockBound: clockBound,
		Environments: g.sim.environmentsOf(n),
		Fixed: func(context.Context) (desired.State, error) {
			s := desired.State{desired.Pools: {}, desired.Hosts: {}, desired.KIDs: {"clutch|k1": "/keys/k1.pub"}}
			for _, e := range g.sim.environmentsOf(n) {
				for p := range pools {
					pool := fmt.Sprintf("%s/p%d", e.Name, p)
					s[desired.Pools][pool], s[desired.Hosts][fmt.Sprintf("p%d.%s.example.com", p, e.Name)] = fmt.Sprintf("be%d", p), pool
				}
			}
			return s, nil
		},
	}
	kind := g.sim.kinds[n.name]
	adapter := haproxy.Adapter(l)
	if kind.real {
		l.api = n.api
		adapter = l.client()
		t.Node = adapter
	}
	if kind.bulk {
		t.Bulk = adapter
	}
	if kind.prober {
		t.Prober, t.Recognizer = adapter, adapter
	}
	if kind.elders {
		t.Elders = elders{l}
	}
	if kind.streams {
		t.Streams = streams{l, kind.elders}
	}
	return t
}
