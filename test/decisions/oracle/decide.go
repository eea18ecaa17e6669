package oracle

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Decide answers a question by the rules: one rule that denies is enough, whatever its place; of those that allow the first
// that is about the request and lacks nothing gives it.
func Decide(rules []Rule, q Question) Answer {
	for _, r := range rules {
		if r.Deny && r.about(q) && !slices.ContainsFunc(r.When, func(c Condition) bool { return c.Means(r.facts(q)) == No }) {
			return Answer{Rule: r.Name}
		}
	}
	for _, r := range rules {
		if !r.Deny && r.about(q) && r.gives(q) {
			return r.answer(q)
		}
	}
	return Answer{}
}

// Approvers are the groups whose yes counts at a place, whoever asks.
func Approvers(rules []Rule, p Place, tags []string) []string {
	var all []string
	for _, r := range rules {
		if r.Deny || !r.matches(p, tags) {
			continue
		}
		for _, s := range r.Steps {
			for _, q := range s.AnyOf {
				all = append(all, q.Groups...)
			}
		}
	}
	return all
}

func (r Rule) answer(q Question) Answer {
	a := Answer{Allowed: true, Rule: r.Name, PendingFor: r.PendingFor}
	switch {
	case q.BreakGlass:
		a.BreakGlass, a.ReviewGroups, a.ReviewWithin = true, r.BreakGlass.ReviewGroups, r.BreakGlass.ReviewWithin
	case len(r.Auto) > 0 && all(r.Auto, r.facts(q)):
	default:
		a.Steps, a.Ordered = r.Steps, r.Ordered
	}
	return a
}

func all(conditions []Condition, f Facts) bool {
	for _, c := range conditions {
		if c.Means(f) != Yes {
			return false
		}
	}
	return true
}

// about: the pool and the subject fit, and in an emergency there is something for one.
func (r Rule) about(q Question) bool {
	return r.matches(q.Place, q.Tags) && r.isFor(q) && (r.Deny || !q.BreakGlass || r.BreakGlass != nil)
}

func (r Rule) matches(p Place, tags []string) bool {
	return r.named(p) && (len(r.Tags) == 0 || overlap(r.Tags, tags))
}

// named is matches without the tags.
func (r Rule) named(p Place) bool {
	return (len(r.Pools) == 0 || fits(r.Pools, p.Environment+"/"+p.Pool)) &&
		(len(r.Environments) == 0 || fits(r.Environments, p.Environment))
}

func fits(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, err := path.Match(g, name)
		return ok && err == nil
	})
}

func (r Rule) isFor(q Question) bool {
	service, isService := strings.CutPrefix(q.Subject, "service:")
	agent, isAgent := strings.CutPrefix(q.Subject, "agent:")
	switch {
	case r.Everybody, overlap(r.Groups, q.Groups):
		return true
	case isService:
		return slices.Contains(r.Services, service)
	case isAgent:
		return slices.Contains(r.Agents, agent) || slices.Contains(r.Agents, "*")
	default:
		return slices.Contains(r.Users, q.Subject)
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func (q Question) begins() time.Time {
	if q.Starts.After(q.Now) {
		return q.Starts
	}
	return q.Now
}

// gives: nothing is lacking.
func (r Rule) gives(q Question) bool {
	longest := r.MaxDuration
	if q.BreakGlass {
		longest = r.BreakGlass.MaxDuration
		if !overlap(r.BreakGlass.Groups, q.Groups) || q.Starts.After(q.Now) || q.Extension {
			return false
		}
	}
	switch {
	case q.Duration < time.Second, q.Duration%time.Second != 0, q.Duration > longest:
		return false
	case r.MaxTotal != 0 && max(q.Total, q.Duration) > r.MaxTotal:
		return false
	case r.MaxConcurrent != 0 && r.count(q.Open) >= r.MaxConcurrent:
		return false
	case q.begins().Sub(q.Now) > r.StartWithin:
		return false
	case len(r.Hours) > 0 && !slices.ContainsFunc(r.Hours, func(h Hours) bool { return h.hold(q.begins()) }):
		return false
	}
	return all(r.When, r.facts(q)) && r.answered(q)
}

// count: whether a tag of another pool fits is not looked at; its name decides.
func (r Rule) count(open []Place) int {
	n := 0
	for _, p := range open {
		if r.named(p) {
			n++
		}
	}
	return n
}

// hold counts minutes of a week that is cut open on Sunday at midnight, and of the one after.
func (h Hours) hold(at time.Time) bool {
	zone, err := time.LoadLocation(h.Zone)
	if err != nil {
		panic(err)
	}
	const day, week = 24 * 60, 7 * 24 * 60
	local := at.In(zone)
	minute := int(local.Weekday())*day + local.Hour()*60 + local.Minute()
	for _, d := range h.Days {
		from, to := int(d)*day+h.From, int(d)*day+h.To
		if h.To < h.From {
			to += day
		}
		if from <= minute && minute < to || from <= minute+week && minute+week < to {
			return true
		}
	}
	return false
}

func (r Rule) answered(q Question) bool {
	for _, in := range r.Inputs {
		given := q.Inputs[in.Name]
		if given == "" && in.Optional {
			continue
		}
		if given == "" || len(in.Choices) > 0 && !slices.Contains(in.Choices, given) {
			return false
		}
		if in.Condition != nil && in.Condition.Means(r.facts(q)) != Yes {
			return false
		}
	}
	return true
}

func (r Rule) facts(q Question) Facts {
	f := Facts{
		Subject: q.Subject, Kind: "person", Groups: q.Groups, Owner: q.Owner, Environment: q.Place.Environment, Pool: q.Place.Pool,
		Tags: q.Tags, Duration: q.Duration, Total: max(q.Total, q.Duration), Reason: q.Reason, BreakGlass: q.BreakGlass,
		Extension: q.Extension, Start: q.begins(), Now: q.Now, Inputs: map[string]string{},
	}
	if kind, _, found := strings.Cut(q.Subject, ":"); found {
		f.Kind = kind
	}
	if q.Owner != "" {
		f.OwnerGroups = q.OwnerGroups
	}
	for _, in := range r.Inputs {
		if given := q.Inputs[in.Name]; given != "" {
			f.Inputs[in.Name] = given
		}
	}
	return f
}
