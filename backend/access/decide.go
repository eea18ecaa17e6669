package access

import (
	"context"
	"errors"
	"fmt"
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

// Approve approves a pending grant, or the extension that an active one asks for; the last approval opens it. Errors:
// Invalid, Forbidden (one's own request, not in a group that may approve it, or groups read too long ago), NotFound,
// Conflict (the etag is not the grant's, it is decided, or policy does not allow it any more).
func (s *Service) Approve(ctx context.Context, c Caller, d Decision, key string) (View, error) {
	return s.decide(ctx, c, d, "ApproveAccess", key, decider{opens: true, events: s.approve})
}

// Deny denies a pending grant, or the extension that an active one asks for. Errors as of Approve.
func (s *Service) Deny(ctx context.Context, c Caller, d Decision, key string) (View, error) {
	return s.decide(ctx, c, d, "DenyAccess", key, decider{events: s.deny})
}

// decider makes the events of a decision, and says what they rest on.
type decider struct {
	opens  bool
	events func(ctx context.Context, c Caller, g grant.Grant, comment string) ([]grant.Event, *store.Since, error)
}

func (s *Service) decide(ctx context.Context, c Caller, d Decision, method, key string, do decider) (View, error) {
	if err := checkText("comment", d.Comment); err != nil {
		return View{}, err
	}
	call, err := newCall(c, method, key, d)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) { return s.decideOnce(ctx, c, call, d, do) })
}

func (s *Service) decideOnce(ctx context.Context, c Caller, call call, d Decision, do decider) (store.Record, error) {
	r, err := s.decidable(ctx, c, d.GrantID)
	if err != nil {
		return store.Record{}, err
	}
	if err := checkDecider(c, r.Grant); err != nil {
		return store.Record{}, err
	}
	if err := s.checkLocked(ctx, c.Subject, r.Grant.Pool); err != nil {
		return store.Record{}, err
	}
	if d.Etag != etag(r.Grant) {
		return store.Record{}, changed(r.Grant)
	}
	if do.opens {
		done, err := s.turns.take(ctx, r.Grant.Subject)
		if err != nil {
			return store.Record{}, err
		}
		defer done()
	}
	events, unless, err := do.events(ctx, c, r.Grant, d.Comment)
	if err != nil {
		return store.Record{}, err
	}
	return s.commit(ctx, call, unless, events...)
}

func changed(g grant.Grant) error {
	return &Error{Code: Conflict, GrantID: g.ID, Message: "the grant is not as it was shown any more; read it again"}
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

// approve adds the caller's approval, and opens what was asked for if it was the last one and its time has come.
func (s *Service) approve(ctx context.Context, c Caller, g grant.Grant, comment string) ([]grant.Event, *store.Since, error) {
	if err := s.checkFresh(c); err != nil {
		return nil, nil, err
	}
	b := g.Ballot()
	if g.Waits() && !b.Takes(c.Groups) {
		return nil, nil, &Error{Code: Conflict, GrantID: g.ID, Message: "the grant does not wait for an approval of yours"}
	}
	a := grant.Action{Verb: grant.Approve, Actor: c.Subject, Comment: comment, Groups: c.Groups}
	b.Approvals = append(slices.Clone(b.Approvals), grant.Approval{By: c.Subject, Groups: b.Count(c.Groups)})
	if g.Waits() && b.Complete() {
		if a.Verb = grant.Complete; g.State == grant.Active {
			a.Verb = grant.Extend
		}
	}
	var since *store.Since
	if a.Verb != grant.Approve {
		var err error
		if since, a.Ground, err = s.checkOpening(ctx, c, g); err != nil {
			return nil, nil, err
		}
	}
	events, err := advance(g, nil, s.Now(), a)
	return events, since, err
}

// checkOpening asks policy again before a grant opens, or opens for longer: with the newest groups that are known,
// of the subject and of those who have approved, with the policy that is in force, and with the number of
// grants that the subject has by now. What was asked for under another policy, which allowed it or left it to other
// approvers, is not given by it any more. It answers the decision that the grant rests on from then on.
func (s *Service) checkOpening(ctx context.Context, c Caller, g grant.Grant) (*store.Since, grant.Ground, error) {
	none := grant.Ground{}
	if g.State == grant.Pending {
		if err := s.settle(ctx, c, g.Subject, g.Pool); err != nil {
			return nil, none, err
		}
	}
	if err := s.checkGround(ctx, g); err != nil {
		return nil, none, err
	}
	if err := s.checkApprovers(ctx, g); err != nil {
		return nil, none, err
	}
	mine, err := s.grantsOf(ctx, g.Subject)
	if err != nil {
		return nil, none, err
	}
	facts, err := s.facts(ctx, g)
	if err != nil {
		return nil, none, err
	}
	r := s.questionOf(g, facts, mine)
	d := s.Policy.Evaluate(ctx, r)
	b := g.Ballot()
	switch {
	case d.TimedOut:
		return nil, none, errorf(Unavailable, "%s", d.Explanation)
	case !d.Allowed, len(d.Steps) > 0 && !policy.SameVote(b, grant.Ballot{Steps: d.Steps, Ordered: d.Ordered}):
		return nil, none, &Error{Code: Conflict, GrantID: g.ID,
			Message: "it cannot be given as it was asked for; it must be asked for again: " + d.Explanation}
	}
	return mine.unchanged(), grant.Ground{Rule: d.Rule, Policy: d.Policy, PolicyHash: d.Hash, Explanation: d.Explanation}, nil
}

// checkApprovers holds that those who have approved are still in the groups that their approvals stand for: a vote that is
// on for days must not come out by groups of the day before.
func (s *Service) checkApprovers(ctx context.Context, g grant.Grant) error {
	for _, a := range g.Ballot().Approvals {
		m, known, err := s.Directory.Membership(ctx, a.By)
		switch {
		case err != nil:
			return internal(fmt.Errorf("read groups of approver: %w", err))
		case known && m.At.After(a.At) && slices.ContainsFunc(a.Groups, func(group string) bool { return !slices.Contains(m.Groups, group) }):
			return &Error{Code: Conflict, GrantID: g.ID, Message: fmt.Sprintf(
				"%s has lost a group since their approval, which does not count any more; it must be asked for again", a.By)}
		}
		if err := s.checkLocked(ctx, a.By, g.Pool); err != nil {
			return err
		}
	}
	return nil
}

// questionOf is what a grant that waits asks of policy now.
func (s *Service) questionOf(g grant.Grant, f policy.Facts, mine holdings) policy.Request {
	r := policy.Request{
		Subject: g.Subject, Groups: f.Groups, Owner: g.Owner, OwnerGroups: f.OwnerGroups, Pool: g.Pool, Tags: f.Tags,
		Duration: g.Duration, At: f.At, Reason: g.Reason, Inputs: g.Inputs, BreakGlass: g.BreakGlass, Open: mine.open(g.ID),
	}
	if !g.StartsAt.IsZero() && g.State != grant.Active {
		// A window is what it was when it was asked for: time that approvers take must not make it another question.
		r.At, r.StartsAt = g.RequestedAt, g.StartsAt
	}
	if e := g.Extension; g.State == grant.Active {
		// As of when it takes effect: the judge asks again as of then.
		r.Extension, r.Reason, r.Inputs, r.At = true, e.Reason, e.Inputs, g.ExtendedAt(f.At)
		r.Duration, r.Total, r.Left = lengthened(g, e.By, r.At), g.Duration+e.By, lengthened(g, 0, r.At)
	}
	return r
}

func (s *Service) deny(_ context.Context, c Caller, g grant.Grant, comment string) ([]grant.Event, *store.Since, error) {
	verb := grant.Deny
	if g.State == grant.Active {
		verb = grant.DenyExtension
	}
	_, e, err := grant.Advance(g, grant.Action{Verb: verb, Actor: c.Subject, Comment: comment}, s.Now())
	if err != nil {
		return nil, nil, advanceError(err, g)
	}
	return []grant.Event{e}, nil, nil
}

// Withdraw takes the caller's own approval back while others are missing. Errors: Invalid, NotFound, Conflict (there is
// none, or it is decided).
func (s *Service) Withdraw(ctx context.Context, c Caller, w Revocation, key string) (View, error) {
	if err := checkText("reason", w.Reason); err != nil {
		return View{}, err
	}
	call, err := newCall(c, "WithdrawApproval", key, w)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) {
		r, err := s.decidable(ctx, c, w.GrantID)
		if err != nil {
			return store.Record{}, err
		}
		_, e, err := grant.Advance(r.Grant, grant.Action{Verb: grant.Withdraw, Actor: c.Subject, Comment: w.Reason}, s.Now())
		if err != nil {
			return store.Record{}, advanceError(err, r.Grant)
		}
		return s.commit(ctx, call, nil, e)
	})
}

// Review records that somebody looked at what was done in an emergency. Errors: Invalid, Forbidden (one's own access, not
// in a group that reviews it, or groups read too long ago), NotFound, Conflict (it has not ended, or was reviewed).
func (s *Service) Review(ctx context.Context, c Caller, d Decision, key string) (View, error) {
	if err := checkReason(d.Comment); err != nil {
		return View{}, err
	}
	call, err := newCall(c, "ReviewAccess", key, d)
	if err != nil {
		return View{}, err
	}
	return s.once(ctx, call, func() (store.Record, error) {
		r, err := s.visible(ctx, c, d.GrantID)
		if err != nil {
			return store.Record{}, err
		}
		if err := s.checkFresh(c); err != nil {
			return store.Record{}, err
		}
		if err := s.checkLocked(ctx, c.Subject, r.Grant.Pool); err != nil {
			return store.Record{}, err
		}
		if d.Etag != etag(r.Grant) {
			return store.Record{}, changed(r.Grant)
		}
		a := grant.Action{Verb: grant.DoReview, Actor: c.Subject, Comment: d.Comment, Groups: c.Groups}
		_, e, err := grant.Advance(r.Grant, a, s.Now())
		if err != nil {
			return store.Record{}, advanceError(err, r.Grant)
		}
		return s.commit(ctx, call, nil, e)
	})
}

// checkDecider refuses those whose decision never counts. The requester is refused before the groups are looked at (I11).
func checkDecider(c Caller, g grant.Grant) error {
	switch {
	case c.Subject == g.Subject || c.Subject == g.Owner || c.Owner != "" && c.Owner == g.Subject:
		return errorf(Forbidden, "nobody decides on their own request")
	case !c.Subject.IsPerson():
		return errorf(Forbidden, "only a person decides on a request")
	case !mayDecide(c, g):
		return errorf(Forbidden, "only a member of a group that policy names may decide on this request")
	case !g.Waits():
		return &Error{Code: Conflict, GrantID: g.ID, Message: "it is decided already"}
	}
	return nil
}

// mayDecide reports whether the caller is a person and the vote names a group of theirs, or did while it was on. A service
// account decides nothing, and so sees nothing for it, whatever its groups.
func mayDecide(c Caller, g grant.Grant) bool {
	if !c.Subject.IsPerson() {
		return false
	}
	groups := g.Deciders()
	if !g.Waits() {
		groups = grant.Ballot{Steps: g.Steps}.Groups()
	}
	return member(c.Groups, groups)
}

// mayReview reports whether the caller is a person and the review that is to be done, or was, names a group of theirs.
func mayReview(c Caller, g grant.Grant) bool {
	return c.Subject.IsPerson() && g.Review.Asked() && member(c.Groups, g.Review.Groups)
}

// advanceError is the caller's error for a refusal of grant.Advance to change g.
func advanceError(err error, g grant.Grant) error {
	switch {
	case errors.Is(err, grant.ErrAction):
		return &Error{Code: Forbidden, Message: grant.Reason(err), cause: err}
	case errors.Is(err, grant.ErrTransition):
		return &Error{Code: Conflict, Message: grant.Reason(err), GrantID: g.ID, cause: err}
	default:
		return internal(err)
	}
}
