package store

import (
	"fmt"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// EventColumns are what the log is searched by, beside its documents. Of a lock's events GrantID is the lock's id, and who
// and where are the lock's. Version, From and To are those of the grant, and 0 and empty for an event that is no transition.
type EventColumns struct {
	GrantID  string
	Verb     grant.Verb
	Subject  grant.Subject
	Owner    grant.Subject
	Pool     grant.Pool
	At       int64 // milliseconds
	Version  int64
	From, To grant.State
}

// ColumnsOfEvent are those that belong to an event.
func ColumnsOfEvent(e grant.Event) EventColumns {
	g := e.Grant
	c := EventColumns{GrantID: g.ID, Verb: e.Verb, Subject: g.Subject, Owner: g.Owner, Pool: g.Pool, At: Millis(e.At)}
	switch {
	case e.Verb == grant.PutLock, e.Verb == grant.LiftLock:
		l := e.Lock
		c.GrantID, c.Subject, c.Pool = l.ID, l.Subject, grant.Pool{Environment: l.Environment, Name: l.Pool}
	case e.Verb.OfGrant():
		c.Version, c.From, c.To = g.Version, e.From, g.State
	}
	return c
}

// Disagree is nil where an event says what its columns do; else it wraps ErrCorrupt and names the first that differs.
func (c EventColumns) Disagree(e grant.Event) error {
	doc := ColumnsOfEvent(e)
	return disagree([]column{
		{"id", c.GrantID == doc.GrantID},
		{"verb", c.Verb == doc.Verb},
		{"subject", c.Subject == doc.Subject},
		{"owner", c.Owner == doc.Owner},
		{"pool", c.Pool == doc.Pool},
		{"time", c.At == doc.At},
		{"version", c.Version == doc.Version},
		{"state before", c.From == doc.From},
		{"state after", c.To == doc.To},
	})
}

// GrantColumns are what a grant's row is searched by and held together by, beside its document.
type GrantColumns struct {
	ID      string
	Subject grant.Subject
	Owner   grant.Subject
	Pool    grant.Pool
	State   grant.State
	Version int64
	// In milliseconds, 0 where not set.
	RequestedAt, StartsAt, LapsesAt, ExpiresAt int64
}

// ColumnsOfGrant are those that belong to a grant.
func ColumnsOfGrant(g grant.Grant) GrantColumns {
	return GrantColumns{
		ID: g.ID, Subject: g.Subject, Owner: g.Owner, Pool: g.Pool, State: g.State, Version: g.Version, RequestedAt: Millis(g.RequestedAt),
		StartsAt: Millis(g.StartsAt), LapsesAt: Millis(g.LapsesAt), ExpiresAt: Millis(g.ExpiresAt),
	}
}

// Disagree is nil where a grant says what its columns do; else it wraps ErrCorrupt and names the first that differs.
func (c GrantColumns) Disagree(g grant.Grant) error {
	doc := ColumnsOfGrant(g)
	return disagree([]column{
		{"id", c.ID == doc.ID},
		{"subject", c.Subject == doc.Subject},
		{"owner", c.Owner == doc.Owner},
		{"pool", c.Pool == doc.Pool},
		{"state", c.State == doc.State},
		{"version", c.Version == doc.Version},
		{"time of the request", c.RequestedAt == doc.RequestedAt},
		{"start", c.StartsAt == doc.StartsAt},
		{"lapse", c.LapsesAt == doc.LapsesAt},
		{"end", c.ExpiresAt == doc.ExpiresAt},
	})
}

// LockColumns are what a lock's row is searched by and held together by. Times are in milliseconds, 0 where not set.
type LockColumns struct {
	ID                  string
	Subject             grant.Subject
	Environment         string
	Pool                string
	At, Until, LiftedAt int64
}

// Disagree is nil where a lock says what its columns do; else it wraps ErrCorrupt and names the first that differs.
func (c LockColumns) Disagree(l grant.Lock) error {
	return disagree([]column{
		{"id", c.ID == l.ID},
		{"subject", c.Subject == l.Subject},
		{"pool", c.Environment == l.Environment && c.Pool == l.Pool},
		{"beginning", c.At == Millis(l.At)},
		{"end", c.Until == Millis(l.Until)},
		{"lifting", c.LiftedAt == Millis(l.LiftedAt)},
	})
}

// Waits are the columns that say what a grant waits for. A program of the version before may have left ReviewDue out.
type Waits struct {
	DueAt   int64    // milliseconds; see Due of Grants
	Waiting []string // the groups of the vote that is on
	Review  []string // the groups of the review that is to be done
	// ReviewDue is when that review will be overdue, in milliseconds; 0 where none is waited for, or that was said; negative
	// where it was not written.
	ReviewDue int64
}

// WaitsOf are those that belong to a grant.
func WaitsOf(g grant.Grant) Waits {
	return Waits{DueAt: dueAt(g), Waiting: g.Deciders(), Review: reviewers(g), ReviewDue: reviewDue(g)}
}

// ErrForgotten is an ErrCorrupt: by its columns a grant's review is not waited for, or it was said to be overdue, and by its
// document it will be. A program of the version before leaves it so, where the log has it that it was said.
var ErrForgotten = fmt.Errorf("%w: its document waits for a review, and its row does not", ErrCorrupt)

// Disagree is nil where a grant waits for what the columns say; else it wraps ErrCorrupt and names the first that differs, or
// is ErrForgotten, where nothing else does.
func (w Waits) Disagree(g grant.Grant) error {
	doc := WaitsOf(g)
	err := disagree([]column{
		{"time at which something is due", w.DueAt == doc.DueAt},
		{"vote", sameSet(w.Waiting, doc.Waiting)},
		{"review", sameSet(w.Review, doc.Review)},
		// One that is named without need is looked at in the document: it hides nothing.
		{"time by which it is reviewed", w.ReviewDue == doc.ReviewDue || w.ReviewDue <= 0 || doc.ReviewDue == 0},
	})
	if err == nil && w.ReviewDue == 0 && doc.ReviewDue != 0 {
		err = ErrForgotten
	}
	return err
}

type column struct {
	what string
	same bool
}

func disagree(columns []column) error {
	for _, c := range columns {
		if !c.same {
			return fmt.Errorf("%w: its document says another %s than its row", ErrCorrupt, c.what)
		}
	}
	return nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// dueAt is when the clock has something to do with a grant: end its wait, begin its window, end it, or end the wait of its
// extension, whichever is first. It counts for grants that are not final.
func dueAt(g grant.Grant) int64 {
	switch g.State {
	case grant.Pending:
		return Millis(g.LapsesAt)
	case grant.Approved:
		return min(Millis(g.LapsesAt), Millis(g.StartsAt))
	case grant.Active:
		if g.Extension.Asked() {
			return min(Millis(g.ExpiresAt), Millis(g.Extension.LapsesAt))
		}
		return Millis(g.ExpiresAt)
	default:
		return 0
	}
}

// reviewers are the groups of whom a review is waited for: once there was access, until it is done.
func reviewers(g grant.Grant) []string {
	if !g.AwaitsReview() {
		return nil
	}
	return g.Review.Groups
}

// reviewDue is when a review that was asked for will be overdue, also before there is access: who makes that active may be
// a program of the version before, which does not write it.
func reviewDue(g grant.Grant) int64 {
	if !g.Review.Asked() || g.Review.Done() || !g.Review.OverdueAt.IsZero() {
		return 0
	}
	return Millis(g.Review.DueAt)
}
