package decisions

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// steps are what can happen, and how often.
var steps = []struct {
	name  string
	often int
	do    func(*run)
}{
	{"request", 9, (*run).request}, {"approve", 12, (*run).approve}, {"extend", 5, (*run).extend}, {"time", 7, (*run).time},
	{"sweep", 3, (*run).sweep}, {"judge", 3, (*run).judge}, {"withdraw", 2, (*run).withdraw}, {"review", 2, (*run).review},
	{"groups", 3, (*run).moveGroups}, {"replay", 3, (*run).replay}, {"token", 2, (*run).token}, {"revoke", 2, (*run).revoke},
	{"policy", 2, (*run).policy}, {"deny", 1, (*run).deny}, {"cancel", 1, (*run).cancel}, {"revoke all", 1, (*run).revokeAll},
	{"lock", 1, (*run).lock}, {"unlock", 1, (*run).unlock}, {"pool", 1, (*run).movePool}, {"other case", 1, (*run).otherCase},
}

var (
	stepNames []string // each as often as it happens
	stepsBy   = map[string]func(*run){}
)

func init() {
	for _, s := range steps {
		stepNames = append(stepNames, slices.Repeat([]string{s.name}, s.often)...)
		stepsBy[s.name] = s.do
	}
}

// step does something; mostly a request where there is nothing else to do it on.
func (r *run) step() {
	name := pick(r.T, "step", stepNames...)
	if fits := r.fitting(name); fits != nil && chance(r.T, "something to do it on", 85) {
		if !slices.ContainsFunc(slices.Collect(maps.Values(r.model.Grants)), fits) {
			name = "request"
		}
	}
	stepsBy[name](r)
}

// fitting is what a grant must be for a step to make sense; nil if there need be none.
func (r *run) fitting(step string) func(*oracle.Grant) bool {
	switch step {
	case "approve", "deny":
		return waits
	case "extend":
		return r.extendable
	case "token":
		return r.live
	case "withdraw":
		return voted
	case "review":
		return reviewable
	case "cancel":
		return extending
	case "revoke", "revoke all", "sweep", "judge", "lock":
		return open
	default:
		return nil
	}
}

func voted(g *oracle.Grant) bool {
	return g.State == "pending" && len(g.Approvals) > 0 || g.Extension != nil && len(g.Extension.Approvals) > 0
}

func extending(g *oracle.Grant) bool { return g.Extension != nil }

func reviewable(g *oracle.Grant) bool { return g.BreakGlass && g.ReviewedBy == "" }

func (r *run) anybody() string {
	return pick(r.T, "caller", slices.Concat(people, people, people, accounts)...)
}

// one picks a grant, mostly one of which want holds.
func (r *run) one(want func(*oracle.Grant) bool) *oracle.Grant {
	var fit, all []*oracle.Grant
	for _, id := range slices.Sorted(maps.Keys(r.model.Grants)) {
		g := r.model.Grants[id]
		all = append(all, g)
		if want(g) {
			fit = append(fit, g)
		}
	}
	switch {
	case len(all) == 0 || chance(r.T, "no such grant", 1):
		return &oracle.Grant{ID: "id9999"}
	case len(fit) > 0 && chance(r.T, "fitting", 90):
		return pick(r.T, "fitting grant", fit...)
	default:
		return pick(r.T, "grant", all...)
	}
}

// holder logs in as who holds the grant, mostly.
func (r *run) holder(g *oracle.Grant) string {
	if g.Subject == "" || !chance(r.T, "holder", 85) {
		return r.anybody()
	}
	for account, agent := range r.org.agents {
		if agent.Name == g.Subject {
			return pick(r.T, "agent or owner", account, g.Owner)
		}
	}
	return g.Subject
}

func waits(g *oracle.Grant) bool {
	return g.State == "pending" || g.State == "active" && g.Extension != nil
}

func (r *run) live(g *oracle.Grant) bool { return g.State == "active" && r.model.Now.Before(g.Expires) }

// extendable is live and waits for nothing.
func (r *run) extendable(g *oracle.Grant) bool {
	return r.live(g) && g.Extension == nil && !g.BreakGlass
}

// waiting is a grant on which somebody could decide, of those with an extension one as often as of the others.
func (r *run) waiting() *oracle.Grant {
	extension := chance(r.T, "an extension", 50)
	g := r.one(func(g *oracle.Grant) bool {
		return waits(g) && (g.Extension != nil) == extension && len(r.helpers(g)) > 0
	})
	if !waits(g) {
		g = r.one(waits)
	}
	return g
}

// helpers are those whose yes would help.
func (r *run) helpers(g *oracle.Grant) []string {
	steps, ordered, yes := g.Steps, g.Ordered, g.Approvals
	if x := g.Extension; x != nil {
		steps, ordered, yes = x.Steps, x.Ordered, x.Approvals
	}
	var fit []string
	for _, who := range people {
		said := slices.ContainsFunc(yes, func(a oracle.Approval) bool { return a.By == who })
		if who != g.Subject && who != g.Owner && !said && waits(g) && oracle.Helps(steps, ordered, yes, r.org.groups[who]) {
			fit = append(fit, who)
		}
	}
	return fit
}

// decider is somebody whose yes would help, mostly; or who would gain by it.
func (r *run) decider(g *oracle.Grant) string {
	fit := r.helpers(g)
	switch {
	case len(fit) > 0 && chance(r.T, "helps", 75):
		return pick(r.T, "approver", fit...)
	case chance(r.T, "gains", 40):
		return r.holder(g)
	default:
		return r.anybody()
	}
}

func (r *run) reason() string { return pick(r.T, "reason", "work", "work", "incident 7") }

func (r *run) inputs() map[string]string {
	in := map[string]string{}
	if chance(r.T, "ticket", 70) {
		in["ticket"] = pick(r.T, "number", "INC1", "INC1", "CHG22", "nonsense", "")
	}
	if chance(r.T, "risk", 60) {
		in["risk"] = pick(r.T, "level", "low", "high", "none")
	}
	if len(in) == 0 {
		return nil
	}
	return in
}

// request asks for something. Of a few things that somebody might ask for it is mostly one that policy gives.
func (r *run) request() {
	who, a := r.anybody(), r.drawAsk()
	for range 6 {
		if r.given(who, a) || chance(r.T, "whatever policy says", 15) {
			break
		}
		who, a = r.anybody(), r.drawAsk()
	}
	if chance(r.T, "malformed", 2) {
		a.Reason = ""
	}
	other := a
	other.Reason += "!"
	r.act(who, request(a), request(other))
}

// given: policy would give it, by the groups of now.
func (r *run) given(who string, a oracle.Ask) bool {
	c := oracle.Caller{Name: who, Groups: r.org.groups[who]}
	if agent, ok := r.org.agents[who]; ok {
		c = oracle.Caller{Name: agent.Name, Owner: agent.Owner}
		if l, known := r.model.Logins[agent.Owner]; known {
			c.OwnerGroups = append([]string{}, l.Groups...)
		}
	}
	return r.model.Ask(c, a).Allowed
}

func (r *run) drawAsk() oracle.Ask {
	a := oracle.Ask{
		Place:    pick(r.T, "pool", places...),
		Duration: pick(r.T, "for", 15*time.Minute, 5*time.Minute, 10*time.Minute, time.Hour, 4*time.Hour),
		Reason:   r.reason(), Inputs: r.inputs(), BreakGlass: chance(r.T, "emergency", 15),
	}
	if chance(r.T, "odd duration", 4) {
		a.Duration = pick(r.T, "odd", 1500*time.Millisecond, 5*time.Hour)
	}
	if chance(r.T, "window", 20) {
		in := pick(r.T, "in", 10*time.Minute, time.Hour, 3*time.Hour, 12*time.Hour, 200*time.Hour)
		if chance(r.T, "past", 4) {
			in = -time.Minute
		}
		a.Starts = r.model.Now.Add(in).Truncate(time.Second)
	}
	return a
}

func (r *run) extend() {
	g := r.one(r.extendable)
	m := oracle.More{
		Grant: g.ID, By: pick(r.T, "by", 5*time.Minute, 15*time.Minute, time.Hour, 3*time.Hour),
		Reason: r.reason(), Inputs: r.inputs(),
	}
	other := m
	other.By += time.Second
	r.act(r.holder(g), extend(m), extend(other))
}

// shown is a decision on a grant, mostly as it is now.
func (r *run) shown(g *oracle.Grant) (say, other oracle.Say) {
	say = oracle.Say{Grant: g.ID, Version: g.Version, Comment: "fine"}
	if chance(r.T, "stale", 8) {
		say.Version--
	}
	other = say
	other.Comment = "fine!"
	return say, other
}

func (r *run) approve() {
	g := r.waiting()
	say, other := r.shown(g)
	r.act(r.decider(g), approve(say), approve(other))
}

func (r *run) deny() {
	g := r.waiting()
	say, other := r.shown(g)
	r.act(r.decider(g), deny(say), deny(other))
}

func (r *run) review() {
	g := r.one(reviewable)
	who := r.anybody()
	for _, p := range people {
		if chance(r.T, "in the group", 60) && slices.ContainsFunc(r.org.groups[p], func(in string) bool { return slices.Contains(g.ReviewGroups, in) }) {
			who = p
		}
	}
	say, other := r.shown(g)
	r.act(who, review(say), review(other))
}

func (r *run) withdraw() {
	g := r.one(voted)
	who := r.anybody()
	yes := g.Approvals
	if g.Extension != nil {
		yes = g.Extension.Approvals
	}
	if len(yes) > 0 && chance(r.T, "theirs", 80) {
		who = pick(r.T, "whose", yes...).By
	}
	r.act(who, withdraw(g.ID, "no"), withdraw(g.ID, "no!"))
}

func open(g *oracle.Grant) bool {
	return g.State == "pending" || g.State == "approved" || g.State == "active"
}

func (r *run) revoke() {
	g := r.one(open)
	who := r.anybody()
	if chance(r.T, "holder's", 30) {
		who = r.holder(g)
	}
	r.act(who, revoke(g.ID, "no more"), revoke(g.ID, "no more!"))
}

func (r *run) cancel() {
	g := r.one(extending)
	r.act(r.holder(g), cancelExtension(g.ID, "no need"), cancelExtension(g.ID, "no need!"))
}

func (r *run) token() {
	g := r.one(r.live)
	who := r.holder(g)
	r.do(who, "", r.someone(who), issue(g.ID))
}

// replay makes an old call again with its key, or another one with that key. Keys are kept for a day.
func (r *run) replay() {
	var young []pastCall
	for _, p := range r.past {
		if r.model.Now.Sub(p.at) < 23*time.Hour {
			young = append(young, p)
		}
	}
	if len(young) == 0 {
		return
	}
	p := young[len(young)-1-below(r.T, "calls ago", min(len(young), 9))]
	c := p.again
	if chance(r.T, "altered", 20) {
		c = p.altered
	}
	r.do(p.who, p.key, r.someone(p.who), c)
}

// otherCase comes to the entrance by a name in another letter case, or with the dot that ends a domain, which is nobody's.
func (r *run) otherCase() {
	g := r.one(waits)
	who := pick(r.T, "whose name", append(slices.Clone(people), g.Subject)...)
	if who == "" {
		who = alice
	}
	say, other := r.shown(g)
	spellings := []string{strings.ToUpper(who), strings.ToUpper(who[:1]) + who[1:]}
	if strings.Contains(who, "@") {
		spellings = append(spellings, who+".")
	}
	r.act(pick(r.T, "spelling", spellings...), approve(say), approve(other))
}
