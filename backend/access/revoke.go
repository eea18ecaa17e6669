package access

import (
	"context"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Revocation is what RevokeAccess is asked for.
type Revocation struct {
	GrantID string
	Reason  string
}

// Revoke ends a grant: its subject gives it up (or cancels what is not active yet), an approver of its pool or an operator
// revokes it, and so does, of access in an emergency and no other, a person of the groups that review it. Errors: Invalid, Forbidden, NotFound, Conflict (it has ended already).
func (s *Service) Revoke(ctx context.Context, c Caller, r Revocation, key string) (View, error) {
	if err := checkText("reason", r.Reason); err != nil {
		return View{}, err
	}
	call, err := newCall(c, "RevokeAccess", key, r)
	if err != nil {
		return View{}, err
	}
	return s.again(ctx, call, func() (store.Record, error) { return s.revokeOnce(ctx, c, call, r) })
}

func (s *Service) revokeOnce(ctx context.Context, c Caller, call call, r Revocation) (store.Record, error) {
	record, err := s.record(ctx, r.GrantID)
	if err != nil {
		return store.Record{}, err
	}
	a, err := s.revocation(c, record.Grant)
	if err != nil {
		return store.Record{}, err
	}
	a.Comment = r.Reason
	_, e, err := grant.Advance(record.Grant, a, s.Now())
	if err != nil {
		return store.Record{}, advanceError(err, record.Grant)
	}
	return s.commit(ctx, call, nil, e)
}

// revocation is the action by which this caller ends the grant, or why they may not.
func (s *Service) revocation(c Caller, g grant.Grant) (grant.Action, error) {
	a := grant.Action{Verb: grant.Revoke, Actor: c.Subject}
	switch {
	case c.Subject == g.Subject || (g.Owner != "" && c.Subject == g.Owner):
		if g.State == grant.Pending || g.State == grant.Approved {
			a.Verb = grant.Cancel
		} else {
			a.Cause = grant.CauseGivenUp
		}
	case s.isOperator(c):
		a.Cause = grant.CauseOperator
	case mayDecide(c, g), c.Subject.IsPerson() && member(c.Groups, s.approvers(g.Pool)):
		a.Cause = grant.CauseApprover
	case mayReview(c, g):
		a.Cause = grant.CauseReviewer
	case s.maySee(c, g):
		return a, errorf(Forbidden, "only its subject, an approver of its pool or an operator ends a grant, and a reviewer the emergency that they review")
	default:
		return a, noSuchGrant()
	}
	return a, nil
}

// approvers are the groups whose members approve for the pool by the policy in force.
func (s *Service) approvers(p grant.Pool) []string {
	found, _ := s.Catalog.Pool(p)
	return s.Policy.Approvers(p, found.Tags)
}
