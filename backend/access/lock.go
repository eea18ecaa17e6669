package access

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// LockAsk is what CreateLock is asked for. Every field that is set narrows it; Everything must be set where none is.
type LockAsk struct {
	Subject     string
	Environment string
	Pool        string
	Everything  bool
	Reason      string
	Until       time.Time
	DryRun      bool // say what it would end, and do nothing
}

// LockView is a lock with what it did, or would do.
type LockView struct {
	Lock grant.Lock
	// Open is how many grants it covers that were open: by state.
	Open map[grant.State]int
	// Grants are the first of them as they are afterwards, or now in a dry run: at most MaxPage.
	Grants []View
	// Warning is set where the lock may not be what was meant: nobody of its subject's name is known.
	Warning string
	// Failed is how many of them could not be ended yet: they are tried again until they are, but for those whose rows cannot
	// be read (see store.Unreadable), which are in force nowhere and can be ended by nobody.
	Failed int
}

const (
	// maxLocks is how many locks may hold at a time.
	maxLocks = 1000
	// maxLock is how long a lock may hold: what is to be closed for good is a matter of policy.
	maxLock = 366 * 24 * time.Hour
)

// Lock stops new access and ends what there is, at once, for what it covers. New access is stopped first; then grants are
// ended, so that nothing gets through in between. Operators only. Errors: Invalid, Forbidden, Conflict.
func (s *Service) Lock(ctx context.Context, c Caller, ask LockAsk, key string) (LockView, error) {
	if err := s.checkLock(c, ask); err != nil {
		return LockView{}, err
	}
	if ask.DryRun {
		l, err := s.newLock(c, ask)
		if err != nil {
			return LockView{}, err
		}
		return s.warned(ctx, l)(s.covered(ctx, l))
	}
	call, err := newCall(c, "CreateLock", key, ask)
	if err != nil {
		return LockView{}, err
	}
	l, err := s.putLock(ctx, c, call, ask)
	if err != nil {
		s.Poke() // it may have been written all the same
		return LockView{}, err
	}
	if !l.Holds(s.Now()) {
		return LockView{Lock: l}, nil // the same call again, after the lock has ended
	}
	return s.warned(ctx, l)(s.endCovered(ctx, l))
}

// warned adds to what a lock did that its subject is nobody who is known: a mistyped name must not look like a door that is
// shut. It may all the same be one who has not come yet, and what cannot be read is no reason to say so.
func (s *Service) warned(ctx context.Context, l grant.Lock) func(LockView, error) (LockView, error) {
	return func(v LockView, err error) (LockView, error) {
		if err == nil && l.Subject != "" && !s.known(ctx, l.Subject) {
			v.Warning = "Nobody of this name has logged in or holds a grant: look at how the subject is written."
		}
		return v, err
	}
}

// known reports whether a subject was seen ever: by a login, in a grant, or in the configuration. It is true where that cannot
// be told.
func (s *Service) known(ctx context.Context, who grant.Subject) bool {
	for account, a := range s.Agents {
		if who == account || who == a.Subject || who == a.Owner {
			return true
		}
	}
	if _, seen, err := s.Directory.Membership(ctx, who); err != nil || seen {
		return true
	}
	page, err := s.Grants.List(ctx, store.Query{Concerns: who, Limit: 1})
	return err != nil || len(page.Records)+len(page.Unreadable) > 0
}

// list adds grants to those that are shown.
func (s *Service) list(views []View, records ...store.Record) []View {
	for _, r := range records[:min(len(records), MaxPage-len(views))] {
		views = append(views, s.view(r))
	}
	return views
}

func (s *Service) checkLock(c Caller, ask LockAsk) error {
	if !s.isOperator(c) {
		return errorf(Forbidden, "only an operator locks")
	}
	if err := checkReason(ask.Reason); err != nil {
		return err
	}
	if all := ask.Subject == "" && ask.Environment == "" && ask.Pool == ""; all != ask.Everything {
		return errorf(Invalid, "name a subject, an environment or a pool, or say everything, not both")
	}
	return s.checkCoverable(ask)
}

// checkCoverable refuses a lock that would cover nothing: a mistyped name must not look like a door that is shut.
func (s *Service) checkCoverable(ask LockAsk) error {
	if agent, ok := s.Agents[grant.Subject(ask.Subject)]; ok {
		return errorf(Invalid, "subject: this account acts as %s; lock that", agent.Subject)
	}
	if ask.Environment == "" {
		return nil
	}
	pool := ask.Pool
	if pool == "" {
		pool = "any"
	}
	if _, err := grant.NewPool(ask.Environment, pool); err != nil {
		return errorf(Invalid, "%s", err)
	}
	if !s.inCatalog(ask.Environment, ask.Pool) {
		return errorf(NotFound, "no such environment or pool; a lock of it would cover nothing")
	}
	return nil
}

// inCatalog reports whether there is such a pool, or any of the environment if pool is empty.
func (s *Service) inCatalog(environment, pool string) bool {
	return slices.ContainsFunc(s.Catalog.Pools(), func(p Pool) bool {
		return p.Name.Environment == environment && (pool == "" || p.Name.Name == pool)
	})
}

// checkLocked refuses a decision by somebody whom a lock covers by name: their account may be in other hands.
func (s *Service) checkLocked(ctx context.Context, who grant.Subject, p grant.Pool) error {
	locks, err := s.History.Locks(ctx, s.Now(), maxLocks)
	if err != nil {
		return internal(err)
	}
	for _, l := range locks {
		if l.Subject != "" && l.Covers(who, "", p) {
			return errorf(Forbidden, "%s is locked and decides nothing until %s", who, l.Until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

func (s *Service) newLock(c Caller, ask LockAsk) (grant.Lock, error) {
	now := s.Now()
	if ask.Until.Sub(now) > maxLock {
		return grant.Lock{}, errorf(Invalid, "until: at most a year ahead")
	}
	l, err := grant.NewLock(grant.Lock{
		ID: s.NewID(), Subject: grant.Subject(ask.Subject), Environment: ask.Environment, Pool: ask.Pool,
		Reason: ask.Reason, By: c.Subject, Until: ask.Until,
	}, now)
	if err != nil {
		return grant.Lock{}, errorf(Invalid, "%s", err)
	}
	return l, nil
}

// putLock writes the lock, or finds the one that the same call wrote before.
func (s *Service) putLock(ctx context.Context, c Caller, call call, ask LockAsk) (grant.Lock, error) {
	if put, found, err := s.foundLock(ctx, call); err != nil || found {
		return put, err
	}
	l, err := s.newLock(c, ask)
	if err != nil {
		return l, err
	}
	locks, err := s.History.Locks(ctx, s.Now(), maxLocks)
	if err != nil {
		return l, internal(err)
	}
	if len(locks) == maxLocks {
		return l, errorf(Conflict, "%d locks hold already; lift one of them first", maxLocks)
	}
	e := grant.Event{Verb: grant.PutLock, Actor: l.By, Comment: l.Reason, At: l.At, Lock: l}
	if _, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}, Replay: call.replay(l.ID, l.At)}); err != nil {
		return s.lockDone(ctx, call, err)
	}
	return l, nil
}

// foundLock is the lock of an earlier call with this key, as it is now.
func (s *Service) foundLock(ctx context.Context, call call) (l grant.Lock, found bool, err error) {
	id, found, err := s.find(ctx, call)
	if err != nil || !found {
		return l, false, err
	}
	if l, err = s.History.Lock(ctx, id); err != nil {
		return l, false, internal(err)
	}
	return l, true, nil
}

// lockDone is the answer where a change of a lock was not written: the lock, if the same call wrote it at the same time.
func (s *Service) lockDone(ctx context.Context, call call, cause error) (grant.Lock, error) {
	if l, found, err := s.foundLock(ctx, call); err == nil && found {
		return l, nil
	}
	if errors.Is(cause, store.ErrConflict) {
		return grant.Lock{}, &Error{Code: Conflict, Message: lockEnded, cause: cause}
	}
	return grant.Lock{}, commitError(cause, grant.Grant{}, call.caller.Subject)
}

const lockEnded = "the lock has ended already"

// covered counts what a lock covers.
func (s *Service) covered(ctx context.Context, l grant.Lock) (LockView, error) {
	v := LockView{Lock: l, Open: map[grant.State]int{}}
	err := s.eachOpen(ctx, lockQuery(l), func(page store.Page) error {
		v.cannotEnd(page.Unreadable)
		for _, r := range page.Records {
			if l.Covers(r.Grant.Subject, r.Grant.Owner, r.Grant.Pool) {
				v.Open[r.Grant.State]++
				v.Grants = s.list(v.Grants, r)
			}
		}
		return nil
	})
	if err != nil {
		return LockView{}, internal(err)
	}
	return v, nil
}

// endCovered ends what the lock covers. What fails is left to the Judge loop, which is told.
func (s *Service) endCovered(ctx context.Context, l grant.Lock) (LockView, error) {
	v := LockView{Lock: l, Open: map[grant.State]int{}}
	var last store.Record
	retried := 0
	err := s.eachOpen(ctx, lockQuery(l), func(page store.Page) error {
		// Once it is lifted it ends nothing more: what is open then may be new.
		now, err := s.History.Lock(ctx, l.ID)
		if err != nil || !now.Holds(s.Now()) {
			return err
		}
		v.cannotEnd(page.Unreadable)
		var ends []end
		for _, r := range page.Records {
			if l.Covers(r.Grant.Subject, r.Grant.Owner, r.Grant.Pool) {
				ends = append(ends, end{g: r.Grant, cause: grant.CauseLock, actor: l.By, comment: lockComment(l)})
				v.Open[r.Grant.State]++
			}
		}
		done, failed, _ := s.endAll(ctx, ends)
		v.Grants = s.list(v.Grants, done...)
		v.Failed += failed
		retried += failed
		for _, r := range done {
			if !r.Grant.ActivatedAt.IsZero() {
				last = r
			}
		}
		return nil // the next page all the same
	})
	if err != nil || retried > 0 {
		s.Poke()
	}
	if err != nil {
		return LockView{}, &Error{Code: Unavailable, cause: err,
			Message: "the lock holds and stops new access; not all grants are ended yet, they will be: see " + l.ID}
	}
	s.await(ctx, last)
	return v, nil
}

func lockQuery(l grant.Lock) store.Query {
	return store.Query{Concerns: l.Subject, Environment: l.Environment, Pool: l.Pool, States: openStates}
}

// cannotEnd counts rows that cannot be read. The query has judged by their columns that the lock covers them.
func (v *LockView) cannotEnd(rows []store.Unreadable) {
	for _, u := range rows {
		v.Open[u.State]++
		v.Failed++
	}
}

// Unlock lifts a lock before its end. It brings no access back. Operators only. Errors: Invalid, Forbidden, NotFound,
// Conflict (it has ended).
func (s *Service) Unlock(ctx context.Context, c Caller, id, reason, key string) (LockView, error) {
	if !s.isOperator(c) {
		return LockView{}, errorf(Forbidden, "only an operator unlocks")
	}
	if err := s.checkFresh(c); err != nil {
		return LockView{}, err // it opens what others have shut
	}
	if err := checkReason(reason); err != nil {
		return LockView{}, err
	}
	if !idForm.MatchString(id) {
		return LockView{}, errorf(NotFound, "no such lock")
	}
	call, err := newCall(c, "ReleaseLock", key, []string{id, reason})
	if err != nil {
		return LockView{}, err
	}
	if l, found, err := s.foundLock(ctx, call); err != nil || found {
		return LockView{Lock: l}, err
	}
	l, err := s.History.Lock(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return LockView{}, errorf(NotFound, "no such lock")
	case err != nil:
		return LockView{}, internal(err)
	}
	now := s.Now()
	lifted, err := l.Lift(c.Subject, now)
	if err != nil {
		// By itself, or lifted: by the same call at the same time, perhaps.
		if l, found, err := s.foundLock(ctx, call); err == nil && found {
			return LockView{Lock: l}, nil
		}
		return LockView{}, errorf(Conflict, lockEnded)
	}
	e := grant.Event{Verb: grant.LiftLock, Actor: c.Subject, Comment: reason, At: now, Lock: lifted}
	if _, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}, Replay: call.replay(id, now)}); err != nil {
		lifted, err = s.lockDone(ctx, call, err)
		return LockView{Lock: lifted}, err
	}
	return LockView{Lock: lifted}, nil
}

// Locks lists the locks that hold, or the newest of all. Auditors and operators only. Errors: Forbidden, Internal.
func (s *Service) Locks(ctx context.Context, c Caller, all bool) ([]grant.Lock, error) {
	if !s.seesLocks(c) {
		return nil, errorf(Forbidden, "only auditors and operators see the locks")
	}
	at := s.Now()
	if all {
		at = time.Time{}
	}
	locks, err := s.History.Locks(ctx, at, maxLocks)
	if err != nil {
		return nil, internal(err)
	}
	return locks, nil
}
