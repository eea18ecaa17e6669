package postgres

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	// silence is after how long Postgres ends the session of a gateway that does not speak: one that is stopped, or cut off,
	// loses its names. It must be shorter than a new writer waits.
	silence = 4 * time.Second
	// beat is how often a gateway speaks, so that its session goes on.
	beat = time.Second
	// answerTime is how long an answer may take before the session is given up.
	answerTime = 2 * time.Second
)

// lockSpace is the first half of the advisory locks' keys; the second is a hash of the name. Two names with one hash would
// share a writer, which is harmless.
const lockSpace = 0x68617870 // "haxp"

// Writers elects gateways by advisory locks of one session, which holds all names that this gateway has. The session lives
// on a connection of its own, and Postgres ends it, and with it every lock, when the process has died or has been silent
// for too long.
type Writers struct {
	db *sql.DB

	mu      sync.Mutex
	session *session // nil: none is open
	closed  bool
}

var _ store.Writers = (*Writers)(nil)

// NewWriters makes one for this process. Nothing is asked of the database before the first Claim.
func NewWriters(db *sql.DB) *Writers { return &Writers{db: db} }

// Claim implements store.Writers.
func (w *Writers) Claim(ctx context.Context, name string) (store.Tenure, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errors.New("claim name: closed")
	}
	if w.session != nil && w.session.over() {
		w.session = nil
	}
	if w.session == nil {
		s, err := beginSession(ctx, w.db)
		if err != nil {
			return nil, err
		}
		w.session = s
	}
	return w.session.claim(ctx, name)
}

// Close ends the session, and with it every tenure. It may be called twice.
func (w *Writers) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.session != nil {
		w.session.end()
		w.session = nil
	}
}
