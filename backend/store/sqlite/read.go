package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Grant implements store.Grants.
func (db *DB) Grant(ctx context.Context, id string) (store.Record, error) {
	return one(db.records(ctx, db.read, "WHERE id = ?", id))
}

// LiveGrant implements store.Grants.
func (db *DB) LiveGrant(ctx context.Context, s grant.Subject, p grant.Pool) (store.Record, error) {
	return one(db.records(ctx, db.read,
		"WHERE subject = ? AND environment = ? AND pool = ? AND state IN ('approved', 'active')",
		string(s), p.Environment, p.Name))
}

// Due implements store.Grants.
func (db *DB) Due(ctx context.Context, at time.Time, limit int) ([]store.Record, error) {
	now := store.Millis(at)
	return db.records(ctx, db.read, `WHERE (state = 'active' AND expires_at <= ?)
		OR (state = 'pending' AND lapses_at <= ?)
		OR (state = 'approved' AND (lapses_at <= ? OR starts_at <= ?))
		ORDER BY revision LIMIT ?`, now, now, now, now, limit)
}

// List implements store.Grants.
func (db *DB) List(ctx context.Context, q store.Query) ([]store.Record, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, fmt.Errorf("list grants: a limit of %d", q.Limit)
	}
	var w where
	w.equal("subject", string(q.Subject))
	w.equal("environment", q.Environment)
	w.equal("pool", q.Pool)
	if len(q.States) > 0 {
		w.in("state", q.States)
	}
	if q.Visible != nil {
		// An empty viewer is nobody, and not the owner of what has none.
		viewer := string(q.Visible.Viewer)
		w.add("((? <> '' AND (subject = ? OR owner = ?)) OR "+awaiting(len(q.Visible.Groups))+")",
			append([]any{viewer, viewer, viewer}, anys(q.Visible.Groups)...)...)
	}
	if q.AwaitingGroups != nil {
		w.add(awaiting(len(q.AwaitingGroups)), anys(q.AwaitingGroups)...)
	}
	if q.After != nil {
		at := store.Millis(q.After.RequestedAt)
		w.add("(requested_at < ? OR (requested_at = ? AND id < ?))", at, at, q.After.ID)
	}
	return db.records(ctx, db.read, w.sql()+" ORDER BY requested_at DESC, id DESC LIMIT ?", append(w.args, q.Limit)...)
}

// awaiting is a condition with n parameters: pending, and a step names one of n groups.
func awaiting(n int) string {
	return "(state = 'pending' AND EXISTS (SELECT 1 FROM json_each(doc, '$.steps') AS step, " +
		"json_each(step.value, '$.groups') AS named WHERE named.value IN (" + marks(n) + ")))"
}

// Replayed implements store.Grants.
func (db *DB) Replayed(ctx context.Context, caller grant.Subject, method, key string) (store.Replay, error) {
	r := store.Replay{Caller: caller, Method: method, Key: key}
	var body []byte
	var at int64
	err := db.read.QueryRowContext(ctx, "SELECT body, ref, at FROM replays WHERE caller = ? AND method = ? AND key = ?",
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

// Snapshot implements store.Reader.
func (db *DB) Snapshot(ctx context.Context) (s store.Snapshot, err error) {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return s, fmt.Errorf("begin snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(revision), 0) FROM events").Scan(&s.Revision); err != nil {
		return s, fmt.Errorf("read revision: %w", err)
	}
	s.Active, err = db.records(ctx, tx, "WHERE state = 'active' ORDER BY id")
	return s, err
}

// Events implements store.Reader.
func (db *DB) Events(ctx context.Context, after int64, limit int) (entries []store.Entry, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT revision, doc, hash FROM events WHERE revision > ? ORDER BY revision LIMIT ?",
		after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e store.Entry
		var hash []byte
		if err := rows.Scan(&e.Revision, &e.Doc, &hash); err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		if e.Event, err = store.DecodeEvent(e.Doc); err != nil {
			if len(entries) > 0 {
				return entries, nil // good ones first; the next page says what is wrong
			}
			return nil, fmt.Errorf("revision %d: %w", e.Revision, err)
		}
		copy(e.Hash[:], hash)
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (db *DB) records(ctx context.Context, from querier, where string, args ...any) (records []store.Record, err error) {
	rows, err := from.QueryContext(ctx, "SELECT revision, doc FROM grants "+where, args...)
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
	return records, rows.Err()
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

// where collects conditions. Values are always parameters, never text.
type where struct {
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column+" = ?", value)
	}
}

func (w *where) in(column string, states []grant.State) {
	args := make([]any, len(states))
	for i, s := range states {
		args[i] = string(s)
	}
	w.add(column+" IN ("+marks(len(states))+")", args...)
}

func (w *where) sql() string {
	if len(w.terms) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.terms, " AND ")
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func anys(values []string) []any {
	all := make([]any, len(values))
	for i, v := range values {
		all[i] = v
	}
	return all
}
