package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Ask is what RequestAccess is asked for.
type Ask struct {
	Environment string
	Pool        string
	Duration    time.Duration // whole seconds; zero: the default of the rule that decides
	Reason      string
	StartsAt    time.Time         // when its window begins; zero: as soon as it is approved
	Inputs      map[string]string // answers to what policy asks for, by name
	BreakGlass  bool              // an emergency: past the approvals, where policy allows it
}

// MaxWaiting is how many requests of a subject may wait for approval at a time, each for another pool: nobody buries the
// approvers.
const MaxWaiting = 100

// tries bounds how often a call starts again because something changed under it: what it was decided on is read anew each
// time, and a subject's grants change seldom.
const tries = 5

// Request asks for access. What policy refuses makes no grant but an event. Errors: Invalid, Forbidden with policy's
// explanation or that of a lock, TooMany (they were refused too often), NotFound, Conflict.
func (s *Service) Request(ctx context.Context, c Caller, ask Ask, key string) (View, error) {
	ask.StartsAt = ask.StartsAt.UTC().Truncate(time.Second)
	if err := s.checkAsk(ask); err != nil {
		return View{}, err
	}
	p, err := s.pool(ask.Environment, ask.Pool)
	if err != nil {
		return View{}, err
	}
	call, err := newCall(c, "RequestAccess", key, ask)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) { return s.request(ctx, c, call, p, ask) })
}

// again carries a call out once, and again while something changes under it.
func (s *Service) again(ctx context.Context, c call, do func() (store.Record, error)) (View, error) {
	return s.once(ctx, c, func() (r store.Record, err error) {
		for range tries {
			if r, err = do(); !errors.Is(err, store.ErrConflict) {
				break
			}
		}
		return r, err
	})
}

func (s *Service) request(ctx context.Context, c Caller, call call, p Pool, ask Ask) (store.Record, error) {
	// Here, and not with the rest of what is asked: the same call again may come after the window's beginning.
	if err := s.checkStart(ask.StartsAt); err != nil {
		return store.Record{}, err
	}
	done, err := s.turns.take(ctx, c.Subject)
	if err != nil {
		return store.Record{}, err
	}
	defer done()
	if err := s.checkRefused(ctx, c, grant.Event{Grant: draftOf(c, p.Name, ask)}); err != nil {
		return store.Record{}, err
	}
	if err := s.checkEnvironment(ctx, p.Name.Environment); err != nil {
		return store.Record{}, err
	}
	if err := s.settle(ctx, c, c.Subject, p.Name); err != nil {
		return store.Record{}, err
	}
	mine, err := s.grantsOf(ctx, c.Subject)
	if err != nil {
		return store.Record{}, err
	}
	d := s.Policy.Evaluate(ctx, policy.Request{
		Subject: c.Subject, Groups: c.Groups, Owner: c.Owner, OwnerGroups: c.OwnerGroups, Pool: p.Name, Tags: p.Tags,
		Duration: ask.Duration, StartsAt: ask.StartsAt, At: s.Now(), Reason: ask.Reason, Inputs: ask.Inputs,
		BreakGlass: ask.BreakGlass, Open: mine.open(""),
	})
	if d = s.underLogin(d, c); !d.Allowed {
		return store.Record{}, s.refuse(ctx, c, grant.Event{Grant: draftOf(c, p.Name, ask)}, d) // an attempt is on record
	}
	if err := mine.checkWaiting(p.Name, d); err != nil {
		return store.Record{}, err
	}
	events, err := s.ask(c, p.Name, ask, d)
	if err != nil {
		return store.Record{}, err
	}
	r, err := s.commit(ctx, call, mine.unchanged(), events...)
	var locked *store.LockedError
	if errors.As(err, &locked) {
		d.Explanation = lockSentence(locked.Lock)
		return store.Record{}, s.refuse(ctx, c, grant.Event{Grant: draftOf(c, p.Name, ask)}, d)
	}
	return r, err
}

// draftOf is a grant as it is asked for, before policy has said anything.
func draftOf(c Caller, p grant.Pool, ask Ask) grant.Grant {
	g := grant.Grant{
		Subject: c.Subject, Owner: c.Owner, Pool: p, Reason: ask.Reason, Duration: ask.Duration, StartsAt: ask.StartsAt,
		Inputs: ask.Inputs, BreakGlass: ask.BreakGlass, Groups: c.Groups, GroupsAt: c.GroupsAt, GroupsSource: c.GroupsSource,
	}
	if c.Owner != "" {
		g.Groups = c.OwnerGroups
	}
	return g
}

// ask makes the events of a new grant: up to active where nobody has to approve and its window has begun.
func (s *Service) ask(c Caller, p grant.Pool, ask Ask, d policy.Decision) ([]grant.Event, error) {
	now := s.Now()
	draft := draftOf(c, p, ask)
	draft.ID, draft.Duration, draft.BreakGlass, draft.LapsesAt = s.NewID(), d.Duration, d.BreakGlass, now.Add(d.PendingFor)
	draft.Steps, draft.Ordered, draft.Notify = d.Steps, d.Ordered, d.Notify
	draft.Rule, draft.Policy, draft.PolicyHash, draft.Explanation = d.Rule, d.Policy, d.Hash, d.Explanation
	if d.BreakGlass {
		draft.Review = grant.Review{Groups: d.ReviewGroups, DueAt: now.Add(d.Duration + d.ReviewWithin)} // from its end on
	}
	if end := ask.StartsAt.Add(d.Duration); !ask.StartsAt.IsZero() && draft.LapsesAt.After(end) {
		draft.LapsesAt = end
	}
	g, asked, err := grant.Ask(draft, now)
	if err != nil {
		return nil, errorf(Invalid, "%s", grant.Reason(err))
	}
	events := []grant.Event{asked}
	if len(d.Steps) > 0 {
		return events, nil
	}
	return advance(g, events, now, grant.Action{Verb: grant.Complete})
}

// advance adds an action that approves a grant, and its activation if its time has come.
func advance(g grant.Grant, events []grant.Event, now time.Time, a grant.Action) ([]grant.Event, error) {
	n, e, err := grant.Advance(g, a, now)
	if err != nil {
		return nil, advanceError(err, g)
	}
	g, events = n, append(events, e)
	if g.State != grant.Approved || now.Before(g.StartsAt) {
		return events, nil
	}
	_, e, err = grant.Advance(g, grant.Action{Verb: grant.Activate}, now)
	if err != nil {
		return nil, advanceError(err, g)
	}
	return append(events, e), nil
}

// settle ends a grant that has run out but that the clock has not come round to, so that it does not stand in the way of
// a new one. A live one is a conflict; the store's own check decides where another call comes in between.
func (s *Service) settle(ctx context.Context, c Caller, subject grant.Subject, p grant.Pool) error {
	r, err := s.Grants.LiveGrant(ctx, subject, p)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return internal(err)
	case !over(r.Grant, s.Now()):
		return liveConflict(r.Grant.ID, subject, c.Subject)
	}
	if _, err := s.sweepOne(ctx, r.Grant); err != nil {
		return internal(err)
	}
	return nil
}

// over reports whether an approved or active grant has had its time.
func over(g grant.Grant, now time.Time) bool {
	if g.State == grant.Active {
		return !now.Before(g.ExpiresAt)
	}
	return !now.Before(g.LapsesAt)
}

// refuse records what the caller asked for and policy refused, and answers with its explanation. If it cannot be recorded,
// that is the answer. e has what was asked for.
func (s *Service) refuse(ctx context.Context, c Caller, e grant.Event, d policy.Decision) error {
	if e.Grant.Duration == 0 {
		e.Grant.Duration = d.Duration // what it would have been; still zero where no rule came near
	}
	e.Grant.Rule, e.Grant.Policy, e.Grant.PolicyHash, e.Grant.Explanation = d.Rule, d.Policy, d.Hash, d.Explanation
	if err := s.recordRefusal(ctx, c, e); err != nil {
		return err
	}
	s.refusals.add(refuser{c.Subject, e.Grant.BreakGlass}, s.Now())
	if d.TimedOut {
		return errorf(Unavailable, "%s", d.Explanation)
	}
	return errorf(Forbidden, "%s", d.Explanation)
}

func (s *Service) recordRefusal(ctx context.Context, c Caller, e grant.Event) error {
	e.Verb, e.Actor, e.Comment, e.At = grant.Refuse, c.Subject, e.Grant.Reason, s.Now()
	if _, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}}); err != nil {
		return internal(err)
	}
	return nil
}

// holdings are a subject's grants that are not over, as they were at a revision.
type holdings struct {
	subject  grant.Subject
	revision int64
	grants   []grant.Grant
}

// maxHeld bounds how many grants of a subject are looked at. Nobody may hold more: a request beyond is a conflict.
const maxHeld = 1000

var openStates = []grant.State{grant.Pending, grant.Approved, grant.Active}

// grantsOf reads what a subject holds. What is decided on it must be committed with unchanged: two requests at the same
// time must not both be the last that a limit allows.
func (s *Service) grantsOf(ctx context.Context, subject grant.Subject) (holdings, error) {
	// First the revision: a grant that changes in between is then newer than it.
	head, err := s.History.Head(ctx)
	if err != nil {
		return holdings{}, internal(err)
	}
	page, err := s.Grants.List(ctx, store.Query{Subject: subject, States: openStates, Limit: maxHeld})
	if err != nil {
		return holdings{}, internal(err)
	}
	if len(page.Records)+len(page.Unreadable) >= maxHeld {
		return holdings{}, errorf(Conflict, "%d grants of yours are open; end one of them first", maxHeld)
	}
	h := holdings{subject: subject, revision: head}
	now := s.Now()
	for _, u := range page.Unreadable {
		h.grants = append(h.grants, asRow(u)) // it may be open: it counts
	}
	for _, r := range page.Records {
		if r.Grant.State == grant.Pending && now.Before(r.Grant.LapsesAt) || r.Grant.State != grant.Pending && !over(r.Grant, now) {
			h.grants = append(h.grants, r.Grant)
		}
	}
	return h, nil
}

func (h holdings) unchanged() *store.Since {
	return &store.Since{Subject: h.subject, Revision: h.revision}
}

// open are the pools of the grants that are approved or active, but the one with this id.
func (h holdings) open(but string) []grant.Pool {
	pools := []grant.Pool{}
	for _, g := range h.grants {
		if g.State != grant.Pending && g.ID != but {
			pools = append(pools, g.Pool)
		}
	}
	return pools
}

// checkWaiting: who waits already for this pool has nothing to gain by waiting twice, since only one of the two could open,
// and approvers would read both. What opens at once waits for nobody.
func (h holdings) checkWaiting(p grant.Pool, d policy.Decision) error {
	if len(d.Steps) == 0 {
		return nil
	}
	n := 0
	for _, g := range h.grants {
		if g.State != grant.Pending {
			continue
		}
		if g.Pool == p {
			return &Error{Code: Conflict, GrantID: g.ID,
				Message: fmt.Sprintf("your request %s waits for approval of this pool already; cancel it to ask for something else", g.ID)}
		}
		n++
	}
	if n >= MaxWaiting {
		return errorf(Conflict, "%d requests of yours wait for approval; cancel one of them first", MaxWaiting)
	}
	return nil
}
