package decisions

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// drawRules draws a whole policy: rules in the order in which they are gone through.
func drawRules(t *rapid.T) []oracle.Rule {
	var rules []oracle.Rule
	for i := range 1 + below(t, "rules", 4) {
		rules = append(rules, drawRule(t, fmt.Sprintf("r%d", i)))
	}
	return uniquely(rules)
}

func drawRule(t *rapid.T, name string) oracle.Rule {
	r := oracle.Rule{Name: name, PendingFor: 24 * time.Hour, StartWithin: 168 * time.Hour}
	drawMatch(t, &r)
	if r.Deny = chance(t, "deny", 18); r.Deny {
		drawWho(t, &r)
		r.Everybody = chance(t, "everybody", 50)
		r.When = drawConditions(t, 2, false)
		return r
	}
	drawWho(t, &r)
	if chance(t, "when", 30) {
		r.When = drawConditions(t, 2, true)
	}
	drawLimits(t, &r)
	if chance(t, "require", 25) {
		drawInputs(t, &r)
	}
	if chance(t, "approve", 70) {
		drawVote(t, &r)
		if chance(t, "auto_approve", 25) {
			r.Auto = append(drawConditions(t, 1, true), conditions[below(t, "auto", 6)])
		}
	}
	if chance(t, "break_glass", 30) {
		r.BreakGlass = &oracle.BreakGlass{
			Groups: some(t, "emergency", groups), MaxDuration: pick(t, "emergency for", 10*time.Minute, 30*time.Minute),
			Notify: some(t, "notify", []string{"security", audrey}), ReviewGroups: some(t, "review", groups),
			ReviewWithin: pick(t, "within", time.Hour, 24*time.Hour),
		}
	}
	return r
}

func drawMatch(t *rapid.T, r *oracle.Rule) {
	r.Pools = pick(t, "pools", nil, []string{"*/*"}, []string{"prod/*"}, []string{"*/web"}, []string{"prod/billing", "lab/b*x"}, []string{"*a*/*"})
	if chance(t, "environments", 20) || r.Pools == nil {
		r.Environments = pick(t, "environment", []string{"*"}, []string{"prod"}, []string{"l*", "*ing"}, []string{"p*d"})
	}
	if chance(t, "tags", 20) {
		r.Tags = some(t, "tag", []string{"pci", "pii", "gdpr"})
	}
}

func drawWho(t *rapid.T, r *oracle.Rule) {
	r.Groups = pick(t, "who", []string{"eng"}, []string{"eng"}, []string{"sre", "leads"}, []string{"security"}, groups)
	if chance(t, "users", 15) {
		r.Users = some(t, "user", people)
	}
	if chance(t, "services", 15) {
		r.Services = some(t, "service", []string{"deployer", "other"})
	}
	if chance(t, "agents", 35) {
		r.Agents = pick(t, "agent", []string{"*"}, []string{"triage"}, []string{"watch", "triage"})
	}
}

func drawLimits(t *rapid.T, r *oracle.Rule) {
	r.MaxDuration = pick(t, "max_duration", time.Hour, 4*time.Hour, 15*time.Minute)
	r.DefaultDuration = r.MaxDuration
	if chance(t, "max_total", 25) {
		r.MaxTotal = r.MaxDuration + pick(t, "total", 0, time.Hour)
	}
	if chance(t, "max_concurrent", 30) {
		r.MaxConcurrent = 1 + below(t, "concurrent", 2)
	}
	if chance(t, "pending_for", 60) {
		r.PendingFor = pick(t, "pending", 10*time.Minute, time.Hour, 4*time.Hour)
	}
	if chance(t, "start_within", 30) {
		r.StartWithin = pick(t, "start", 0, 2*time.Hour)
	}
	for range below(t, "hours", 3) {
		if !chance(t, "bounded hours", 40) {
			continue
		}
		h := oracle.Hours{Zone: pick(t, "zone", "Europe/Berlin", "UTC", "America/New_York")}
		h.From = pick(t, "from", 8*60, 9*60+30, 0, 22*60)
		h.To = pick(t, "to", 18*60, 24*60, 6*60)
		h.Days = pick(t, "days",
			[]time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
			[]time.Weekday{time.Monday}, []time.Weekday{0, 1, 2, 3, 4, 5, 6})
		r.Hours = append(r.Hours, h)
	}
}

func drawInputs(t *rapid.T, r *oracle.Rule) {
	ticket := oracle.Input{Name: "ticket", Optional: chance(t, "optional", 40)}
	if chance(t, "input's condition", 60) {
		c := conditions[len(conditions)-2+below(t, "ticket's", 2)]
		ticket.Condition = &c
	}
	r.Inputs = []oracle.Input{ticket}
	if chance(t, "choices", 40) {
		r.Inputs = append(r.Inputs, oracle.Input{Name: "risk", Choices: []string{"low", "high"}})
	}
}

func drawVote(t *rapid.T, r *oracle.Rule) {
	for range pick(t, "steps", 1, 1, 2, 3) {
		var s oracle.Step
		for range pick(t, "quorums", 1, 1, 1, 2) {
			s.AnyOf = append(s.AnyOf, oracle.Quorum{
				Groups: pick(t, "quorum", []string{"sre"}, []string{"leads"}, []string{"security"}, []string{"leads", "sre"}, []string{"eng"}),
				Count:  pick(t, "count", 1, 1, 1, 2),
			})
		}
		r.Steps = append(r.Steps, s)
	}
	r.Ordered = len(r.Steps) > 1 && chance(t, "ordered", 45)
}

// changed is a policy that a team might come to from this one.
func changed(t *rapid.T, rules []oracle.Rule) []oracle.Rule {
	rules = slices.Clone(rules)
	i := below(t, "changed rule", len(rules))
	r := &rules[i]
	switch kind := below(t, "change", 8); {
	case kind == 0:
		return drawRules(t)
	case kind == 1 && len(rules) > 1:
		return slices.Delete(rules, i, i+1)
	case kind == 2:
		rules = append(rules, drawRule(t, fmt.Sprintf("n%d", below(t, "name", 100))))
	case kind == 3 && len(r.Steps) > 0: // the same, written another way round
		r.Steps = slices.Clone(r.Steps)
		slices.Reverse(r.Steps)
	case kind == 4 && !r.Deny:
		r.Steps, r.Auto = nil, nil
		drawVote(t, r)
	case kind == 5 && !r.Deny:
		*r = oracle.Rule{Name: r.Name, Pools: r.Pools, Environments: r.Environments, Tags: r.Tags, Groups: r.Groups, Users: r.Users,
			Services: r.Services, Agents: r.Agents, PendingFor: r.PendingFor, StartWithin: r.StartWithin, Steps: r.Steps,
			Ordered: r.Ordered, Auto: r.Auto, BreakGlass: r.BreakGlass}
		drawLimits(t, r)
	default:
		r.Groups, r.Users, r.Services, r.Agents = nil, nil, nil, nil
		drawWho(t, r)
	}
	return uniquely(rules)
}

// uniquely drops a rule whose name is taken.
func uniquely(rules []oracle.Rule) []oracle.Rule {
	seen := map[string]bool{}
	return slices.DeleteFunc(rules, func(r oracle.Rule) bool {
		taken := seen[r.Name]
		seen[r.Name] = true
		return taken
	})
}

// compile writes the rules down as one or two documents and reads them as the gateway does.
func compile(rules []oracle.Rule) (*policy.Policy, string, error) {
	halves := [][]oracle.Rule{rules}
	if n := len(rules); n > 2 {
		halves = [][]oracle.Rule{rules[:n/2], rules[n/2:]}
	}
	var docs []*policy.Document
	written := ""
	for i, half := range halves {
		text, err := yaml.Marshal(object{"version": 1, "name": fmt.Sprintf("half-%d", i), "time_zone": "Europe/Berlin", "rules": list(half, writeRule)})
		if err != nil {
			return nil, "", err
		}
		written += string(text)
		doc, err := policy.Parse(fmt.Sprintf("%02d.yaml", i), text)
		if err != nil {
			return nil, written, err
		}
		docs = append(docs, doc)
	}
	p, err := policy.Compile(docs...)
	return p, written, err
}
