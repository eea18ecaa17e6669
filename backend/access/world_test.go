package access_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

// world is a service over a real store.
type world struct {
	t        testing.TB
	db       *sqlite.DB
	broken   *broken
	policy   *policy.Current
	catalog  *catalog
	source   *source
	enforcer *enforcer
	tokens   *tokens
	fleet    *fleet
	service  *access.Service

	mu      sync.Mutex
	clock   time.Time
	keys    atomic.Int64
	changes atomic.Int64 // how often a login showed other groups
}

// begin is when each test begins: a Friday.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// migrated is the file of an empty store: to make one takes longer than most tests.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "access")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "store.db")
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func newWorld(t testing.TB) *world {
	t.Helper()
	empty, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, broken: &broken{Grants: db}, policy: &policy.Current{}, source: &source{},
		enforcer: &enforcer{reader: db, enforced: 1}, tokens: &tokens{}, fleet: &fleet{}, clock: begin,
		catalog: &catalog{have: []access.Pool{
			{Name: prodDB, Hosts: []string{"db.example.com"}, Tags: []string{"pci"}},
			{Name: stagingApp},
			{Name: stagingDB},
			{Name: grant.Pool{Environment: "test", Name: "db"}}, // of which no rule knows
		}},
	}
	w.inForce(basePolicy)
	w.service = w.build(nil)
	return w
}

func (w *world) build(change func(*access.Config)) *access.Service {
	w.t.Helper()
	var id atomic.Int64
	config := access.Config{
		Grants: w.broken, History: brokenHistory{w.db, &w.broken.faults}, Policy: w.policy, Source: w.source,
		Directory: access.NewLogins(brokenLogins{w.db, &w.broken.faults}, w.now, func() { w.changes.Add(1) }),
		Enforcer:  w.enforcer, Tokens: w.tokens, Fleet: w.fleet, Catalog: w.catalog,
		Auditors: []string{"auditors"}, Operators: []string{"operators"},
		Agents:       map[grant.Subject]access.Agent{"service:triage-bot": {Subject: triage.Subject, Owner: triage.Owner}},
		GroupsMaxAge: 15 * time.Minute,
		Wait:         50 * time.Millisecond, Now: w.now, NewID: func() string { return fmt.Sprintf("g%03d", id.Add(1)) },
	}
	if change != nil {
		change(&config)
	}
	s, err := access.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// elsewhere is the service of another gateway on the same store, which has no faults there.
func (w *world) elsewhere() *access.Service {
	return w.build(func(c *access.Config) {
		c.Grants, c.History, c.Directory = w.db, w.db, access.NewLogins(w.db, w.now, nil)
		c.NewID = func() string { return "x" + w.key() }
	})
}

// inForce puts a policy in force.
func (w *world) inForce(text string) {
	w.t.Helper()
	doc, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := policy.Compile(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.policy.Set(p)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// key is a new idempotency key.
func (w *world) key() string { return fmt.Sprintf("key-%08d", w.keys.Add(1)) }

func ask(environment, pool string) access.Ask {
	return access.Ask{Environment: environment, Pool: pool, Duration: 15 * time.Minute, Reason: "to look at it"}
}

// request asks and must succeed.
func (w *world) request(c access.Caller, environment, pool string) access.View {
	w.t.Helper()
	return w.requested(c, ask(environment, pool))
}

func (w *world) requested(c access.Caller, a access.Ask) access.View {
	w.t.Helper()
	v, err := w.service.Request(w.t.Context(), c, a, w.key())
	if err != nil {
		w.t.Fatalf("request: %v", err)
	}
	return v
}

// fresh is the caller after a login right now.
func (w *world) fresh(c access.Caller) access.Caller {
	c.GroupsAt = w.now()
	return c
}

// login is what Identify makes of a login right now.
func (w *world) login(c access.Caller, groups ...string) access.Caller {
	w.t.Helper()
	c, err := w.service.Identify(w.t.Context(), access.Login{Subject: c.Subject, Groups: groups, At: w.now()})
	if err != nil {
		w.t.Fatalf("identify: %v", err)
	}
	return c
}

// shown is the decision on a grant as it is shown.
func shown(v access.View) access.Decision {
	return access.Decision{GrantID: v.Grant.ID, Etag: v.Etag, Comment: "fine"}
}

// approve lets bob approve what is shown, and must succeed.
func (w *world) approve(v access.View) access.View {
	w.t.Helper()
	return w.approvedBy(bob, v)
}

func (w *world) approvedBy(c access.Caller, v access.View) access.View {
	w.t.Helper()
	v, err := w.service.Approve(w.t.Context(), w.fresh(c), shown(v), w.key())
	if err != nil {
		w.t.Fatalf("approve: %v", err)
	}
	return v
}

// stored is a grant's row.
func (w *world) stored(id string) grant.Grant {
	w.t.Helper()
	r, err := w.db.Grant(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("read grant %s: %v", id, err)
	}
	return r.Grant
}

// events are all so far.
func (w *world) events() []store.Entry {
	w.t.Helper()
	entries, err := w.db.Events(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// last is the newest event.
func (w *world) last() grant.Event {
	w.t.Helper()
	entries := w.events()
	return entries[len(entries)-1].Event
}

// verbs are those of all events so far.
func (w *world) verbs() []grant.Verb {
	w.t.Helper()
	verbs := []grant.Verb{}
	for _, e := range w.events() {
		verbs = append(verbs, e.Event.Verb)
	}
	return verbs
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(policy.Request{})); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// code is the error's code, "ok" for none, and "foreign" for an error that is not the package's.
func code(err error) access.Code {
	var e *access.Error
	switch {
	case err == nil:
		return ok
	case errors.As(err, &e):
		return e.Code
	default:
		return "foreign"
	}
}

const ok access.Code = "ok"
