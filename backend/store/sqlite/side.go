package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Position implements store.Positions.
func (db *DB) Position(ctx context.Context, sink string) (int64, error) {
	var revision int64
	err := db.read.QueryRowContext(ctx, "SELECT revision FROM positions WHERE sink = ?", sink).Scan(&revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read position: %w", err)
	}
	return revision, nil
}

// SetPosition implements store.Positions.
func (db *DB) SetPosition(ctx context.Context, sink string, revision int64) error {
	_, err := db.exec(ctx, `INSERT INTO positions (sink, revision) VALUES (?, ?)
		ON CONFLICT (sink) DO UPDATE SET revision = excluded.revision`, sink, revision)
	if err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	return nil
}

// Keys implements store.Keys.
func (db *DB) Keys(ctx context.Context) (keys []store.Key, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT kid, alg, public, sealed, state, created FROM keys ORDER BY created, kid")
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k store.Key
		var created int64
		if err := rows.Scan(&k.KID, &k.Alg, &k.Public, &k.Sealed, &k.State, &created); err != nil {
			return nil, fmt.Errorf("read key: %w", err)
		}
		k.Created = store.Time(created)
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// AddKey implements store.Keys.
func (db *DB) AddKey(ctx context.Context, k store.Key) error {
	return changed(db.exec(ctx, `INSERT INTO keys (kid, alg, public, sealed, state, created)
		VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kid) DO NOTHING`,
		k.KID, k.Alg, k.Public, k.Sealed, k.State, store.Millis(k.Created)))
}

// SetKeyState implements store.Keys.
func (db *DB) SetKeyState(ctx context.Context, kid, from, to string) error {
	return changed(db.exec(ctx, "UPDATE keys SET state = ? WHERE kid = ? AND state = ?", to, kid, from))
}

// changed is ErrConflict unless the statement changed one row.
func changed(rows int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("write key: %w", err)
	case rows != 1:
		return store.ErrConflict
	}
	return nil
}

// WriteAudit implements store.AuditLog.
func (db *DB) WriteAudit(ctx context.Context, at time.Time, request []byte) (id int64, err error) {
	err = db.transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, "INSERT INTO audit (at, request) VALUES (?, ?)", store.Millis(at), blob(request))
		if err != nil {
			return err
		}
		id, err = result.LastInsertId()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write audit row: %w", err)
	}
	return id, nil
}

// FinishAudit implements store.AuditLog.
func (db *DB) FinishAudit(ctx context.Context, id int64, response []byte) error {
	return db.transact(ctx, func(tx *sql.Tx) error {
		var done bool
		err := tx.QueryRowContext(ctx, "SELECT response IS NOT NULL FROM audit WHERE id = ?", id).Scan(&done)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return store.ErrNotFound
		case err != nil:
			return fmt.Errorf("read audit row: %w", err)
		case done:
			return store.ErrConflict
		}
		if _, err := tx.ExecContext(ctx, "UPDATE audit SET response = ? WHERE id = ?", blob(response), id); err != nil {
			return fmt.Errorf("finish audit row: %w", err)
		}
		return nil
	})
}

// ReadAudit implements store.AuditLog.
func (db *DB) ReadAudit(ctx context.Context, start, end time.Time, after int64, limit int) (all []store.AuditRow, err error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id, at, request, response, response IS NOT NULL FROM audit
		WHERE at >= ? AND at < ? AND id > ? ORDER BY id LIMIT ?`, ceilMillis(start), ceilMillis(end), after, limit)
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r store.AuditRow
		var at int64
		var answered bool
		if err := rows.Scan(&r.ID, &at, &r.Request, &r.Response, &answered); err != nil {
			return nil, fmt.Errorf("read audit row: %w", err)
		}
		if answered {
			r.Response = blob(r.Response) // an empty one is read as nil
		}
		r.At = store.Time(at)
		all = append(all, r)
	}
	return all, rows.Err()
}

// blob is b, but never NULL: a message without content is one all the same.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ceilMillis is a bound for stored times, which are whole milliseconds: x >= t exactly if x >= ceilMillis(t).
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}
