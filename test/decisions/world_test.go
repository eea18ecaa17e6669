package decisions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// groupsMaxAge is how old the groups of an approver may be.
const groupsMaxAge = 15 * time.Minute

// clock stands still until it is told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// catalog is the pools that there are, with their tags.
type catalog struct {
	mu   sync.Mutex
	tags map[oracle.Place][]string
}

func (c *catalog) set(p oracle.Place, tags []string, exists bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.tags, p); exists {
		c.tags[p] = tags
	}
}

func (c *catalog) Pool(p grant.Pool) (access.Pool, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tags, ok := c.tags[oracle.Place{Environment: p.Environment, Pool: p.Name}]
	return access.Pool{Name: p, Tags: tags}, ok
}

func (c *catalog) Pools() []access.Pool {
	var all []access.Pool
	for _, p := range places {
		if found, ok := c.Pool(grant.Pool{Environment: p.Environment, Name: p.Pool}); ok {
			all = append(all, found)
		}
	}
	return all
}

// patient asks again where a busy machine left no time to decide: what a time-out means is tested where it can be made.
type patient struct{ *policy.Current }

func (p patient) Evaluate(ctx context.Context, r policy.Request) policy.Decision {
	for {
		if d := p.Current.Evaluate(ctx, r); !d.TimedOut || ctx.Err() != nil {
			return d
		}
	}
}

// nodes have always done what they were told.
type nodes struct{ access.Fleet }

func (nodes) Changed(int64)                               {}
func (nodes) Enforcement(store.Record) access.Enforcement { return access.Enforcement{} }
func (nodes) Await(context.Context, store.Record)         {}
func (nodes) Status() access.PolicyStatus                 { return access.PolicyStatus{} }

// Issue answers a token that says what it was asked for.
func (nodes) Issue(_ context.Context, c access.Claims, _ time.Time) (string, time.Time, error) {
	return fmt.Sprintf("%s at %s by %s", c.Subject, c.Pool, c.GrantID), c.NotAfter, nil
}

// gateway is the decision side as it is put together, over a store in a file.
type gateway struct {
	dir     string
	db      *sqlite.DB
	clock   *clock
	catalog *catalog
	policy  *policy.Current
	// replicas share the store and nothing else.
	replicas []*access.Service
}

// memory is a file system without a disk, where there is one: that what was written outlives a crash is tested elsewhere, and
// waiting for disks is most of the time of these tests.
var memory = func() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}()

// newGateway makes one with an empty store. close must be called.
func newGateway(ctx context.Context, now time.Time, agents map[string]oracle.Agent, replicas int) (*gateway, error) {
	dir, err := os.MkdirTemp(memory, "decisions")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "store.db")
	if err := os.WriteFile(path, emptyStore(), 0o600); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	g := &gateway{dir: dir, db: db, clock: &clock{now: now}, catalog: &catalog{tags: map[oracle.Place][]string{}}, policy: &policy.Current{}}
	var ids atomic.Int64
	for range replicas {
		s, err := access.New(access.Config{
			Grants: db, History: db, Directory: access.NewLogins(db, g.clock.Now, nil), Policy: patient{g.policy}, Source: nodes{},
			Catalog: g.catalog, Enforcer: nodes{}, Tokens: nodes{}, Fleet: nodes{},
			Auditors: []string{"auditors"}, Operators: []string{"operators"}, Agents: realAgents(agents),
			GroupsMaxAge: groupsMaxAge, Wait: time.Second, Now: g.clock.Now,
			NewID: func() string { return fmt.Sprintf("id%04d", ids.Add(1)) },
		})
		if err != nil {
			return nil, err
		}
		g.replicas = append(g.replicas, s)
	}
	return g, nil
}

func realAgents(agents map[string]oracle.Agent) map[grant.Subject]access.Agent {
	all := map[grant.Subject]access.Agent{}
	for account, a := range agents {
		all[grant.Subject(account)] = access.Agent{Subject: grant.Subject(a.Name), Owner: grant.Subject(a.Owner)}
	}
	return all
}

func (g *gateway) close() error { return errors.Join(g.db.Close(), os.RemoveAll(g.dir)) }

// emptyStore is the file of a store that was opened once: the migrations need not run for each case.
var emptyStore = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "decisions")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "store.db")
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		panic(err)
	}
	if err := db.Close(); err != nil {
		panic(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
})

// grants reads all rows.
func (g *gateway) grants(ctx context.Context) ([]grant.Grant, error) {
	q := store.Query{Limit: 1000}
	var all []grant.Grant
	for {
		page, err := g.db.List(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(page.Unreadable) > 0 {
			return nil, page.Unreadable[0].Err
		}
		for _, r := range page.Records {
			all = append(all, r.Grant)
		}
		if len(page.Records) < q.Limit {
			return all, nil
		}
		last := page.Records[len(page.Records)-1].Grant
		q.After = &store.Cursor{RequestedAt: last.RequestedAt, ID: last.ID}
	}
}

// events reads the log after a revision.
func (g *gateway) events(ctx context.Context, after int64) ([]store.Entry, error) {
	var all []store.Entry
	for {
		page, err := g.db.Events(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return all, nil
		}
		all = append(all, page...)
		after = page[len(page)-1].Revision
	}
}
