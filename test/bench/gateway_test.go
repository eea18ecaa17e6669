package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// hang is when something that should have happened is taken never to happen.
const hang = 4 * time.Minute

// gateway is the part of a gateway between the store and the nodes, in this process.
type gateway struct {
	t        *testing.T
	source   *source
	observer *observer
	fleet    *reconcile.Fleet
	nodes    int
}

// newGateway looks after the nodes of a configuration, with grants that are there before its start.
func newGateway(t *testing.T, config *haproxyv1.Config, in haproxycfg.Input, s *source) *gateway {
	t.Helper()
	service, err := haproxy.NewService(config)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := service.Targets(in, func(context.Context) ([]haproxycfg.PublicKey, error) { return in.Keys, nil })
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, source: s, observer: &observer{}, nodes: len(targets)}
	g.fleet = reconcile.New(reconcile.Options{Name: "bench", Targets: targets, Source: s, Observer: g.observer, Now: time.Now})
	t.Cleanup(g.fleet.Stop)
	return g
}

// until polls, and fails the test when it must be a hang.
func (g *gateway) until(what string, ok func() bool) {
	g.t.Helper()
	// To look at many nodes costs something itself.
	ticker := time.NewTicker(time.Millisecond * time.Duration(1+g.nodes/20))
	defer ticker.Stop()
	for deadline := time.Now().Add(hang); !ok(); <-ticker.C {
		if time.Now().After(deadline) {
			g.t.Fatalf("it never happened: %s; the last error of a pass: %v", what, g.observer.lastError())
		}
	}
}

// settled waits until every node holds the revision and has its lease.
func (g *gateway) settled(revision int64) {
	g.t.Helper()
	g.until("every node is right", func() bool {
		for _, s := range g.fleet.Status("") {
			if !s.Healthy || s.Revision < revision || len(s.Environments) == 0 || !s.Environments[0].Open {
				return false
			}
		}
		return g.observer.told(g.nodes) // a little later
	})
}

// enforced waits until a grant's state is reported as enforced by every node.
func (g *gateway) enforced(one grant.Grant, revision int64, opens bool) {
	g.t.Helper()
	q := reconcile.Question{Environment: one.Pool.Environment, Revision: revision, Opens: opens, Expires: one.ExpiresAt}
	g.until("it is reported as enforced", func() bool {
		a := g.fleet.Ask(q)
		return a.Total > 0 && a.Enforced == a.Total
	})
}

// environment is prod with one pool.
func environment() *haproxyv1.Environment {
	return &haproxyv1.Environment{Name: tokencorpus.Environment, Lease: "30s", Pools: []*haproxyv1.Pool{{
		Name: tokencorpus.PoolName, Backend: backendName, Hosts: []string{hostName},
	}}}
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
