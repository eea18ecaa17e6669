package access

import (
	"context"
	"errors"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Longer is what ExtendAccess is asked for.
type Longer struct {
	GrantID string
	By      time.Duration // how much longer, whole seconds
	Reason  string
	Inputs  map[string]string
}

// Extend makes an active grant longer, at once or, where policy wants approvals, after them; until then it ends as it
// would have. The grant stays the same one, and so does its row on the nodes: there is no gap. It is judged like a request
// for the time from now to the new end. Errors: Invalid, Forbidden with policy's explanation,
// TooMany, NotFound, Conflict.
func (s *Service) Extend(ctx context.Context, c Caller, l Longer, key string) (View, error) {
	if l.By < time.Second || l.By%time.Second != 0 {
		return View{}, errorf(Invalid, "duration: want a positive number of whole seconds")
	}
	if err := checkReason(l.Reason); err != nil {
		return View{}, err
	}
	if err := checkInputs(l.Inputs); err != nil {
		return View{}, err
	}
	call, err := newCall(c, "ExtendAccess", key, l)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) { return s.extend(ctx, c, call, l) })
}

func (s *Service) extend(ctx context.Context, c Caller, call call, l Longer) (store.Record, error) {
	r, err := s.visible(ctx, c, l.GrantID)
	if err != nil {
		return store.Record{}, err
	}
	g := r.Grant
	done, err := s.turns.take(ctx, g.Subject)
	if err != nil {
		return store.Record{}, err
	}
	defer done()
	if c.Subject != g.Subject && (g.Owner == "" || c.Subject != g.Owner) {
		return store.Record{}, errorf(Forbidden, "only its subject extends a grant")
	}
	if !g.Live(s.Now()) {
		return store.Record{}, &Error{Code: Conflict, GrantID: g.ID, Message: "the grant is not active"}
	}
	if err := s.checkGround(ctx, g); err != nil {
		return store.Record{}, err
	}
	if err := s.checkRefused(ctx, c, l.asked(g)); err != nil {
		return store.Record{}, err
	}
	mine, err := s.grantsOf(ctx, g.Subject)
	if err != nil {
		return store.Record{}, err
	}
	facts, err := s.facts(ctx, g)
	if err != nil {
		return store.Record{}, err
	}
	asked := g
	asked.Extension = grant.Extension{By: l.By, Reason: l.Reason, Inputs: l.Inputs}
	d := s.Policy.Evaluate(ctx, s.questionOf(asked, facts, mine))
	if !d.Allowed {
		return store.Record{}, s.refuseExtension(ctx, c, g, l, d)
	}
	_, e, err := grant.Advance(g, extension(g, c, l, d, facts.At), facts.At)
	if err != nil {
		return store.Record{}, advanceError(err, g)
	}
	r, err = s.commit(ctx, call, mine.unchanged(), e)
	var locked *store.LockedError
	if errors.As(err, &locked) {
		d.Explanation = lockSentence(locked.Lock)
		return store.Record{}, s.refuseExtension(ctx, c, g, l, d)
	}
	return r, err
}

// refuseExtension is refuse for a grant that there is: the access is its subject's, whoever asked.
func (s *Service) refuseExtension(ctx context.Context, c Caller, g grant.Grant, l Longer, d policy.Decision) error {
	m, err := s.membership(ctx, g)
	if err != nil {
		return err
	}
	e := l.asked(g)
	e.Grant.Groups, e.Grant.GroupsAt, e.Grant.GroupsSource = m.Groups, m.At, m.Source
	return s.refuse(ctx, c, e, d)
}

// asked is the event of what was asked for, but for what becomes of it.
func (l Longer) asked(g grant.Grant) grant.Event {
	return grant.Event{Longer: l.By, Grant: grant.Grant{
		ID: g.ID, Subject: g.Subject, Owner: g.Owner, Pool: g.Pool, Reason: l.Reason, Duration: g.Duration, Inputs: l.Inputs,
		BreakGlass: g.BreakGlass,
	}}
}

// extension is the action by which policy's decision takes effect.
func extension(g grant.Grant, c Caller, l Longer, d policy.Decision, now time.Time) grant.Action {
	a := grant.Action{Verb: grant.Extend, Actor: c.Subject, Comment: l.Reason, Extension: grant.Extension{
		By: l.By, Reason: l.Reason, Inputs: l.Inputs, Steps: d.Steps, Ordered: d.Ordered,
		Rule: d.Rule, Policy: d.Policy, PolicyHash: d.Hash, Explanation: d.Explanation,
	}}
	if len(d.Steps) > 0 {
		a.Verb = grant.AskExtension
		if a.Extension.LapsesAt = now.Add(d.PendingFor); a.Extension.LapsesAt.After(g.ExpiresAt) {
			a.Extension.LapsesAt = g.ExpiresAt
		}
	}
	return a
}

// lengthened is how long the grant would be open from now on, in whole seconds, rounded up.
func lengthened(g grant.Grant, by time.Duration, now time.Time) time.Duration {
	left := g.ExpiresAt.Sub(now)
	if rest := left % time.Second; rest > 0 {
		left += time.Second - rest
	}
	return max(left, 0) + by
}

// CancelExtension takes the subject's own request for an extension back. Errors: Invalid, Forbidden, NotFound, Conflict
// (none is waiting).
func (s *Service) CancelExtension(ctx context.Context, c Caller, r Revocation, key string) (View, error) {
	if err := checkText("reason", r.Reason); err != nil {
		return View{}, err
	}
	call, err := newCall(c, "CancelExtension", key, r)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) {
		record, err := s.visible(ctx, c, r.GrantID)
		if err != nil {
			return store.Record{}, err
		}
		a := grant.Action{Verb: grant.CancelExtension, Actor: c.Subject, Comment: r.Reason}
		_, e, err := grant.Advance(record.Grant, a, s.Now())
		if err != nil {
			return store.Record{}, advanceError(err, record.Grant)
		}
		return s.commit(ctx, call, nil, e)
	})
}
