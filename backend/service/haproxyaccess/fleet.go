package haproxyaccess

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"

	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
)

// drifts is the log of events as reconcile's journal.
type drifts func(ctx context.Context, d grant.Drift) error

// DriftFound implements reconcile.Journal.
func (f drifts) DriftFound(ctx context.Context, d grant.Drift) error { return f(ctx, d) }

// newFleet makes the loops of the nodes. Where other gateways may be on the store, one of them is each node's writer.
func newFleet(p parts, targets []reconcile.Target, journal reconcile.Journal, o *observer) *reconcile.Fleet {
	from := source{p.store, o.unreadable}
	options := reconcile.Options{
		Name: gatewayName(), Targets: targets, Source: from, Endings: from, Observer: o, Now: time.Now, Ledger: ledger{p.store},
		Journal: journal,
	}
	if p.store.Shared() {
		options.Writers, options.Board = writers{p.store.Writers()}, board{p.store}
	}
	return reconcile.New(options)
}

// forgetTimeout bounds how long it may take to drop the status of nodes that are gone.
const forgetTimeout = 2 * time.Second

// newWatch makes the loops that find nodes and environments, and hand them to the fleet.
func newWatch(
	p parts, config *accessv1.Config, keys haproxy.KeySource, fleet *reconcile.Fleet, judge func(), o *observer,
) (*haproxy.Watch, error) {
	var known []string
	return haproxy.NewWatch(p.fleet, haproxy.WatchOptions{
		Access: config, Keys: keys, Environments: p.store, Observer: o, Now: time.Now,
		Changed: func(targets []reconcile.Target) {
			fleet.SetTargets(targets)
			judge()
			var now []string
			for _, t := range targets {
				now = append(now, t.Name)
			}
			forget(p, slices.DeleteFunc(known, func(node string) bool { return slices.Contains(now, node) }), o)
			known = now
		},
	})
}

// forget drops the status of nodes that are gone. One that could not be dropped is of a node that nobody asks for.
func forget(p parts, nodes []string, o *observer) {
	ctx, cancel := context.WithTimeout(context.Background(), forgetTimeout)
	defer cancel()
	for _, node := range nodes {
		if err := p.store.ForgetNode(ctx, node); err != nil {
			o.WatchFailed(fmt.Errorf("forget node %s: %w", node, err))
		}
	}
}

// Discovered implements haproxy.Observer.
func (o *observer) Discovered(discovery string, nodes int) {
	o.discovery(discovery).Gauge("nodes").Update(float64(nodes))
	o.log.Info("a discovery has found other nodes than before", zap.String("discovery", discovery), zap.Int("nodes", nodes))
}

// DiscoveryFailed implements haproxy.Observer.
func (o *observer) DiscoveryFailed(discovery string, err error) {
	o.discovery(discovery).Counter("failed").Inc(1)
	o.log.Error("a discovery was not answered, or not believed; the nodes that are known stay",
		zap.String("discovery", discovery), zap.Error(err))
}

// LeftOut implements haproxy.Observer.
func (o *observer) LeftOut(what string, err error) {
	o.scope.Counter("left_out").Inc(1)
	o.log.Error("something was found that the configuration cannot have; it is left out", zap.String("what", what), zap.Error(err))
}

// Unanswered implements haproxy.Observer.
func (o *observer) Unanswered(node string, err error) {
	o.node(node).Counter("unanswered").Inc(1)
	o.log.Warn("a node did not say which backends it has; those that are known stay", zap.String("node", node), zap.Error(err))
}

// EnvironmentFound implements haproxy.Observer.
func (o *observer) EnvironmentFound(name string) {
	o.scope.Counter("environment_found").Inc(1)
	o.log.Info("an environment was found by its backends", zap.String("environment", name))
}

// EnvironmentGone implements haproxy.Observer.
func (o *observer) EnvironmentGone(name string) {
	o.scope.Counter("environment_gone").Inc(1)
	o.log.Warn("an environment is gone with its backends; its grants are ended", zap.String("environment", name))
}

// WatchFailed implements haproxy.Observer.
func (o *observer) WatchFailed(err error) {
	o.scope.Counter("watch_failed").Inc(1)
	o.log.Error("what is found of the fleet could not be kept; it is tried again", zap.Error(err))
}

func (o *observer) discovery(name string) tally.Scope {
	return o.scope.SubScope("discovery").Tagged(map[string]string{"discovery": name})
}
