package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Commit implements store.Grants.
func (db *DB) Commit(ctx context.Context, c store.Change) (int64, error) {
	var revision int64
	err := db.transact(ctx, func(tx *sql.Tx) error {
		// First the key: of two calls with the same one, the later must not see the earlier's change as a conflict.
		if err := putReplay(ctx, tx, c.Replay); err != nil {
			return err
		}
		last, hash, err := head(ctx, tx)
		if err != nil {
			return err
		}
		for _, e := range c.Events {
			last++
			if hash, err = putEvent(ctx, tx, e, last, hash); err != nil {
				return err
			}
			if err := putGrant(ctx, tx, e, last); err != nil {
				return err
			}
		}
		revision = last
		return nil
	})
	if err != nil {
		return 0, err
	}
	return revision, nil
}

var errReadOnly = errors.New("the store was opened for reading only")

// transact runs do in an immediate transaction: all of it is on disk when it returns nil, and nothing otherwise. The
// context ends the wait for the connection and do's statements, but not COMMIT: a cancelled COMMIT could report a failure
// for what is on disk. For the same reason every write goes through here: a single statement outside of a transaction may
// report a cancelled context after it took effect.
func (db *DB) transact(ctx context.Context, do func(*sql.Tx) error) error {
	if db.write == nil {
		return errReadOnly
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for the writing connection: %w", err)
	}
	defer func() { _ = conn.Close() }() // gives it back to its pool
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err = do(tx); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		// A rollback that fails leaves the connection to database/sql, which drops it: nothing was committed.
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// exec runs one statement in a transaction of its own and returns how many rows it changed.
func (db *DB) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = db.transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// head is the last event's revision and hash; zeros for an empty log.
func head(ctx context.Context, tx *sql.Tx) (revision int64, hash [32]byte, err error) {
	var raw []byte
	row := tx.QueryRowContext(ctx, "SELECT revision, hash FROM events ORDER BY revision DESC LIMIT 1")
	switch err := row.Scan(&revision, &raw); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, hash, nil
	case err != nil:
		return 0, hash, fmt.Errorf("read the log's head: %w", err)
	}
	copy(hash[:], raw)
	return revision, hash, nil
}

func putEvent(ctx context.Context, tx *sql.Tx, e grant.Event, revision int64, previous [32]byte) ([32]byte, error) {
	doc, err := store.EncodeEvent(e)
	if err != nil {
		return previous, err
	}
	hash := store.Chain(previous, revision, doc)
	_, err = tx.ExecContext(ctx, "INSERT INTO events (revision, grant_id, verb, doc, hash) VALUES (?, ?, ?, ?, ?)",
		revision, e.Grant.ID, string(e.Verb), string(doc), hash[:])
	if err != nil {
		return previous, fmt.Errorf("write event: %w", err)
	}
	return hash, nil
}

// putGrant writes the row that the event leads to, if it was at the version before.
func putGrant(ctx context.Context, tx *sql.Tx, e grant.Event, revision int64) error {
	g := e.Grant
	if e.Verb == grant.Refuse {
		return nil
	}
	if err := checkLive(ctx, tx, g); err != nil {
		return err
	}
	doc, err := store.EncodeGrant(g)
	if err != nil {
		return err
	}
	// What a request fixed is written again by later versions too, so that the schema sees and refuses a change of it.
	row := []any{
		string(g.Subject), string(g.Owner), g.Pool.Environment, g.Pool.Name, string(g.State), g.Version, revision,
		store.Millis(g.RequestedAt), store.Millis(g.StartsAt), store.Millis(g.LapsesAt), store.Millis(g.ExpiresAt),
		string(doc), g.ID,
	}
	query := updateGrant
	if g.Version == 1 {
		query = insertGrant
	} else {
		row = append(row, g.Version-1, string(e.From))
	}
	result, err := tx.ExecContext(ctx, query, row...)
	if err != nil {
		return fmt.Errorf("write grant: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("write grant: %w", err)
	} else if n != 1 {
		return store.ErrConflict
	}
	return nil
}

// Both take a row's columns in the same order; the update then takes the version and the state that it expects.
const (
	insertGrant = `INSERT INTO grants (subject, owner, environment, pool, state, version, revision, requested_at, starts_at,
		lapses_at, expires_at, doc, id) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
		WHERE NOT EXISTS (SELECT 1 FROM grants WHERE id = ?13)`
	updateGrant = `UPDATE grants SET subject = ?1, owner = ?2, environment = ?3, pool = ?4, state = ?5, version = ?6,
		revision = ?7, requested_at = ?8, starts_at = ?9, lapses_at = ?10, expires_at = ?11, doc = ?12
		WHERE id = ?13 AND version = ?14 AND state = ?15`
)

// checkLive finds the grant that the schema's unique index would refuse g for, so that the error can name it.
func checkLive(ctx context.Context, tx *sql.Tx, g grant.Grant) error {
	if g.State != grant.Approved && g.State != grant.Active {
		return nil
	}
	var id string
	err := tx.QueryRowContext(ctx, `SELECT id FROM grants WHERE subject = ? AND environment = ? AND pool = ?
		AND state IN ('approved', 'active') AND id <> ?`,
		string(g.Subject), g.Pool.Environment, g.Pool.Name, g.ID).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("look for a live grant: %w", err)
	}
	return &store.LiveError{ID: id}
}

// purge is how many idempotency keys that are too old go with each new one.
const purge = 100

func putReplay(ctx context.Context, tx *sql.Tx, r *store.Replay) error {
	if r == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM replays WHERE rowid IN (SELECT rowid FROM replays WHERE at < ? ORDER BY at LIMIT ?)",
		store.Millis(r.At.Add(-store.ReplayFor)), purge)
	if err != nil {
		return fmt.Errorf("forget old keys: %w", err)
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO replays (caller, method, key, body, ref, at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (caller, method, key) DO NOTHING`,
		string(r.Caller), r.Method, r.Key, r.Body[:], r.Ref, store.Millis(r.At))
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return fmt.Errorf("write key: %w", err)
	} else if n != 1 {
		return store.ErrReplay
	}
	return nil
}
