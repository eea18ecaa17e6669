package policy_test

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The oracle is policy written a second time, naively, over rules as Go values: regular expressions for globs, a table of
// the minutes of a week for hours, and for conditions a few whose meaning is written down beside them. It shares nothing
// with the code under test but the types of a request.

type oracleRule struct {
	name                                   string
	deny                                   bool
	pools, environments, tags              []string
	everybody                              bool
	groups, users, services, agents        []string
	when, auto                             []int // of oracleConditions
	longest, byDefault, total, ahead, wait int   // minutes; byDefault and total may be 0
	concurrent                             int
	hours                                  []oracleHours
	inputs                                 []oracleInput
	steps                                  [][]oracleQuorum
	ordered                                bool
	emergency                              *oracleEmergency
}

type oracleHours struct {
	days     []string
	from, to int // minutes
	berlin   bool
}

type oracleInput struct {
	name      string
	choices   []string
	optional  bool
	condition int // of oracleConditions, -1 for none
}

type oracleQuorum struct {
	groups []string
	count  int
}

type oracleEmergency struct {
	groups  []string
	longest int
}

// world is what a condition is about.
type world struct {
	r        policy.Request
	duration time.Duration
	total    time.Duration
	inputs   map[string]string
}

// An outcome of a condition.
const (
	isFalse = iota
	isTrue
	fails
)

func truth(b bool) int {
	if b {
		return isTrue
	}
	return isFalse
}

var oracleConditions = []struct {
	cel  string
	mean func(world) int
}{
	{`true`, func(world) int { return isTrue }},
	{`false`, func(world) int { return isFalse }},
	{`subject.kind == "person"`, func(w world) int { return truth(strings.Contains(string(w.r.Subject), "@")) }},
	{`owner.name == "bob@example.com"`, func(w world) int {
		if w.r.Owner == "" {
			return fails
		}
		return truth(w.r.Owner == "bob@example.com")
	}},
	{`has(owner.name)`, func(w world) int { return truth(w.r.Owner != "") }},
	{`"ops" in owner.groups`, func(w world) int {
		if w.r.Owner == "" || w.r.OwnerGroups == nil {
			return fails
		}
		return truth(slices.Contains(w.r.OwnerGroups, "ops"))
	}},
	{`subject.groups.exists(g, g.startsWith("o"))`, func(w world) int {
		return truth(slices.ContainsFunc(w.r.Groups, func(g string) bool { return g[0] == 'o' }))
	}},
	{`request.duration <= duration("30m")`, func(w world) int { return truth(w.duration <= 30*time.Minute) }},
	{`request.total > duration("90m")`, func(w world) int { return truth(w.total > 90*time.Minute) }},
	{`request.reason.contains("urgent")`, func(w world) int { return truth(strings.Contains(w.r.Reason, "urgent")) }},
	{`request.break_glass`, func(w world) int { return truth(w.r.BreakGlass) }},
	{`request.extension`, func(w world) int { return truth(w.r.Extension) }},
	{`pool.environment == "prod"`, func(w world) int { return truth(w.r.Pool.Environment == "prod") }},
	{`"pci" in pool.tags`, func(w world) int { return truth(slices.Contains(w.r.Tags, "pci")) }},
	{`now.getHours("Europe/Berlin") < 12`, func(w world) int { return truth(w.r.At.Add(time.Hour).UTC().Hour() < 12) }}, // it is winter
	{`request.start > now`, func(w world) int { return truth(w.r.StartsAt.After(w.r.At)) }},
	{`int(request.reason) == 7`, func(w world) int {
		if w.r.Reason == "7" {
			return isTrue
		}
		return fails
	}},
	{`inputs.ticket == "INC1"`, func(w world) int {
		if v, ok := w.inputs["ticket"]; ok {
			return truth(v == "INC1")
		}
		return fails
	}},
	{`has(inputs.kind) && inputs.kind.matches("^[ab]$")`, func(w world) int {
		return truth(w.inputs["kind"] == "a" || w.inputs["kind"] == "b")
	}},
}

func (r *oracleRule) about(q policy.Request) bool {
	fits := func(patterns []string, s string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
			return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, "[^/]*") + "$").MatchString(s)
		})
	}
	tagged := len(r.tags) == 0
	for _, t := range r.tags {
		tagged = tagged || slices.Contains(q.Tags, t)
	}
	return fits(r.pools, q.Pool.Environment+"/"+q.Pool.Name) && fits(r.environments, q.Pool.Environment) && tagged
}

func (r *oracleRule) isFor(q policy.Request) bool {
	kind, name, machine := strings.Cut(string(q.Subject), ":")
	switch {
	case r.everybody:
		return true
	case !machine && slices.Contains(r.users, string(q.Subject)):
		return true
	case machine && kind == "service" && slices.Contains(r.services, name):
		return true
	case machine && kind == "agent" && (slices.Contains(r.agents, name) || slices.Contains(r.agents, "*")):
		return true
	}
	for _, g := range q.Groups {
		if slices.Contains(r.groups, g) {
			return true
		}
	}
	return false
}

func (r *oracleRule) onCall(q policy.Request) bool {
	if r.emergency == nil {
		return false
	}
	for _, g := range q.Groups {
		if slices.Contains(r.emergency.groups, g) {
			return true
		}
	}
	return false
}

// seen is the world as the conditions of a rule see it; r may be nil.
func (r *oracleRule) seen(q policy.Request) world {
	w := world{r: q, duration: q.Duration, inputs: map[string]string{}}
	if r != nil {
		if w.duration == 0 {
			minutes := r.byDefault
			if minutes == 0 {
				minutes = r.longest
			}
			if q.BreakGlass && r.emergency != nil {
				minutes = r.emergency.longest
			}
			w.duration = time.Duration(minutes) * time.Minute
		}
		for _, in := range r.inputs {
			if q.Inputs[in.name] != "" {
				w.inputs[in.name] = q.Inputs[in.name]
			}
		}
	}
	w.total = q.Total
	if w.total < w.duration {
		w.total = w.duration
	}
	return w
}

const minutesOfWeek = 7 * 24 * 60

// opens reports whether the hours hold at a time: by a table of all minutes of a week from Monday on.
func (h oracleHours) opens(t time.Time) bool {
	if h.berlin {
		t = t.Add(time.Hour)
	}
	t = t.UTC()
	var table [minutesOfWeek]bool
	for i, day := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} {
		if len(h.days) > 0 && !slices.Contains(h.days, day) {
			continue
		}
		length := (h.to - h.from + 24*60) % (24 * 60)
		if length == 0 {
			length = 24 * 60
		}
		for m := range length {
			table[(i*24*60+h.from+m)%minutesOfWeek] = true
		}
	}
	day := (int(t.Weekday()) + 6) % 7
	return table[day*24*60+t.Hour()*60+t.Minute()]
}

// lacks reports whether an allow rule that is about the request does not give it.
func (r *oracleRule) lacks(q policy.Request) bool {
	w := r.seen(q)
	longest := r.longest
	if q.BreakGlass {
		longest = r.emergency.longest
		if !r.onCall(q) || q.Extension || q.StartsAt.After(q.At) {
			return true
		}
	}
	if w.duration < time.Second || w.duration%time.Second != 0 || w.duration > time.Duration(longest)*time.Minute {
		return true
	}
	if r.total > 0 && w.total > time.Duration(r.total)*time.Minute {
		return true
	}
	if r.concurrent > 0 {
		n := 0
		for _, p := range q.Open {
			other := q
			other.Pool, other.Tags = p, r.tags
			if r.about(other) {
				n++
			}
		}
		if n >= r.concurrent {
			return true
		}
	}
	start := q.At
	if q.StartsAt.After(q.At) {
		start = q.StartsAt
	}
	if start.Sub(q.At) > time.Duration(r.ahead)*time.Minute {
		return true
	}
	if len(r.hours) > 0 && !slices.ContainsFunc(r.hours, func(h oracleHours) bool { return h.opens(start) }) {
		return true
	}
	for _, c := range r.when {
		if oracleConditions[c].mean(w) != isTrue {
			return true
		}
	}
	for _, in := range r.inputs {
		answer := q.Inputs[in.name]
		if answer == "" {
			if !in.optional {
				return true
			}
			continue
		}
		if len(in.choices) > 0 && !slices.Contains(in.choices, answer) {
			return true
		}
		if in.condition >= 0 && oracleConditions[in.condition].mean(w) != isTrue {
			return true
		}
	}
	return false
}

// verdict is what the oracle says.
type verdict struct {
	allowed       bool
	rule          string
	atOnce        bool
	duration      time.Duration
	emergency     bool
	mayBreakGlass bool
}

func consult(rules []oracleRule, q policy.Request) verdict {
	var v verdict
	var first, giver *oracleRule
	for i := range rules {
		r := &rules[i]
		if r.deny || !r.about(q) || !r.isFor(q) {
			continue
		}
		v.mayBreakGlass = v.mayBreakGlass || r.onCall(q)
		if q.BreakGlass && r.emergency == nil {
			continue
		}
		if first == nil {
			first = r
		}
		if giver == nil && !r.lacks(q) {
			giver = r
		}
	}
	basis := giver
	if basis == nil {
		basis = first
	}
	w := basis.seen(q)
	for i := range rules {
		r := &rules[i]
		if !r.deny || !r.about(q) || !r.isFor(q) {
			continue
		}
		met := true
		for _, c := range r.when {
			met = met && oracleConditions[c].mean(w) != isFalse
		}
		if met {
			v.rule = r.name
			return v
		}
	}
	if giver == nil {
		if first != nil {
			v.rule = first.name
		}
		return v
	}
	v.allowed, v.rule, v.duration, v.emergency = true, giver.name, w.duration, q.BreakGlass
	v.atOnce = q.BreakGlass || len(giver.steps) == 0
	if !v.atOnce && len(giver.auto) > 0 {
		v.atOnce = true
		for _, c := range giver.auto {
			v.atOnce = v.atOnce && oracleConditions[c].mean(w) == isTrue
		}
	}
	return v
}
