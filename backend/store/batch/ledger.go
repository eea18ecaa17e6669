package batch

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// errFixed says that a transition would turn a grant into another.
var errFixed = errors.New("a transition changes what the request has fixed")

// ledger is what is stored and what the batch adds to it.
type ledger struct {
	known Answer // as it is after the changes that were accepted
	head  store.Mark

	events  []EventRow
	grants  []GrantRow
	at      map[string]int // of each grant in grants
	locks   []LockRow
	replays []store.Replay

	undo []func() // takes back what the present change has done, last first
}

func newLedger(head store.Mark, known Answer) *ledger {
	if known.Grants == nil {
		known.Grants = map[string]Row{}
	}
	if known.Live == nil {
		known.Live = map[Place]string{}
	}
	if known.Last == nil {
		known.Last = map[grant.Subject]int64{}
	}
	if known.Replays == nil {
		known.Replays = map[ReplayKey]bool{}
	}
	if known.Locks == nil {
		known.Locks = map[string]grant.Lock{}
	}
	return &ledger{known: known, head: head, at: map[string]int{}}
}

func (l *ledger) empty() bool { return len(l.events) == 0 && len(l.replays) == 0 }

// forget is how many idempotency keys that are too old go with each new one.
const forget = 100

// rows are what is to be written. Grants that end in a state that is not live come first: a place is free before another
// takes it.
func (l *ledger) rows() Rows {
	slices.SortStableFunc(l.grants, func(a, b GrantRow) int { return rank(a) - rank(b) })
	r := Rows{Events: l.events, Grants: l.grants, Locks: l.locks, Replays: l.replays}
	for i, replay := range l.replays {
		// The oldest of the new ones: no key goes within its time by any caller's clock.
		if before := replay.At.Add(-store.ReplayFor); i == 0 || before.Before(r.ForgetBefore) {
			r.ForgetBefore = before
		}
	}
	r.Forget = forget * len(l.replays)
	return r
}

func rank(row GrantRow) int {
	n := 0
	if live(row.Grant.State) {
		n = 2
	}
	if row.New {
		n++
	}
	return n
}

// judge adds a change wholly, and answers the revision of its last event, or leaves all as it was, and says why.
func (l *ledger) judge(j *job) (int64, error) {
	l.undo = l.undo[:0]
	head, events, locks, replays := l.head, len(l.events), len(l.locks), len(l.replays)
	if err := l.change(j); err != nil {
		for _, back := range slices.Backward(l.undo) {
			back()
		}
		l.head, l.events, l.locks, l.replays = head, l.events[:events], l.locks[:locks], l.replays[:replays]
		return 0, err
	}
	return l.head.Revision, nil
}

func (l *ledger) change(j *job) error {
	// First the key: of two calls with the same one, the later must not see the earlier's change as a conflict.
	if r := j.change.Replay; r != nil {
		if l.known.Replays[keyOf(*r)] {
			return store.ErrReplay
		}
		put(l, l.known.Replays, keyOf(*r), true)
		l.replays = append(l.replays, *r)
	}
	if s := j.change.Unless; s != nil && l.known.Last[s.Subject] > s.Revision {
		return store.ErrConflict
	}
	for i, e := range j.change.Events {
		if err := l.event(e, j.docs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) event(e grant.Event, d docs) error {
	revision := l.head.Revision + 1
	l.head = store.Mark{Revision: revision, Hash: store.Chain(l.head.Hash, revision, d.event)}
	switch {
	case isLock(e.Verb):
		if err := l.lock(e, d.row); err != nil {
			return err
		}
	case e.Verb.OfGrant():
		if err := l.transition(e, d.row); err != nil {
			return err
		}
	}
	l.events = append(l.events, EventRow{Mark: l.head, EventColumns: store.ColumnsOfEvent(e), Doc: d.event})
	return nil
}

func (l *ledger) transition(e grant.Event, doc []byte) error {
	g := e.Grant
	old, exists := l.known.Grants[g.ID]
	if g.Version != old.Version+1 || e.From != old.State {
		return store.ErrConflict
	}
	if e.Verb.Opens() {
		if err := l.checkLocks(e); err != nil {
			return err
		}
	}
	row := Row{
		Version: g.Version, State: g.State, Subject: g.Subject, Owner: g.Owner, Pool: g.Pool, RequestedAt: store.Millis(g.RequestedAt),
	}
	if same := (Row{g.Version, g.State, old.Subject, old.Owner, old.Pool, old.RequestedAt}); exists && row != same {
		return errFixed
	}
	if err := l.open(g); err != nil {
		return err
	}
	put(l, l.known.Grants, g.ID, row)
	put(l, l.known.Last, g.Subject, l.head.Revision)
	l.keep(GrantRow{Grant: g, New: !exists, Revision: l.head.Revision, Waits: store.WaitsOf(g), Doc: doc})
	return nil
}

// open holds that there is one live grant for a place.
func (l *ledger) open(g grant.Grant) error {
	place := Place{g.Subject, g.Pool}
	other, taken := l.known.Live[place]
	switch {
	case !live(g.State):
		if taken && other == g.ID {
			drop(l, l.known.Live, place)
		}
	case taken && other != g.ID:
		return &store.LiveError{ID: other}
	case !taken:
		put(l, l.known.Live, place, g.ID)
	}
	return nil
}

// checkLocks answers one lock that stops the event: of several the one that ends last.
func (l *ledger) checkLocks(e grant.Event) error {
	var found *grant.Lock
	for _, lock := range l.known.Locks {
		if lock.Holds(e.At) && lock.Covers(e.Grant.Subject, e.Grant.Owner, e.Grant.Pool) && (found == nil || later(lock, *found)) {
			found = &lock
		}
	}
	if found == nil {
		return nil
	}
	return &store.LockedError{Lock: *found}
}

func later(a, b grant.Lock) bool {
	if !a.Until.Equal(b.Until) {
		return a.Until.After(b.Until)
	}
	return strings.Compare(a.ID, b.ID) > 0
}

// lock makes a lock's row, or lifts it.
func (l *ledger) lock(e grant.Event, doc []byte) error {
	old, exists := l.known.Locks[e.Lock.ID]
	if exists != (e.Verb == grant.LiftLock) || exists && !old.LiftedAt.IsZero() {
		return store.ErrConflict
	}
	put(l, l.known.Locks, e.Lock.ID, normal(e.Lock))
	l.locks = append(l.locks, LockRow{Lock: e.Lock, Lift: exists, Revision: l.head.Revision, Doc: doc})
	return nil
}

// normal is a lock as it is read back: whole milliseconds.
func normal(l grant.Lock) grant.Lock {
	for _, t := range []*time.Time{&l.At, &l.Until, &l.LiftedAt} {
		*t = store.Time(store.Millis(*t))
	}
	return l
}

// keep remembers a grant's row, in the place of the one that the batch had made of it before.
func (l *ledger) keep(row GrantRow) {
	id := row.Grant.ID
	i, there := l.at[id]
	if there {
		before := l.grants[i]
		row.New = before.New
		l.grants[i] = row
		l.undo = append(l.undo, func() { l.grants[i] = before })
		return
	}
	l.at[id] = len(l.grants)
	l.grants = append(l.grants, row)
	l.undo = append(l.undo, func() {
		l.grants = l.grants[:len(l.grants)-1]
		delete(l.at, id)
	})
}

// put and drop change a map so that it can be undone.
func put[K comparable, V any](l *ledger, m map[K]V, k K, v V) {
	restore(l, m, k)
	m[k] = v
}

func drop[K comparable, V any](l *ledger, m map[K]V, k K) {
	restore(l, m, k)
	delete(m, k)
}

func restore[K comparable, V any](l *ledger, m map[K]V, k K) {
	before, there := m[k]
	l.undo = append(l.undo, func() {
		if there {
			m[k] = before
		} else {
			delete(m, k)
		}
	})
}
