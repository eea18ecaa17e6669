package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Events implements store.Reader.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]store.Entry, error) {
	return s.entries(ctx, false, "WHERE revision > ?1 ORDER BY revision LIMIT ?2", after, limit)
}

// Head implements store.History.
func (s *Store) Head(ctx context.Context) (revision int64, err error) {
	if err := s.queryRow(ctx, "SELECT coalesce(max(revision), 0) FROM @events").Scan(&revision); err != nil {
		return 0, fmt.Errorf("read the log's head: %w", err)
	}
	return revision, nil
}

// History implements store.History.
func (s *Store) History(ctx context.Context, q store.EventQuery) ([]store.Entry, error) {
	if err := checkLimit(q.Limit); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	w := conditions(q)
	filtered := len(w.terms) > 0 || q.Subject != ""
	w.after(q)
	order := " ORDER BY revision"
	if q.Newest {
		order += " DESC"
	}
	order += " LIMIT " + w.arg(q.Limit)
	// First the revisions of the page, for which an index is enough; documents are read for these alone.
	page := func(name string, more ...string) string {
		of := where{terms: slices.Concat(w.terms, more)}
		return "SELECT revision FROM (SELECT revision FROM @events " + of.sql() + order + ") AS " + name
	}
	of := page("page")
	if q.Subject != "" {
		// A page of each of the two, by its own index: with an OR all of the subject's events would be sorted for every page.
		who := w.arg(string(q.Subject))
		of = page("asked", "subject = "+who) + " UNION " + page("owned", "owner = "+who, "owner <> ''")
	}
	return s.entries(ctx, filtered, "WHERE revision IN ("+of+")"+order, w.args...)
}

// conditions are those of a query, but for the subject and for where its page begins.
func conditions(q store.EventQuery) *where {
	w := &where{}
	w.equal("grant_id", q.GrantID)
	w.equal("environment", q.Environment)
	w.equal("pool", q.Pool)
	if len(q.Verbs) > 0 {
		oneOf(w, "verb", q.Verbs)
		if !slices.ContainsFunc(q.Verbs, grant.Verb.OfGrant) {
			w.add("version = 0") // they are few, and have an index of their own
		}
	}
	if !q.From.IsZero() {
		w.add("at >= " + w.arg(ceilMillis(q.From)))
	}
	if !q.To.IsZero() {
		w.add("at < " + w.arg(ceilMillis(q.To)))
	}
	return w
}

// after is the condition that an event is not of the pages before.
func (w *where) after(q store.EventQuery) {
	switch {
	case q.After == 0:
	case q.Newest:
		w.add("revision < " + w.arg(q.After))
	default:
		w.add("revision > " + w.arg(q.After))
	}
}

// eventColumns are a row of the log, for scanEntry.
const eventColumns = "revision, grant_id, verb, subject, owner, environment, pool, at, version, from_state, to_state, hash, doc"

// scanEntry reads a row of eventColumns. An event that cannot be read is an ErrCorrupt.
func scanEntry(rows *sql.Rows) (e store.Entry, err error) {
	var c store.EventColumns
	var hash []byte
	err = rows.Scan(&e.Revision, &c.GrantID, &c.Verb, &c.Subject, &c.Owner, &c.Pool.Environment, &c.Pool.Name, &c.At, &c.Version,
		&c.From, &c.To, &hash, &e.Doc)
	if err != nil {
		return e, fmt.Errorf("read event: %w", err)
	}
	copy(e.Hash[:], hash)
	if e.Event, err = store.DecodeEvent(e.Doc); err != nil {
		return e, fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	if err := c.Disagree(e.Event); err != nil {
		e.Misfiled = fmt.Errorf("revision %d: %w", e.Revision, err)
	}
	return e, nil
}

// entries reads events. Of what was found by columns, those that say something else are as bad as what cannot be read.
func (s *Store) entries(ctx context.Context, byColumns bool, where string, args ...any) (entries []store.Entry, err error) {
	rows, err := s.query(ctx, "SELECT "+eventColumns+" FROM @events "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err == nil && byColumns {
			err = e.Misfiled
		}
		if errors.Is(err, store.ErrCorrupt) && len(entries) > 0 {
			return entries, nil // good ones first; the next page says what is wrong
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return entries, nil
}

// Locks implements store.History.
func (s *Store) Locks(ctx context.Context, at time.Time, limit int) ([]grant.Lock, error) {
	if at.IsZero() {
		return s.locks(ctx, "ORDER BY at DESC, id DESC LIMIT ?1", limit)
	}
	// until is a whole millisecond: it is after at exactly if it is after at's own.
	return s.locks(ctx, "WHERE lifted_at = 0 AND until > ?1 ORDER BY at DESC, id DESC LIMIT ?2", store.Millis(at), limit)
}

// Lock implements store.History.
func (s *Store) Lock(ctx context.Context, id string) (grant.Lock, error) {
	locks, err := s.locks(ctx, "WHERE id = ?1", id)
	switch {
	case err != nil:
		return grant.Lock{}, err
	case len(locks) == 0:
		return grant.Lock{}, store.ErrNotFound
	}
	return locks[0], nil
}

func (s *Store) locks(ctx context.Context, where string, args ...any) ([]grant.Lock, error) {
	rows, err := s.query(ctx, "SELECT doc FROM @locks "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	return ScanLocks(rows)
}

// ScanLocks reads and closes rows of locks' documents.
func ScanLocks(rows *sql.Rows) (locks []grant.Lock, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("read lock: %w", err)
		}
		l, err := store.DecodeLock(doc)
		if err != nil {
			return nil, err
		}
		locks = append(locks, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read locks: %w", err)
	}
	return locks, nil
}

// ceilMillis is a bound for stored times, which are whole milliseconds: x >= t exactly if x >= ceilMillis(t).
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}
