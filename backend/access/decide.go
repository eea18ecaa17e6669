package access

import (
	"context"
	"errors"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Decision is what an approver says of a grant as it was shown.
type Decision struct {
	GrantID string
	Etag    string
	Comment string
}

// Approve approves a pending grant; with the last approval it becomes active. Errors: Invalid, Forbidden (one's own
// request, or not in a group that may approve it), NotFound, Conflict (the etag is not the grant's, or it is decided).
func (s *Service) Approve(ctx context.Context, c Caller, d Decision, key string) (View, error) {
	return s.decide(ctx, c, d, "ApproveAccess", key, s.approve)
}

// Deny denies a pending grant. Errors as of Approve.
func (s *Service) Deny(ctx context.Context, c Caller, d Decision, key string) (View, error) {
	return s.decide(ctx, c, d, "DenyAccess", key, s.deny)
}

func (s *Service) decide(
	ctx context.Context, c Caller, d Decision, method, key string,
	decide func(Caller, grant.Grant, int, string) ([]grant.Event, error),
) (View, error) {
	if err := checkText("comment", d.Comment); err != nil {
		return View{}, err
	}
	call, err := newCall(c, method, key, d)
	if err != nil {
		return View{}, err
	}
	return s.once(ctx, call, func() (View, error) { return s.decideOnce(ctx, c, call, d, decide) })
}

func (s *Service) decideOnce(
	ctx context.Context, c Caller, call call, d Decision,
	decide func(Caller, grant.Grant, int, string) ([]grant.Event, error),
) (View, error) {
	r, err := s.decidable(ctx, c, d.GrantID)
	if err != nil {
		return View{}, err
	}
	step, err := stepFor(c, r.Grant)
	if err != nil {
		return View{}, err
	}
	if d.Etag != etag(r.Grant) {
		return View{}, &Error{Code: Conflict, GrantID: r.Grant.ID,
			Message: "the grant is not as it was shown any more; read it again"}
	}
	events, err := decide(c, r.Grant, step, d.Comment)
	if err != nil {
		return View{}, advanceError(err)
	}
	if state := events[len(events)-1].Grant.State; state == grant.Approved || state == grant.Active {
		if err := s.checkPolicy(ctx, r.Grant); err != nil {
			return View{}, err
		}
		if err := s.settle(ctx, r.Grant.Subject, r.Grant.Pool); err != nil {
			return View{}, err
		}
	}
	return s.commit(ctx, call, events...)
}

// checkPolicy asks policy again before a grant opens: what was asked for under another one, which allowed it or left it to
// other approvers, is not given by it any more.
func (s *Service) checkPolicy(ctx context.Context, g grant.Grant) error {
	d := s.Policy.Evaluate(ctx, policy.Request{
		Subject: g.Subject, Owner: g.Owner, Groups: g.Groups, Pool: g.Pool, Duration: g.Duration, At: s.Now(),
	})
	same := slices.EqualFunc(d.Steps, g.Steps, func(a, b grant.Step) bool {
		return a.Count == b.Count && slices.Equal(a.Groups, b.Groups)
	})
	if !d.Allowed || !same {
		return &Error{Code: Conflict, GrantID: g.ID,
			Message: "policy has changed since the request; it must be made again: " + d.Explanation}
	}
	return nil
}

// decidable reads a grant that the caller may see, or could see while it waited: who comes second is told that it is
// decided, not that it never was there.
func (s *Service) decidable(ctx context.Context, c Caller, id string) (store.Record, error) {
	r, err := s.record(ctx, id)
	if err != nil {
		return store.Record{}, err
	}
	if !s.maySee(c, r.Grant) && !mayDecide(c, r.Grant) {
		return store.Record{}, noSuchGrant()
	}
	return r, nil
}

// approve adds the caller's approval, and opens the grant if it was the last one and its time has come.
func (s *Service) approve(c Caller, g grant.Grant, step int, comment string) ([]grant.Event, error) {
	now := s.Now()
	verb := grant.Approve
	if missing := g.MissingSteps(); len(missing) == 1 && lacksOne(g, step) {
		verb = grant.Complete
	}
	g, e, err := grant.Advance(g, grant.Action{Verb: verb, Actor: c.Subject, Comment: comment, Step: step}, now)
	if err != nil {
		return nil, err
	}
	events := []grant.Event{e}
	if verb != grant.Complete || now.Before(g.StartsAt) {
		return events, nil
	}
	_, e, err = grant.Advance(g, grant.Action{Verb: grant.Activate}, now)
	if err != nil {
		return nil, err
	}
	return append(events, e), nil
}

func (s *Service) deny(c Caller, g grant.Grant, _ int, comment string) ([]grant.Event, error) {
	_, e, err := grant.Advance(g, grant.Action{Verb: grant.Deny, Actor: c.Subject, Comment: comment}, s.Now())
	if err != nil {
		return nil, err
	}
	return []grant.Event{e}, nil
}

// lacksOne reports whether one more approval fills the step.
func lacksOne(g grant.Grant, step int) bool {
	given := 0
	for _, a := range g.Approvals {
		if a.Step == step {
			given++
		}
	}
	return given == g.Steps[step].Count-1
}

// stepFor is the step that the caller's approval would count for: the first that still lacks one and names a group of
// theirs. The requester is refused before the groups are looked at (I11).
func stepFor(c Caller, g grant.Grant) (int, error) {
	if c.Subject == g.Subject || c.Subject == g.Owner {
		return 0, errorf(Forbidden, "nobody decides on their own request")
	}
	if !c.Subject.IsPerson() {
		return 0, errorf(Forbidden, "only a person decides on a request")
	}
	if !mayDecide(c, g) {
		return 0, errorf(Forbidden, "only a member of a group that policy names may decide on this request")
	}
	for _, i := range g.MissingSteps() {
		if member(c.Groups, g.Steps[i].Groups) {
			return i, nil
		}
	}
	return 0, &Error{Code: Conflict, GrantID: g.ID, Message: "the grant does not wait for an approval of yours"}
}

// mayDecide reports whether the caller is a person and any step of the grant names a group of theirs. A service account
// decides nothing, and so sees nothing for it, whatever its groups.
func mayDecide(c Caller, g grant.Grant) bool {
	if !c.Subject.IsPerson() {
		return false
	}
	for _, step := range g.Steps {
		if member(c.Groups, step.Groups) {
			return true
		}
	}
	return false
}

// advanceError is the caller's error for a refusal of grant.Advance.
func advanceError(err error) error {
	switch {
	case errors.Is(err, grant.ErrAction):
		return &Error{Code: Forbidden, Message: err.Error(), cause: err}
	case errors.Is(err, grant.ErrTransition):
		return &Error{Code: Conflict, Message: err.Error(), cause: err}
	default:
		return internal(err)
	}
}
