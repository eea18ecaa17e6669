package postgres

import (
	"github.com/lib/pq"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
)

// Put implements batch.Tx.
func (t *tx) Put(rows batch.Rows) error {
	t.wrote = true
	events := rows.Events
	if len(events) > 0 {
		t.first = events[0].Mark.Revision
	}
	// A lock's row right after its event: what comes after it in the log is judged by it.
	for _, l := range rows.Locks {
		n := int(l.Revision - events[0].Mark.Revision + 1)
		if err := t.putEvents(events[:n]); err != nil {
			return err
		}
		if err := t.putLock(l); err != nil {
			return err
		}
		if events = events[n:]; len(events) == 0 {
			break
		}
	}
	if err := t.putEvents(events); err != nil {
		return err
	}
	if err := t.putGrants(rows.Grants); err != nil {
		return err
	}
	return t.putReplays(rows)
}

func (t *tx) putEvents(events []batch.EventRow) error {
	if len(events) == 0 {
		return nil
	}
	var revisions, times, versions pq.Int64Array
	var ids, verbs, subjects, owners, environments, pools, from, to, docs pq.StringArray
	var hashes pq.ByteaArray
	for _, e := range events {
		revisions, times, versions = append(revisions, e.Mark.Revision), append(times, e.At), append(versions, e.Version)
		ids, verbs = append(ids, e.GrantID), append(verbs, string(e.Verb))
		subjects, owners = append(subjects, string(e.Subject)), append(owners, string(e.Owner))
		environments, pools = append(environments, e.Pool.Environment), append(pools, e.Pool.Name)
		from, to = append(from, string(e.From)), append(to, string(e.To))
		hashes, docs = append(hashes, e.Mark.Hash[:]), append(docs, string(e.Doc))
	}
	return t.exec(insertEvents, revisions, times, versions, ids, verbs, subjects, owners, environments, pools, from, to, hashes, docs, t.id[:])
}

// putGrants writes new rows, and changes others. They come in the order in which places become free before they are taken:
// those that end in a state that is not live are first.
func (t *tx) putGrants(grants []batch.GrantRow) error {
	for len(grants) > 0 {
		n := 1
		for n < len(grants) && kindOf(grants[n]) == kindOf(grants[0]) {
			n++
		}
		query := updateGrants
		if grants[0].New {
			query = insertGrants
		}
		if err := t.putRows(query, grants[:n]); err != nil {
			return err
		}
		grants = grants[n:]
	}
	return nil
}

// kind is what rows have in common that one statement may write.
type kind struct{ fresh, live bool }

func kindOf(row batch.GrantRow) kind {
	return kind{row.New, row.Grant.State == grant.Approved || row.Grant.State == grant.Active}
}

func (t *tx) putRows(query string, grants []batch.GrantRow) error {
	var numbers [8]pq.Int64Array
	var words [9]pq.StringArray
	for _, row := range grants {
		g := row.Grant
		waiting, err := literal(row.Waiting)
		if err != nil {
			return err
		}
		review, err := literal(row.Review)
		if err != nil {
			return err
		}
		for i, n := range [8]int64{
			g.Version, row.Revision, store.Millis(g.RequestedAt), store.Millis(g.StartsAt), store.Millis(g.LapsesAt), store.Millis(g.ExpiresAt),
			row.DueAt, row.ReviewDue,
		} {
			numbers[i] = append(numbers[i], n)
		}
		for i, w := range [9]string{
			g.ID, string(g.Subject), string(g.Owner), g.Pool.Environment, g.Pool.Name, string(g.State), waiting, review, string(row.Doc),
		} {
			words[i] = append(words[i], w)
		}
	}
	args := make([]any, 0, len(numbers)+len(words))
	for _, n := range numbers {
		args = append(args, n)
	}
	for _, w := range words {
		args = append(args, w)
	}
	return t.exec(query, args...)
}

// literal is a list as Postgres writes an array: arrays of arrays would have to be of one length.
func literal(list []string) (string, error) {
	if len(list) == 0 {
		return "{}", nil
	}
	value, err := pq.StringArray(list).Value()
	if err != nil {
		return "", err
	}
	text, _ := value.(string) // Value of a list that is there is a string
	return text, nil
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
	var callers, methods, keys, refs pq.StringArray
	var bodies pq.ByteaArray
	var times pq.Int64Array
	for _, r := range rows.Replays {
		callers, methods, keys = append(callers, string(r.Caller)), append(methods, r.Method), append(keys, r.Key)
		bodies, refs, times = append(bodies, r.Body[:]), append(refs, r.Ref), append(times, store.Millis(r.At))
	}
	return t.exec(insertReplays, callers, methods, keys, bodies, refs, times, t.id[:], store.Millis(rows.ForgetBefore), rows.Forget)
}
