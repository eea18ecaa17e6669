package sqlite

import (
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// Head implements batch.Tx.
func (t *tx) Head() (mark store.Mark, err error) {
	var hash []byte
	if _, err := t.row(readHead, nil, &mark.Revision, &hash); err != nil {
		return store.Mark{}, err
	}
	copy(mark.Hash[:], hash)
	return mark, nil
}

// Read implements batch.Tx.
func (t *tx) Read(q batch.Question) (batch.Answer, error) {
	a := batch.Answer{
		Grants: map[string]batch.Row{}, Live: map[batch.Place]string{}, Last: map[grant.Subject]int64{},
		Replays: map[batch.ReplayKey]bool{}, Locks: map[string]grant.Lock{},
	}
	for _, id := range q.Grants {
		var r batch.Row
		found, err := t.row(readGrant, []any{id}, &r.Version, &r.State, &r.Subject, &r.Owner, &r.Pool.Environment, &r.Pool.Name, &r.RequestedAt)
		if err != nil {
			return a, err
		}
		if found {
			a.Grants[id] = r
		}
	}
	for _, who := range q.Openers {
		if err := t.readLive(who, a.Live); err != nil {
			return a, err
		}
	}
	for _, who := range q.Counted {
		var revision int64
		if _, err := t.row(readLast, []any{string(who)}, &revision); err != nil {
			return a, err
		}
		a.Last[who] = revision
	}
	for _, k := range q.Replays {
		var one int
		used, err := t.row(readReplay, []any{string(k.Caller), k.Method, k.Key}, &one)
		if err != nil {
			return a, err
		}
		a.Replays[k] = used
	}
	return a, t.readLocks(q, a.Locks)
}

func (t *tx) readLive(who grant.Subject, into map[batch.Place]string) error {
	rows, err := t.stmt(readLive).Query(string(who))
	if err != nil {
		return fmt.Errorf("read live grants: %w", err)
	}
	defer func() { _ = rows.Close() }() // Err has said what there is to say
	for rows.Next() {
		var id string
		place := batch.Place{Subject: who}
		if err := rows.Scan(&id, &place.Pool.Environment, &place.Pool.Name); err != nil {
			return fmt.Errorf("read live grant: %w", err)
		}
		into[place] = id
	}
	return rows.Err()
}

func (t *tx) readLocks(q batch.Question, into map[string]grant.Lock) error {
	read := func(query string, arg any) error {
		rows, err := t.stmt(query).Query(arg)
		if err != nil {
			return fmt.Errorf("read locks: %w", err)
		}
		locks, err := sqlstore.ScanLocks(rows)
		for _, l := range locks {
			into[l.ID] = l
		}
		return err
	}
	for _, id := range q.Locks {
		if err := read(readLock, id); err != nil {
			return err
		}
	}
	if !q.AskLocks {
		return nil
	}
	return read(readLocks, store.Millis(q.LocksAt))
}

// Put implements batch.Tx.
func (t *tx) Put(rows batch.Rows) error {
	locks := rows.Locks
	for _, e := range rows.Events {
		if err := t.putEvent(e); err != nil {
			return err
		}
		// A lock's row at once: what comes after it in the log is judged by it.
		if len(locks) > 0 && locks[0].Revision == e.Mark.Revision {
			if err := t.putLock(locks[0]); err != nil {
				return err
			}
			locks = locks[1:]
		}
	}
	for _, g := range rows.Grants {
		if err := t.putGrant(g); err != nil {
			return err
		}
	}
	return t.putReplays(rows)
}

func (t *tx) putEvent(e batch.EventRow) error {
	return t.exec(insertEvent, e.Mark.Revision, e.GrantID, string(e.Verb), string(e.Doc), e.Mark.Hash[:], string(e.Subject),
		string(e.Owner), e.Pool.Environment, e.Pool.Name, e.At, e.Version, string(e.From), string(e.To))
}

func (t *tx) putGrant(row batch.GrantRow) error {
	g := row.Grant
	query := updateGrant
	if row.New {
		query = insertGrant
	}
	return t.exec(query, g.ID, string(g.Subject), string(g.Owner), g.Pool.Environment, g.Pool.Name, string(g.State), g.Version,
		row.Revision, store.Millis(g.RequestedAt), store.Millis(g.StartsAt), store.Millis(g.LapsesAt), store.Millis(g.ExpiresAt),
		row.DueAt, jsonList(row.Waiting), jsonList(row.Review), string(row.Doc), row.ReviewDue)
}

func (t *tx) putLock(row batch.LockRow) error {
	l := row.Lock
	query := insertLock
	if row.Lift {
		query = updateLock
	}
	return t.exec(query, l.ID, string(l.Subject), l.Environment, l.Pool, store.Millis(l.At), store.Millis(l.Until),
		store.Millis(l.LiftedAt), row.Revision, string(row.Doc))
}

func (t *tx) putReplays(rows batch.Rows) error {
	if len(rows.Replays) == 0 {
		return nil
	}
	if err := t.exec(forgetReplays, store.Millis(rows.ForgetBefore), rows.Forget); err != nil {
		return err
	}
	for _, r := range rows.Replays {
		if err := t.exec(insertReplay, string(r.Caller), r.Method, r.Key, r.Body[:], r.Ref, store.Millis(r.At)); err != nil {
			return err
		}
	}
	return nil
}
