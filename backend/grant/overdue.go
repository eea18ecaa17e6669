package grant

import (
	"fmt"
	"time"
)

// AwaitsReview reports whether somebody still has to look at what was done: there is or was access, and it was not reviewed.
// While it is open the review is waited for already, and can not be done yet.
func (g Grant) AwaitsReview() bool {
	return g.Review.Asked() && !g.Review.Done() && !g.ActivatedAt.IsZero()
}

// ReviewOverdue reports whether the review should have been done by the time at, was not, and nothing says so yet.
func (g Grant) ReviewOverdue(at time.Time) bool { return checkOverdue(g, at) == nil }

// checkOverdue: a review is waited for, its time has passed, and that was not recorded before.
func checkOverdue(g Grant, at time.Time) error {
	switch {
	case !g.AwaitsReview():
		return fmt.Errorf("%w: no review is waited for", ErrTransition)
	case g.Review.DueAt.IsZero() || at.Before(g.Review.DueAt) || g.Live(at): // while it is open nobody can
		return fmt.Errorf("%w: its review is not due yet", ErrTransition)
	case !g.Review.OverdueAt.IsZero():
		return fmt.Errorf("%w: that its review is overdue was recorded already", ErrTransition)
	}
	return nil
}
