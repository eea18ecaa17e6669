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
	mu    sync.Mutex // one question at a time
	conn  *sql.Conn
	held  map[string]*tenure
	spoke time.Time // when the last question was asked that was answered

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
	began := time.Now()
	_, err = conn.ExecContext(ctx, fmt.Sprintf("SET idle_session_timeout = %d", silence.Milliseconds()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin session of writers: %w", err), discard(conn))
	}
	s := &session{conn: conn, held: map[string]*tenure{}, spoke: began, ended: make(chan struct{}), done: make(chan struct{})}
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

// question asks something, in a time of its own. Who asks may give up before, but not while it is asked: that would end the
// session for all other names as well. An error, an answer that does not come in time included, ends the session, and so does
// a silence after which others may take it for one that can prove nothing any more. mu is held.
func (s *session) question(ctx context.Context, ask func(context.Context) error) error {
	if s.over() {
		return errSessionOver
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(s.spoke) > quiet {
		s.finish()
		return fmt.Errorf("%w: it was silent for %s", errSessionOver, now.Sub(s.spoke).Round(time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if err := ask(ctx); err != nil {
		s.finish()
		return fmt.Errorf("%w: %w", errSessionOver, err)
	}
	s.spoke = now
	return nil
}

// ask proves that the session is there.
func (s *session) ask(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.question(ctx, func(ctx context.Context) error {
		var one int
		return s.conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	})
}

// claim takes the lock of a name, or answers that another session has it. seen are the silent sessions of others.
func (s *session) claim(ctx context.Context, name string, seen map[int64]sighting) (*tenure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.held[name]; ok && !s.over() {
		return t, nil
	}
	var taken bool
	var key int64
	err := s.question(ctx, func(ctx context.Context) error {
		return s.conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1, hashtext($2)), hashtext($2)::bigint & 4294967295",
			lockSpace, name).Scan(&taken, &key)
	})
	if err != nil {
		return nil, fmt.Errorf("claim name: %w", err)
	}
	if !taken {
		return nil, store.ErrHeld
	}
	t := &tenure{session: s, name: name, since: seen[key].since(time.Now())}
	s.held[name] = t
	return t, nil
}

// sighting is a session of another gateway that was silent, and that held a lock.
type sighting struct {
	asked, answered time.Time // when we looked
	silent          time.Duration
}

// since is from when on nobody but who gets the lock now, at the time now, can have proved that it is theirs. The session that
// was seen has asked nothing more, or would have given itself up. Another one that had the lock after it has done nothing
// with it yet.
func (s sighting) since(now time.Time) time.Time {
	if s.silent < sure || now.Sub(s.asked) > settling {
		return now
	}
	return s.answered.Add(-s.silent)
}

// look finds the sessions that hold locks of ours and are silent. A role that may not see the others' sees none, and gains
// nothing.
func (s *session) look(ctx context.Context) map[int64]sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[int64]sighting{}
	asked := time.Now()
	err := s.question(ctx, func(ctx context.Context) (err error) {
		rows, err := s.conn.QueryContext(ctx, silentHolders, lockSpace, sure.Seconds())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var key int64
			var seconds float64
			if err := rows.Scan(&key, &seconds); err != nil {
				return err
			}
			seen[key] = sighting{asked: asked, silent: time.Duration(seconds * float64(time.Second))}
		}
		return rows.Err()
	})
	if err != nil {
		return nil
	}
	for key, one := range seen {
		one.answered = time.Now()
		seen[key] = one
	}
	return seen
}

const silentHolders = `SELECT l.objid::bigint, extract(epoch FROM clock_timestamp() - a.state_change)::float8
	FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
	WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::oid AND l.objsubid = 2
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND a.state = 'idle' AND a.state_change <= clock_timestamp() - $2::float8 * interval '1 second'`

func (s *session) release(t *tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[t.name] != t {
		return
	}
	delete(s.held, t.name)
	_ = s.question(context.Background(), func(ctx context.Context) error { // after an error the lock is gone as well
		_, err := s.conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1, hashtext($2))", lockSpace, t.name)
		return err
	})
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
	since   time.Time
}

// Since implements store.Tenure.
func (t *tenure) Since() time.Time { return t.since }

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
