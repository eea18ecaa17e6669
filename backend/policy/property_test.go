package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func some[T any](t *rapid.T, of []T, least, most int, label string) []T {
	n := rapid.IntRange(least, most).Draw(t, label+" count")
	return rapid.Permutation(of).Draw(t, label)[:n]
}

func conditionsOf(t *rapid.T, most int, label string) []int {
	return rapid.SliceOfN(rapid.IntRange(0, len(oracleConditions)-1), 0, most).Draw(t, label)
}

func chance(t *rapid.T, label string) bool { return rapid.IntRange(0, 3).Draw(t, label) == 0 }

var (
	allGroups = []string{"dev", "ops", "oncall", "sre"}
	allPeople = []string{"alice@example.com", "bob@example.com"}
	allDays   = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

func drawRule(t *rapid.T, name string, deny bool) oracleRule {
	r := oracleRule{name: name, deny: deny}
	r.pools = some(t, []string{"*/*", "prod/*", "*/we*", "prod/web", "staging/db", "p*d/*b"}, 0, 3, "pools")
	r.environments = some(t, []string{"prod", "staging", "p*", "*"}, 0, 2, "environments")
	r.tags = some(t, []string{"pci", "gdpr", "lab"}, 0, 2, "tags")
	if len(r.pools)+len(r.environments)+len(r.tags) == 0 || rapid.Bool().Draw(t, "wide") {
		r.pools, r.environments, r.tags = []string{"*/*"}, nil, nil
	}
	r.groups = some(t, allGroups, 0, 3, "groups")
	r.users = some(t, allPeople, 0, 1, "users")
	r.services = some(t, []string{"bot"}, 0, 1, "services")
	r.agents = some(t, []string{"triage", "*"}, 0, 1, "agents")
	if len(r.groups)+len(r.users)+len(r.services)+len(r.agents) == 0 {
		if r.groups = []string{"dev"}; deny {
			r.groups, r.everybody = nil, true
		}
	}
	r.when = conditionsOf(t, 2, "when")
	if deny {
		return r
	}
	r.longest = rapid.SampledFrom([]int{15, 60, 120, 240}).Draw(t, "longest")
	if rapid.Bool().Draw(t, "has default") {
		r.byDefault = rapid.IntRange(1, r.longest).Draw(t, "default")
	}
	if chance(t, "has total") {
		r.total = r.longest + rapid.IntRange(0, 60).Draw(t, "total")
	}
	if chance(t, "has concurrent") {
		r.concurrent = rapid.IntRange(1, 2).Draw(t, "concurrent")
	}
	r.ahead = rapid.SampledFrom([]int{0, 60, 10080}).Draw(t, "ahead")
	r.wait = rapid.SampledFrom([]int{60, 1440}).Draw(t, "wait")
	if chance(t, "has hours") {
		for range rapid.IntRange(1, 2).Draw(t, "hours") {
			h := oracleHours{days: some(t, allDays, 0, 6, "days"), from: rapid.IntRange(0, 1439).Draw(t, "from"), to: rapid.IntRange(0, 1440).Draw(t, "to"), berlin: rapid.Bool().Draw(t, "berlin")}
			if h.from == h.to {
				h.from, h.to = 0, 1440
			}
			r.hours = append(r.hours, h)
		}
	}
	for _, in := range []string{"ticket", "kind"} {
		if chance(t, "asks "+in) {
			input := oracleInput{name: in, optional: rapid.Bool().Draw(t, "optional"), condition: rapid.IntRange(-1, len(oracleConditions)-1).Draw(t, "condition")}
			input.choices = some(t, []string{"a", "b", "INC1"}, 0, 3, "choices")
			r.inputs = append(r.inputs, input)
		}
	}
	if rapid.Bool().Draw(t, "asks people") {
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			var step []oracleQuorum
			for range rapid.IntRange(1, 2).Draw(t, "quorums") {
				step = append(step, oracleQuorum{some(t, allGroups, 1, 2, "approvers"), rapid.IntRange(1, 3).Draw(t, "count")})
			}
			r.steps = append(r.steps, step)
		}
		r.ordered = rapid.Bool().Draw(t, "ordered")
		if rapid.Bool().Draw(t, "automatic") {
			r.auto = append([]int{rapid.IntRange(0, len(oracleConditions)-1).Draw(t, "first auto")}, conditionsOf(t, 1, "auto")...)
		}
	}
	if chance(t, "has emergency") {
		r.emergency = &oracleEmergency{some(t, allGroups, 1, 2, "on call"), rapid.SampledFrom([]int{15, 300}).Draw(t, "emergency")}
	}
	return r
}

func quoted(list []string) string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (r *oracleRule) yaml() string {
	var b strings.Builder
	list := func(name string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "      %s: %s\n", name, quoted(values))
		}
	}
	conditions := func(name string, of []int) {
		if len(of) > 0 {
			fmt.Fprintf(&b, "    %s:\n", name)
		}
		for _, c := range of {
			fmt.Fprintf(&b, "      - {condition: '%s', message: You must fit}\n", oracleConditions[c].cel)
		}
	}
	fmt.Fprintf(&b, "  - name: %s\n    match:\n", r.name)
	list("pools", r.pools)
	list("environments", r.environments)
	list("tags", r.tags)
	if !r.everybody {
		b.WriteString("    who:\n")
		list("groups", r.groups)
		list("users", r.users)
		list("services", r.services)
		list("agents", r.agents)
	}
	conditions("when", r.when)
	if r.deny {
		b.WriteString("    effect: deny\n    description: Not now\n")
		return b.String()
	}
	fmt.Fprintf(&b, "    limits:\n      max_duration: %dm\n      start_within: %dm\n      pending_for: %dm\n", r.longest, r.ahead, r.wait)
	if r.byDefault > 0 {
		fmt.Fprintf(&b, "      default_duration: %dm\n", r.byDefault)
	}
	if r.total > 0 {
		fmt.Fprintf(&b, "      max_total: %dm\n", r.total)
	}
	if r.concurrent > 0 {
		fmt.Fprintf(&b, "      max_concurrent: %d\n", r.concurrent)
	}
	if len(r.hours) > 0 {
		b.WriteString("      hours:\n")
	}
	for _, h := range r.hours {
		fmt.Fprintf(&b, "        - {from: \"%02d:%02d\", to: \"%02d:%02d\"", h.from/60, h.from%60, h.to/60, h.to%60)
		if len(h.days) > 0 {
			fmt.Fprintf(&b, ", days: %s", quoted(h.days))
		}
		if h.berlin {
			b.WriteString(", time_zone: Europe/Berlin")
		}
		b.WriteString("}\n")
	}
	r.writeInputs(&b)
	r.writeSteps(&b)
	conditions("auto_approve", r.auto)
	if e := r.emergency; e != nil {
		fmt.Fprintf(&b, "    break_glass: {groups: %s, max_duration: %dm, review: {groups: [sec], within: 1h}}\n", quoted(e.groups), e.longest)
	}
	return b.String()
}

func (r *oracleRule) writeInputs(b *strings.Builder) {
	if len(r.inputs) > 0 {
		b.WriteString("    require:\n")
	}
	for _, in := range r.inputs {
		fmt.Fprintf(b, "      - name: %s\n        optional: %v\n", in.name, in.optional)
		if len(in.choices) > 0 {
			fmt.Fprintf(b, "        choices: %s\n", quoted(in.choices))
		}
		if in.condition >= 0 {
			fmt.Fprintf(b, "        condition: '%s'\n", oracleConditions[in.condition].cel)
		}
	}
}

func (r *oracleRule) writeSteps(b *strings.Builder) {
	if len(r.steps) == 0 {
		return
	}
	fmt.Fprintf(b, "    approve:\n      ordered: %v\n      all_of:\n", r.ordered)
	for _, step := range r.steps {
		b.WriteString("        - any_of:\n")
		for _, q := range step {
			fmt.Fprintf(b, "            - {groups: %s, count: %d}\n", quoted(q.groups), q.count)
		}
	}
}

func drawRules(t *rapid.T) []oracleRule {
	var rules []oracleRule
	for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
		rules = append(rules, drawRule(t, fmt.Sprintf("r%d", i), chance(t, "deny")))
	}
	return rules
}

// drawPolicy spreads the rules over up to three documents, which are given in any order.
func drawPolicy(t *rapid.T, rules []oracleRule) *policy.Policy {
	documents := rapid.IntRange(1, min(3, len(rules))).Draw(t, "documents")
	var docs []*policy.Document
	for i := range documents {
		var b strings.Builder
		fmt.Fprintf(&b, "version: 1\nname: d%d\nrules:\n", i)
		for _, r := range rules[i*len(rules)/documents : (i+1)*len(rules)/documents] {
			b.WriteString(r.yaml())
		}
		doc, err := policy.Parse(fmt.Sprintf("%d.yaml", i), []byte(b.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		docs = append(docs, doc)
	}
	p, err := policy.Compile(rapid.Permutation(docs).Draw(t, "order")...)
	if err != nil {
		t.Fatal(err)
	}
	return p.Within(time.Minute)
}

func drawPool(t *rapid.T) grant.Pool {
	return grant.Pool{
		Environment: rapid.SampledFrom([]string{"prod", "staging"}).Draw(t, "environment"),
		Name:        rapid.SampledFrom([]string{"web", "db", "web-2"}).Draw(t, "pool"),
	}
}

func drawRequest(t *rapid.T) policy.Request {
	minutes := func(label string, of ...int) time.Duration {
		return time.Duration(rapid.SampledFrom(of).Draw(t, label)) * time.Minute
	}
	r := policy.Request{
		Subject:  grant.Subject(rapid.SampledFrom([]string{"alice@example.com", "bob@example.com", "agent:triage", "agent:other", "service:bot"}).Draw(t, "subject")),
		Groups:   some(t, allGroups, 0, 4, "groups"),
		Pool:     drawPool(t),
		Tags:     some(t, []string{"pci", "gdpr", "lab"}, 0, 3, "tags"),
		Duration: minutes("duration", 0, 1, 15, 30, 60, 120, 240, 241),
		At:       monday.Add(time.Duration(rapid.IntRange(0, minutesOfWeek).Draw(t, "minute")) * time.Minute),
		Reason:   rapid.SampledFrom([]string{"7", "urgent", "routine"}).Draw(t, "reason"),
		Inputs:   map[string]string{},
	}
	if rapid.IntRange(0, 9).Draw(t, "odd duration") == 0 {
		r.Duration += rapid.SampledFrom([]time.Duration{time.Millisecond, -500 * time.Hour}).Draw(t, "by")
	}
	if r.Subject.IsAgent() {
		r.Owner = grant.Subject(rapid.SampledFrom(allPeople).Draw(t, "owner"))
		if rapid.Bool().Draw(t, "owner's groups") {
			r.OwnerGroups = append([]string{}, some(t, allGroups, 0, 3, "of owner")...)
		}
	}
	if rapid.Bool().Draw(t, "has total") {
		r.Total = minutes("total", 1, 60, 120, 200, 300)
	}
	if chance(t, "later") {
		r.StartsAt = r.At.Add(minutes("start", -10, 0, 10, 60, 61, 10080, 10081))
	}
	r.BreakGlass, r.Extension = chance(t, "emergency"), chance(t, "extension")
	for _, in := range []string{"ticket", "kind", "other"} {
		if rapid.Bool().Draw(t, "gives "+in) {
			r.Inputs[in] = rapid.SampledFrom([]string{"", "a", "b", "INC1", "x"}).Draw(t, in)
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "open") {
		r.Open = append(r.Open, drawPool(t))
	}
	return r
}

func TestDecisionsAgreeWithTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		p := drawPolicy(t, rules)
		for range 5 {
			r := drawRequest(t)
			want, d := consult(rules, r), p.Evaluate(t.Context(), r)
			got := verdict{allowed: d.Allowed, rule: d.Rule, emergency: d.BreakGlass, mayBreakGlass: d.MayBreakGlass}
			if d.Allowed {
				got.atOnce, got.duration = len(d.Steps) == 0, d.Duration
			}
			if got != want || d.TimedOut || d.Explanation == "" {
				t.Fatalf("%+v\nby the oracle %+v\n%s\nrequest %+v", got, want, d.Explanation, r)
			}
			for i := range rules {
				if rules[i].name == d.Rule && d.Allowed && !got.atOnce {
					agreeOnSteps(t, &rules[i], d)
				}
			}
			explained, _ := p.Explain(t.Context(), r)
			if diff := cmp.Diff(d, explained); diff != "" {
				t.Fatalf("Explain decides otherwise: %s", diff)
			}
		}
	})
}

func agreeOnSteps(t *rapid.T, r *oracleRule, d policy.Decision) {
	var got [][]oracleQuorum
	for _, s := range d.Steps {
		var step []oracleQuorum
		for _, q := range s.AnyOf {
			step = append(step, oracleQuorum{q.Groups, q.Count})
		}
		got = append(got, step)
	}
	if diff := cmp.Diff(r.steps, got, cmp.AllowUnexported(oracleQuorum{})); diff != "" || d.Ordered != r.ordered || d.PendingFor != time.Duration(r.wait)*time.Minute {
		t.Fatalf("%s, ordered %v, for %s", diff, d.Ordered, d.PendingFor)
	}
}

// Denials may stand anywhere among the other rules.
func TestDenyWinsWhateverTheOrderOfRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		var allows, mixed []oracleRule
		mixed = append(mixed, drawRule(t, "d", true))
		for _, r := range rules {
			if !r.deny {
				allows = append(allows, r)
			} else {
				mixed = append(mixed, r)
			}
		}
		denials := len(mixed)
		mixed = append(append([]oracleRule{}, allows...), mixed...)
		other := append(append([]oracleRule{}, mixed[len(allows):]...), allows...)
		shuffled := interleave(t, mixed[:len(allows)], mixed[len(allows):])
		p, q, s := drawPolicy(t, mixed), drawPolicy(t, other), drawPolicy(t, shuffled)
		for range 5 {
			r := drawRequest(t)
			a, b, c := p.Evaluate(t.Context(), r), q.Evaluate(t.Context(), r), s.Evaluate(t.Context(), r)
			if a.Allowed != b.Allowed || a.Allowed != c.Allowed || len(a.Steps) != len(b.Steps) || len(a.Steps) != len(c.Steps) {
				t.Fatalf("%d denials: %s\n%s\n%s", denials, a.Explanation, b.Explanation, c.Explanation)
			}
		}
	})
}

// interleave keeps the order within each of two lists.
func interleave(t *rapid.T, a, b []oracleRule) []oracleRule {
	var all []oracleRule
	for len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && rapid.Bool().Draw(t, "from the first") {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}

func TestAnotherDenialOpensNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		at := rapid.IntRange(0, len(rules)).Draw(t, "place")
		more := append(append(append([]oracleRule{}, rules[:at]...), drawRule(t, "more", true)), rules[at:]...)
		p, q := drawPolicy(t, rules), drawPolicy(t, more)
		for range 5 {
			r := drawRequest(t)
			before, after := p.Evaluate(t.Context(), r), q.Evaluate(t.Context(), r)
			if after.Allowed && !before.Allowed {
				t.Fatalf("opened by a denial: %+v", after)
			}
			if after.Allowed && cmp.Diff(before.Steps, after.Steps) != "" {
				t.Fatalf("other approvals by a denial: %+v", after)
			}
		}
	})
}

func TestWhatNoRuleAllowsIsDenied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		for i := range rules {
			if !rules[i].deny {
				rules[i].pools = []string{"nowhere/*"}
			}
		}
		p := drawPolicy(t, rules)
		if d := p.Evaluate(t.Context(), drawRequest(t)); d.Allowed || d.MayBreakGlass {
			t.Fatalf("%+v", d)
		}
	})
}
