package oracle

import (
	"fmt"
	"slices"
	"time"
)

// Bulk is a revocation of all that fits. Empty fields fit everything.
type Bulk struct {
	Subject, Environment, Pool, Rule string
	States                           []string
	Everything                       bool
	Reason                           string
	DryRun                           bool
}

// RevokeAll ends many grants. open is how many it covers, by state.
func (w *World) RevokeAll(c Caller, b Bulk, k string) (code Code, open map[string]int) {
	switch nothing := b.Subject == "" && b.Environment == "" && b.Pool == "" && b.Rule == ""; {
	case !w.operator(c):
		return Forbidden, nil
	case b.Reason == "", nothing != b.Everything, b.Pool != "" && b.Environment == "":
		return Invalid, nil
	}
	until := millisecond(w.Now)
	if !b.DryRun {
		body := fmt.Sprintf("%+v", b)
		_, found, code := w.use(c, "revoke all", k, body)
		if code != OK {
			return code, nil
		}
		if found {
			until = w.used[key{c.Name, "revoke all", k}].at
		} else if !w.exists(b.Environment, b.Pool) && !w.opened(b.Environment, b.Pool) {
			return NotFound, nil
		} else {
			w.keep(c, "revoke all", k, body, "")
		}
	}
	if b.DryRun && !w.exists(b.Environment, b.Pool) && !w.opened(b.Environment, b.Pool) {
		return NotFound, nil
	}
	fits := func(g *Grant) bool {
		return w.since(g, b.Rule != "", len(b.States) > 0, until) && (b.Subject == "" || b.Subject == g.Subject || b.Subject == g.Owner) && (b.Environment == "" || b.Environment == g.Place.Environment) &&
			(b.Pool == "" || b.Pool == g.Place.Pool) && (b.Rule == "" || b.Rule == g.Rule) &&
			(len(b.States) == 0 || slices.Contains(b.States, g.State))
	}
	return OK, w.endAll(fits, "operator", c.Name, b.DryRun)
}

// opened: there is an open grant of it, whether it still exists or not.
func (w *World) opened(environment, pool string) bool {
	for _, g := range w.Grants {
		if g.open() && g.Place.Environment == environment && (pool == "" || g.Place.Pool == pool) {
			return true
		}
	}
	return false
}

// since: it was there by then, under that rule and in that state if they matter.
func (w *World) since(g *Grant, rule, state bool, until time.Time) bool {
	times := []time.Time{g.Requested}
	if rule {
		times = append(times, g.Given)
	}
	if state && g.State == "active" {
		times = append(times, g.Activated)
	}
	if state && g.State == "approved" && len(g.Approvals) > 0 {
		times = append(times, g.Approvals[len(g.Approvals)-1].At)
	}
	return !slices.ContainsFunc(times, func(t time.Time) bool { return t.After(until) })
}

func (w *World) endAll(fits func(*Grant) bool, cause, by string, dry bool) map[string]int {
	open := map[string]int{}
	for _, g := range w.Grants {
		if g.open() && fits(g) {
			open[g.State]++
			if !dry {
				g.end("revoked", cause, by, w.Now)
			}
		}
	}
	return open
}

// LockAsk is what is to be closed.
type LockAsk struct {
	Subject, Environment, Pool string
	Everything                 bool
	Reason                     string
	Until                      time.Time
	DryRun                     bool
}

// Lock closes what it covers, and ends what is open there. id is what a new lock is called.
func (w *World) Lock(c Caller, ask LockAsk, k, id string) (code Code, open map[string]int) {
	l := &Lock{ID: id, Subject: ask.Subject, Environment: ask.Environment, Pool: ask.Pool, By: c.Name, Until: millisecond(ask.Until)}
	switch nothing := ask.Subject == "" && ask.Environment == "" && ask.Pool == ""; {
	case !w.operator(c):
		return Forbidden, nil
	case ask.Reason == "", nothing != ask.Everything:
		return Invalid, nil
	case !w.exists(ask.Environment, ask.Pool):
		return NotFound, nil
	}
	body := fmt.Sprintf("%+v", ask)
	ref, found, code := w.use(c, "lock", k, body)
	switch sound := l.Until.After(millisecond(w.Now)) && (ask.Pool == "" || ask.Environment != ""); {
	case !ask.DryRun && code != OK:
		return code, nil
	case !ask.DryRun && found:
		if l = w.lock(ref); !l.holds(w.Now) {
			return OK, nil // the same call again, after its end
		}
	case !sound:
		return Invalid, nil
	case !ask.DryRun:
		w.keep(c, "lock", k, body, id)
		w.Locks = append(w.Locks, l)
	}
	covered := func(g *Grant) bool { return l.covers(g.Subject, g.Owner, g.Place) }
	return OK, w.endAll(covered, "lock", l.By, ask.DryRun)
}

// exists: there is such an environment, or pool, in the configuration.
func (w *World) exists(environment, pool string) bool {
	if environment == "" {
		return true
	}
	for p := range w.Tags {
		if p.Environment == environment && (pool == "" || p.Pool == pool) {
			return true
		}
	}
	return false
}

func (w *World) lock(id string) *Lock {
	for _, l := range w.Locks {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// Unlock lifts a lock. Nothing comes back by it.
func (w *World) Unlock(c Caller, id, reason, k string) Code {
	body := id + reason
	l := w.lock(id)
	switch {
	case !w.operator(c), !w.fresh(c):
		return Forbidden
	case reason == "":
		return Invalid
	case l == nil:
		return NotFound
	}
	if _, found, code := w.use(c, "unlock", k, body); code != OK || found {
		return code
	}
	if !l.holds(w.Now) {
		return Conflict
	}
	w.keep(c, "unlock", k, body, id)
	l.Lifted = true
	return OK
}

// Sweep does what time does. It answers whether there is something that it could not judge.
func (w *World) Sweep() (unjudged bool) {
	for _, g := range w.Grants {
		if !w.tick(g) {
			unjudged = true
		}
		if due := g.ReviewDue; !due.IsZero() && !w.Now.Before(due) && !g.Activated.IsZero() && g.ReviewedBy == "" && g.Overdue.IsZero() {
			g.Overdue = millisecond(w.Now)
			g.Version++
		}
	}
	return unjudged
}

// tick does what is due for one grant; false if it cannot be judged. What opens by the clock is judged once more before it
// does.
func (w *World) tick(g *Grant) bool {
	switch now := w.Now; {
	case !g.open():
	case g.State == "active" && g.over(now):
		g.end("expired", "", "", now)
	case g.State == "active" && g.Extension != nil && !now.Before(g.Extension.Lapses):
		g.Extension = nil
		g.Version++
	case g.State == "active":
	case g.over(now):
		g.end("lapsed", "", "", now)
	case g.State == "approved" && !now.Before(g.Starts):
		if !w.known(g) {
			return false
		}
		if cause := w.judge(g); cause != "" {
			g.end("revoked", cause, "", now)
		} else {
			w.activate(g)
		}
	}
	return true
}

// Judge ends what does not stand any more. It answers whether there is something that it could not judge.
func (w *World) Judge() (unjudged bool) {
	for _, g := range w.Grants {
		switch {
		case !g.open():
		case !w.known(g):
			unjudged = true
		default:
			if cause := w.judge(g); cause != "" {
				g.end("revoked", cause, "", w.Now)
			}
		}
	}
	return unjudged
}

// known: the pool is in the configuration. Of one that is not a gateway knows nothing, and ends nothing.
func (w *World) known(g *Grant) bool {
	_, exists := w.Tags[g.Place]
	return exists
}

// judge answers why a grant does not stand; empty if it does.
func (w *World) judge(g *Grant) string {
	q := w.asked(g)
	if w.stands(g, q) {
		return ""
	}
	q.Groups, q.OwnerGroups = g.Groups, nil
	if g.Owner != "" {
		q.Groups, q.OwnerGroups = nil, g.Groups
	}
	if w.stands(g, q) {
		return "group_lost"
	}
	return "policy_changed"
}

// asked is the question that the grant rests on: what was asked when it was requested, or, where it has begun without a
// window or was extended, what was asked when it was given, for the time that it was given for then. Time alone ends
// nothing.
func (w *World) asked(g *Grant) Question {
	q := w.question(g)
	extended := g.Given.After(g.Activated)
	if g.State != "active" || !g.Starts.IsZero() && !extended {
		q.Now = g.Requested
		return q
	}
	q.Now, q.Starts, q.Total, q.Extension, q.Duration = g.Given, time.Time{}, g.Duration, extended, time.Second
	for !g.Given.Add(q.Duration + time.Second).After(g.Expires) {
		q.Duration += time.Second
	}
	return q
}

// stands: how many grants there are was judged when they were given. By then, rules with a limit may have had room for one
// more or not; but that which the grant rests on had.
func (w *World) stands(g *Grant, q Question) bool {
	q.Open = nil
	if w.standsBy(w.Rules, g, q) {
		return true
	}
	var roomy []Rule
	for _, r := range w.Rules {
		if r.MaxConcurrent == 0 || r.Name == g.Rule {
			roomy = append(roomy, r)
		}
	}
	return w.standsBy(roomy, g, q)
}

func (w *World) standsBy(rules []Rule, g *Grant, q Question) bool {
	a := Decide(rules, q)
	switch {
	case !a.Allowed:
		return false
	case g.State == "pending":
		return len(a.Steps) == 0 || demand(a.Steps, a.Ordered) == demand(g.Steps, g.Ordered)
	default:
		return Met(a.Steps, a.Ordered, g.Approvals)
	}
}
