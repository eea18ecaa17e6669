package access

import (
	"context"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// endEnvironment ends every open grant of an environment.
func (s *Service) endEnvironment(ctx context.Context, name string, by grant.Subject) (RemovalView, error) {
	v := RemovalView{Open: map[grant.State]int{}}
	var last store.Record
	err := s.eachOpen(ctx, store.Query{Environment: name, States: openStates}, func(page store.Page) error {
		var ends []end
		for _, r := range page.Records {
			ends = append(ends, removedEnd(r.Grant, by))
			v.Open[r.Grant.State]++
		}
		// What cannot be read is not on the nodes, and cannot be ended.
		for _, u := range page.Unreadable {
			v.Open[u.State]++
		}
		v.Failed += len(page.Unreadable)
		done, failed, _ := s.endAll(ctx, ends)
		v.Failed += failed
		for _, r := range done {
			if !r.Grant.ActivatedAt.IsZero() {
				last = r
			}
		}
		return nil // the next page all the same
	})
	s.await(ctx, last)
	return v, err
}

// removedEnd is why a grant ends whose environment was removed. Nobody did it where the environment vanished with its
// backends.
func removedEnd(g grant.Grant, by grant.Subject) end {
	e := end{g: g, cause: grant.CauseOperator, actor: by, comment: fmt.Sprintf("Environment %s was removed.", g.Pool.Environment)}
	if by == "" {
		e.cause = grant.CausePolicyChanged
		e.comment = fmt.Sprintf("Environment %s is gone: no node has a backend of it any more.", g.Pool.Environment)
	}
	return e
}

// outlived is the end of a grant whose ephemeral environment was removed since it was asked for, though perhaps one of that
// name is there again. A gateway whose configuration has the environment itself goes by that.
func (s *Service) outlived(g grant.Grant, known map[string]store.Environment) (end, bool) {
	e, ephemeral := known[g.Pool.Environment]
	if !ephemeral || s.configured(g.Pool) {
		return end{}, false
	}
	if e.RemovedAt.IsZero() && !g.RequestedAt.Before(e.At) {
		return end{}, false
	}
	by := e.RemovedBy
	if e.RemovedAt.IsZero() {
		by = e.By // who registered it anew, so that what was open had to end
	}
	return removedEnd(g, by), true
}

// configured reports whether the pool is one of the configuration, and of no template.
func (s *Service) configured(p grant.Pool) bool {
	if _, there := s.Catalog.Pool(p); !there {
		return false
	}
	if s.Templates == nil {
		return true
	}
	_, ephemeral := s.Templates.Template(p.Environment)
	return !ephemeral
}

// checkEnvironment refuses access in an ephemeral environment that is removed: the catalog may not know yet. What gets in
// between this and the removal is ended by Judge.
func (s *Service) checkEnvironment(ctx context.Context, name string) error {
	if s.Templates == nil {
		return nil
	}
	if _, ephemeral := s.Templates.Template(name); !ephemeral {
		return nil
	}
	_, there, err := s.environment(ctx, name)
	if err == nil && !there {
		return noEnvironment(name)
	}
	return err
}

// checkGround refuses to open, or to extend, what has lost its ground.
func (s *Service) checkGround(ctx context.Context, g grant.Grant) error {
	if lost := s.groundLost(g); lost != "" {
		return &Error{Code: Conflict, GrantID: g.ID, Message: lost}
	}
	return s.checkEnvironment(ctx, g.Pool.Environment)
}

// closing is what ends grants whatever policy says.
type closing struct {
	locks        []grant.Lock
	environments map[string]store.Environment
}

func (s *Service) closing(ctx context.Context, at time.Time) (closing, error) {
	locks, err := s.History.Locks(ctx, at, maxLocks)
	if err != nil {
		return closing{}, fmt.Errorf("read locks: %w", err)
	}
	environments, err := s.incarnations(ctx)
	return closing{locks, environments}, err
}
