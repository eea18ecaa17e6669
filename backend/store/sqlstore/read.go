package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// row is a grant's row, as its columns say and as its document does.
type row struct {
	columns  store.GrantColumns
	revision int64
	doc      []byte
	grant    grant.Grant
	err      error // why the document is not believed
}

// grantColumns are a row of a grant, for scan.
const grantColumns = `id, subject, owner, environment, pool, state, version, requested_at, starts_at, lapses_at, expires_at,
	revision, doc`

// selectGrants reads rows for scan.
const selectGrants = "SELECT " + grantColumns + " FROM @grants "

// scan reads a row of grantColumns, and what a query has beyond them into more. Only an error of the database is one: what is
// wrong with the row stands in it.
func scan(rows *sql.Rows, more ...any) (row, error) {
	var r row
	c := &r.columns
	err := rows.Scan(append([]any{
		&c.ID, &c.Subject, &c.Owner, &c.Pool.Environment, &c.Pool.Name, &c.State, &c.Version, &c.RequestedAt, &c.StartsAt, &c.LapsesAt,
		&c.ExpiresAt, &r.revision, &r.doc,
	}, more...)...)
	if err != nil {
		return row{}, fmt.Errorf("read grant: %w", err)
	}
	return r, nil
}

// decode reads the document, and holds it to the columns.
func (r *row) decode() {
	if r.grant, r.err = store.DecodeGrant(r.doc); r.err == nil {
		r.err = r.columns.Disagree(r.grant)
	}
	if r.err != nil {
		r.err = fmt.Errorf("grant %s: %w", r.columns.ID, r.err)
	}
}

func (r *row) record() store.Record { return store.Record{Grant: r.grant, Revision: r.revision} }

func (r *row) unreadable() store.Unreadable {
	c := r.columns
	return store.Unreadable{ID: c.ID, Subject: c.Subject, Owner: c.Owner, Pool: c.Pool, State: c.State, Err: r.err}
}

// rows reads rows; the query begins with selectGrants.
func (s *Store) rows(ctx context.Context, query string, args ...any) (all []row, err error) {
	found, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return nil, err
		}
		r.decode()
		all = append(all, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	return all, nil
}

// one is the one row that there is, or ErrNotFound.
func (s *Store) one(ctx context.Context, query string, args ...any) (store.Record, error) {
	rows, err := s.rows(ctx, query, args...)
	switch {
	case err != nil:
		return store.Record{}, err
	case len(rows) == 0:
		return store.Record{}, store.ErrNotFound
	case rows[0].err != nil:
		return store.Record{}, rows[0].err
	}
	return rows[0].record(), nil
}

// fill makes a page: it reads on for as long as there is more and the page is not full. read answers at most limit rows
// after the last, which is nil at first; keep, if not nil, says which records are wanted.
func fill(limit int, read func(last *row) ([]row, error), keep func(grant.Grant) bool) (store.Page, error) {
	var page store.Page
	var last *row
	for {
		rows, err := read(last)
		if err != nil {
			return store.Page{}, err
		}
		for i := range rows {
			last = &rows[i]
			switch {
			case last.err != nil:
				page.Unreadable = append(page.Unreadable, last.unreadable())
			case keep == nil || keep(last.grant):
				page.Records = append(page.Records, last.record())
			}
			if len(page.Records) == limit {
				return page, nil
			}
		}
		if len(rows) < limit {
			return page, nil
		}
	}
}

// byRevision is a page in the order of the grants' last events.
func (s *Store) byRevision(ctx context.Context, query string, at time.Time, limit int, keep func(grant.Grant) bool) (store.Page, error) {
	return fill(limit, func(last *row) ([]row, error) {
		var after int64
		if last != nil {
			after = last.revision
		}
		return s.rows(ctx, query, store.Millis(at), after, limit)
	}, keep)
}
