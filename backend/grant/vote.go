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
		return nil // policy approved by itself
	}
	if err := checkDecider(g, a, at); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Approvals, func(old Approval) bool { return old.By == a.Actor }) {
		return fmt.Errorf("%w: the same person approves once", ErrTransition)
	}
	if !b.Takes(a.Groups) {
		return fmt.Errorf("%w: no step needs an approval of these groups", ErrTransition)
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
	switch {
	case !a.Actor.IsPerson():
		return fmt.Errorf("%w: only a person decides on a request", ErrAction)
	case a.Actor == g.Subject || a.Actor == g.Owner:
		return fmt.Errorf("%w: nobody decides on their own request", ErrAction)
	case !g.Waits():
		return fmt.Errorf("%w: nothing is waiting", ErrTransition)
	case !at.Before(g.waitsUntil()), g.State == Active && !at.Before(g.ExpiresAt):
		return fmt.Errorf("%w: the request has lapsed", ErrTransition)
	}
	return nil
}

// checkWithdrawal: an approval is taken back by who gave it, while others are missing.
func checkWithdrawal(g Grant, a Action) error {
	if !slices.ContainsFunc(g.Ballot().Approvals, func(old Approval) bool { return old.By == a.Actor }) {
		return fmt.Errorf("%w: there is no approval of theirs to withdraw", ErrTransition)
	}
	return nil
}

func addApproval(g Grant, a Action, at time.Time) Grant {
	if a.Actor == "" {
		return g
	}
	approval := Approval{By: a.Actor, At: at, Comment: a.Comment, Groups: g.Ballot().Count(a.Groups)}
	if g.State == Pending {
		g.Approvals = append(g.Approvals, approval)
	} else {
		g.Extension.Approvals = append(g.Extension.Approvals, approval)
	}
	return g
}

func withdraw(g Grant, who Subject) Grant {
	theirs := func(a Approval) bool { return a.By == who }
	if g.State == Pending {
		g.Approvals = slices.DeleteFunc(g.Approvals, theirs)
	} else {
		g.Extension.Approvals = slices.DeleteFunc(g.Extension.Approvals, theirs)
	}
	return g
}

// checkExtension judges what makes a grant longer: to ask for it, to give it at once where policy asks nobody, and the
// last approval of one that waits.
func checkExtension(g Grant, a Action, at time.Time) error {
	if !at.Before(g.ExpiresAt) {
		return fmt.Errorf("%w: it has expired", ErrTransition)
	}
	if g.Extension.Asked() {
		if a.Verb == AskExtension || a.Extension.Asked() {
			return fmt.Errorf("%w: an extension is waiting already", ErrTransition)
		}
		return checkApproval(g, a, at)
	}
	e := a.Extension
	switch {
	case a.Actor != g.Subject && (g.Owner == "" || a.Actor != g.Owner):
		return fmt.Errorf("%w: only its subject asks for an extension", ErrAction)
	case g.BreakGlass:
		return fmt.Errorf("%w: access in an emergency is not extended; ask anew", ErrAction)
	case e.By < time.Second || e.By%time.Second != 0:
		return fmt.Errorf("%w: an extension is a positive number of whole seconds", ErrAction)
	case g.Duration+e.By < g.Duration: // wrapped round
		return fmt.Errorf("%w: the extension is too long", ErrAction)
	case (a.Verb == Extend) != (len(e.Steps) == 0):
		return fmt.Errorf("%w: %s does not fit the approvals that are asked for", ErrAction, a.Verb)
	case a.Verb == AskExtension && (!e.LapsesAt.After(at) || e.LapsesAt.After(g.ExpiresAt)):
		return fmt.Errorf("%w: an extension waits until the grant's end at most", ErrAction)
	}
	return CheckSteps(e.Steps)
}

// extend moves the end, and keeps the decision by which it was moved: it is the one that the grant rests on from now on.
func extend(g Grant, a Action, at time.Time) Grant {
	e := a.Extension
	if g.Extension.Asked() {
		g = addApproval(g, a, at)
		e = g.Extension
		g.Steps, g.Ordered, g.Approvals = e.Steps, e.Ordered, e.Approvals
	}
	g.GivenAt, g.ExpiresAt, g.Duration = at, g.ExpiresAt.Add(e.By), g.Duration+e.By
	g.Rule, g.Policy, g.PolicyHash, g.Explanation = e.Rule, e.Policy, e.PolicyHash, e.Explanation
	if e.Inputs != nil {
		g.Inputs = e.Inputs
	}
	g.Extension = Extension{}
	return g
}

// checkReview: somebody else than who had the access looks at it, once it has begun.
func checkReview(g Grant, a Action) error {
	switch {
	case !g.Review.Asked() || g.ActivatedAt.IsZero():
		return fmt.Errorf("%w: there is nothing to review", ErrTransition)
	case g.Review.Done():
		return fmt.Errorf("%w: it was reviewed already", ErrTransition)
	case !a.Actor.IsPerson() || a.Actor == g.Subject || a.Actor == g.Owner:
		return fmt.Errorf("%w: somebody else reviews it, a person", ErrAction)
	case !slices.ContainsFunc(g.Review.Groups, func(group string) bool { return slices.Contains(a.Groups, group) }):
		return fmt.Errorf("%w: a member of a group that policy names reviews it", ErrAction)
	}
	return nil
}
