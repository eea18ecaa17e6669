package oracle

import (
	"fmt"
	"slices"
)

// Say is a decision on a grant as somebody was shown it.
type Say struct {
	Grant   string
	Version int
	Comment string
}

// Approve says yes.
func (w *World) Approve(c Caller, s Say, k string) (Code, string) {
	return w.decide(c, s, "approve", k, func(g *Grant) Code {
		if !w.fresh(c) {
			return Forbidden
		}
		steps, ordered, yes := g.vote()
		if !Helps(steps, ordered, yes, c.Groups) {
			return Conflict
		}
		already := slices.ContainsFunc(yes, func(a Approval) bool { return a.By == c.Name })
		a := Approval{By: c.Name, At: millisecond(w.Now)}
		for _, group := range Named(steps) {
			if slices.Contains(c.Groups, group) {
				a.Groups = append(a.Groups, group)
			}
		}
		yes = append(slices.Clone(yes), a)
		last := Met(steps, ordered, yes)
		rule := ""
		if last {
			answer, code := w.stillGiven(g)
			if code != OK {
				return code
			}
			rule = answer.Rule
		}
		switch {
		case already, !w.inTime(g):
			return Conflict
		case w.locked(g.Subject, g.Owner, g.Place):
			return Forbidden
		}
		w.count(g, yes, last)
		if last {
			g.Rule = rule
		}
		return OK
	})
}

func (w *World) count(g *Grant, yes []Approval, last bool) {
	switch {
	case g.State == "pending":
		g.Approvals = yes
		if last {
			w.complete(g)
			return
		}
	default:
		g.Extension.Approvals = yes
		if last {
			w.lengthen(g, g.Extension)
		}
	}
	g.Version++
}

// stillGiven: the pool is still there, and has room; those who said yes before still could; policy would let the same
// people give the same now, or nobody's yes is needed any more.
func (w *World) stillGiven(g *Grant) (Answer, Code) {
	if g.State == "pending" && !w.room(g.Subject, g.Place) {
		return Answer{}, Conflict
	}
	if _, exists := w.Tags[g.Place]; !exists {
		return Answer{}, Conflict
	}
	steps, ordered, yes := g.vote()
	for _, a := range yes {
		lost := func(group string) bool { return !slices.Contains(w.Logins[a.By].Groups, group) }
		switch {
		case w.Logins[a.By].At.After(a.At) && slices.ContainsFunc(a.Groups, lost):
			return Answer{}, Conflict
		case w.barred(a.By, g.Place):
			return Answer{}, Forbidden
		}
	}
	q := w.question(g)
	if g.State == "active" {
		q = w.furtherQuestion(g, g.Extension.By, g.Extension.Reason, g.Extension.Inputs)
	}
	a := Decide(w.Rules, q)
	if !a.Allowed || len(a.Steps) > 0 && demand(a.Steps, a.Ordered) != demand(steps, ordered) {
		return Answer{}, Conflict
	}
	return a, OK
}

// demand is a text that two votes share which ask for the same: the order of groups and quorums says nothing, and that of
// steps only where they are taken in order.
func demand(steps []Step, ordered bool) string {
	var all []string
	for _, s := range steps {
		var quorums []string
		for _, q := range s.AnyOf {
			groups := slices.Clone(q.Groups)
			slices.Sort(groups)
			quorums = append(quorums, fmt.Sprint(q.Count, groups))
		}
		slices.Sort(quorums)
		all = append(all, fmt.Sprint(quorums))
	}
	if ordered && len(all) > 1 {
		return fmt.Sprint("in order ", all)
	}
	slices.Sort(all)
	return fmt.Sprint(all)
}

// inTime: it can still be decided.
func (w *World) inTime(g *Grant) bool {
	if g.State == "pending" {
		return w.Now.Before(g.Lapses)
	}
	return w.Now.Before(g.Extension.Lapses) && w.Now.Before(g.Expires)
}

// Deny says no.
func (w *World) Deny(c Caller, s Say, k string) (Code, string) {
	return w.decide(c, s, "deny", k, func(g *Grant) Code {
		switch {
		case !w.inTime(g):
			return Conflict
		case g.State == "pending":
			g.end("denied", "", c.Name, w.Now)
		default:
			g.Extension = nil
			g.Version++
		}
		return OK
	})
}

// decide holds what a yes and a no have in common.
func (w *World) decide(c Caller, s Say, method, k string, do func(*Grant) Code) (Code, string) {
	body := fmt.Sprintf("%+v", s)
	if ref, found, code := w.use(c, method, k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[s.Grant]
	switch {
	case g == nil || !w.sees(c, g) && !g.named(c):
		return NotFound, ""
	case c.Name == g.Subject, c.Name == g.Owner, c.Owner == g.Subject, !g.named(c):
		return Forbidden, ""
	case !g.waits():
		return Conflict, ""
	case w.barred(c.Name, g.Place):
		return Forbidden, ""
	case s.Version != g.Version:
		return Conflict, ""
	}
	if code := do(g); code != OK {
		return code, ""
	}
	w.keep(c, method, k, body, g.ID)
	return OK, g.ID
}

// Withdraw takes one's own yes back.
func (w *World) Withdraw(c Caller, id, reason, k string) (Code, string) {
	body := id + reason
	if ref, found, code := w.use(c, "withdraw", k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[id]
	if g == nil || !w.sees(c, g) && !g.named(c) {
		return NotFound, ""
	}
	steps, ordered, yes := g.vote()
	if !slices.ContainsFunc(yes, func(a Approval) bool { return a.By == c.Name }) {
		return Conflict, ""
	}
	w.keep(c, "withdraw", k, body, id)
	w.count(g, without(steps, ordered, yes, c.Name), false)
	return OK, id
}

// Review is the look afterwards at access in an emergency: when it is over.
func (w *World) Review(c Caller, s Say, k string) (Code, string) {
	if s.Comment == "" {
		return Invalid, ""
	}
	body := fmt.Sprintf("%+v", s)
	if ref, found, code := w.use(c, "review", k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[s.Grant]
	switch {
	case g == nil || !w.sees(c, g):
		return NotFound, ""
	case !w.fresh(c), w.barred(c.Name, g.Place):
		return Forbidden, ""
	case s.Version != g.Version, g.live(w.Now), g.State != "active" && g.State != "expired" && g.State != "revoked":
		return Conflict, ""
	case len(g.ReviewGroups) == 0, g.Activated.IsZero(), g.ReviewedBy != "":
		return Conflict, ""
	case c.Name == g.Subject, !g.reviewer(c):
		return Forbidden, ""
	}
	w.keep(c, "review", k, body, g.ID)
	g.ReviewedBy = c.Name
	g.Version++
	return OK, g.ID
}

// Revoke ends a grant early.
func (w *World) Revoke(c Caller, id, reason, k string) (Code, string) {
	body := id + reason
	if ref, found, code := w.use(c, "revoke", k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[id]
	if g == nil {
		return NotFound, ""
	}
	state, cause := "revoked", ""
	switch {
	case (c.Name == g.Subject || c.Name == g.Owner) && (g.State == "pending" || g.State == "approved"):
		state = "cancelled"
	case c.Name == g.Subject || c.Name == g.Owner:
		cause = "given_up"
	case w.operator(c):
		cause = "operator"
	case g.named(c), person(c.Name) && overlap(c.Groups, Approvers(w.Rules, g.Place, w.Tags[g.Place])):
		cause = "approver"
	case g.reviewer(c):
		cause = "reviewer"
	case w.sees(c, g):
		return Forbidden, ""
	default:
		return NotFound, ""
	}
	if !g.open() {
		return Conflict, ""
	}
	w.keep(c, "revoke", k, body, id)
	g.end(state, cause, c.Name, w.Now)
	return OK, id
}

// IssueToken gives a token to who holds a live grant.
func (w *World) IssueToken(c Caller, id string) Code {
	switch g := w.Grants[id]; {
	case g == nil || !w.sees(c, g):
		return NotFound
	case c.Name != g.Subject:
		return Forbidden
	case !g.live(w.Now):
		return Conflict
	default:
		return OK
	}
}
