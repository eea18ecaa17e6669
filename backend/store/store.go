package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Errors of every driver. Others are failures of the database: nothing is known about what was written then, except that
// it was all of a change or nothing.
var (
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the grant is not at the version that the change was made from: another transition won.
	ErrConflict = errors.New("the grant has changed in between")
	// ErrReplay: the idempotency key is there already. Read it with Replayed and compare the body.
	ErrReplay = errors.New("the idempotency key was used before")
	// ErrCorrupt: what is stored is in no form that was ever written: it is damaged, or somebody else wrote it.
	ErrCorrupt = errors.New("what is stored cannot be read")
)

// LiveError says that the subject already has an approved or active grant for the pool.
type LiveError struct{ ID string }

func (e *LiveError) Error() string {
	return fmt.Sprintf("grant %s for this subject and pool is approved or active already", e.ID)
}

// Change is what one transaction writes: events of one or more grants, each with the row that it leads to, in order, and
// the idempotency key of the call that caused them.
type Change struct {
	// Events are the transitions. An event whose grant has version 1 makes the row, any other expects the row to be at the
	// version before. An event with the verb grant.Refuse has no row. There may be none: then the key alone is written, and
	// the revision stays.
	Events []grant.Event
	// Replay is the call's idempotency key, if it has one.
	Replay *Replay
}

// Replay remembers that a call was carried out, for ReplayFor.
type Replay struct {
	Caller grant.Subject
	Method string
	Key    string
	Body   [32]byte // SHA-256 of what was asked for, without the key
	Ref    string   // the grant's id, or empty
	At     time.Time
}

// ReplayFor is how long an idempotency key is remembered at least.
const ReplayFor = 24 * time.Hour

// Record is a grant's row.
type Record struct {
	Grant    grant.Grant
	Revision int64 // of its last event
}

// Snapshot is what the nodes must hold, read at one moment: every active grant up to Revision, and no later change.
type Snapshot struct {
	Revision int64
	Active   []Record
}

// Entry is an event in the log. Hash chains it to all before it (see Chain).
type Entry struct {
	Revision int64
	Event    grant.Event
	// Doc is the event as it is stored, which the hash is over: an older program's events verify after the form has grown.
	Doc  []byte
	Hash [32]byte
}

// Query filters and pages grants, newest request first. Empty fields do not filter.
type Query struct {
	Subject     grant.Subject
	Environment string
	Pool        string
	States      []grant.State
	// Visible limits the answer to what a viewer may see; nil shows all. A grant is visible if its subject or owner is
	// Viewer, or if it is pending and one of its steps names one of Groups.
	Visible *Visible
	// AwaitingGroups limits it to pending grants with a step for one of these groups, if not nil.
	AwaitingGroups []string
	// After is the last record of the page before.
	After *Cursor
	Limit int // 1 to 1000
}

// Visible is whose eyes a query has.
type Visible struct {
	Viewer grant.Subject
	Groups []string
}

// Cursor is a position in the order of a query: requests newest first, of one moment those with the highest id first.
type Cursor struct {
	RequestedAt time.Time
	ID          string
}

// Grants reads grants and changes them. It is access's.
type Grants interface {
	// Commit writes a change wholly or not at all and returns the revision of its last event. Revisions go up by one for
	// each event, in the order of commits: who has read n never sees a new m < n. Errors: ErrConflict, ErrReplay,
	// *LiveError, or a failure of the database.
	Commit(ctx context.Context, c Change) (int64, error)
	// Grant reads one row, or ErrNotFound.
	Grant(ctx context.Context, id string) (Record, error)
	// LiveGrant is the approved or active grant of the subject for the pool, or ErrNotFound.
	LiveGrant(ctx context.Context, s grant.Subject, p grant.Pool) (Record, error)
	// List answers one page.
	List(ctx context.Context, q Query) ([]Record, error)
	// Due lists grants that the clock has something to do with at the time at: pending or approved and lapsed, approved
	// and at their start, active and expired. At most limit.
	Due(ctx context.Context, at time.Time, limit int) ([]Record, error)
	// Replayed reads an idempotency key, or ErrNotFound.
	Replayed(ctx context.Context, caller grant.Subject, method, key string) (Replay, error)
}

// Reader is what reconciling and the outbox read.
type Reader interface {
	// Snapshot reads all active grants and the revision in one transaction.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Events reads the log after a revision, in order, at most limit. An event that cannot be read ends the page before it;
	// where it is the first, the answer is ErrCorrupt.
	Events(ctx context.Context, after int64, limit int) ([]Entry, error)
}

// Positions remembers how far each sink has been told. It is the outbox's.
type Positions interface {
	// Position is the revision up to which the sink has been told; 0 for a new one.
	Position(ctx context.Context, sink string) (int64, error)
	SetPosition(ctx context.Context, sink string, revision int64) error
}

// Key is a signing key. The private half is sealed by its owner; the store never sees it in the clear.
type Key struct {
	KID     string // RFC 7638 thumbprint
	Alg     string // "RS256"
	Public  []byte // PEM, "PUBLIC KEY"
	Sealed  []byte // the private key, encrypted
	State   string // its owner's word for where it is in its life
	Created time.Time
}

// Keys keeps signing keys. It is credential's.
type Keys interface {
	// Keys lists all of them, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// AddKey adds one; ErrConflict if the KID is there.
	AddKey(ctx context.Context, k Key) error
	// SetKeyState changes one key's state, from one to another: ErrConflict if it is not in from.
	SetKeyState(ctx context.Context, kid, from, to string) error
}

// AuditRow is an event of Clutch's audit log: a call, or a transition. Request and Response are encoded messages that
// only their writer understands.
type AuditRow struct {
	ID       int64
	At       time.Time
	Request  []byte
	Response []byte // nil until the call has ended
}

// AuditLog keeps Clutch's audit events for gateways without Postgres. It is service/audit's.
type AuditLog interface {
	// WriteAudit adds a row and returns its ID. It is on disk when the call returns.
	WriteAudit(ctx context.Context, at time.Time, request []byte) (int64, error)
	// FinishAudit adds the response; ErrNotFound for an unknown id, ErrConflict if it has one.
	FinishAudit(ctx context.Context, id int64, response []byte) error
	// ReadAudit reads rows with start <= At < end, oldest first, at most limit, after the ID after.
	ReadAudit(ctx context.Context, start, end time.Time, after int64, limit int) ([]AuditRow, error)
}
