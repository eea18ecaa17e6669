package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
)

// begin is when each test begins: 1767323045 in epoch seconds.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var errStore = errors.New("the store is away")

// source is the store of the tests.
type source struct {
	mu       sync.Mutex
	revision int64
	active   []grant.Grant
	down     bool
	reading  func()        // called in each Snapshot, before it is read
	lag      time.Duration // until a Snapshot that was read is there
}

func (s *source) Snapshot(context.Context) (reconcile.Snapshot, error) {
	s.mu.Lock()
	reading := s.reading
	s.mu.Unlock()
	if reading != nil {
		reading()
	}
	s.mu.Lock()
	snapshot, down, lag := reconcile.Snapshot{Revision: s.revision, Active: slices.Clone(s.active)}, s.down, s.lag
	s.mu.Unlock()
	time.Sleep(lag)
	if down {
		return reconcile.Snapshot{}, errStore
	}
	return snapshot, nil
}

func (s *source) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return 0, errStore
	}
	return s.revision, nil
}

func (s *source) configure(change func(s *source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// give makes a grant active and returns the revision.
func (s *source) give(g grant.Grant) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = append(s.active, g)
	s.revision++
	return s.revision
}

// end takes a grant away and returns the revision.
func (s *source) end(id string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = slices.DeleteFunc(s.active, func(g grant.Grant) bool { return g.ID == id })
	s.revision++
	return s.revision
}

// witness remembers what the loops report.
type witness struct {
	mu      sync.Mutex
	passes  []reconcile.Result
	errs    []error
	failed  []time.Time
	drifts  []reconcile.Drift
	elected []bool
	notKept []error
}

func (w *witness) Passed(_ string, r reconcile.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passes = append(w.passes, r)
}

func (w *witness) Failed(_ string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
	w.failed = append(w.failed, time.Now())
}

func (w *witness) Drifted(_ string, d reconcile.Drift) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drifts = append(w.drifts, d)
}

func (w *witness) DriftNotKept(_ string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notKept = append(w.notKept, err)
}

func (w *witness) Elected(_ string, writer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.elected = append(w.elected, writer)
}

func (w *witness) counts() (passes, failures int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.passes), len(w.errs)
}

// pauses are the times between the failures.
func (w *witness) pauses() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for i := 1; i < len(w.failed); i++ {
		all = append(all, w.failed[i].Sub(w.failed[i-1]))
	}
	return all
}

func (w *witness) first() reconcile.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passes[0]
}

func (w *witness) last() reconcile.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passes[len(w.passes)-1]
}

func (w *witness) takeDrifts() []reconcile.Drift {
	w.mu.Lock()
	defer w.mu.Unlock()
	drifts := w.drifts
	w.drifts = nil
	return drifts
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// world is one node with two environments: prod with a lease of 30 s, and staging without one.
type world struct {
	t       tester
	node    *haproxy
	source  *source
	seen    *witness
	target  reconcile.Target
	options reconcile.Options // beside what every fleet has
	fleet   *reconcile.Fleet
}

// inWorld runs a test in a bubble whose clock stands at begin, over a node whose maps are empty.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(begin))
		w := newWorld(t)
		defer w.stop()
		test(w)
	})
}

func newWorld(t tester) *world {
	w := &world{t: t, node: newHAProxy(), source: &source{}, seen: &witness{}}
	w.target = reconcile.Target{
		Name: "n1", Dialect: "v2", Node: w.node,
		Environments: []reconcile.Environment{{Name: "prod", Lease: 30 * time.Second}, {Name: "staging"}},
		Fixed: func(context.Context) (desired.State, error) {
			return desired.State{
				desired.Pools: {"prod/db": "be_db", "staging/db": "be_sdb"},
				desired.Hosts: {"db.example.com": "prod/db", "sdb.example.com": "staging/db"},
				desired.KIDs:  {"clutch|k1": "/keys/k1.pub"},
			}, nil
		},
		HardStopAfter: 30 * time.Second, ClockBound: 2 * time.Second,
	}
	return w
}

// start starts the loop and lets the first pass end.
func (w *world) start() {
	w.fleet = w.newFleet(w.target)
	w.fleet.Start()
	synctest.Wait()
}

// newFleet is a fleet of the targets, not started.
func (w *world) newFleet(targets ...reconcile.Target) *reconcile.Fleet {
	o := w.options
	o.Targets, o.Source, o.Observer, o.Now = targets, w.source, w.seen, time.Now
	return reconcile.New(o)
}

func (w *world) stop() {
	if w.fleet != nil {
		w.fleet.Stop()
	}
}

// crash ends the loop without a word, as kill -9 would, and starts another one that knows nothing.
func (w *world) crash() {
	w.stop()
	w.start()
}

// pass wakes the loop and lets it end what it does, unless that needs time.
func (w *world) pass() {
	w.fleet.Wake()
	synctest.Wait()
}

// mustPass is a pass that succeeds.
func (w *world) mustPass() reconcile.Result {
	w.t.Helper()
	before, failures := w.seen.counts()
	w.pass()
	after, failed := w.seen.counts()
	if after == before || failed != failures {
		w.t.Fatalf("want a pass that succeeds, got %d and %d failures: %v", after-before, failed-failures, w.status().Err)
	}
	return w.seen.last()
}

// mustFull waits for the next full pass, which succeeds.
func (w *world) mustFull() reconcile.Result {
	w.t.Helper()
	full := w.status().LastFull
	_, failures := w.seen.counts()
	for range 11 {
		time.Sleep(time.Second)
		synctest.Wait()
		if r := w.seen.last(); r.Kind == reconcile.Full && r.Read.After(full) {
			return r
		}
	}
	_, failed := w.seen.counts()
	w.t.Fatalf("no full pass, %d failures: %v", failed-failures, w.status().Err)
	return reconcile.Result{}
}

// mustFailFull waits for the next full pass, which fails.
func (w *world) mustFailFull() error {
	w.t.Helper()
	_, failures := w.seen.counts()
	for range 110 {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if _, failed := w.seen.counts(); failed > failures {
			return w.status().Err
		}
	}
	w.t.Fatalf("no pass has failed")
	return nil
}

// mustFail is a pass that fails.
func (w *world) mustFail() error {
	w.t.Helper()
	before, failures := w.seen.counts()
	w.pass()
	if after, failed := w.seen.counts(); after != before || failed != failures+1 {
		w.t.Fatalf("want one pass that fails, got %d that succeed and %d failures", after-before, failed-failures)
	}
	return w.status().Err
}

func (w *world) status() reconcile.Status { return w.fleet.Status("")[0] }

func (w *world) environment(name string) reconcile.EnvironmentStatus {
	w.t.Helper()
	for _, e := range w.status().Environments {
		if e.Name == name {
			return e
		}
	}
	w.t.Fatalf("no environment %s", name)
	return reconcile.EnvironmentStatus{}
}

// ended asks where the end of a grant at the revision is in force.
func (w *world) ended(environment string, revision int64, expires time.Time) reconcile.Answer {
	return w.fleet.Ask(reconcile.Question{Environment: environment, Revision: revision, Expires: expires})
}

// opened asks where an active grant is in force.
func (w *world) opened(environment string, revision int64) reconcile.Answer {
	return w.fleet.Ask(reconcile.Question{
		Environment: environment, Revision: revision, Opens: true, Expires: begin.Add(time.Hour),
	})
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// alice is a grant of alice for the pool db of an environment that ends an hour after begin: 1767326645.
func alice(id, environment string) grant.Grant { return granted(id, "alice@example.com", environment) }

func granted(id string, s grant.Subject, environment string) grant.Grant {
	return grant.Grant{
		ID: id, Subject: s, Pool: grant.Pool{Environment: environment, Name: "db"},
		State: grant.Active, ExpiresAt: begin.Add(time.Hour),
	}
}
