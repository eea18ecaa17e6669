package store

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// NodeStatus is what the gateway that writes to a node says of it. Only reconcile's words are in Doc.
type NodeStatus struct {
	Node   string
	Writer string // the gateway's name
	At     time.Time
	Doc    []byte
}

// GrantReport is what became of a grant on a node. Zero times and counts say nothing.
type GrantReport struct {
	GrantID string
	Node    string
	// Revision of the store that was written last; WrittenAt and VerifiedAt are when its row was written and read back.
	Revision   int64
	WrittenAt  time.Time
	VerifiedAt time.Time
	// RemovedAt is when its row was gone: from memory, from the file, and from older workers.
	RemovedAt time.Time
	// By HAProxy's log: requests that were admitted, and that were refused after the grant's end.
	FirstAdmitted time.Time
	LastAdmitted  time.Time
	Admitted      int64
	FirstRefused  time.Time
	Refused       int64
}

// Reports keeps what nodes report, for all gateways. They are not part of the log: what is enforced does not depend on
// them. It is service/haproxyaccess'.
type Reports interface {
	// PutNodeStatus keeps n unless a later one of the node is known.
	PutNodeStatus(ctx context.Context, n NodeStatus) error
	// NodeStatuses lists the last of each node, by name.
	NodeStatuses(ctx context.Context) ([]NodeStatus, error)
	// ForgetNode drops the status of a node that is gone. What it reported of grants stays.
	ForgetNode(ctx context.Context, node string) error
	// PutReports adds to what is known, in one transaction: of one revision the earliest times of writing and reading stay,
	// a later revision brings its own; a removal is as late as it was last; of requests the first is the earliest, the last
	// the latest, and counts add up. A repeated report changes no time, but counts again.
	PutReports(ctx context.Context, reports []GrantReport) error
	// GrantReports lists what is known of a grant, by node.
	GrantReports(ctx context.Context, grantID string) ([]GrantReport, error)
}

// Environment is an ephemeral environment that was registered.
type Environment struct {
	Name     string
	Template string // the pattern that it was registered under
	By       grant.Subject
	At       time.Time
	// RemovedAt says that it is gone; its grants are to be ended.
	RemovedAt time.Time
	RemovedBy grant.Subject
}

// Environments keeps the ephemeral environments, for all gateways. It is service/haproxyaccess'.
type Environments interface {
	// RegisterEnvironment adds one, or brings one back that was removed. ErrConflict if it is there.
	RegisterEnvironment(ctx context.Context, e Environment) error
	// RemoveEnvironment marks one as removed. ErrNotFound if it is not there, or removed already.
	RemoveEnvironment(ctx context.Context, name string, by grant.Subject, at time.Time) error
	// Environments lists those that are there, and those that were removed not before since, by name.
	Environments(ctx context.Context, since time.Time) ([]Environment, error)
}

// Writers elects one gateway for each name: nobody else has it at the same time. It is service/haproxyaccess'.
type Writers interface {
	// Claim takes the name, or answers ErrHeld if another gateway has it. Who claims what it has already gets the same.
	Claim(ctx context.Context, name string) (Tenure, error)
}

// Tenure is a name that this gateway has.
type Tenure interface {
	// Check proves, by asking the database, that the name is still ours; an error says that it is not, or that nobody can
	// tell. After an error the tenure is over.
	Check(ctx context.Context) error
	// Since is from when on nobody else can have proved that the name was theirs, by our clock: when it was claimed, or
	// earlier where the gateway that had it was seen to be silent until it lost it. Who goes by the latter does nothing with
	// the name for another 1.5 s after the claim.
	Since() time.Time
	// Release gives the name back. It may be called twice.
	Release()
}
