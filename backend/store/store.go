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
	// ErrHeld: another gateway has the name (see Writers).
	ErrHeld = errors.New("another gateway writes")
)

// LiveError says that the subject already has an approved or active grant for the pool.
type LiveError struct{ ID string }

func (e *LiveError) Error() string {
	return fmt.Sprintf("grant %s for this subject and pool is approved or active already", e.ID)
}

// LockedError says that a lock covers what was to be opened.
type LockedError struct{ Lock grant.Lock }

func (e *LockedError) Error() string { return fmt.Sprintf("lock %s covers this access", e.Lock.ID) }

// Change is what one transaction writes: events of one or more grants, each with the row that it leads to, in order, and
// the idempotency key of the call that caused them.
type Change struct {
	// Events are the transitions. An event whose grant has version 1 makes the row, any other expects the row to be at the
	// version before. A verb that opens (grant.Verb.Opens) is refused with *LockedError while a lock that covers the grant
	// holds at the event's time. Events of verbs that are not of a grant (grant.Verb.OfGrant) have no row of one: PutLock
	// makes the row of its lock, LiftLock changes it (ErrConflict if it was lifted already, or is not there); the others make
	// none. There may be no event: then the key alone is written, and the revision stays.
	Events []grant.Event
	// Replay is the call's idempotency key, if it has one.
	Replay *Replay
	// Unless, if not nil, makes the change an ErrConflict where a grant of the subject has changed after the revision: what
	// was decided on the number of their grants holds at the commit.
	Unless *Since
}

// Since is a subject's grants as they were at a revision.
type Since struct {
	Subject  grant.Subject
	Revision int64
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
	// Unreadable are the ids of grants that are active by their rows and cannot be read, sorted. They are not among Active,
	// and so in force nowhere: nobody knows what was given.
	Unreadable []string
}

// Page is a part of what was asked for. It is shorter than its limit only where there is no more, however many rows were
// passed over.
type Page struct {
	Records []Record
	// Unreadable are the rows that were passed over since they cannot be read, in the same order.
	Unreadable []Unreadable
}

// Unreadable is a grant's row whose document cannot be read, or says something else than its columns. The columns are
// what the schema holds against the log; the document is what the grant is: neither is believed alone.
type Unreadable struct {
	ID      string
	Subject grant.Subject
	Owner   grant.Subject
	Pool    grant.Pool
	State   grant.State
	Err     error // wraps ErrCorrupt
}

// Entry is an event in the log. Hash chains it to all before it (see Chain).
type Entry struct {
	Revision int64
	Event    grant.Event
	// Doc is the event as it is stored, which the hash is over: an older program's events verify after the form has grown.
	Doc  []byte
	Hash [32]byte
	// Misfiled is nil unless the columns by which History finds it say something else than Doc, and wraps ErrCorrupt then.
	Misfiled error
}

// Query filters and pages grants, newest request first. Empty fields do not filter.
type Query struct {
	Subject grant.Subject
	// Concerns is a subject or, of an agent's grants, its owner.
	Concerns    grant.Subject
	Environment string
	Pool        string
	States      []grant.State
	// Visible limits the answer to what a viewer may see; nil shows all. A grant is visible if its subject or owner is
	// Viewer, or if its vote or its review, while they are waited for, names one of Groups.
	Visible *Visible
	// AwaitingGroups limits it to grants whose vote names one of these groups (grant.Grant.Deciders), if not nil.
	AwaitingGroups []string
	// ReviewGroups limits it to grants with a review to be done, by one of these groups (grant.Review), if not nil.
	ReviewGroups []string
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
	// *LiveError, *LockedError, or a failure of the database. A change whose context ends before it is taken up is not
	// written; after that the answer is what became of it, however long that takes (the driver bounds it).
	Commit(ctx context.Context, c Change) (int64, error)
	// Grant reads one row, or ErrNotFound, or ErrCorrupt.
	Grant(ctx context.Context, id string) (Record, error)
	// LiveGrant is the approved or active grant of the subject for the pool, or ErrNotFound, or ErrCorrupt.
	LiveGrant(ctx context.Context, s grant.Subject, p grant.Pool) (Record, error)
	// List answers one page. A row that cannot be read ends neither it nor the list.
	List(ctx context.Context, q Query) (Page, error)
	// Due lists grants that the clock has something to do with at the time at: pending or approved and lapsed, approved
	// and at their start, active and expired, active with an extension that has lapsed. At most limit.
	Due(ctx context.Context, at time.Time, limit int) (Page, error)
	// Overdue lists grants whose review is overdue at the time at (grant.Grant.ReviewOverdue). At most limit.
	Overdue(ctx context.Context, at time.Time, limit int) (Page, error)
	// Replayed reads an idempotency key, or ErrNotFound.
	Replayed(ctx context.Context, caller grant.Subject, method, key string) (Replay, error)
}

// History is what is read beside the grants themselves.
type History interface {
	// History answers one page of the log, of what the query lets through. An event that cannot be read ends the page
	// before it; where it is the first, the answer is ErrCorrupt. So does one that a filter has found and that is misfiled:
	// it may be none of what was asked for. Without a filter it is answered. What a filter misses because it is misfiled is
	// found by Verify alone.
	History(ctx context.Context, q EventQuery) ([]Entry, error)
	// Locks lists the locks, newest first: those that hold at the time at, or, if it is zero, all of them, at most limit.
	Locks(ctx context.Context, at time.Time, limit int) ([]grant.Lock, error)
	// Lock reads one, or ErrNotFound.
	Lock(ctx context.Context, id string) (grant.Lock, error)
	// Head is the revision of the last event; 0 for an empty log.
	Head(ctx context.Context) (int64, error)
}

// EventQuery filters and pages events. Empty fields do not filter.
type EventQuery struct {
	GrantID     string        // a grant's, or a lock's
	Subject     grant.Subject // of the grant, refused, or locked; also a grant's owner
	Environment string        // as Pool, of the grant, or locked
	Pool        string
	Verbs       []grant.Verb
	From, To    time.Time // From <= the event's time < To
	// Newest first if set; else oldest first.
	Newest bool
	// After is the revision of the page before's last event; 0 begins.
	After int64
	Limit int // 1 to 1000
}

// Login is what is known of a subject's groups from their last login.
type Login struct {
	Subject grant.Subject
	Groups  []string
	At      time.Time // when the groups were learnt, milliseconds
}

// Logins keeps the last login of each subject. It is access's.
type Logins interface {
	// Login reads a subject's last one, or ErrNotFound.
	Login(ctx context.Context, s grant.Subject) (Login, error)
	// RememberLogin keeps l unless a later one is known already: it never goes back, but for one that is dated after latest,
	// which no clock that is right can have written. Of several of the same moment, of which nobody knows which was first, the
	// groups are kept that all of them say, in whatever order they come.
	RememberLogin(ctx context.Context, l Login, latest time.Time) error
	// Members lists the subjects whose last login, not before since, was in the group. Sorted, at most limit.
	Members(ctx context.Context, group string, since time.Time, limit int) ([]grant.Subject, error)
}

// Reader is what reconciling and the outbox read.
type Reader interface {
	// Snapshot reads all active grants and the revision in one transaction. A row that cannot be read is no error: it must
	// not keep the nodes from taking in the others' ends.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Events reads the log after a revision, in order, at most limit. An event that cannot be read ends the page before it;
	// where it is the first, the answer is ErrCorrupt. One that is misfiled is answered: its document is what the chain holds.
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

// KeyCurrent is the one state of a key that the store knows of: at most one key is in it, so that two gateways that start
// on a new store do not both make the first.
const KeyCurrent = "current"

// Keys keeps signing keys. It is credential's.
type Keys interface {
	// Keys lists all of them, oldest first.
	Keys(ctx context.Context) ([]Key, error)
	// AddKey adds one; ErrConflict if the KID is there, or if it is in KeyCurrent and another key is.
	AddKey(ctx context.Context, k Key) error
	// SetKeyState changes one key's state, from one to another: ErrConflict if it is not in from, or if to is KeyCurrent and
	// another key is.
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
