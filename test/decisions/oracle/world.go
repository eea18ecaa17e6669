package oracle

import (
	"slices"
	"strings"
	"time"
)

// Code is how a call comes out: OK, or the kind of the error.
type Code string

// The codes.
const (
	OK        Code = "ok"
	Invalid   Code = "invalid"
	Forbidden Code = "forbidden"
	NotFound  Code = "not_found"
	Conflict  Code = "conflict"
)

// World is all that decisions rest on, and all that they have led to.
type World struct {
	Now       time.Time
	MaxAge    time.Duration // of groups, for those who decide
	Operators []string
	Auditors  []string
	Agents    map[string]Agent   // by the service account that logs in
	Tags      map[Place][]string // of the pools that there are
	Rules     []Rule
	Logins    map[string]Login
	Grants    map[string]*Grant
	Locks     []*Lock
	Refusals  int // requests that policy or a lock refused: each is in the log
	used      map[key]use
}

// Agent is a program and the person who answers for it.
type Agent struct{ Name, Owner string }

// Login is what a login said of somebody's groups.
type Login struct {
	Groups []string
	At     time.Time
}

// Caller is who calls.
type Caller struct {
	Name        string
	Groups      []string
	GroupsAt    time.Time // zero: nothing is known
	Owner       string
	OwnerGroups []string // nil: not known
}

// Grant is somebody's access, as far as decisions go.
type Grant struct {
	ID, Subject, Owner string
	Place              Place
	State              string
	Version            int
	Reason             string
	Inputs             map[string]string
	Duration           time.Duration
	Groups             []string // of the subject, or of the agent's owner, when it was asked for
	GroupsAt           time.Time
	Rule               string
	Steps              []Step
	Ordered            bool
	Approvals          []Approval
	BreakGlass         bool
	ReviewGroups       []string
	ReviewDue          time.Time
	ReviewedBy         string
	Overdue            time.Time // when it was said that nobody had reviewed it in time
	Extension          *Extension

	Requested, Starts, Lapses, Activated, Given, Expires, Ended time.Time

	Cause, EndedBy string
}

// Extension is more time that was asked for and is waited for.
type Extension struct {
	By        time.Duration
	Reason    string
	Inputs    map[string]string
	Rule      string
	Steps     []Step
	Ordered   bool
	Approvals []Approval
	Lapses    time.Time
}

// Lock closes what it covers.
type Lock struct {
	ID, Subject, Environment, Pool, By string
	Until                              time.Time
	Lifted                             bool
}

type key struct{ caller, method, key string }

type use struct {
	body, ref string
	at        time.Time
}

// NewWorld is one in which nothing has happened.
func NewWorld(now time.Time) *World {
	return &World{
		Now: now, Agents: map[string]Agent{}, Tags: map[Place][]string{}, Logins: map[string]Login{},
		Grants: map[string]*Grant{}, used: map[key]use{},
	}
}

// ownerAge is how old the groups of an agent's owner may be for the agent to ask for something.
const ownerAge = 30 * 24 * time.Hour

// Identify is a login at the entrance: only a name in its one spelling comes in, and groups are those of the newest login.
func (w *World) Identify(name string, groups []string, at time.Time) (Caller, Code) {
	if !canonical(name) {
		return Caller{}, Invalid
	}
	if agent, ok := w.Agents[name]; ok {
		c := Caller{Name: agent.Name, Owner: agent.Owner}
		if l, known := w.Logins[agent.Owner]; known && w.Now.Sub(l.At) <= ownerAge {
			c.OwnerGroups, c.GroupsAt = append([]string{}, l.Groups...), l.At
		}
		return c, OK
	}
	if !person(name) {
		return Caller{Name: name}, OK
	}
	at = millisecond(at)
	if now := millisecond(w.Now); at.After(now) {
		at = now
	}
	groups = slices.Clone(groups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	switch old, known := w.Logins[name]; {
	case !known || at.After(old.At):
		w.Logins[name] = Login{Groups: groups, At: at}
	case at.Equal(old.At):
		w.Logins[name] = Login{Groups: both(old.Groups, groups), At: at}
	}
	l := w.Logins[name]
	return Caller{Name: name, Groups: l.Groups, GroupsAt: l.At}, OK
}

// both: nobody knows which of two logins of one moment was first, so that a group counts which both of them say.
func both(a, b []string) (common []string) {
	for _, g := range a {
		if slices.Contains(b, g) {
			common = append(common, g)
		}
	}
	return common
}

// canonical: small letters, and no dot at the end. All names of the tests are well-formed but for that.
func canonical(name string) bool {
	return name == strings.ToLower(name) && !strings.HasSuffix(name, ".")
}

func person(name string) bool { return strings.Contains(name, "@") }

func millisecond(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

// use looks for an earlier call with this key: whether there was one, and what it was about.
func (w *World) use(c Caller, method, k, body string) (ref string, found bool, code Code) {
	u, found := w.used[key{c.Name, method, k}]
	if found && u.body != body {
		return "", false, Conflict
	}
	if g := w.Grants[u.ref]; found && g != nil && !w.sees(c, g) {
		return "", true, NotFound
	}
	return u.ref, found, OK
}

func (w *World) keep(c Caller, method, k, body, ref string) {
	w.used[key{c.Name, method, k}] = use{body, ref, millisecond(w.Now)}
}

func (w *World) fresh(c Caller) bool {
	return !c.GroupsAt.IsZero() && w.Now.Sub(c.GroupsAt) <= w.MaxAge
}

func (w *World) operator(c Caller) bool { return overlap(c.Groups, w.Operators) }

// sees: the subject and owner, auditors and operators, who has had a say, who has one now, and who reviews.
func (w *World) sees(c Caller, g *Grant) bool {
	var said []string
	for _, a := range g.Approvals {
		said = append(said, a.By)
	}
	if g.Extension != nil {
		for _, a := range g.Extension.Approvals {
			said = append(said, a.By)
		}
	}
	said = append(said, g.EndedBy, g.ReviewedBy)
	return c.Name == g.Subject || c.Name == g.Owner || w.operator(c) || overlap(c.Groups, w.Auditors) ||
		slices.Contains(said, c.Name) || g.waits() && g.named(c) || g.reviewer(c)
}

func (g *Grant) open() bool {
	return g.State == "pending" || g.State == "approved" || g.State == "active"
}

// waits: somebody's yes is waited for.
func (g *Grant) waits() bool {
	return g.State == "pending" || g.State == "active" && g.Extension != nil
}

// vote is the one that is on.
func (g *Grant) vote() (steps []Step, ordered bool, yes []Approval) {
	switch {
	case g.State == "pending":
		return g.Steps, g.Ordered, g.Approvals
	case g.waits():
		return g.Extension.Steps, g.Extension.Ordered, g.Extension.Approvals
	default:
		return nil, false, nil
	}
}

// named: a person in a group of the vote that is on, or of the one by which it was asked for.
func (g *Grant) named(c Caller) bool {
	steps, _, _ := g.vote()
	if !g.waits() {
		steps = g.Steps
	}
	return person(c.Name) && overlap(c.Groups, Named(steps))
}

func (g *Grant) reviewer(c Caller) bool { return person(c.Name) && overlap(c.Groups, g.ReviewGroups) }

// live: it lets its subject in at this time.
func (g *Grant) live(now time.Time) bool { return g.State == "active" && now.Before(g.Expires) }

// over: its time has come, whether somebody has written that down or not.
func (g *Grant) over(now time.Time) bool {
	if g.State == "active" {
		return !now.Before(g.Expires)
	}
	return !now.Before(g.Lapses)
}

func (g *Grant) end(state, cause, by string, now time.Time) {
	g.State, g.Cause, g.EndedBy, g.Ended, g.Extension = state, cause, by, millisecond(now), nil
	g.Version++
}

func (l *Lock) holds(now time.Time) bool { return !l.Lifted && now.Before(l.Until) }

func (l *Lock) covers(subject, owner string, p Place) bool {
	return (l.Subject == "" || l.Subject == subject || l.Subject == owner) &&
		(l.Environment == "" || l.Environment == p.Environment) && (l.Pool == "" || l.Pool == p.Pool)
}

// locked: no access may begin here.
func (w *World) locked(subject, owner string, p Place) bool {
	return slices.ContainsFunc(w.Locks, func(l *Lock) bool { return l.holds(w.Now) && l.covers(subject, owner, p) })
}

// barred: a lock names this person, who has no say then.
func (w *World) barred(who string, p Place) bool {
	return slices.ContainsFunc(w.Locks, func(l *Lock) bool { return l.Subject != "" && l.holds(w.Now) && l.covers(who, "", p) })
}

// held are the places of a subject's other grants that are approved or active.
func (w *World) held(subject, but string) []Place {
	var all []Place
	for _, g := range w.Grants {
		if g.Subject == subject && g.ID != but && (g.State == "approved" || g.State == "active") && !g.over(w.Now) {
			all = append(all, g.Place)
		}
	}
	return all
}

// newest are the newest groups that are known for a grant.
func (w *World) newest(g *Grant) (groups, ownerGroups []string) {
	who := g.Subject
	if g.Owner != "" {
		who = g.Owner
	}
	known := g.Groups
	if l, ok := w.Logins[who]; ok && !l.At.Before(g.GroupsAt) {
		known = append([]string{}, l.Groups...)
	}
	if g.Owner != "" {
		return nil, known
	}
	return known, nil
}
