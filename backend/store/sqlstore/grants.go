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
	return s.one(ctx, selectGrants+"WHERE id = ?1", id)
}

// LiveGrant implements store.Grants.
func (s *Store) LiveGrant(ctx context.Context, who grant.Subject, p grant.Pool) (store.Record, error) {
	return s.one(ctx, selectGrants+"WHERE subject = ?1 AND environment = ?2 AND pool = ?3 AND state IN ('approved', 'active')",
		string(who), p.Environment, p.Name)
}

// Due implements store.Grants.
func (s *Store) Due(ctx context.Context, at time.Time, limit int) (store.Page, error) {
	return s.byRevision(ctx, DueQuery, at, limit, nil)
}

// Overdue implements store.Grants. Rows of a program that does not write when a review is due are candidates until their
// documents say that it is.
func (s *Store) Overdue(ctx context.Context, at time.Time, limit int) (store.Page, error) {
	return s.byRevision(ctx, OverdueQuery(s.dialect), at, limit, func(g grant.Grant) bool { return g.ReviewOverdue(at) })
}

// DueQuery and OverdueQuery are what Due and Overdue ask, for who wants to know how a database answers it: rows up to the
// time ?1, after the revision ?2, at most ?3.
const DueQuery = selectGrants + "WHERE state IN ('pending', 'approved', 'active') AND due_at <= ?1" + onwards

// OverdueQuery: see DueQuery.
func OverdueQuery(d Dialect) string {
	return selectGrants + "WHERE review <> " + d.Empty + " AND review_due <> 0 AND review_due <= ?1" + onwards
}

const onwards = " AND revision > ?2 ORDER BY revision LIMIT ?3"

// isOpen is the condition that a grant is not over, in the words of the index that is by it and in the order of pages. In
// those of DueQuery's index that one would be taken, and all that is open be sorted for each page.
const isOpen = "state NOT IN ('denied', 'cancelled', 'lapsed', 'expired', 'revoked')"

// List implements store.Grants.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := checkLimit(q.Limit); err != nil {
		return store.Page{}, fmt.Errorf("list grants: %w", err)
	}
	return fill(q.Limit, func(last *row) ([]row, error) {
		if last != nil {
			q.After = &store.Cursor{RequestedAt: store.Time(last.columns.RequestedAt), ID: last.columns.ID}
		}
		query, args := ListQuery(s.dialect, q)
		return s.rows(ctx, query, args...)
	}, nil)
}

// ListQuery is what List asks for one page, with its parameters.
func ListQuery(d Dialect, q store.Query) (query string, args []any) {
	var w where
	w.equal("subject", string(q.Subject))
	w.equal("environment", q.Environment)
	w.equal("pool", q.Pool)
	if len(q.States) > 0 {
		oneOf(&w, "state", q.States)
		if !slices.ContainsFunc(q.States, grant.State.Final) {
			w.add(isOpen)
		}
	}
	if q.Concerns != "" {
		w.among(concerning(&w, q.Concerns)...)
	}
	if q.Visible != nil {
		w.among(visible(d, &w, *q.Visible)...)
	}
	if q.AwaitingGroups != nil {
		w.add(d.Shares("waiting", w.arg(d.List(q.AwaitingGroups))))
	}
	if q.ReviewGroups != nil {
		w.add(d.Shares("review", w.arg(d.List(q.ReviewGroups))))
	}
	if q.After != nil {
		at := w.arg(store.Millis(q.After.RequestedAt))
		w.add("(requested_at < " + at + " OR (requested_at = " + at + " AND id < " + w.arg(q.After.ID) + "))")
	}
	limit := w.arg(q.Limit)
	return selectGrants + w.sql() + " ORDER BY requested_at DESC, id DESC LIMIT " + limit, w.args
}

// concerning are the conditions, each found by its own index, of which one holds where a grant is the subject's, or of an
// agent whose owner they are.
func concerning(w *where, who grant.Subject) []string {
	name := w.arg(string(who))
	return []string{"subject = " + name, "owner = " + name + " AND owner <> ''"}
}

// visible are those of which one holds where a viewer may see a grant.
func visible(d Dialect, w *where, v store.Visible) []string {
	var seen []string
	if len(v.Groups) > 0 {
		groups := w.arg(d.List(v.Groups))
		seen = append(seen, d.Shares("waiting", groups), d.Shares("review", groups))
	}
	if v.Viewer != "" { // an empty one is nobody, and not the owner of what has none
		seen = append(seen, concerning(w, v.Viewer)...)
	}
	return seen
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
	rows, err := s.query(ctx, selectGrants+`WHERE state = 'active'
		UNION ALL SELECT '', '', '', '', '', '', 0, 0, 0, 0, 0, coalesce(max(revision), 0), NULL FROM @events`)
	if err != nil {
		return snapshot, fmt.Errorf("read snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return store.Snapshot{}, err
		}
		if r.doc == nil {
			snapshot.Revision = r.revision
			continue
		}
		if r.decode(); r.err != nil {
			snapshot.Unreadable = append(snapshot.Unreadable, r.columns.ID)
			continue
		}
		snapshot.Active = append(snapshot.Active, r.record())
	}
	if err := rows.Err(); err != nil {
		return store.Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	slices.SortFunc(snapshot.Active, func(a, b store.Record) int { return strings.Compare(a.Grant.ID, b.Grant.ID) })
	slices.Sort(snapshot.Unreadable)
	return snapshot, nil
}
