package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// sweepLimit is how many grants one pass takes; the next follows at once while there are more.
const sweepLimit = 500

// Sweep carries out everything that is due, and says aloud which reviews are overdue. A grant that somebody else changed in
// between is left to them. One that fails, or cannot be read, does not hold up the others: the errors come back together.
func (s *Service) Sweep(ctx context.Context) error {
	return errors.Join(
		s.sweep(ctx, s.Grants.Due, s.sweepOne),
		s.sweep(ctx, s.Grants.Overdue, s.sayOverdue),
	)
}

// sweep does something with each grant that find finds, which is what then finds it no more.
func (s *Service) sweep(
	ctx context.Context, find func(context.Context, time.Time, int) (store.Page, error), do func(context.Context, grant.Grant) (bool, error),
) error {
	var errs []error
	for {
		found, err := find(ctx, s.Now(), sweepLimit)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		moved := 0
		for _, r := range found.Records {
			ok, err := do(ctx, r.Grant)
			if err != nil {
				errs = append(errs, fmt.Errorf("grant %s: %w", r.Grant.ID, err))
			}
			if ok {
				moved++
			}
		}
		if len(found.Records) < sweepLimit || moved == 0 {
			return errors.Join(append(errs, unreadableError(found.Unreadable))...)
		}
	}
}

// sayOverdue records that a review is overdue, for the sinks to carry to people.
func (s *Service) sayOverdue(ctx context.Context, g grant.Grant) (bool, error) {
	if !g.ReviewOverdue(s.Now()) {
		return false, nil // the store looks at the time that policy set, whether the access has ended or not
	}
	comment := fmt.Sprintf("The review by %s was due at %s, and nobody has done it.",
		strings.Join(g.Review.Groups, ", "), g.Review.DueAt.Format(time.RFC3339))
	return s.move(ctx, g, grant.Action{Verb: grant.ReviewOverdue, Comment: comment})
}

// sweepOne reports whether the grant moved. One whose window begins is judged once more: it does not open by what was
// allowed when it was asked for.
func (s *Service) sweepOne(ctx context.Context, g grant.Grant) (bool, error) {
	verb := due(g, s.Now())
	if verb == grant.Activate {
		closing, err := s.closing(ctx, s.Now())
		if err != nil {
			return false, err
		}
		switch e, err := s.verdict(ctx, g, closing, true); {
		case err != nil:
			return false, err
		case e.cause != "":
			_, moved, err := s.endOne(ctx, e)
			return moved, err
		}
	}
	return s.move(ctx, g, grant.Action{Verb: verb})
}

// move is false where somebody else was quicker.
func (s *Service) move(ctx context.Context, g grant.Grant, a grant.Action) (bool, error) {
	_, e, err := grant.Advance(g, a, s.Now())
	if err != nil {
		return false, err
	}
	revision, err := s.Grants.Commit(ctx, store.Change{Events: []grant.Event{e}})
	switch {
	case errors.Is(err, store.ErrConflict):
		return false, nil
	case err != nil:
		return false, err
	}
	s.Enforcer.Changed(revision)
	return true, nil
}

// due is what time does to the grant now.
func due(g grant.Grant, now time.Time) grant.Verb {
	switch {
	case g.State == grant.Active && now.Before(g.ExpiresAt):
		return grant.LapseExtension
	case g.State == grant.Active:
		return grant.Expire
	case g.State == grant.Approved && now.Before(g.LapsesAt):
		return grant.Activate
	default:
		return grant.Lapse
	}
}
