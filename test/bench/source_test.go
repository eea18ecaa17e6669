package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// source is the store, in memory: what a commit costs is measured with the stores.
type source struct {
	mu       sync.Mutex
	revision int64
	made     int
	active   []grant.Grant
	expires  time.Time
}

func newSource() *source { return &source{expires: time.Now().Add(time.Hour).Truncate(time.Second)} }

// Snapshot implements reconcile.Source.
func (s *source) Snapshot(context.Context) (reconcile.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return reconcile.Snapshot{Revision: s.revision, Active: slices.Clone(s.active)}, nil
}

// Revision implements reconcile.Source.
func (s *source) Revision(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, nil
}

// give makes n grants active, each of a person of its own, in one revision.
func (s *source) give(n int) ([]grant.Grant, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.made++
		s.active = append(s.active, grant.Grant{
			ID: fmt.Sprintf("01J0000000000000000%07d", s.made), Subject: grant.Subject(fmt.Sprintf("person%07d@example.com", s.made)),
			Pool:  grant.Pool{Environment: tokencorpus.Environment, Name: tokencorpus.PoolName},
			State: grant.Active, ExpiresAt: s.expires,
		})
	}
	s.revision++
	return slices.Clone(s.active[len(s.active)-n:]), s.revision
}

// end ends grants, in one revision.
func (s *source) end(grants ...grant.Grant) int64 {
	ended := map[string]bool{}
	for _, g := range grants {
		ended[g.ID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = slices.DeleteFunc(s.active, func(g grant.Grant) bool { return ended[g.ID] })
	s.revision++
	return s.revision
}

// observer counts what passes wrote.
type observer struct {
	full, writes, failed atomic.Int64
	filled               sync.Map // nodes that had a full pass
	mu                   sync.Mutex
	err                  error // the last
	drift                []string
}

// Passed implements reconcile.Observer.
func (o *observer) Passed(node string, r reconcile.Result) {
	o.writes.Add(int64(r.Writes))
	if r.Kind == reconcile.Full {
		o.full.Add(1)
		o.filled.Store(node, true)
	}
}

// told reports whether it was told of a full pass on each of so many nodes.
func (o *observer) told(nodes int) bool {
	o.filled.Range(func(any, any) bool { nodes--; return true })
	return nodes <= 0
}

// Failed implements reconcile.Observer.
func (o *observer) Failed(_ string, err error) {
	o.failed.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// DriftNotKept implements reconcile.Observer.
func (o *observer) DriftNotKept(string, error) {}

// Drifted implements reconcile.Observer.
func (o *observer) Drifted(node string, d reconcile.Drift) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drift = append(o.drift, node+": "+fmt.Sprint(d.Names()))
}

// Elected implements reconcile.Observer.
func (o *observer) Elected(string, bool) {}

func (o *observer) lastError() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
