package grant

import (
	"fmt"
	"time"
)

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
	if err := checkRequester(g, a); err != nil {
		return err
	}
	e := a.Extension
	if g.BreakGlass {
		return fmt.Errorf("%w: access in an emergency is not extended; ask anew", ErrAction)
	}
	if e.By < time.Second || e.By%time.Second != 0 {
		return fmt.Errorf("%w: an extension is a positive number of whole seconds", ErrAction)
	}
	if g.Duration+e.By < g.Duration { // wrapped round
		return fmt.Errorf("%w: the extension is too long", ErrAction)
	}
	if (a.Verb == Extend) != (len(e.Steps) == 0) {
		return fmt.Errorf("%w: %s does not fit the approvals that are asked for", ErrAction, a.Verb)
	}
	if a.Verb == AskExtension && (!e.LapsesAt.After(at) || e.LapsesAt.After(g.ExpiresAt)) {
		return fmt.Errorf("%w: an extension waits until the grant's end at most", ErrAction)
	}
	return CheckSteps(e.Steps)
}

// ExtendedAt is when an extension takes effect that is given at the time at: a millisecond after the activation at least,
// which is how an extended grant is told from one that is as it was given.
func (g Grant) ExtendedAt(at time.Time) time.Time {
	at = normalize(at)
	if first := g.ActivatedAt.Add(time.Millisecond); at.Before(first) {
		return first
	}
	return at
}

// extend moves the end, and keeps the decision by which it was moved: it is the one that the grant rests on from now on.
func extend(g Grant, a Action, at time.Time) Grant {
	e := a.Extension.clone()
	if g.Extension.Asked() {
		g = addApproval(g, a, at)
		e = g.Extension
		g.Steps, g.Ordered, g.Approvals = e.Steps, e.Ordered, e.Approvals
	}
	g.GivenAt, g.ExpiresAt, g.Duration = g.ExtendedAt(at), g.ExpiresAt.Add(e.By), g.Duration+e.By
	g = rest(g, Ground{e.Rule, e.Policy, e.PolicyHash, e.Explanation})
	g = rest(g, a.Ground)
	g.Reason, g.Inputs = e.Reason, e.Inputs // what this decision was made on; the words of before are in its events
	g.Extension = Extension{}
	return g
}
