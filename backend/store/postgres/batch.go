package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
)

// tx implements batch.Tx, for one batch.
type tx struct {
	ctx context.Context // of Write, which the tx does not outlive
	db  *DB
	tx  *sql.Tx

	id    [16]byte // names the batch in what it writes
	first int64    // the revision of its first event; 0 without one
	wrote bool
}

func (t *tx) stmt(query string) *sql.Stmt { return t.tx.StmtContext(t.ctx, t.db.prepared[query]) }

func (t *tx) exec(query string, args ...any) error {
	if _, err := t.stmt(query).ExecContext(t.ctx, args...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Head implements batch.Tx. It takes the one lock.
func (t *tx) Head() (mark store.Mark, err error) {
	var hash, limit []byte
	if err := t.stmt(readHead).QueryRowContext(t.ctx).Scan(&mark.Revision, &hash, &limit); err != nil {
		return store.Mark{}, fmt.Errorf("read the log's head: %w", err)
	}
	copy(mark.Hash[:], hash)
	return mark, nil
}

// Read implements batch.Tx.
func (t *tx) Read(q batch.Question) (a batch.Answer, err error) {
	var callers, methods, keys pq.StringArray
	for _, k := range q.Replays {
		callers, methods, keys = append(callers, string(k.Caller)), append(methods, k.Method), append(keys, k.Key)
	}
	rows, err := t.stmt(readKnown).QueryContext(t.ctx, pq.StringArray(q.Grants), texts(q.Openers), texts(q.Counted),
		callers, methods, keys, pq.StringArray(q.Locks), q.AskLocks, store.Millis(q.LocksAt))
	if err != nil {
		return a, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	a = batch.Answer{
		Grants: map[string]batch.Row{}, Live: map[batch.Place]string{}, Last: map[grant.Subject]int64{},
		Replays: map[batch.ReplayKey]bool{}, Locks: map[string]grant.Lock{},
	}
	for rows.Next() {
		if err := scanKnown(rows, a); err != nil {
			return a, err
		}
	}
	if err := rows.Err(); err != nil {
		return a, fmt.Errorf("read: %w", err)
	}
	return a, nil
}

// scanKnown reads one row of readKnown.
func scanKnown(rows *sql.Rows, into batch.Answer) error {
	var kind int
	var id, word string
	var r batch.Row
	err := rows.Scan(&kind, &id, &word, &r.Subject, &r.Owner, &r.Pool.Environment, &r.Pool.Name, &r.Version, &r.RequestedAt)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	switch kind {
	case 1:
		r.State = grant.State(word)
		into.Grants[id] = r
	case 2:
		into.Live[batch.Place{Subject: r.Subject, Pool: r.Pool}] = id
	case 3:
		into.Last[r.Subject] = r.Version
	case 4:
		into.Replays[batch.ReplayKey{Caller: r.Subject, Method: word, Key: id}] = true
	case 5:
		l, err := store.DecodeLock([]byte(word))
		if err != nil {
			return err
		}
		into.Locks[id] = l
	}
	return nil
}

func texts(who []grant.Subject) pq.StringArray {
	all := make(pq.StringArray, len(who))
	for i, s := range who {
		all[i] = string(s)
	}
	return all
}
