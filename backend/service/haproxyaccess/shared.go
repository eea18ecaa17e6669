package haproxyaccess

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// pollInterval is how often the store is asked whether another gateway has changed something: the nodes that this one
// writes to hear of it within that time and a little more. Correctness does not rest on it.
const pollInterval = 150 * time.Millisecond

// gatewayName tells gateways apart for people.
func gatewayName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "gateway"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// writers elects by the store.
type writers struct{ store store.Writers }

// Claim implements reconcile.Writers.
func (w writers) Claim(ctx context.Context, node string) (reconcile.Tenure, error) {
	tenure, err := w.store.Claim(ctx, "node/"+node)
	if errors.Is(err, store.ErrHeld) {
		return nil, reconcile.ErrNotWriter
	}
	if err != nil {
		return nil, err
	}
	return tenure, nil
}

// board keeps the nodes' status in the store.
type board struct{ store store.Reports }

// Publish implements reconcile.Board.
func (b board) Publish(ctx context.Context, s reconcile.Status) error {
	doc, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	return b.store.PutNodeStatus(ctx, store.NodeStatus{Node: s.Name, Writer: s.Writer, At: s.At, Doc: doc})
}

// Read implements reconcile.Board. A status of another form, of a program of another version, is left out: its node is
// one that nothing is known of.
func (b board) Read(ctx context.Context) ([]reconcile.Status, error) {
	kept, err := b.store.NodeStatuses(ctx)
	if err != nil {
		return nil, err
	}
	var all []reconcile.Status
	for _, k := range kept {
		var s reconcile.Status
		if err := json.Unmarshal(k.Doc, &s); err == nil && s.Name == k.Node {
			all = append(all, s)
		}
	}
	return all, nil
}

// ledger keeps what became of grants in the store.
type ledger struct{ store store.Reports }

// Record implements reconcile.Ledger.
func (l ledger) Record(ctx context.Context, node string, reports []reconcile.Report) error {
	rows := make([]store.GrantReport, len(reports))
	for i, r := range reports {
		rows[i] = store.GrantReport{
			GrantID: r.GrantID, Node: node, Revision: r.Revision,
			WrittenAt: r.WrittenAt, VerifiedAt: r.VerifiedAt, RemovedAt: r.RemovedAt,
		}
	}
	return l.store.PutReports(ctx, rows)
}

// newPoll wakes the loops when the log has grown, whoever wrote to it.
func newPoll(s store.History, fleet *reconcile.Fleet, outbox *audit.Outbox, o *observer) *access.Loop {
	seen := int64(-1)
	return access.NewLoop(func(ctx context.Context) error {
		head, err := s.Head(ctx)
		if err != nil {
			return fmt.Errorf("read revision: %w", err)
		}
		if head != seen {
			seen = head
			fleet.Wake()
			outbox.Poke()
		}
		return nil
	}, pollInterval, nil, o.pollFailed)
}
