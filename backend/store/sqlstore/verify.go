package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var _ store.Verifiable = (*Store)(nil)

// Traces implements store.Verifiable. It is one statement, and so of one moment.
func (s *Store) Traces(ctx context.Context) (t store.Traces, err error) {
	query := `SELECT 1, 'the position of sink ' || sink, revision, NULL FROM @positions
		UNION ALL SELECT 1, 'the row of a grant', coalesce(max(revision), 0), NULL FROM @grants
		UNION ALL SELECT 1, 'the row of a lock', coalesce(max(revision), 0), NULL FROM @locks
		UNION ALL SELECT 2, '', coalesce(max(revision), 0), NULL FROM @events`
	if s.dialect.Head {
		query = "SELECT 3, '', revision, hash FROM @head UNION ALL " + query
	}
	rows, err := s.query(ctx, query)
	if err != nil {
		return t, fmt.Errorf("read traces: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var kind int
		var trace store.Trace
		var hash []byte
		if err := rows.Scan(&kind, &trace.By, &trace.Revision, &hash); err != nil {
			return t, fmt.Errorf("read trace: %w", err)
		}
		switch kind {
		case 1:
			t.Others = append(t.Others, trace)
		case 2:
			t.Last = trace.Revision
		case 3:
			t.Head = &store.Mark{Revision: trace.Revision}
			copy(t.Head.Hash[:], hash)
		}
	}
	if err := rows.Err(); err != nil {
		return t, fmt.Errorf("read traces: %w", err)
	}
	if s.dialect.Head && t.Head == nil {
		t.Head = &store.Mark{} // its row is gone
	}
	return t, nil
}

// checkGrants reads rows with their last events. Each costs Postgres little by its own estimate too: else it would compile the
// query, for each page, which takes longer than all else.
const checkGrants = `SELECT g.*, e.revision, e.doc
	FROM (SELECT ` + grantColumns + `, due_at, waiting, review, review_due FROM @grants WHERE id > ?1 ORDER BY id LIMIT ?2) AS g
	LEFT JOIN @events AS e ON e.revision = (SELECT revision FROM @events WHERE grant_id = g.id AND version > 0
		ORDER BY version DESC LIMIT 1) ORDER BY g.id`

// CheckGrants implements store.Verifiable.
func (s *Store) CheckGrants(ctx context.Context, after string, limit int) (last string, wrong []error, err error) {
	var forgotten []string
	last, wrong, err = s.check(ctx, checkGrants, after, limit, func(rows *sql.Rows) (string, error, error) {
		var w store.Waits
		var e lastEvent
		r, err := scan(rows, &w.DueAt, s.dialect.Into(&w.Waiting), s.dialect.Into(&w.Review), &w.ReviewDue, &e.revision, &e.doc)
		if err != nil {
			return "", nil, err
		}
		if r.decode(); r.err != nil {
			return r.columns.ID, r.err, nil
		}
		doc, err := store.EncodeGrant(r.grant)
		if err != nil {
			return "", nil, err
		}
		err = e.ledTo(r.revision, doc, func(e grant.Event) ([]byte, error) { return store.EncodeGrant(e.Grant) })
		if err == nil {
			err = w.Disagree(r.grant)
		}
		if errors.Is(err, store.ErrForgotten) {
			forgotten = append(forgotten, r.columns.ID)
			err = nil
		}
		return r.columns.ID, name("grant", r.columns.ID, err), nil
	})
	for _, id := range forgotten {
		said, err := s.saidOverdue(ctx, id)
		if err != nil {
			return "", nil, fmt.Errorf("check row: %w", err)
		}
		if !said {
			wrong = append(wrong, name("grant", id, store.ErrForgotten))
		}
	}
	return last, wrong, err
}

// saidOverdue reports whether the log has it that a grant's review is overdue.
func (s *Store) saidOverdue(ctx context.Context, id string) (said bool, err error) {
	err = s.queryRow(ctx, "SELECT count(*) > 0 FROM @events WHERE grant_id = ?1 AND verb = 'review_overdue'", id).Scan(&said)
	return said, err
}

const checkLocks = `SELECT l.*, e.revision, e.doc
	FROM (SELECT id, subject, environment, pool, at, until, lifted_at, revision, doc FROM @locks WHERE id > ?1 ORDER BY id LIMIT ?2) AS l
	LEFT JOIN @events AS e ON e.revision = (SELECT revision FROM @events WHERE grant_id = l.id AND verb IN ('lock', 'unlock')
		ORDER BY revision DESC LIMIT 1) ORDER BY l.id`

// CheckLocks implements store.Verifiable.
func (s *Store) CheckLocks(ctx context.Context, after string, limit int) (last string, wrong []error, err error) {
	return s.check(ctx, checkLocks, after, limit, func(rows *sql.Rows) (string, error, error) {
		var c store.LockColumns
		var revision int64
		var raw []byte
		var e lastEvent
		err := rows.Scan(&c.ID, &c.Subject, &c.Environment, &c.Pool, &c.At, &c.Until, &c.LiftedAt, &revision, &raw, &e.revision, &e.doc)
		if err != nil {
			return "", nil, err
		}
		l, err := store.DecodeLock(raw)
		if err == nil {
			err = c.Disagree(l)
		}
		if err != nil {
			return c.ID, name("lock", c.ID, err), nil
		}
		doc, err := store.EncodeLock(l)
		if err != nil {
			return "", nil, err
		}
		err = e.ledTo(revision, doc, func(e grant.Event) ([]byte, error) { return store.EncodeLock(e.Lock) })
		return c.ID, name("lock", c.ID, err), nil
	})
}

// check goes through a page of rows. row answers a row's id and what is wrong with it; its second error is one of the database.
func (s *Store) check(
	ctx context.Context, query, after string, limit int, row func(*sql.Rows) (id string, wrong, err error),
) (last string, wrong []error, err error) {
	rows, err := s.query(ctx, query, after, limit)
	if err != nil {
		return "", nil, fmt.Errorf("check rows: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		id, bad, err := row(rows)
		if err != nil {
			return "", nil, fmt.Errorf("check row: %w", err)
		}
		if bad != nil {
			wrong = append(wrong, bad)
		}
		last = id
	}
	if err := rows.Err(); err != nil {
		return "", nil, fmt.Errorf("check rows: %w", err)
	}
	return last, wrong, nil
}

// lastEvent is that of a row, as the log has it; without a revision where it has none.
type lastEvent struct {
	revision sql.NullInt64
	doc      []byte
}

// ledTo is nil where the event has led to a row: of this revision, with this document.
func (e lastEvent) ledTo(revision int64, doc []byte, of func(grant.Event) ([]byte, error)) error {
	if !e.revision.Valid {
		return fmt.Errorf("%w: the log has no event of it", store.ErrCorrupt)
	}
	if e.revision.Int64 != revision {
		return fmt.Errorf("%w: its row is of revision %d, its last event is %d", store.ErrCorrupt, revision, e.revision.Int64)
	}
	event, err := store.DecodeEvent(e.doc)
	if err != nil {
		return err
	}
	want, err := of(event)
	if err != nil {
		return err
	}
	if !bytes.Equal(doc, want) {
		return fmt.Errorf("%w: its row says something else than its last event, %d", store.ErrCorrupt, revision)
	}
	return nil
}

func name(what, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// Rowless implements store.Verifiable.
func (s *Store) Rowless(ctx context.Context, limit int) (ids []string, err error) {
	rows, err := s.query(ctx, `SELECT what FROM (
		SELECT 'grant ' || e.grant_id AS what FROM @events AS e WHERE e.version = 1
			AND NOT EXISTS (SELECT 1 FROM @grants AS g WHERE g.id = e.grant_id)
		UNION ALL SELECT 'lock ' || e.grant_id FROM @events AS e WHERE e.version = 0 AND e.verb = 'lock'
			AND NOT EXISTS (SELECT 1 FROM @locks AS l WHERE l.id = e.grant_id)) AS missing LIMIT ?1`, limit)
	if err != nil {
		return nil, fmt.Errorf("look for rows: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("look for rows: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for rows: %w", err)
	}
	return ids, nil
}
