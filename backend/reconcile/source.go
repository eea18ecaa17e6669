package reconcile

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Snapshot is what the store holds at Revision.
type Snapshot struct {
	Revision int64
	Active   []grant.Grant
}

// Source is the store.
type Source interface {
	Snapshot(ctx context.Context) (Snapshot, error)
	// Revision is that of the newest change. It is asked for much more often than the whole.
	Revision(ctx context.Context) (int64, error)
}

// Endings tells of grants that ended, for the record of each; nothing that is enforced follows from it.
type Endings interface {
	// Ended lists the ends after a revision, oldest first, with the revision up to which the list is whole.
	Ended(ctx context.Context, after int64) (ended []Ending, upTo int64, err error)
}

// Ending is the end of a grant that was active.
type Ending struct {
	GrantID  string
	Pool     grant.Pool
	Revision int64
	At       time.Time
}

// Ledger is told, durably, what became of each grant on each node. It is told again what it did not take.
type Ledger interface {
	Record(ctx context.Context, node string, reports []Report) error
}

// Report is what a node has done with a grant. Zero times say nothing.
type Report struct {
	GrantID   string
	Revision  int64
	WrittenAt time.Time
	// VerifiedAt is when the row was read back.
	VerifiedAt time.Time
	// RemovedAt is when the row was gone from memory, from the file, and from older workers.
	RemovedAt time.Time
}

// Journal keeps drift, durably, where auditors read it. It is told again, with the same words, what it did not take: of one
// node and First it keeps one.
type Journal interface {
	DriftFound(ctx context.Context, d grant.Drift) error
}

// Writers elects one gateway for each node.
type Writers interface {
	// Claim takes the node, or answers ErrNotWriter if another gateway has it.
	Claim(ctx context.Context, node string) (Tenure, error)
}

// Tenure is a node that this gateway writes to.
type Tenure interface {
	// Check proves, by asking whoever gave it, that it still is ours. After an error it is over.
	Check(ctx context.Context) error
	// Since is from when on no other gateway can have proved that the node was its own, by our clock.
	Since() time.Time
	// Release gives it back. It may be called twice.
	Release()
}

// Board is where the writer of a node says how it is, and other gateways read it.
type Board interface {
	Publish(ctx context.Context, s Status) error
	Read(ctx context.Context) ([]Status, error)
}

// Observer is told what happens; it must not block.
type Observer interface {
	Passed(node string, r Result)
	Failed(node string, err error)
	Drifted(node string, d Drift)
	// DriftNotKept says that the Journal did not take what a node's drift was; it is told again, unless the fleet stops.
	DriftNotKept(node string, err error)
	// Elected says that this gateway has become the node's writer, or is it no more.
	Elected(node string, writer bool)
}
