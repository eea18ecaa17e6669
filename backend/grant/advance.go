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
	Cause   Cause    // of Revoke
	Groups  []string // of Approve, Complete and an approver's Extend: the actor's groups at this time
	// Extension is what is asked for by AskExtension and by an Extend that policy gives at once. Its times and approvals are
	// set here.
	Extension Extension
}

// Event is the record of one transition: what the audit log keeps and sinks are told.
type Event struct {
	Grant   Grant // as it is after the transition
	From    State // as it was before; empty for a request
	Verb    Verb
	Actor   Subject // empty for the clock and for policy
	Comment string
	At      time.Time
	Lock    Lock // of PutLock and LiftLock: as it is then; their Grant is empty
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
	g.LapsesAt, g.StartsAt, g.GroupsAt = normalize(g.LapsesAt), normalize(g.StartsAt), normalize(g.GroupsAt)
	g.Review.DueAt = normalize(g.Review.DueAt)
	return g, Event{Grant: g, Verb: Request, Actor: g.Subject, Comment: g.Reason, At: at}, nil
}

// untouched reports whether no transition has left a trace in a draft.
func (g Grant) untouched() bool {
	return g.State == "" && g.Version == 0 && len(g.Approvals) == 0 && g.Cause == "" && g.EndedBy == "" && g.Comment == "" &&
		!g.Extension.Asked() && !g.Review.Done() && g.RequestedAt.IsZero() && g.ActivatedAt.IsZero() && g.GivenAt.IsZero() && g.ExpiresAt.IsZero() && g.EndedAt.IsZero()
}

// checkDraft holds what the rest of a grant's life relies on: names in their one spelling, an owner who is a person, a
// vote that can be held, and a review after an emergency and after nothing else.
func checkDraft(draft Grant) error {
	if _, err := ParseSubject(string(draft.Subject)); err != nil {
		return fmt.Errorf("%w: the subject is %w", ErrAction, err)
	}
	if draft.Subject.IsAgent() != draft.Owner.IsPerson() || draft.Owner != "" && !draft.Owner.IsPerson() {
		return fmt.Errorf("%w: an agent has an owner, who is a person, and nobody else has one", ErrAction)
	}
	if _, err := NewPool(draft.Pool.Environment, draft.Pool.Name); err != nil {
		return fmt.Errorf("%w: the pool is %w", ErrAction, err)
	}
	if draft.Review.Asked() != draft.BreakGlass || draft.BreakGlass && len(draft.Steps) > 0 {
		return fmt.Errorf("%w: access in an emergency is reviewed afterwards, not approved before, and no other is", ErrAction)
	}
	if draft.BreakGlass && !draft.StartsAt.IsZero() {
		return fmt.Errorf("%w: an emergency is now", ErrAction)
	}
	if !draft.StartsAt.IsZero() && draft.LapsesAt.After(draft.StartsAt.Add(draft.Duration)) {
		return fmt.Errorf("%w: it would wait longer than its window lasts", ErrAction)
	}
	return CheckSteps(draft.Steps)
}

// CheckSteps holds the bounds of a vote, and that there is no step which nobody would have to approve. Errors wrap
// ErrAction.
func CheckSteps(steps []Step) error {
	if len(steps) > MaxSteps {
		return fmt.Errorf("%w: a vote has at most %d steps", ErrAction, MaxSteps)
	}
	ways := 1
	for _, step := range steps {
		if len(step.AnyOf) == 0 {
			return fmt.Errorf("%w: a step has a quorum", ErrAction)
		}
		if ways *= len(step.AnyOf); ways > MaxChoices {
			return fmt.Errorf("%w: a vote has at most %d ways to come out", ErrAction, MaxChoices)
		}
		for _, q := range step.AnyOf {
			if q.Count < 1 || q.Count > MaxQuorum || len(q.Groups) == 0 || slices.Contains(q.Groups, "") {
				return fmt.Errorf("%w: a quorum is 1 to %d people out of named groups", ErrAction, MaxQuorum)
			}
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
	switch a.Verb {
	case Activate, Lapse, Expire, LapseExtension:
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
	return n, Event{Grant: n, From: g.State, Verb: a.Verb, Actor: a.Actor, Comment: a.Comment, At: at}, nil
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
	case Cancel, CancelExtension:
		if a.Actor != g.Subject && (g.Owner == "" || a.Actor != g.Owner) {
			return fmt.Errorf("%w: only its subject cancels a request", ErrAction)
		}
		return checkWaiting(g, a.Verb)
	case Lapse, LapseExtension:
		return checkLapse(g, a.Verb, at)
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
		return checkReview(g, a)
	}
	return nil
}

// apply sets the fields that the verb changes, all but the state and the version.
func apply(g Grant, a Action, at time.Time) Grant {
	switch a.Verb {
	case Approve, Complete:
		g = addApproval(g, a, at)
		if a.Verb == Complete && !g.StartsAt.IsZero() {
			g.LapsesAt = g.StartsAt.Add(g.Duration) // approved: it may wait for its whole window
		}
	case Withdraw:
		g = withdraw(g, a.Actor)
	case Activate:
		g.ActivatedAt, g.GivenAt, g.ExpiresAt = at, at, expiry(g, at)
	case AskExtension:
		g.Extension = a.Extension
		g.Extension.Approvals, g.Extension.RequestedAt = nil, at
		g.Extension.LapsesAt = normalize(g.Extension.LapsesAt)
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
	switch {
	case at.Before(g.StartsAt):
		return fmt.Errorf("%w: its window has not begun", ErrTransition)
	case !at.Before(g.LapsesAt), !at.Before(expiry(g, at)):
		return fmt.Errorf("%w: its window has passed", ErrTransition)
	}
	return nil
}

// checkWaiting: what is said of an extension needs one that is waiting.
func checkWaiting(g Grant, v Verb) error {
	if (v == DenyExtension || v == CancelExtension || v == LapseExtension) && !g.Extension.Asked() {
		return fmt.Errorf("%w: no extension is waiting", ErrTransition)
	}
	return nil
}

func checkLapse(g Grant, v Verb, at time.Time) error {
	if err := checkWaiting(g, v); err != nil {
		return err
	}
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
