package grant

import (
	"fmt"
	"slices"
	"time"
)

// checkApproval judges a yes: to the request (Approve, Complete) or to an extension (Approve, and Extend as the last one).
func checkApproval(g Grant, a Action, at time.Time) error {
	b := g.Ballot()
	if a.Verb == Complete && len(b.Steps) == 0 {
		if a.Actor != "" {
			return fmt.Errorf("%w: nobody's approval was asked for", ErrAction)
		}
		return checkInTime(g, at) // policy approves by itself
	}
	if err := checkDecider(g, a, at); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Approvals, func(old Approval) bool { return old.By == a.Actor }) {
		return fmt.Errorf("%w: you have approved it already", ErrTransition)
	}
	if !b.Takes(a.Groups) {
		return fmt.Errorf("%w: it does not wait for an approval of yours", ErrTransition)
	}
	b.Approvals = append(slices.Clone(b.Approvals), Approval{By: a.Actor, Groups: b.Count(a.Groups)})
	if b.Complete() == (a.Verb == Approve) {
		return fmt.Errorf("%w: %s does not fit the approvals that are missing", ErrAction, a.Verb)
	}
	return nil
}

// checkDecider holds I11: the requester, the owner of a requesting agent, a service or an agent never decides, whatever
// their groups.
func checkDecider(g Grant, a Action, at time.Time) error {
	if !a.Actor.IsPerson() {
		return fmt.Errorf("%w: only a person decides on a request", ErrAction)
	}
	if a.Actor == g.Subject || a.Actor == g.Owner {
		return fmt.Errorf("%w: nobody decides on their own request", ErrAction)
	}
	return checkInTime(g, at)
}

// checkInTime: there is something to decide on, and it can still be.
func checkInTime(g Grant, at time.Time) error {
	if !g.Waits() {
		return fmt.Errorf("%w: nothing is waiting", ErrTransition)
	}
	if !at.Before(g.waitsUntil()) || g.State == Active && !at.Before(g.ExpiresAt) {
		return fmt.Errorf("%w: the request has lapsed", ErrTransition)
	}
	return nil
}

// checkWithdrawal: an approval is taken back by who gave it, while others are missing.
func checkWithdrawal(g Grant, a Action) error {
	if !slices.ContainsFunc(g.Ballot().Approvals, func(old Approval) bool { return old.By == a.Actor }) {
		return fmt.Errorf("%w: you have given no approval that could be taken back", ErrTransition)
	}
	return nil
}

func addApproval(g Grant, a Action, at time.Time) Grant {
	if a.Actor == "" {
		return g // policy's
	}
	b := g.Ballot()
	yes := Approval{By: a.Actor, At: at, Comment: a.Comment, Groups: b.Count(a.Groups)}
	return g.withApprovals(append(b.Approvals, yes))
}

// withdraw takes an approval back. In an ordered vote those that came after it may have rested on it: all are counted
// anew, and what would not be taken now falls as well. Otherwise it would stand there and count for nothing, while whoever
// gave it could not give it again. Without an order nothing else falls.
func withdraw(g Grant, who Subject) Grant {
	b := g.Ballot()
	given := b.Approvals
	b.Approvals = nil
	for _, a := range given {
		if a.By != who && (!b.Ordered || b.Takes(a.Groups)) {
			b.Approvals = append(b.Approvals, a)
		}
	}
	return g.withApprovals(b.Approvals)
}

// withApprovals replaces those of the vote that is on.
func (g Grant) withApprovals(approvals []Approval) Grant {
	if g.State == Pending {
		g.Approvals = approvals
	} else {
		g.Extension.Approvals = approvals
	}
	return g
}

// checkReview: somebody else than who had the access looks at it, once it has ended: what was done by it is not known before.
func checkReview(g Grant, a Action, at time.Time) error {
	if !g.Review.Asked() || g.ActivatedAt.IsZero() {
		return fmt.Errorf("%w: there is nothing to review", ErrTransition)
	}
	if g.Live(at) {
		return fmt.Errorf("%w: access in an emergency is reviewed when it has ended, and this has not", ErrTransition)
	}
	if g.Review.Done() {
		return fmt.Errorf("%w: it was reviewed already", ErrTransition)
	}
	switch {
	case a.Actor == g.Subject, a.Actor == g.Owner:
		return fmt.Errorf("%w: nobody reviews their own access", ErrAction)
	case !a.Actor.IsPerson():
		return fmt.Errorf("%w: only a person reviews it", ErrAction)
	}
	if !slices.ContainsFunc(g.Review.Groups, func(group string) bool { return slices.Contains(a.Groups, group) }) {
		return fmt.Errorf("%w: a member of a group that policy names reviews it", ErrAction)
	}
	return nil
}
