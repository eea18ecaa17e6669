package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// RegisterEnvironment implements store.Environments.
func (s *Store) RegisterEnvironment(ctx context.Context, e store.Environment) error {
	changed, err := s.exec(ctx, `INSERT INTO @environments AS had (name, template, by_subject, at, removed_at, removed_by)
		VALUES (?1, ?2, ?3, ?4, 0, '')
		ON CONFLICT (name) DO UPDATE SET template = excluded.template, by_subject = excluded.by_subject, at = excluded.at,
			removed_at = 0, removed_by = '' WHERE had.removed_at > 0`,
		e.Name, e.Template, string(e.By), store.Millis(e.At))
	return oneChanged(changed, err, store.ErrConflict)
}

// RemoveEnvironment implements store.Environments.
func (s *Store) RemoveEnvironment(ctx context.Context, name string, by grant.Subject, at time.Time) error {
	changed, err := s.exec(ctx, "UPDATE @environments SET removed_at = ?1, removed_by = ?2 WHERE name = ?3 AND removed_at = 0",
		store.Millis(at), string(by), name)
	return oneChanged(changed, err, store.ErrNotFound)
}

// oneChanged is otherwise where a statement changed nothing.
func oneChanged(changed int64, err, otherwise error) error {
	switch {
	case err != nil:
		return fmt.Errorf("write environment: %w", err)
	case changed != 1:
		return otherwise
	}
	return nil
}

// Environments implements store.Environments.
func (s *Store) Environments(ctx context.Context, since time.Time) ([]store.Environment, error) {
	rows, err := s.query(ctx, `SELECT name, template, by_subject, at, removed_at, removed_by FROM @environments
		WHERE removed_at = 0 OR removed_at >= ?1 ORDER BY name`, ceilMillis(since))
	if err != nil {
		return nil, fmt.Errorf("read environments: %w", err)
	}
	return collect(rows, func(e *store.Environment) error {
		var by, removedBy string
		var at, removedAt int64
		err := rows.Scan(&e.Name, &e.Template, &by, &at, &removedAt, &removedBy)
		e.By, e.RemovedBy, e.At, e.RemovedAt = grant.Subject(by), grant.Subject(removedBy), store.Time(at), timeOrNone(removedAt)
		return err
	})
}
