package access

import (
	"context"
	"errors"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// sweepLimit is how many grants one pass takes; the next follows at once while there are more.
const sweepLimit = 500

// Sweep carries out everything that is due. A grant that somebody else changed in between is left to them. One that
// fails does not hold up the others: the errors come back together.
func (s *Service) Sweep(ctx context.Context) error {
	var errs []error
	for {
		due, err := s.Grants.Due(ctx, s.Now(), sweepLimit)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		moved := 0
		for _, r := range due {
			ok, err := s.sweepOne(ctx, r.Grant)
			if err != nil {
				errs = append(errs, err)
			}
			if ok {
				moved++
			}
		}
		if len(due) < sweepLimit || moved == 0 {
			return errors.Join(errs...)
		}
	}
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
	_, e, err := grant.Advance(g, grant.Action{Verb: verb}, s.Now())
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
