package grant

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Ask makes a pending grant out of draft, which must have ID, Subject, Pool, Reason, Duration, LapsesAt and, if policy
// wants approvals, Steps; for access in an emergency BreakGlass and Review with Groups and DueAt; Owner, Groups, StartsAt,
// policy's fields are kept. Other fields must be zero. Names must be canonical: I11 compares them byte by byte. What it
// returns shares no memory with the draft. Errors wrap ErrAction.
func Ask(draft Grant, at time.Time) (Grant, Event, error) {
	at = normalize(at)
	g := draft.clone()
	g.LapsesAt, g.StartsAt, g.GroupsAt = normalize(g.LapsesAt), normalize(g.StartsAt), normalize(g.GroupsAt)
	g.Review.DueAt = normalize(g.Review.DueAt)
	if err := checkDraft(g, at); err != nil {
		return Grant{}, Event{}, err
	}
	g.State, g.RequestedAt, g.Version = Pending, at, 1
	return g, Event{Grant: g, Verb: Request, Actor: g.Subject, Comment: g.Reason, At: at}, nil
}

// checkDraft holds what the rest of a grant's life relies on.
func checkDraft(draft Grant, at time.Time) error {
	if draft.ID == "" || draft.Subject == "" || draft.Pool == (Pool{}) || draft.Reason == "" {
		return fmt.Errorf("%w: a request has an id, a subject, a pool and a reason", ErrAction)
	}
	if draft.Duration < time.Second || draft.Duration%time.Second != 0 {
		return fmt.Errorf("%w: a duration is a positive number of whole seconds", ErrAction)
	}
	if !draft.untouched() {
		return fmt.Errorf("%w: the request has a state already", ErrAction)
	}
	if !draft.LapsesAt.After(at) {
		return fmt.Errorf("%w: the request would lapse before it is made", ErrAction)
	}
	if !draft.StartsAt.IsZero() && draft.LapsesAt.After(draft.StartsAt.Add(draft.Duration)) {
		return fmt.Errorf("%w: it would wait longer than its window lasts", ErrAction)
	}
	if err := checkNames(draft); err != nil {
		return err
	}
	if err := checkEmergency(draft, at); err != nil {
		return err
	}
	return CheckSteps(draft.Steps)
}

// untouched reports whether no transition has left a trace in a draft.
func (g Grant) untouched() bool {
	times := []time.Time{g.RequestedAt, g.ActivatedAt, g.GivenAt, g.ExpiresAt, g.EndedAt, g.Review.At}
	return g.State == "" && g.Version == 0 && len(g.Approvals) == 0 && reflect.ValueOf(g.Extension).IsZero() &&
		g.Cause == "" && g.EndedBy == "" && g.Comment == "" && !g.Review.Done() && g.Review.Comment == "" &&
		!slices.ContainsFunc(times, func(t time.Time) bool { return !t.IsZero() })
}

// checkNames: names in their one spelling, and an owner, who is a person, of an agent and of nobody else.
func checkNames(draft Grant) error {
	if _, err := ParseSubject(string(draft.Subject)); err != nil {
		return fmt.Errorf("%w: the subject is %w", ErrAction, err)
	}
	if draft.Subject.IsAgent() != draft.Owner.IsPerson() || draft.Owner != "" && !draft.Owner.IsPerson() {
		return fmt.Errorf("%w: an agent has an owner, who is a person, and nobody else has one", ErrAction)
	}
	if _, err := NewPool(draft.Pool.Environment, draft.Pool.Name); err != nil {
		return fmt.Errorf("%w: the pool is %w", ErrAction, err)
	}
	return nil
}

// checkEmergency: a review after an emergency and after nothing else; without a review nobody would look at what was done
// without asking.
func checkEmergency(draft Grant, at time.Time) error {
	r := draft.Review
	if r.Asked() != draft.BreakGlass || draft.BreakGlass && len(draft.Steps) > 0 {
		return fmt.Errorf("%w: access in an emergency is reviewed afterwards, not approved before, and no other is", ErrAction)
	}
	if !draft.BreakGlass {
		return nil
	}
	if slices.Contains(r.Groups, "") || !r.DueAt.After(at) {
		return fmt.Errorf("%w: a review is by named groups and due after the request", ErrAction)
	}
	if !draft.StartsAt.IsZero() {
		return fmt.Errorf("%w: an emergency is now", ErrAction)
	}
	return nil
}
