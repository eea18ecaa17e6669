package batch

import (
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// dueAt is when the clock has something to do with a grant: end its wait, begin its window, end it, or end the wait of its
// extension, whichever is first. It counts for grants that are not final.
func dueAt(g grant.Grant) int64 {
	switch g.State {
	case grant.Pending:
		return store.Millis(g.LapsesAt)
	case grant.Approved:
		return min(store.Millis(g.LapsesAt), store.Millis(g.StartsAt))
	case grant.Active:
		if g.Extension.Asked() {
			return min(store.Millis(g.ExpiresAt), store.Millis(g.Extension.LapsesAt))
		}
		return store.Millis(g.ExpiresAt)
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
	return store.Millis(g.Review.DueAt)
}
