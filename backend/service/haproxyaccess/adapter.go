package haproxyaccess

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/credential"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// The core packages do not know each other; here each is handed the others behind the interface that it names itself.

// log is what reconcile needs of the store.
type log interface {
	store.Reader
	Head(ctx context.Context) (int64, error)
}

// source is the store as reconcile reads it. What cannot be read is not in it: nodes take its row for one that has ended.
type source struct {
	log        log
	unreadable func(ids []string) // told with every reading, none included
}

// Revision implements reconcile.Source.
func (s source) Revision(ctx context.Context) (int64, error) { return s.log.Head(ctx) }

func (s source) Snapshot(ctx context.Context) (reconcile.Snapshot, error) {
	have, err := s.log.Snapshot(ctx)
	if err != nil {
		return reconcile.Snapshot{}, err
	}
	s.unreadable(have.Unreadable)
	snapshot := reconcile.Snapshot{Revision: have.Revision, Active: make([]grant.Grant, len(have.Active))}
	for i, r := range have.Active {
		snapshot.Active[i] = r.Grant
	}
	return snapshot, nil
}

// endingsPage is how many events are read at once.
const endingsPage = 1000

// Ended implements reconcile.Endings: the ends are those of the log.
func (s source) Ended(ctx context.Context, after int64) ([]reconcile.Ending, int64, error) {
	var ended []reconcile.Ending
	for {
		entries, err := s.log.Events(ctx, after, endingsPage)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range entries {
			after = e.Revision
			if g := e.Event.Grant; e.Event.From == grant.Active && g.State.Final() {
				ended = append(ended, reconcile.Ending{GrantID: g.ID, Pool: g.Pool, Revision: e.Revision, At: e.Event.At})
			}
		}
		if len(entries) < endingsPage {
			return ended, after, nil
		}
	}
}

// tokens issues credentials for access.
type tokens struct{ issuer *credential.Issuer }

func (t tokens) Issue(ctx context.Context, c access.Claims, now time.Time) (string, time.Time, error) {
	return t.issuer.Issue(ctx, credential.Claims(c), now)
}

// enforcer is the fleet as access sees it.
type enforcer struct {
	fleet  *reconcile.Fleet
	outbox *audit.Outbox
}

func (e enforcer) Changed(int64) {
	e.fleet.Wake()
	e.outbox.Poke()
}

func (e enforcer) Enforcement(r store.Record) access.Enforcement {
	a := e.fleet.Ask(question(r))
	had := !r.Grant.ActivatedAt.IsZero()
	if !had {
		// It never opened anything: there is nothing to enforce, and nodes that were not asked yet do not matter.
		return access.Enforcement{NodesTotal: a.Total}
	}
	return access.Enforcement{
		NodesTotal: a.Total, NodesEnforced: a.Enforced, OldWorkersUntil: a.OldWorkersUntil,
		StreamsNotCut: r.Grant.State.Final() && !a.StreamsCut, StreamsUntil: a.StreamsUntil,
	}
}

func (e enforcer) Await(ctx context.Context, r store.Record) {
	e.fleet.Await(ctx, r.Grant.Pool.Environment, r.Revision)
}

func question(r store.Record) reconcile.Question {
	return reconcile.Question{
		Environment: r.Grant.Pool.Environment, Revision: r.Revision,
		Opens: r.Grant.State == grant.Active, Expires: r.Grant.ExpiresAt,
	}
}

// nodes is the fleet as access.Fleet: servers by the Data Plane API, status by the loops.
type nodes struct {
	*haproxy.Service
	fleet   *reconcile.Fleet
	manager *haproxy.Manager
}

func (n nodes) Nodes(environment string) []access.NodeStatus {
	var all []access.NodeStatus
	for _, s := range n.fleet.Status(environment) {
		status := nodeStatus(s)
		status.Source = n.Source(s.Name)
		if status.Dialect == "" {
			status.Dialect = n.Dialect(s.Name)
		}
		if warning := n.CredentialError(s.Name); warning != nil && status.Error == "" {
			status.Error = warning.Error()
		}
		kept, err := n.manager.Status(s.Name)
		if status.ConfigManaged = kept; err != nil {
			status.ConfigError = err.Error()
		}
		all = append(all, status)
	}
	return all
}

func nodeStatus(s reconcile.Status) access.NodeStatus {
	status := access.NodeStatus{
		Node: s.Name, Healthy: s.Healthy, Dialect: s.Dialect, LastPass: s.LastPass, LastSuccess: s.LastSuccess,
		Revision: s.Revision, ClockOffset: s.Worker.Offset, DriftRepaired: s.DriftRepaired,
		HAProxyVersion: s.Worker.Version, Rows: s.Rows, Writer: s.Writer, LastDrift: s.LastDrift, LastDriftAt: s.LastDriftAt,
		PendingRemovals: s.PendingRemovals, CutsStreams: s.CutsStreams, ReachesOldWorkers: s.ReachesOldWorkers,
	}
	if s.Err != nil {
		status.Error = s.Err.Error()
	}
	if s.Worker.PID != 0 {
		status.WorkerStarted = s.LastSuccess.Add(-s.Worker.Uptime).Truncate(time.Second)
	}
	for _, e := range s.Environments {
		status.Environments = append(status.Environments, e.Name)
		status.Leases = append(status.Leases, access.Lease{Environment: e.Name, Off: e.Lease == 0, Until: e.LeaseUntil})
	}
	return status
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d.AsDuration() == 0 {
		return otherwise
	}
	return d.AsDuration()
}
