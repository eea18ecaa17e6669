package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// session is a connection of its own that holds advisory locks. Once anything about it fails it is over: who cannot tell
// whether it holds a lock does not hold it.
type session struct {
	mu   sync.Mutex // one question at a time
	conn *sql.Conn
	held map[string]*tenure

	once  sync.Once
	ended chan struct{} // closed when it is over
	done  chan struct{} // closed when its goroutine has ended
}

// errSessionOver: the connection was lost, or its process was silent for too long.
var errSessionOver = errors.New("the session that holds the names is over")

func beginSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin session of writers: %w", err)
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("SET idle_session_timeout = %d", silence.Milliseconds()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin session of writers: %w", err), discard(conn))
	}
	s := &session{conn: conn, held: map[string]*tenure{}, ended: make(chan struct{}), done: make(chan struct{})}
	go s.speak()
	return s, nil
}

// speak asks at an interval, so that the session is not ended for silence while a pass over a node takes its time.
func (s *session) speak() {
	defer close(s.done)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-ticker.C:
			if s.ask(context.Background()) != nil {
				return
			}
		}
	}
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// question bounds a question. Who asks may give up before, but not while it is asked: that would end the session for all
// other names as well.
func question(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	return ctx, cancel, nil
}

// ask proves that the session is there. An answer that does not come in time ends it.
func (s *session) ask(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return errSessionOver
	}
	ctx, cancel, err := question(ctx)
	if err != nil {
		return fmt.Errorf("ask for the session: %w", err)
	}
	defer cancel()
	var one int
	if err := s.conn.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		s.finish()
		return fmt.Errorf("%w: %w", errSessionOver, err)
	}
	return nil
}

// claim takes the lock of a name, or answers that another session has it.
func (s *session) claim(ctx context.Context, name string) (store.Tenure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() {
		return nil, errSessionOver
	}
	if t, ok := s.held[name]; ok {
		return t, nil
	}
	ctx, cancel, err := question(ctx)
	if err != nil {
		return nil, fmt.Errorf("claim name: %w", err)
	}
	defer cancel()
	var taken bool
	err = s.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1, hashtext($2))", lockSpace, name).Scan(&taken)
	if err != nil {
		s.finish()
		return nil, fmt.Errorf("claim name: %w", err)
	}
	if !taken {
		return nil, store.ErrHeld
	}
	t := &tenure{session: s, name: name}
	s.held[name] = t
	return t, nil
}

func (s *session) release(t *tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over() || s.held[t.name] != t {
		return
	}
	delete(s.held, t.name)
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if _, err := s.conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1, hashtext($2))", lockSpace, t.name); err != nil {
		s.finish()
	}
}

// finish marks it as over and throws the connection away: none with locks goes back to the pool. mu is held.
func (s *session) finish() {
	s.once.Do(func() {
		close(s.ended)
		_ = discard(s.conn)
	})
}

func (s *session) end() {
	s.mu.Lock()
	s.finish()
	s.mu.Unlock()
	<-s.done
}

// discard closes a connection for good.
func discard(conn *sql.Conn) error {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// tenure is a name that a session has.
type tenure struct {
	session *session
	name    string
}

// Check implements store.Tenure.
func (t *tenure) Check(ctx context.Context) error {
	t.session.mu.Lock()
	mine := t.session.held[t.name] == t
	t.session.mu.Unlock()
	if !mine {
		return errors.New("the name was released")
	}
	return t.session.ask(ctx)
}

// Release implements store.Tenure.
func (t *tenure) Release() { t.session.release(t) }
