package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Grant implements store.Grants.
func (s *Store) Grant(ctx context.Context, id string) (store.Record, error) {
	return one(s.records(ctx, "WHERE id = ?1", id))
}

// LiveGrant implements store.Grants.
func (s *Store) LiveGrant(ctx context.Context, who grant.Subject, p grant.Pool) (store.Record, error) {
	return one(s.records(ctx, "WHERE subject = ?1 AND environment = ?2 AND pool = ?3 AND state IN ('approved', 'active')",
		string(who), p.Environment, p.Name))
}

// Due implements store.Grants.
func (s *Store) Due(ctx context.Context, at time.Time, limit int) ([]store.Record, error) {
	return s.records(ctx, "WHERE state IN ('pending', 'approved', 'active') AND due_at <= ?1 ORDER BY revision LIMIT ?2",
		store.Millis(at), limit)
}

// List implements store.Grants.
func (s *Store) List(ctx context.Context, q store.Query) ([]store.Record, error) {
	if err := checkLimit(q.Limit); err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	var w where
	w.equal("subject", string(q.Subject))
	w.equal("environment", q.Environment)
	w.equal("pool", q.Pool)
	if len(q.States) > 0 {
		oneOf(&w, "state", q.States)
	}
	if q.Visible != nil {
		w.add(s.visible(&w, *q.Visible))
	}
	if q.AwaitingGroups != nil {
		w.add(s.dialect.Shares("waiting", w.arg(s.dialect.List(q.AwaitingGroups))))
	}
	if q.ReviewGroups != nil {
		w.add(s.dialect.Shares("review", w.arg(s.dialect.List(q.ReviewGroups))))
	}
	if q.After != nil {
		at := w.arg(store.Millis(q.After.RequestedAt))
		w.add("(requested_at < " + at + " OR (requested_at = " + at + " AND id < " + w.arg(q.After.ID) + "))")
	}
	limit := w.arg(q.Limit)
	return s.records(ctx, w.sql()+" ORDER BY requested_at DESC, id DESC LIMIT "+limit, w.args...)
}

// visible is the condition that a viewer may see a grant: one of four, each found by its own index. With an OR all grants
// would be looked at.
func (s *Store) visible(w *where, v store.Visible) string {
	const of = "SELECT id FROM @grants WHERE "
	groups := w.arg(s.dialect.List(v.Groups))
	seen := []string{of + s.dialect.Shares("waiting", groups), of + s.dialect.Shares("review", groups)}
	if v.Viewer != "" { // an empty one is nobody, and not the owner of what has none
		viewer := w.arg(string(v.Viewer))
		seen = append(seen, of+"subject = "+viewer, of+"owner = "+viewer+" AND owner <> ''")
	}
	return "id IN (" + strings.Join(seen, " UNION ") + ")"
}

// Replayed implements store.Grants.
func (s *Store) Replayed(ctx context.Context, caller grant.Subject, method, key string) (store.Replay, error) {
	r := store.Replay{Caller: caller, Method: method, Key: key}
	var body []byte
	var at int64
	err := s.queryRow(ctx, "SELECT body, ref, at FROM @replays WHERE caller = ?1 AND method = ?2 AND key = ?3",
		string(caller), method, key).Scan(&body, &r.Ref, &at)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Replay{}, store.ErrNotFound
	case err != nil:
		return store.Replay{}, fmt.Errorf("read key: %w", err)
	}
	copy(r.Body[:], body)
	r.At = store.Time(at)
	return r, nil
}

// Snapshot implements store.Reader. It is one statement, and so of one moment; the row without a document is the revision.
func (s *Store) Snapshot(ctx context.Context) (snapshot store.Snapshot, err error) {
	rows, err := s.query(ctx, `SELECT revision, doc FROM @grants WHERE state = 'active'
		UNION ALL SELECT coalesce(max(revision), 0), NULL FROM @events`)
	if err != nil {
		return snapshot, fmt.Errorf("read snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var revision int64
		var doc []byte
		if err := rows.Scan(&revision, &doc); err != nil {
			return store.Snapshot{}, fmt.Errorf("read snapshot: %w", err)
		}
		if doc == nil {
			snapshot.Revision = revision
			continue
		}
		g, err := store.DecodeGrant(doc)
		if err != nil {
			return store.Snapshot{}, err
		}
		snapshot.Active = append(snapshot.Active, store.Record{Grant: g, Revision: revision})
	}
	if err := rows.Err(); err != nil {
		return store.Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	slices.SortFunc(snapshot.Active, func(a, b store.Record) int { return strings.Compare(a.Grant.ID, b.Grant.ID) })
	return snapshot, nil
}

func (s *Store) records(ctx context.Context, where string, args ...any) (records []store.Record, err error) {
	rows, err := s.query(ctx, "SELECT revision, doc FROM @grants "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r store.Record
		var doc []byte
		if err := rows.Scan(&r.Revision, &doc); err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		if r.Grant, err = store.DecodeGrant(doc); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	return records, nil
}

func one(records []store.Record, err error) (store.Record, error) {
	switch {
	case err != nil:
		return store.Record{}, err
	case len(records) == 0:
		return store.Record{}, store.ErrNotFound
	}
	return records[0], nil
}
