package batch

import (
	"context"
	"errors"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// ErrRefused is wrapped by a driver's error where the schema refuses what was to be written: the rows are at fault, and
// not the database.
var ErrRefused = errors.New("the schema refuses it")

// Database is what a driver does for a Queue.
type Database interface {
	// Write runs do in one transaction, which holds the one lock under which events get their revisions. If it returns nil
	// all is on disk; if do fails nothing is. The context bounds all of it, but for the database's own answer to COMMIT.
	Write(ctx context.Context, do func(Tx) error) error
}

// Tx is a transaction of Database.Write.
type Tx interface {
	// Head is the log's last entry; the zero mark for an empty log.
	Head() (store.Mark, error)
	// Read answers all that a batch has to know.
	Read(Question) (Answer, error)
	// Put writes what a batch has come to.
	Put(Rows) error
}

// Question is what a batch has to know. Nothing stands in a list twice.
type Question struct {
	Grants   []string        // rows, by id
	Openers  []grant.Subject // subjects whose approved or active grants are asked for
	Counted  []grant.Subject // subjects of whom the revision of the last transition is asked for
	Replays  []ReplayKey     // keys that may be used already
	Locks    []string        // locks, by id
	LocksAt  time.Time       // also the locks that hold at this time
	AskLocks bool            // whether LocksAt counts
}

// Answer is the answer to a Question. What is not there is in no map.
type Answer struct {
	Grants  map[string]Row
	Live    map[Place]string // the approved or active grant's id
	Last    map[grant.Subject]int64
	Replays map[ReplayKey]bool
	Locks   map[string]grant.Lock
}

// ReplayKey is what an idempotency key is unique by.
type ReplayKey struct {
	Caller grant.Subject
	Method string
	Key    string
}

// Place is where a subject has one live grant at most.
type Place struct {
	Subject grant.Subject
	Pool    grant.Pool
}

// Row is what of a grant's row a change is judged by: where it is in its life, and what its request fixed.
type Row struct {
	Version     int64
	State       grant.State
	Subject     grant.Subject
	Owner       grant.Subject
	Pool        grant.Pool
	RequestedAt int64 // milliseconds
}

// Rows is what is to be written.
type Rows struct {
	Events  []EventRow // in the log's order
	Grants  []GrantRow // as they are at the end, each once: those that are not live first, and of each kind the new ones last
	Locks   []LockRow  // in order; a lock may be put and lifted
	Replays []store.Replay
	// ForgetBefore is the time before which idempotency keys may go, if there are new ones: at most Forget of them, the
	// oldest, before the new ones are written.
	ForgetBefore time.Time
	Forget       int
}

// EventRow is a row of the log.
type EventRow struct {
	Mark store.Mark
	store.EventColumns
	Doc []byte
}

// GrantRow is a grant's row.
type GrantRow struct {
	Grant    grant.Grant
	New      bool // whether there is none yet
	Revision int64
	store.Waits
	Doc []byte
}

// LockRow is a lock's row: a new one, or one that was lifted.
type LockRow struct {
	Lock     grant.Lock
	Lift     bool
	Revision int64
	Doc      []byte
}
