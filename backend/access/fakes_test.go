package access_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// catalog is some pools, which the configuration may lose.
type catalog struct {
	mu   sync.Mutex
	have []access.Pool
}

func (c *catalog) Pools() []access.Pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.have)
}

func (c *catalog) lose(p grant.Pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.have = slices.DeleteFunc(c.have, func(have access.Pool) bool { return have.Name == p })
}

func (c *catalog) Pool(p grant.Pool) (access.Pool, bool) {
	for _, have := range c.Pools() {
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

func (f *fleet) DrainServer(_ context.Context, p grant.Pool, name string, ready bool) error {
	return f.did(fmt.Sprintf("drain %s %s %t", p, name, ready))
}

func (f *fleet) did(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.err
}

// source says what it is told to.
type source struct{ status access.PolicyStatus }

func (s *source) Status() access.PolicyStatus { return s.status }
