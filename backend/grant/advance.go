package grant

import (
	"cmp"
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
	Cause   Cause    // of Revoke
	Groups  []string // of Approve, Complete and an approver's Extend: the actor's groups at this time
	// Extension is what is asked for by AskExtension and by an Extend that policy gives at once. Its times and approvals are
	// set here.
	Extension Extension
	// Ground is policy's decision by which Complete or an approver's Extend opens it; zero keeps that of the request.
	Ground Ground
}

// Ground is the decision of policy that something rests on.
type Ground struct{ Rule, Policy, PolicyHash, Explanation string }

// Event is the record of one transition: what the audit log keeps and sinks are told.
type Event struct {
	Grant   Grant // as it is after the transition
	From    State // as it was before; empty for a request
	Verb    Verb
	Actor   Subject // empty for the clock and for policy
	Comment string
	At      time.Time
	Lock    Lock // of PutLock and LiftLock: as it is then; their Grant is empty
	// Longer is, of a step of an extension, how much longer the grant is to be open by it. A Refuse that has it is of an
	// extension, and names the grant.
	Longer time.Duration
	Drift  Drift // of FindDrift; its Grant has an environment if the node serves just one, and is empty otherwise
}

// Advance applies one action at the time at. It is the only way in which a grant changes. The grant that it returns has
// the next version. Errors wrap ErrTransition (the state does not allow it, time has not come or has passed, nobody waits
// for this approval) or ErrAction (nobody could do that: self-approval, an agent's approval). The grant and the event that
// it returns share memory with each other and with nothing that was passed in, which stays as it was.
func Advance(g Grant, a Action, at time.Time) (Grant, Event, error) {
	at = normalize(at)
	a.Extension.LapsesAt = normalize(a.Extension.LapsesAt)
	to, ok := next(g.State, a.Verb)
	if !ok || a.Verb == Request { // what is asked for comes through Ask, with its checks
		return Grant{}, Event{}, impossible(g.State, a.Verb)
	}
	switch a.Verb {
	case Activate, Lapse, Expire, LapseExtension, ReviewOverdue:
		if a.Actor != "" {
			return Grant{}, Event{}, fmt.Errorf("%w: %s is the clock's, nobody else's", ErrAction, a.Verb)
		}
	}
	if err := check(g, a, at); err != nil {
		return Grant{}, Event{}, err
	}
	n := apply(g.clone(), a, at)
	n.State = to
	n.Version++
	return n, Event{Grant: n, From: g.State, Verb: a.Verb, Actor: a.Actor, Comment: a.Comment, At: at, Longer: longer(g, a)}, nil
}

// longer is how much longer the extension asks for that an action on g is about; zero for any other action.
func longer(g Grant, a Action) time.Duration {
	switch a.Verb {
	case AskExtension, Extend, Approve, Withdraw, DenyExtension, CancelExtension, LapseExtension:
		if g.Extension.Asked() {
			return g.Extension.By
		}
		return a.Extension.By
	default:
		return 0
	}
}

// check holds what a transition needs beyond the pair of states.
func check(g Grant, a Action, at time.Time) error {
	switch a.Verb {
	case Approve, Complete:
		return checkApproval(g, a, at)
	case Withdraw:
		return checkWithdrawal(g, a)
	case Deny, DenyExtension:
		return checkDecider(g, a, at)
	case Activate:
		return checkActivation(g, at)
	case Cancel:
		return checkRequester(g, a)
	case CancelExtension:
		return cmp.Or(checkRequester(g, a), checkExtensionWaits(g))
	case Lapse:
		return checkLapse(g, at)
	case LapseExtension:
		return cmp.Or(checkExtensionWaits(g), checkLapse(g, at))
	case Expire:
		if at.Before(g.ExpiresAt) {
			return fmt.Errorf("%w: it has not expired", ErrTransition)
		}
	case AskExtension, Extend:
		return checkExtension(g, a, at)
	case Revoke:
		if !slices.Contains(Causes(), a.Cause) {
			return fmt.Errorf("%w: a revocation has a cause", ErrAction)
		}
	case DoReview:
		return checkReview(g, a, at)
	case ReviewOverdue:
		return checkOverdue(g, at)
	}
	return nil
}

// apply sets the fields that the verb changes, all but the state and the version.
func apply(g Grant, a Action, at time.Time) Grant {
	switch a.Verb {
	case Approve, Complete:
		g = addApproval(g, a, at)
		if a.Verb == Complete {
			g = rest(g, a.Ground)
		}
		if a.Verb == Complete && !g.StartsAt.IsZero() {
			g.LapsesAt = expiry(g, at) // approved: it may wait for its whole window
		}
	case Withdraw:
		g = withdraw(g, a.Actor)
	case Activate:
		g.ActivatedAt, g.GivenAt, g.ExpiresAt = at, at, expiry(g, at)
	case AskExtension:
		g.Extension = a.Extension.clone()
		g.Extension.Approvals, g.Extension.RequestedAt = nil, at // nobody brings approvals along
	case Extend:
		g = extend(g, a, at)
	case DenyExtension, CancelExtension, LapseExtension:
		g.Extension = Extension{}
	case Deny, Cancel, Lapse, Expire, Revoke:
		g.EndedAt, g.EndedBy, g.Comment = at, a.Actor, a.Comment
		g.Extension = Extension{}
		if a.Verb == Revoke {
			g.Cause = a.Cause
		}
	case DoReview:
		g.Review.By, g.Review.At, g.Review.Comment = a.Actor, at, a.Comment
	case ReviewOverdue:
		g.Review.OverdueAt = at
	}
	return g
}

// expiry is when a grant ends that is activated now. The clock starts here: it does not run while people decide; but a
// window that was asked for ends when it was to end. HAProxy compares whole seconds, so it is rounded down to one: never
// later than asked.
func expiry(g Grant, at time.Time) time.Time {
	if !g.StartsAt.IsZero() {
		at = g.StartsAt
	}
	return at.Add(g.Duration).Truncate(time.Second)
}

func checkActivation(g Grant, at time.Time) error {
	if at.Before(g.StartsAt) {
		return fmt.Errorf("%w: its window has not begun", ErrTransition)
	}
	if !at.Before(g.LapsesAt) || !at.Before(expiry(g, at)) {
		return fmt.Errorf("%w: its window has passed", ErrTransition)
	}
	return nil
}

// checkRequester: what the subject alone does, or the owner of the agent that it is.
func checkRequester(g Grant, a Action) error {
	if a.Actor == "" || a.Actor != g.Subject && a.Actor != g.Owner {
		return fmt.Errorf("%w: that is for its subject alone, or the owner of the agent that it is", ErrAction)
	}
	return nil
}

func checkExtensionWaits(g Grant) error {
	if !g.Extension.Asked() {
		return fmt.Errorf("%w: no extension is waiting", ErrTransition)
	}
	return nil
}

func checkLapse(g Grant, at time.Time) error {
	if at.Before(g.waitsUntil()) {
		return fmt.Errorf("%w: it has not lapsed", ErrTransition)
	}
	return nil
}

// waitsUntil is when the wait for people, or for the window, ends.
func (g Grant) waitsUntil() time.Time {
	if g.State == Active {
		return g.Extension.LapsesAt
	}
	return g.LapsesAt
}

// normalize is the form in which times are kept: UTC, whole milliseconds, no monotonic clock.
func normalize(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// rest makes a grant rest on another decision than that of its request.
func rest(g Grant, on Ground) Grant {
	if on != (Ground{}) {
		g.Rule, g.Policy, g.PolicyHash, g.Explanation = on.Rule, on.Policy, on.PolicyHash, on.Explanation
	}
	return g
}
