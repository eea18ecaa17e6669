package oracle

import (
	"fmt"
	"time"
)

// Ask is a request for access.
type Ask struct {
	Place      Place
	Duration   time.Duration
	Reason     string
	Starts     time.Time // whole seconds; zero: now
	Inputs     map[string]string
	BreakGlass bool
}

// Request asks for access. id is what a new grant is called.
func (w *World) Request(c Caller, ask Ask, k, id string) (Code, string) {
	if !sound(ask.Duration, ask.Reason) {
		return Invalid, ""
	}
	body := fmt.Sprintf("%+v", ask)
	ref, found, code := w.use(c, "request", k, body)
	_, exists := w.Tags[ask.Place]
	switch {
	case !exists:
		return NotFound, ""
	case code != OK || found:
		return code, ref
	case !ask.Starts.IsZero() && !ask.Starts.After(w.Now):
		return Invalid, ""
	}
	if !w.room(c.Name, ask.Place) {
		return Conflict, ""
	}
	a := w.Ask(c, ask)
	switch {
	case !a.Allowed, a.BreakGlass && !w.fresh(c):
		w.Refusals++
		return Forbidden, ""
	case len(a.Steps) > 0 && w.waitsFor(c.Name, ask.Place):
		return Conflict, ""
	case w.locked(c.Name, c.Owner, ask.Place):
		w.Refusals++
		return Forbidden, ""
	}
	w.keep(c, "request", k, body, id)
	w.Grants[id] = w.begin(c, ask, a, id)
	return OK, id
}

// Ask is what policy says of a request now.
func (w *World) Ask(c Caller, ask Ask) Answer {
	return Decide(w.Rules, Question{
		Subject: c.Name, Groups: c.Groups, Owner: c.Owner, OwnerGroups: c.OwnerGroups, Place: ask.Place, Tags: w.Tags[ask.Place],
		Duration: ask.Duration, Starts: ask.Starts, Now: w.Now, Reason: ask.Reason, Inputs: ask.Inputs,
		BreakGlass: ask.BreakGlass, Open: w.held(c.Name, ""),
	})
}

func sound(d time.Duration, reason string) bool {
	return d >= time.Second && d%time.Second == 0 && reason != ""
}

// room: nothing stands in the way of another live grant. One that is over is put away first.
func (w *World) room(subject string, p Place) bool {
	for _, g := range w.Grants {
		if g.Subject != subject || g.Place != p || g.State != "approved" && g.State != "active" {
			continue
		}
		if !g.over(w.Now) {
			return false
		}
		w.tick(g)
	}
	return true
}

// waitsFor: a request of this subject waits for this pool already.
func (w *World) waitsFor(subject string, p Place) bool {
	for _, g := range w.Grants {
		if g.Subject == subject && g.Place == p && g.State == "pending" && !g.over(w.Now) {
			return true
		}
	}
	return false
}

func (w *World) begin(c Caller, ask Ask, a Answer, id string) *Grant {
	g := &Grant{
		ID: id, Subject: c.Name, Owner: c.Owner, Place: ask.Place, State: "pending", Version: 1, Reason: ask.Reason,
		Inputs: ask.Inputs, Duration: ask.Duration, Groups: c.Groups, GroupsAt: c.GroupsAt, Rule: a.Rule,
		Steps: a.Steps, Ordered: a.Ordered, BreakGlass: a.BreakGlass, ReviewGroups: a.ReviewGroups,
		Requested: millisecond(w.Now), Starts: ask.Starts, Lapses: millisecond(w.Now.Add(a.PendingFor)),
	}
	if c.Owner != "" {
		g.Groups = c.OwnerGroups
	}
	if a.BreakGlass {
		g.ReviewDue = millisecond(w.Now.Add(ask.Duration).Add(a.ReviewWithin))
	}
	if end := ask.Starts.Add(ask.Duration); !ask.Starts.IsZero() && g.Lapses.After(end) {
		g.Lapses = end
	}
	if len(a.Steps) == 0 {
		w.complete(g)
	}
	return g
}

// complete: nobody's yes is missing any more. Access begins at once, or when its window does.
func (w *World) complete(g *Grant) {
	g.State = "approved"
	g.Version++
	if !g.Starts.IsZero() {
		g.Lapses = g.Starts.Add(g.Duration)
	}
	if !w.Now.Before(g.Starts) {
		w.activate(g)
	}
}

// activate starts the clock; a window's has been running since its beginning.
func (w *World) activate(g *Grant) {
	from := millisecond(w.Now)
	g.State, g.Activated, g.Given = "active", from, from
	g.Version++
	if !g.Starts.IsZero() {
		from = g.Starts
	}
	g.Expires = from.Add(g.Duration).Truncate(time.Second)
}

// More is a request for an extension.
type More struct {
	Grant  string
	By     time.Duration
	Reason string
	Inputs map[string]string
}

// Extend asks for more time.
func (w *World) Extend(c Caller, m More, k string) (Code, string) {
	if !sound(m.By, m.Reason) {
		return Invalid, ""
	}
	body := fmt.Sprintf("%+v", m)
	if ref, found, code := w.use(c, "extend", k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[m.Grant]
	switch {
	case g == nil || !w.sees(c, g):
		return NotFound, ""
	case c.Name != g.Subject && c.Name != g.Owner:
		return Forbidden, ""
	case !g.live(w.Now):
		return Conflict, ""
	}
	if _, exists := w.Tags[g.Place]; !exists {
		return Conflict, ""
	}
	a := Decide(w.Rules, w.furtherQuestion(g, m.By, m.Reason, m.Inputs))
	switch {
	case !a.Allowed:
		w.Refusals++
		return Forbidden, ""
	case g.Extension != nil:
		return Conflict, ""
	case w.locked(g.Subject, g.Owner, g.Place):
		w.Refusals++
		return Forbidden, ""
	}
	w.keep(c, "extend", k, body, g.ID)
	x := &Extension{By: m.By, Reason: m.Reason, Inputs: m.Inputs, Rule: a.Rule, Steps: a.Steps, Ordered: a.Ordered}
	g.Version++
	if len(a.Steps) == 0 {
		w.lengthen(g, x)
		return OK, g.ID
	}
	if x.Lapses = millisecond(w.Now.Add(a.PendingFor)); x.Lapses.After(g.Expires) {
		x.Lapses = g.Expires
	}
	g.Extension = x
	return OK, g.ID
}

// furtherQuestion: an extension is judged like a request for the time from now to the new end.
func (w *World) furtherQuestion(g *Grant, by time.Duration, reason string, inputs map[string]string) Question {
	q := w.question(g)
	left, from := time.Duration(0), w.further(g)
	for from.Add(left).Before(g.Expires) {
		left += time.Second
	}
	q.Extension, q.Duration, q.Total, q.Reason, q.Inputs = true, left+by, g.Duration+by, reason, inputs
	q.Starts, q.Now = time.Time{}, from
	return q
}

// further is from when on an extension counts that is given now: two things that are given to a grant are given at two times.
func (w *World) further(g *Grant) time.Time {
	if now := millisecond(w.Now); now.After(g.Activated) {
		return now
	}
	return g.Activated.Add(time.Millisecond)
}

// question is what a grant asks of policy, with what is known now. A window is asked for once: what it may be does not
// change while people decide.
func (w *World) question(g *Grant) Question {
	q := Question{
		Subject: g.Subject, Owner: g.Owner, Place: g.Place, Tags: w.Tags[g.Place], Duration: g.Duration, Starts: g.Starts, Now: w.Now,
		Reason: g.Reason, Inputs: g.Inputs, BreakGlass: g.BreakGlass, Open: w.held(g.Subject, g.ID),
	}
	if !g.Starts.IsZero() {
		q.Now = g.Requested
	}
	q.Groups, q.OwnerGroups = w.newest(g)
	return q
}

func (w *World) lengthen(g *Grant, x *Extension) {
	g.Expires, g.Duration, g.Given = g.Expires.Add(x.By), g.Duration+x.By, w.further(g)
	g.Rule, g.Reason, g.Inputs = x.Rule, x.Reason, x.Inputs
	if len(x.Steps) > 0 {
		g.Steps, g.Ordered, g.Approvals = x.Steps, x.Ordered, x.Approvals
	}
	g.Extension = nil
}

// CancelExtension takes the subject's request for more time back.
func (w *World) CancelExtension(c Caller, id, reason, k string) (Code, string) {
	body := id + reason
	if ref, found, code := w.use(c, "cancel extension", k, body); code != OK || found {
		return code, ref
	}
	g := w.Grants[id]
	switch {
	case g == nil || !w.sees(c, g):
		return NotFound, ""
	case g.State != "active":
		return Conflict, ""
	case c.Name != g.Subject && c.Name != g.Owner:
		return Forbidden, ""
	case g.Extension == nil:
		return Conflict, ""
	}
	w.keep(c, "cancel extension", k, body, id)
	g.Extension = nil
	g.Version++
	return OK, id
}
