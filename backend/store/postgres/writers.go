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
	// quiet is after how long without a word a session gives itself up when its gateway goes on, and silence after how long
	// Postgres ends it: a gateway that is stopped, or cut off, loses its names. In between others see that it can prove nothing
	// any more. It is longer than others take between two looks.
	quiet   = 4 * time.Second
	silence = 5500 * time.Millisecond
	// sure is how long a session must be seen to have been silent, so that it is beyond quiet by its own clock as well.
	sure = quiet + 250*time.Millisecond
	// settling is for how long nobody writes after a claim (see store.Tenure). So whoever had a name in between, for less than
	// that, has done nothing with it.
	settling = 1500 * time.Millisecond
	// lookEvery is how often it is looked who has the names that others have, at most.
	lookEvery = 250 * time.Millisecond
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
	// seen are the sessions of others that were silent at the last look, by the locks that they hold.
	seen   map[int64]sighting
	looked time.Time
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
	tenure, err := w.session.claim(ctx, name, w.seen)
	if now := time.Now(); errors.Is(err, store.ErrHeld) && now.Sub(w.looked) >= lookEvery {
		w.looked = now
		w.seen = w.session.look(ctx)
	}
	if err != nil {
		return nil, err
	}
	return tenure, nil
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
