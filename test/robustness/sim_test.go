package robustness

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// begin is when each simulation begins.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	largeFleet, smallFleet = 100, 10
	// focus is how many nodes of a fleet meet half of what happens to single ones: what only several faults on one node
	// show is met in a large fleet too.
	focus = 10

	pools  = 3
	people = 8
	// active is for how long things happen, in a large fleet for less, and calm how long everything then has to converge: a
	// write that was given up may still arrive, an old worker may live on.
	active, activeLarge = 50 * time.Second, 20 * time.Second
	calm, calmLarge     = 80 * time.Second, 60 * time.Second
)

// kind is what a node has. A real one is reached by the client of the Data Plane API that the product has.
type kind struct{ bulk, prober, elders, streams, fast, real bool }

// sim is one simulation.
type sim struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	several bool // gateways
	large   bool
	active  time.Duration
	calm    time.Duration
	judge   *judge
	ledger  *ledger
	locks   *locks
	board   *board
	cancel  chan struct{}
	wg      sync.WaitGroup

	mu       sync.Mutex
	failed   string
	leases   map[string]time.Duration
	longest  map[string]time.Duration
	nodes    []*node
	gone     []*node
	kinds    map[string]kind
	gateways []*gateway
	born     int
}

func newSim(t *testing.T, one trial) *sim {
	seed := one.seed
	s := &sim{
		active: active, calm: calm,
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), kinds: map[string]kind{}, cancel: make(chan struct{}),
		ledger: &ledger{byID: map[string]*entry{}, reports: map[string]reconcile.Report{}},
		locks:  &locks{holders: map[string]*session{}, claimed: map[string]time.Time{}, open: map[*gateway]*session{}, seen: map[string]sighting{}},
		board:  &board{statuses: map[string]reconcile.Status{}},
	}
	s.several = s.draw(10) < 7
	s.leases = map[string]time.Duration{
		"prod": []time.Duration{10 * time.Second, 30 * time.Second}[s.draw(2)], "staging": 0,
		"fast": []time.Duration{time.Second, 2 * time.Second, 5 * time.Second}[s.draw(3)],
	}
	s.longest = map[string]time.Duration{}
	for name, length := range s.leases {
		s.longest[name] = max(length, 0)
	}
	s.longest["fast"] = max(s.longest["fast"], 2*time.Second) // a node knows whole seconds only
	s.judge = newJudge(s)
	if s.large = one.nodes > 2*smallFleet; s.large {
		s.active, s.calm = activeLarge, calmLarge
	}
	for i := range one.nodes {
		s.addNode(i)
	}
	return s
}

func (s *sim) draw(n int) int { return s.rand.IntN(n) }

// pick is some node.
func (s *sim) pick() *node {
	if s.large && s.draw(2) == 0 {
		return s.nodes[s.draw(focus)]
	}
	return s.nodes[s.draw(len(s.nodes))]
}

// dice are a source of chance of its own for one part.
func (s *sim) dice(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// fail notes the first thing that is wrong.
func (s *sim) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == "" {
		s.failed = fmt.Sprintf("several %v, leases %v, at %s: ", s.several, s.leases, stamp(time.Now())) + fmt.Sprintf(format, args...)
	}
}

func (s *sim) broken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// addNode makes a node, which may have files of an earlier life.
func (s *sim) addNode(i int) *node {
	n := newNode(fmt.Sprintf("n%d", i), time.Duration(10+s.draw(25))*time.Second)
	k := kind{bulk: s.draw(2) == 0, prober: s.draw(2) == 0, elders: s.draw(2) == 0, streams: s.draw(3) == 0, fast: i == 0}
	if k.real = s.seed%4 == 2 && i < focus && !(k.fast && s.large); k.real {
		n.api = newAPI(i)
	}
	if s.draw(4) == 0 {
		n.files["grants.map"] = fmt.Sprintf("alice@example.com|prod/p0 %d:gone\nbob@example.com|staging/p1 9999999999:gone\n", begin.Add(time.Hour).Unix())
		if s.draw(2) == 0 {
			n.files["leases.map"] = fmt.Sprintf("prod %d\n", begin.Add(s.longest["prod"]).Unix())
			n.leaseGiven = begin
		}
		n.running = n.load(100)
		n.disturbed = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[n.name], n.bare = k, k.bulk
	s.nodes = append(s.nodes, n)
	return n
}

// environmentsOf lists what a node serves: fast ones one of their own, the others prod, staging, or both.
func (s *sim) environmentsOf(n *node) []reconcile.Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds[n.name].fast {
		return []reconcile.Environment{{Name: "fast", Lease: s.leases["fast"]}}
	}
	prod, staging := reconcile.Environment{Name: "prod", Lease: s.leases["prod"]}, reconcile.Environment{Name: "staging"}
	switch len(n.name) + int(n.name[len(n.name)-1])%3 {
	case 2, 3:
		return []reconcile.Environment{prod}
	case 4:
		return []reconcile.Environment{staging}
	}
	return []reconcile.Environment{prod, staging}
}

func (s *sim) serves(n *node, environment string) bool {
	return slices.ContainsFunc(s.environmentsOf(n), func(e reconcile.Environment) bool { return e.Name == environment })
}

// length is the longest lease that the environment had; false: it is off.
func (s *sim) length(environment string) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest[environment], s.longest[environment] > 0
}

func (s *sim) everyNode() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.nodes), s.gone...)
}

func (s *sim) inFleet() []*node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes)
}

func (s *sim) entry(id string) *entry {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.byID[id]
}

// live lists the grants that are active.
func (s *sim) live() []*entry { return s.ledger.active() }

func (s *sim) liveKey(key string) bool {
	return slices.ContainsFunc(s.live(), func(e *entry) bool { return e.key == key })
}

func (s *sim) recentlyEnded(now time.Time) []*entry {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	var all []*entry
	for _, e := range s.ledger.all {
		if e.ended != 0 && now.Sub(e.endedAt) < s.active+s.calm {
			all = append(all, e)
		}
	}
	heard := 15
	if s.large {
		heard = 8
	}
	return all[max(0, len(all)-heard):]
}

// inTrouble reports whether the store is away or a gateway is dead, stopped, or newly born.
func (s *sim) inTrouble() bool {
	s.ledger.mu.Lock()
	away := s.ledger.away
	s.ledger.mu.Unlock()
	return away || slices.ContainsFunc(s.gateways, func(g *gateway) bool { return !g.fine() || time.Since(g.born) < time.Second })
}

// remembers reports whether no gateway is too young to have known a node that is gone.
func (s *sim) remembers(n *node) bool {
	return !slices.ContainsFunc(s.gateways, func(g *gateway) bool { return g.born.After(n.left) })
}

// later runs f after a while, unless the simulation ends before.
func (s *sim) later(after time.Duration, f func()) {
	s.wg.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			f()
		case <-s.cancel:
		}
	})
}

// startGateway begins a process.
func (s *sim) startGateway() *gateway {
	s.born++
	g := &gateway{sim: s, name: fmt.Sprintf("gateway%d", s.born), born: time.Now()}
	v := view{g}
	jitter := map[string]*rand.Rand{}
	var mu sync.Mutex
	o := reconcile.Options{
		Name: g.name, Source: v, Endings: v, Observer: g, Ledger: v, Now: time.Now,
		Jitter: func(node string, d time.Duration) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if jitter[node] == nil {
				jitter[node] = s.dice("jitter " + g.name + node)
			}
			return time.Duration(jitter[node].Int64N(int64(d) + 1))
		},
	}
	for _, n := range s.inFleet() {
		o.Targets = append(o.Targets, g.target(n))
	}
	if s.several {
		o.Writers, o.Board = v, v
	}
	g.fleet = reconcile.New(o)
	g.fleet.Start()
	s.gateways = append(s.gateways, g)
	return g
}

func (s *sim) retarget() {
	for _, g := range s.gateways {
		var targets []reconcile.Target
		for _, n := range s.inFleet() {
			targets = append(targets, g.target(n))
		}
		if g.fine() {
			g.fleet.SetTargets(targets)
		}
	}
}

// run carries out the whole of it and returns what is wrong.
func run(t *testing.T, one trial) (failure string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(begin))
		s := newSim(t, one)
		for range 4 + s.draw(6) {
			s.give()
		}
		s.startGateway()
		if s.several {
			s.startGateway()
		}
		for time.Since(begin) < s.active && s.broken() == "" {
			s.step()
		}
		s.finish()
		failure = s.broken()
		close(s.cancel)
		for _, g := range s.gateways {
			g.goOn()
			g.fleet.Stop()
		}
		s.wg.Wait()
	})
	return failure
}

// wait lets time pass and looks at everything on the way.
func (s *sim) wait(d, tick time.Duration) {
	for d > 0 && s.broken() == "" {
		time.Sleep(min(d, tick))
		d -= tick
		s.sweep()
		s.judge.check()
	}
}

// sweep is the clock of the store: it ends what has expired.
func (s *sim) sweep() {
	for _, e := range s.live() {
		if !time.Now().Before(e.grant.ExpiresAt) {
			s.ledger.end(e)
			s.wake()
		}
	}
}

// wake tells the gateways of a commit: the one that made it at once, the others when they look.
func (s *sim) wake() {
	for i, g := range s.gateways {
		if i == 0 {
			g.fleet.Wake()
		} else {
			s.later(200*time.Millisecond, g.fleet.Wake)
		}
	}
}

// give opens a grant, where the subject has none for the pool.
func (s *sim) give() *entry {
	environment := []string{"prod", "prod", "staging", "fast"}[s.draw(4)]
	subject := grant.Subject([]string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}[s.draw(people)] + "@example.com")
	pool := grant.Pool{Environment: environment, Name: fmt.Sprintf("p%d", s.draw(pools))}
	key := string(subject) + "|" + pool.String()
	if s.liveKey(key) || len(s.live()) > 14 {
		return nil
	}
	length := time.Duration(5+s.draw(300)) * time.Second
	s.ledger.mu.Lock()
	s.ledger.revision++
	e := &entry{
		key: key, given: s.ledger.revision, givenAt: time.Now(), grant: grant.Grant{
			ID: fmt.Sprintf("g%d", len(s.ledger.all)), Subject: subject, Pool: pool, State: grant.Active, GivenAt: time.Now(),
			ExpiresAt: time.Now().Add(length).Truncate(time.Second),
		},
	}
	s.ledger.all = append(s.ledger.all, e)
	s.ledger.byID[e.grant.ID] = e
	s.ledger.mu.Unlock()
	s.wake()
	return e
}

func (s *sim) revoke(n int) {
	live := s.live()
	s.rand.Shuffle(len(live), func(i, k int) { live[i], live[k] = live[k], live[i] })
	for _, e := range live[:min(n, len(live))] {
		s.ledger.end(e)
	}
	s.wake()
}

func (s *sim) extend() {
	if live := s.live(); len(live) > 0 {
		e := live[s.draw(len(live))]
		s.ledger.mu.Lock()
		s.ledger.revision++
		e.given = s.ledger.revision
		e.grant.ExpiresAt = e.grant.ExpiresAt.Add(time.Duration(1+s.draw(60)) * time.Second)
		s.ledger.mu.Unlock()
		s.wake()
	}
}
