package access

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// MaxRefused is how many requests of one caller may be refused within a minute: each is an event, which is kept for good.
// Those in an emergency have a budget of their own, so that nobody uses up by mistakes what they may need then.
const MaxRefused = 30

// maxRefusers is how many callers are counted apart; those beyond share one budget.
const maxRefusers = 10_000

// refusals counts what was refused lately, on this gateway. The zero value is ready.
type refusals struct {
	mu     sync.Mutex
	counts map[refuser]*refused
}

type refuser struct {
	who        grant.Subject
	breakGlass bool
}

type refused struct {
	since time.Time
	n     int
	told  bool
}

// add counts one.
func (r *refusals) add(k refuser, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k = r.known(k, now)
	if r.counts == nil {
		r.counts = map[refuser]*refused{}
	}
	c := r.counts[k]
	if c == nil || c.over(now) {
		c = &refused{since: now}
		r.counts[k] = c
	}
	c.n++
}

// spent reports whether the caller has to wait, and whether that is said for the first time.
func (r *refusals) spent(k refuser, now time.Time) (spent, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts[r.known(k, now)]
	if c == nil || c.over(now) || c.n < MaxRefused {
		return false, false
	}
	first, c.told = !c.told, true
	return true, first
}

// known is by whom the caller is counted.
func (r *refusals) known(k refuser, now time.Time) refuser {
	if _, there := r.counts[k]; there || len(r.counts) < maxRefusers {
		return k
	}
	maps.DeleteFunc(r.counts, func(_ refuser, c *refused) bool { return c.over(now) })
	if len(r.counts) < maxRefusers {
		return k
	}
	return refuser{breakGlass: k.breakGlass}
}

// over is also true where the clock went back: nobody waits for a time that comes again.
func (c *refused) over(now time.Time) bool {
	age := now.Sub(c.since)
	return age < 0 || age >= time.Minute
}

// checkRefused stops who was refused too often, before policy is asked. e is what is asked for: the first that is stopped is
// in the log, and says that those after it are not.
func (s *Service) checkRefused(ctx context.Context, c Caller, e grant.Event) error {
	spent, first := s.refusals.spent(refuser{c.Subject, e.Grant.BreakGlass}, s.Now())
	if !spent {
		return nil
	}
	err := errorf(TooMany, "%d requests of yours were refused within a minute: wait until it is over", MaxRefused)
	if !first {
		return err
	}
	name, hash := s.Policy.Version()
	e.Grant.Policy, e.Grant.PolicyHash = name, hash
	e.Grant.Explanation = "Too many requests were refused within a minute: until it is over this gateway neither judges nor records more."
	if failed := s.recordRefusal(ctx, c, e); failed != nil {
		return failed
	}
	return err
}
