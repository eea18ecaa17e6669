package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// WriteAudit implements store.AuditLog. The schema gives the IDs, in the order of commits: who reads on after an ID never
// passes by a row that comes later.
func (s *Store) WriteAudit(ctx context.Context, at time.Time, request []byte) (id int64, err error) {
	err = s.writer.Transact(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, s.dialect.sql("INSERT INTO @audit (at, request) VALUES (?1, ?2) RETURNING id"),
			store.Millis(at), blob(request)).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("write audit row: %w", err)
	}
	return id, nil
}

// FinishAudit implements store.AuditLog.
func (s *Store) FinishAudit(ctx context.Context, id int64, response []byte) error {
	return s.writer.Transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.sql("UPDATE @audit SET response = ?1 WHERE id = ?2 AND response IS NULL"),
			blob(response), id)
		if err != nil {
			return fmt.Errorf("finish audit row: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("finish audit row: %w", err)
		} else if n == 1 {
			return nil
		}
		var there bool
		err = tx.QueryRowContext(ctx, s.dialect.sql("SELECT count(*) > 0 FROM @audit WHERE id = ?1"), id).Scan(&there)
		switch {
		case err != nil:
			return fmt.Errorf("read audit row: %w", err)
		case there:
			return store.ErrConflict
		}
		return store.ErrNotFound
	})
}

// ReadAudit implements store.AuditLog.
func (s *Store) ReadAudit(ctx context.Context, start, end time.Time, after int64, limit int) (all []store.AuditRow, err error) {
	rows, err := s.query(ctx, `SELECT id, at, request, response, response IS NOT NULL FROM @audit
		WHERE at >= ?1 AND at < ?2 AND id > ?3 ORDER BY id LIMIT ?4`, ceilMillis(start), ceilMillis(end), after, limit)
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
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	return all, nil
}
