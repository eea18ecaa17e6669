package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Position implements store.Positions.
func (s *Store) Position(ctx context.Context, sink string) (int64, error) {
	var revision int64
	err := s.queryRow(ctx, "SELECT revision FROM @positions WHERE sink = ?1", sink).Scan(&revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read position: %w", err)
	}
	return revision, nil
}

// SetPosition implements store.Positions.
func (s *Store) SetPosition(ctx context.Context, sink string, revision int64) error {
	_, err := s.exec(ctx, `INSERT INTO @positions (sink, revision) VALUES (?1, ?2)
		ON CONFLICT (sink) DO UPDATE SET revision = excluded.revision`, sink, revision)
	if err != nil {
		return fmt.Errorf("write position: %w", err)
	}
	return nil
}

// Keys implements store.Keys.
func (s *Store) Keys(ctx context.Context) (keys []store.Key, err error) {
	rows, err := s.query(ctx, "SELECT kid, alg, public, sealed, state, created FROM @keys ORDER BY created, kid")
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
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return keys, nil
}

// AddKey implements store.Keys. The schema holds both rules: one key for a KID, and one that is current.
func (s *Store) AddKey(ctx context.Context, k store.Key) error {
	return s.changeKey(ctx, `INSERT INTO @keys (kid, alg, public, sealed, state, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		k.KID, k.Alg, blob(k.Public), blob(k.Sealed), k.State, store.Millis(k.Created))
}

// SetKeyState implements store.Keys.
func (s *Store) SetKeyState(ctx context.Context, kid, from, to string) error {
	return s.changeKey(ctx, "UPDATE @keys SET state = ?1 WHERE kid = ?2 AND state = ?3", to, kid, from)
}

// changeKey is ErrConflict unless the statement changed one row.
func (s *Store) changeKey(ctx context.Context, query string, args ...any) error {
	rows, err := s.exec(ctx, query, args...)
	switch {
	case err != nil && s.dialect.Duplicate(err), err == nil && rows != 1:
		return store.ErrConflict
	case err != nil:
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

// blob is b, but never NULL: what is without content is there all the same.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
