package grant

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrTransition is wrapped by an error of Advance that says that the grant's state does not allow the action: the caller
// has lost a race, or asks for what makes no sense.
var ErrTransition = errors.New("transition not allowed")

// ErrAction is wrapped by an error of Advance that says that the action itself is not allowed, whatever the state.
var ErrAction = errors.New("action not allowed")

// Action is what somebody or the clock does to a grant.
type Action struct {
	Verb    Verb
	Actor   Subject // who; empty for the clock and for policy
	Comment string
	Cause   Cause         // of Revoke
	Step    int           // of Approve and Complete: the step that the approval counts for
	By      time.Duration // of Extend: how much later it ends, whole seconds
}

// Event is the record of one transition: what the audit log keeps and sinks are told.
type Event struct {
	Grant   Grant // as it is after the transition
	From    State // as it was before; empty for a request
	Verb    Verb
	Actor   Subject // empty for the clock and for policy
	Comment string
	At      time.Time
}

// Ask makes a pending grant out of draft, which must have ID, Subject, Pool, Reason, Duration, LapsesAt and, if policy
// wants approvals, Steps; Owner, Groups, StartsAt, policy's fields are kept. Other fields must be zero. Names must be
// canonical: I11 compares them byte by byte. Errors wrap ErrAction.
func Ask(draft Grant, at time.Time) (Grant, Event, error) {
	at = normalize(at)
	switch {
	case draft.ID == "" || draft.Subject == "" || draft.Pool == Pool{} || draft.Reason == "":
		return Grant{}, Event{}, fmt.Errorf("%w: a request has an id, a subject, a pool and a reason", ErrAction)
	case draft.Duration < time.Second || draft.Duration%time.Second != 0:
		return Grant{}, Event{}, fmt.Errorf("%w: a duration is a positive number of whole seconds", ErrAction)
	case !draft.untouched():
		return Grant{}, Event{}, fmt.Errorf("%w: the request has a state already", ErrAction)
	case !draft.LapsesAt.After(at):
		return Grant{}, Event{}, fmt.Errorf("%w: the request would lapse before it is made", ErrAction)
	}
	if err := checkDraft(draft); err != nil {
		return Grant{}, Event{}, err
	}
	g := draft
	g.State, g.RequestedAt, g.Version = Pending, at, 1
	g.LapsesAt, g.StartsAt = normalize(g.LapsesAt), normalize(g.StartsAt)
	return g, Event{Grant: g, Verb: Request, Actor: g.Subject, Comment: g.Reason, At: at}, nil
}

// untouched reports whether no transition has left a trace in a draft.
func (g Grant) untouched() bool {
	return g.State == "" && g.Version == 0 && len(g.Approvals) == 0 && g.Cause == "" && g.EndedBy == "" && g.Comment == "" &&
		g.RequestedAt.IsZero() && g.ActivatedAt.IsZero() && g.ExpiresAt.IsZero() && g.EndedAt.IsZero()
}

// checkDraft holds what the rest of a grant's life relies on: names in their one spelling, an owner who is a person, and
// no step that nobody would have to approve.
func checkDraft(draft Grant) error {
	if _, err := ParseSubject(string(draft.Subject)); err != nil {
		return fmt.Errorf("%w: the subject is %w", ErrAction, err)
	}
	if draft.Owner != "" && !draft.Owner.IsPerson() {
		return fmt.Errorf("%w: the owner of an agent is a person", ErrAction)
	}
	if _, err := NewPool(draft.Pool.Environment, draft.Pool.Name); err != nil {
		return fmt.Errorf("%w: the pool is %w", ErrAction, err)
	}
	for _, step := range draft.Steps {
		if step.Count < 1 || len(step.Groups) == 0 || slices.Contains(step.Groups, "") {
			return fmt.Errorf("%w: a step has named groups and asks for at least one approval", ErrAction)
		}
	}
	return nil
}

// Advance applies one action at the time at. It is the only way in which a grant changes. The grant that it returns has
// the next version. Errors wrap ErrTransition (the state does not allow it, or time has not come) or ErrAction (nobody
// could do that: self-approval, an agent's approval, an approval twice); the grant is then unchanged.
func Advance(g Grant, a Action, at time.Time) (Grant, Event, error) {
	at = normalize(at)
	to, ok := next(g.State, a.Verb)
	if !ok || a.Verb == Request { // what is asked for comes through Ask, with its checks
		return Grant{}, Event{}, fmt.Errorf("%w: a grant that is %s cannot %s", ErrTransition, g.State, a.Verb)
	}
	if a.Actor != "" && (a.Verb == Activate || a.Verb == Lapse || a.Verb == Expire) {
		return Grant{}, Event{}, fmt.Errorf("%w: %s is the clock's, nobody else's", ErrAction, a.Verb)
	}
	if err := check(g, a, at); err != nil {
		return Grant{}, Event{}, err
	}
	n := apply(g.clone(), a, at)
	n.State = to
	n.Version++
	return n, Event{Grant: n, From: g.State, Verb: a.Verb, Actor: a.Actor, Comment: a.Comment, At: at}, nil
}

// check holds what a transition needs beyond the pair of states.
func check(g Grant, a Action, at time.Time) error {
	switch a.Verb {
	case Approve, Complete:
		return checkApproval(g, a, at)
	case Deny:
		return checkDecider(g, a.Actor, at)
	case Activate:
		if at.Before(g.StartsAt) {
			return fmt.Errorf("%w: its window has not begun", ErrTransition)
		}
		if !at.Before(g.LapsesAt) {
			return fmt.Errorf("%w: its window has passed", ErrTransition)
		}
	case Cancel:
		if a.Actor != g.Subject && (g.Owner == "" || a.Actor != g.Owner) {
			return fmt.Errorf("%w: only its subject cancels a request", ErrAction)
		}
	case Lapse:
		if at.Before(g.LapsesAt) {
			return fmt.Errorf("%w: it has not lapsed", ErrTransition)
		}
	case Expire:
		if at.Before(g.ExpiresAt) {
			return fmt.Errorf("%w: it has not expired", ErrTransition)
		}
	case Extend:
		return checkExtension(g, a, at)
	case Revoke:
		if a.Cause == "" {
			return fmt.Errorf("%w: a revocation has a cause", ErrAction)
		}
	}
	return nil
}

func checkApproval(g Grant, a Action, at time.Time) error {
	if a.Verb == Complete && len(g.Steps) == 0 {
		if a.Actor != "" {
			return fmt.Errorf("%w: nobody's approval was asked for", ErrAction)
		}
		return nil // policy approved by itself
	}
	if err := checkDecider(g, a.Actor, at); err != nil {
		return err
	}
	if g.ApprovedBy(a.Actor) {
		return fmt.Errorf("%w: the same person approves once", ErrTransition)
	}
	missing := g.MissingSteps()
	if !slices.Contains(missing, a.Step) {
		return fmt.Errorf("%w: that step needs no approval", ErrTransition)
	}
	n := g.clone()
	n.Approvals = append(n.Approvals, Approval{By: a.Actor, Step: a.Step})
	if complete := len(n.MissingSteps()) == 0; complete != (a.Verb == Complete) {
		return fmt.Errorf("%w: %s does not fit the approvals that are missing", ErrAction, a.Verb)
	}
	return nil
}

// checkDecider holds I11: the requester, the owner of a requesting agent, a service or an agent never decides.
func checkDecider(g Grant, actor Subject, at time.Time) error {
	switch {
	case !actor.IsPerson():
		return fmt.Errorf("%w: only a person decides on a request", ErrAction)
	case actor == g.Subject || actor == g.Owner:
		return fmt.Errorf("%w: nobody decides on their own request", ErrAction)
	case !at.Before(g.LapsesAt):
		return fmt.Errorf("%w: the request has lapsed", ErrTransition)
	}
	return nil
}

func checkExtension(g Grant, a Action, at time.Time) error {
	switch {
	case a.By < time.Second || a.By%time.Second != 0:
		return fmt.Errorf("%w: an extension is a positive number of whole seconds", ErrAction)
	case g.Duration+a.By < g.Duration: // wrapped round
		return fmt.Errorf("%w: the extension is too long", ErrAction)
	case !at.Before(g.ExpiresAt):
		return fmt.Errorf("%w: it has expired", ErrTransition)
	}
	return nil
}

// apply sets the fields that the verb changes, all but the state and the version.
func apply(g Grant, a Action, at time.Time) Grant {
	switch a.Verb {
	case Approve, Complete:
		if a.Actor != "" {
			g.Approvals = append(g.Approvals, Approval{By: a.Actor, At: at, Comment: a.Comment, Step: a.Step})
		}
	case Activate:
		// The clock starts here: it does not run while people decide. HAProxy compares whole seconds, so the expiry is
		// rounded down to one; never later than asked.
		g.ActivatedAt = at
		g.ExpiresAt = at.Add(g.Duration).Truncate(time.Second)
	case Extend:
		g.ExpiresAt = g.ExpiresAt.Add(a.By)
		g.Duration += a.By
	case Deny, Cancel, Lapse, Expire, Revoke:
		g.EndedAt, g.EndedBy, g.Comment = at, a.Actor, a.Comment
		if a.Verb == Revoke {
			g.Cause = a.Cause
		}
	}
	return g
}

// normalize is the form in which times are kept: UTC, whole milliseconds, no monotonic clock.
func normalize(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
