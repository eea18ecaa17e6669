package access_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

// The people of these tests. Members of eng may ask for every pool; members of sre approve for prod.
var (
	alice    = access.Caller{Subject: "alice@example.com", Groups: []string{"eng"}}
	aliceSRE = access.Caller{Subject: "alice@example.com", Groups: []string{"eng", "sre"}}
	bob      = access.Caller{Subject: "bob@example.com", Groups: []string{"eng", "sre"}}
	carol    = access.Caller{Subject: "carol@example.com", Groups: []string{"sre"}}
	dave     = access.Caller{Subject: "dave@example.com", Groups: []string{"eng"}}
	nobody   = access.Caller{Subject: "nobody@example.com"}
	audrey   = access.Caller{Subject: "audrey@example.com", Groups: []string{"auditors"}}
	oscar    = access.Caller{Subject: "oscar@example.com", Groups: []string{"operators"}}
	robot    = access.Caller{Subject: "service:robot", Groups: []string{"eng", "sre"}}
)

// catalog is three pools.
type catalog []access.Pool

func (c catalog) Pools() []access.Pool { return c }

func (c catalog) Pool(p grant.Pool) (access.Pool, bool) {
	for _, have := range c {
		if have.Name == p {
			return have, true
		}
	}
	return access.Pool{}, false
}

// enforcer has one node. It remembers what it was told and what the store held at that moment.
type enforcer struct {
	mu       sync.Mutex
	reader   store.Reader
	changed  []int64
	awaited  []store.Record
	hang     bool
	enforced int
	early    []string // revisions that were told before they were in the store
}

func (e *enforcer) Changed(revision int64) {
	snapshot, err := e.reader.Snapshot(context.Background())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = append(e.changed, revision)
	if err != nil || snapshot.Revision < revision {
		e.early = append(e.early, fmt.Sprintf("%d at %d: %v", revision, snapshot.Revision, err))
	}
}

func (e *enforcer) Enforcement(store.Record) access.Enforcement {
	e.mu.Lock()
	defer e.mu.Unlock()
	return access.Enforcement{NodesTotal: 1, NodesEnforced: e.enforced}
}

func (e *enforcer) Await(ctx context.Context, r store.Record) {
	e.mu.Lock()
	e.awaited = append(e.awaited, r)
	hang := e.hang
	e.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
}

func (e *enforcer) told() []int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int64{}, e.changed...)
}

// tokens remembers what it was asked for.
type tokens struct {
	claims []access.Claims
	err    error
}

func (t *tokens) Issue(_ context.Context, c access.Claims, _ time.Time) (string, time.Time, error) {
	t.claims = append(t.claims, c)
	return "token", c.NotAfter, t.err
}

// fleet has one node with servers.
type fleet struct {
	mu    sync.Mutex
	calls []string
	err   error
}

func (f *fleet) Nodes(environment string) []access.NodeStatus {
	return []access.NodeStatus{{Node: "n1", Environments: []string{environment}}}
}

func (f *fleet) Servers(context.Context, grant.Pool) []access.Server {
	return []access.Server{{Node: "n1", Name: "s1"}}
}

func (f *fleet) AddServer(_ context.Context, p grant.Pool, s access.Server) error {
	return f.did("add " + p.String() + " " + s.Name)
}

func (f *fleet) RemoveServer(_ context.Context, p grant.Pool, name string) error {
	return f.did("remove " + p.String() + " " + name)
}

func (f *fleet) did(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.err
}

// world is a service over a real store.
type world struct {
	t        testing.TB
	db       *sqlite.DB
	broken   *broken
	enforcer *enforcer
	tokens   *tokens
	fleet    *fleet
	service  *access.Service

	mu    sync.Mutex
	clock time.Time
	keys  atomic.Int64
}

// begin is when each test begins.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, db: db, broken: &broken{Grants: db}, enforcer: &enforcer{reader: db, enforced: 1},
		tokens: &tokens{}, fleet: &fleet{}, clock: begin}
	w.service = w.build(nil)
	return w
}

func (w *world) build(change func(*access.Config)) *access.Service {
	w.t.Helper()
	rules, err := policy.Compile([]policy.Rule{
		{Name: "prod", Pools: []string{"prod/*"}, Groups: []string{"eng"}, ApproverGroups: []string{"sre"},
			MaxDuration: time.Hour, DefaultDuration: 15 * time.Minute, PendingFor: 2 * time.Hour},
		{Name: "staging", Pools: []string{"staging/*"}, Groups: []string{"eng"}, MaxDuration: time.Hour},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var id atomic.Int64
	config := access.Config{
		Grants: w.broken, Policy: rules, Enforcer: w.enforcer, Tokens: w.tokens, Fleet: w.fleet,
		Catalog: catalog{
			{Name: grant.Pool{Environment: "prod", Name: "db"}, Hosts: []string{"db.example.com"}},
			{Name: grant.Pool{Environment: "staging", Name: "app"}},
			{Name: grant.Pool{Environment: "staging", Name: "db"}},
			{Name: grant.Pool{Environment: "test", Name: "db"}}, // of which no rule knows
		},
		Auditors: []string{"auditors"}, Operators: []string{"operators"},
		Wait: 50 * time.Millisecond, Now: w.now, NewID: func() string { return fmt.Sprintf("g%03d", id.Add(1)) },
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
	v, err := w.service.Request(w.t.Context(), c, ask(environment, pool), w.key())
	if err != nil {
		w.t.Fatalf("request: %v", err)
	}
	return v
}

// approve lets bob approve what is shown, and must succeed.
func (w *world) approve(v access.View) access.View {
	w.t.Helper()
	d := access.Decision{GrantID: v.Grant.ID, Etag: v.Etag, Comment: "fine"}
	v, err := w.service.Approve(w.t.Context(), bob, d, w.key())
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

// verbs are those of all events so far.
func (w *world) verbs() []grant.Verb {
	w.t.Helper()
	entries, err := w.db.Events(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	verbs := []grant.Verb{}
	for _, e := range entries {
		verbs = append(verbs, e.Event.Verb)
	}
	return verbs
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
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

// marker stands in every error of a broken store.
const marker = "dsn=postgres://clutch:s3cret@db"

var errBroken = errors.New("disk I/O error " + marker)

// broken fails in the methods that are named.
type broken struct {
	store.Grants
	mu     sync.Mutex
	fails  string
	method string // before the next call of which do is done
	do     func()
}

func (b *broken) set(fails string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = fails
}

// meanwhile does something once, right before the next call of the method.
func (b *broken) meanwhile(method string, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.method, b.do = method, do
}

func (b *broken) meet(method string) error {
	b.mu.Lock()
	var do func()
	if method == b.method {
		do, b.do, b.method = b.do, nil, ""
	}
	fails := strings.Contains(b.fails, method)
	b.mu.Unlock()
	if do != nil {
		do()
	}
	if fails {
		return errBroken
	}
	return nil
}

func (b *broken) Commit(ctx context.Context, c store.Change) (int64, error) {
	if err := b.meet("Commit"); err != nil {
		return 0, err
	}
	return b.Grants.Commit(ctx, c)
}

func (b *broken) Grant(ctx context.Context, id string) (store.Record, error) {
	if err := b.meet("Grant"); err != nil {
		return store.Record{}, err
	}
	return b.Grants.Grant(ctx, id)
}

func (b *broken) LiveGrant(ctx context.Context, s grant.Subject, p grant.Pool) (store.Record, error) {
	if err := b.meet("Live"); err != nil {
		return store.Record{}, err
	}
	return b.Grants.LiveGrant(ctx, s, p)
}

func (b *broken) List(ctx context.Context, q store.Query) ([]store.Record, error) {
	if err := b.meet("List"); err != nil {
		return nil, err
	}
	return b.Grants.List(ctx, q)
}

func (b *broken) Due(ctx context.Context, at time.Time, limit int) ([]store.Record, error) {
	if err := b.meet("Due"); err != nil {
		return nil, err
	}
	return b.Grants.Due(ctx, at, limit)
}

func (b *broken) Replayed(ctx context.Context, c grant.Subject, method, key string) (store.Replay, error) {
	if err := b.meet("Replayed"); err != nil {
		return store.Replay{}, err
	}
	return b.Grants.Replayed(ctx, c, method, key)
}
