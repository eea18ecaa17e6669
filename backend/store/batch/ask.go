package batch

import (
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// ask is what has to be known to judge all jobs.
func ask(jobs []*job) Question {
	var q Question
	grants, openers, counted := set[string]{}, set[grant.Subject]{}, set[grant.Subject]{}
	replays, locks := set[ReplayKey]{}, set[string]{}
	for _, j := range jobs {
		if r := j.change.Replay; r != nil {
			replays.add(&q.Replays, keyOf(*r))
		}
		if s := j.change.Unless; s != nil {
			counted.add(&q.Counted, s.Subject)
		}
		for _, e := range j.change.Events {
			if isLock(e.Verb) {
				locks.add(&q.Locks, e.Lock.ID)
			}
			if !e.Verb.OfGrant() {
				continue
			}
			grants.add(&q.Grants, e.Grant.ID)
			if live(e.Grant.State) {
				openers.add(&q.Openers, e.Grant.Subject)
			}
			if e.Verb.Opens() {
				q.askLocks(e.At)
			}
		}
	}
	return q
}

// askLocks widens the question for locks to those that hold at the time at.
func (q *Question) askLocks(at time.Time) {
	if !q.AskLocks || at.Before(q.LocksAt) {
		q.AskLocks, q.LocksAt = true, at
	}
}

// set keeps what was listed already.
type set[T comparable] map[T]bool

func (s set[T]) add(list *[]T, item T) {
	if !s[item] {
		s[item] = true
		*list = append(*list, item)
	}
}

func keyOf(r store.Replay) ReplayKey {
	return ReplayKey{Caller: r.Caller, Method: r.Method, Key: r.Key}
}

func live(s grant.State) bool { return s == grant.Approved || s == grant.Active }
