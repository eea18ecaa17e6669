package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func pool(t interface {
	Helper()
	Fatal(...any)
}, full string) grant.Pool {
	t.Helper()
	p, err := grant.ParsePool(full)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// policyOfTwoEnvironments is what the tables below are read against.
func policyOfTwoEnvironments(t *testing.T) *Rules {
	t.Helper()
	engine, err := Compile([]Rule{
		{
			Name: "db", Pools: []string{"prod/db", "prod/db-*"}, Groups: []string{"dba"}, MaxDuration: 30 * time.Minute,
			DefaultDuration: 10 * time.Minute, ApproverGroups: []string{"security", "leads", "security"}, PendingFor: time.Hour,
		},
		{Name: "prod", Pools: []string{"prod/*"}, Groups: []string{"dev", "ops"}, MaxDuration: time.Hour, ApproverGroups: []string{"leads"}},
		{Name: "staging", Pools: []string{"stag*/*"}, Groups: []string{"dev"}, MaxDuration: 8 * time.Hour},
		{Name: "shadowed", Pools: []string{"prod/db", "*/d*"}, Groups: []string{"everybody"}, MaxDuration: 24 * time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func TestDecisions(t *testing.T) {
	engine := policyOfTwoEnvironments(t)
	tests := []struct {
		name     string
		pool     string
		groups   []string
		asked    time.Duration
		allowed  bool
		rule     string
		duration time.Duration
		steps    []string // of one step; nil: none
		says     string
	}{
		{"at once", "staging/web", []string{"dev"}, time.Hour, true, "staging", time.Hour, nil, "at once"},
		{"with approval", "prod/web", []string{"ops"}, time.Hour, true, "prod", time.Hour, []string{"leads"}, "leads must approve"},
		{"one group of several", "prod/web", []string{"x", "", "dev", "y"}, time.Minute, true, "prod", time.Minute, []string{"leads"}, "approve"},
		{"the default is max", "staging/web", []string{"dev"}, 0, true, "staging", 8 * time.Hour, nil, "at once"},
		{"the default is the rule's", "prod/db", []string{"dba"}, 0, true, "db", 10 * time.Minute, []string{"leads", "security"}, "leads or security"},
		{"exactly max", "prod/db-1", []string{"dba"}, 30 * time.Minute, true, "db", 30 * time.Minute, []string{"leads", "security"}, "approve"},
		{"exactly one second", "staging/web", []string{"dev"}, time.Second, true, "staging", time.Second, nil, "at once"},
		{"a second above max", "prod/db-1", []string{"dba"}, 30*time.Minute + time.Second, false, "db", 30*time.Minute + time.Second, []string{"leads", "security"}, "at most 30m"},
		{"less than a second", "staging/web", []string{"dev"}, time.Second - 1, false, "staging", time.Second - 1, nil, "at least one second"},
		{"negative", "staging/web", []string{"dev"}, -time.Hour, false, "staging", -time.Hour, nil, "at least one second"},
		{"parts of a second", "staging/web", []string{"dev"}, 1500 * time.Millisecond, false, "staging", 1500 * time.Millisecond, nil, "whole seconds"},
		// The first rule that names the pool decides, though a later one would allow more.
		{"a later rule is wider", "prod/db", []string{"everybody", "dev"}, time.Minute, false, "db", time.Minute, []string{"leads", "security"}, "member of dba"},
		{"a later rule is another's", "staging/db", []string{"everybody"}, time.Minute, false, "staging", time.Minute, nil, "member of dev"},
		{"a later rule where none is before", "qa/db", []string{"everybody"}, time.Minute, true, "shadowed", time.Minute, nil, "at once"},
		{"not in a group", "prod/web", []string{"sales"}, time.Minute, false, "prod", time.Minute, []string{"leads"}, "member of dev or ops"},
		{"approvers may not ask by that", "prod/web", []string{"leads"}, time.Minute, false, "prod", time.Minute, []string{"leads"}, "member of"},
		{"no groups", "staging/web", nil, time.Minute, false, "staging", time.Minute, nil, "member of dev"},
		{"the empty group", "staging/web", []string{""}, time.Minute, false, "staging", time.Minute, nil, "member of dev"},
		{"a group in capitals", "staging/web", []string{"DEV"}, time.Minute, false, "staging", time.Minute, nil, "member of dev"},
		{"a group's beginning", "staging/web", []string{"de", "dev ", "dev\n", "devs", "*"}, time.Minute, false, "staging", time.Minute, nil, "member of dev"},
		{"no rule", "qa/web", []string{"dev", "dba", "everybody"}, time.Minute, false, "", 0, nil, "No rule"},
		{"the environment is another", "prods/web", []string{"dev"}, time.Minute, false, "", 0, nil, "No rule"},
		{"a star in the environment", "stagx-2/web", []string{"dev"}, time.Minute, true, "staging", time.Minute, nil, "at once"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := engine.Evaluate(t.Context(), Request{
				Subject: "alice@example.com", Groups: test.groups, Pool: pool(t, test.pool), Duration: test.asked,
			})
			if d.Allowed != test.allowed || d.Rule != test.rule || d.Duration != test.duration {
				t.Errorf("allowed %v by %q for %v; want %v by %q for %v", d.Allowed, d.Rule, d.Duration, test.allowed, test.rule, test.duration)
			}
			if !strings.Contains(d.Explanation, test.says) {
				t.Errorf("says %q, want %q in it", d.Explanation, test.says)
			}
			if len(d.Hash) != 64 {
				t.Errorf("hash %q", d.Hash)
			}
			switch {
			case test.steps == nil && len(d.Steps) != 0:
				t.Errorf("steps %+v, want none", d.Steps)
			case test.steps != nil && (len(d.Steps) != 1 || d.Steps[0].Count != 1 || !slices.Equal(d.Steps[0].Groups, test.steps)):
				t.Errorf("steps %+v, want one of %v", d.Steps, test.steps)
			}
			waits := map[string]time.Duration{"db": time.Hour, "prod": 24 * time.Hour, "staging": 24 * time.Hour, "shadowed": 24 * time.Hour}
			if d.PendingFor != waits[test.rule] {
				t.Errorf("waits for %v, want %v", d.PendingFor, waits[test.rule])
			}
		})
	}
}

// A star must not reach into the other half of a name: neither may a pool's name, whatever it is, come under a rule for
// another environment.
func TestAStarDoesNotCrossTheSlash(t *testing.T) {
	engine, err := Compile([]Rule{{Name: "r", Pools: []string{"a*/x", "b/y*"}, Groups: []string{"dev"}, MaxDuration: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[grant.Pool]bool{
		{Environment: "a", Name: "x"}:     true,
		{Environment: "abc", Name: "x"}:   true,
		{Environment: "b", Name: "y"}:     true,
		{Environment: "b", Name: "y.z-1"}: true,
		{Environment: "a", Name: "bx"}:    false,
		{Environment: "b", Name: "x"}:     false,
		{Environment: "c", Name: "y"}:     false,
		{}:                                false,
		// No such names get here; should one, it finds no rule.
		{Environment: "a/b", Name: "x"}: false,
		{Environment: "a", Name: "b/x"}: false,
		{Environment: "b", Name: "y/z"}: false,
		{Environment: "b/y", Name: "z"}: false,
		{Environment: "*", Name: "x"}:   false,
	}
	for p, want := range tests {
		d := engine.Evaluate(t.Context(), Request{Groups: []string{"dev"}, Pool: p, Duration: time.Minute})
		if d.Allowed != want {
			t.Errorf("%+v: allowed %v, want %v", p, d.Allowed, want)
		}
	}
}

func TestApprovers(t *testing.T) {
	engine := policyOfTwoEnvironments(t)
	tests := map[string][]string{
		"prod/db": {"leads", "security"}, "prod/db-7": {"leads", "security"}, "prod/web": {"leads"}, "staging/web": nil,
		"nowhere/web": nil, "qa/db": nil,
	}
	for full, want := range tests {
		if got := engine.Approvers(pool(t, full)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", full, got, want)
		}
	}
}

// matches is the pattern language a second time: halves apart, a star is any run.
func matches(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		return matches(pattern[1:], name) || name != "" && matches(pattern, name[1:])
	}
	return name != "" && pattern[0] == name[0] && matches(pattern[1:], name[1:])
}

// judge is what a policy means, said another way: the only rule that counts is the first whose two halves fit.
func judge(rules []Rule, r Request) (allowed bool, duration time.Duration) {
	environment, name := r.Pool.Environment, r.Pool.Name
	for _, rule := range rules {
		fits := false
		for _, p := range rule.Pools {
			e, n, _ := strings.Cut(p, "/")
			fits = fits || matches(e, environment) && matches(n, name)
		}
		if !fits {
			continue
		}
		member := false
		for _, a := range rule.Groups {
			for _, b := range r.Groups {
				member = member || a == b
			}
		}
		if duration = r.Duration; duration == 0 {
			if duration = rule.DefaultDuration; duration == 0 {
				duration = rule.MaxDuration
			}
		}
		seconds := duration / time.Second
		return member && seconds >= 1 && duration == seconds*time.Second && duration <= rule.MaxDuration, duration
	}
	return false, 0
}

// I12: whatever is not allowed by the policy as it is written is refused, and what is refused says why. Groups that the
// deciding rule does not name change nothing.
func TestI12AnyRequestAgreesWithTheOracle(t *testing.T) {
	seen := map[bool]int{}
	group := rapid.SampledFrom([]string{"dev", "ops", "leads", "dba"})
	stranger := rapid.SampledFrom([]string{"", "DEV", "dev ", "*", "sales", "de", "dev,ops"})
	half := rapid.SampledFrom([]string{"*", "a", "b", "ab", "a*", "*b", "a*b", "**", "a.b", "*a*"})
	name := rapid.SampledFrom([]string{"a", "b", "ab", "aab", "a.b", "c", "ba"})
	seconds := rapid.IntRange(1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		var rules []Rule
		for i := range rapid.IntRange(0, 3).Draw(rt, "rules") {
			r := Rule{
				Name: string(rune('a' + i)), Groups: rapid.SliceOfN(group, 1, 3).Draw(rt, "groups"),
				MaxDuration:    time.Duration(seconds.Draw(rt, "max")) * time.Second,
				ApproverGroups: rapid.SliceOfN(group, 0, 2).Draw(rt, "approvers"),
			}
			if rapid.Bool().Draw(rt, "has default") {
				r.DefaultDuration = time.Second
			}
			for range rapid.IntRange(1, 2).Draw(rt, "pools") {
				r.Pools = append(r.Pools, half.Draw(rt, "environment")+"/"+half.Draw(rt, "pool"))
			}
			rules = append(rules, r)
		}
		engine, err := Compile(rules)
		if err != nil {
			rt.Fatal(err)
		}
		request := Request{
			Subject: "alice@example.com", Groups: rapid.SliceOfN(group, 0, 2).Draw(rt, "member of"),
			Pool:     pool(rt, name.Draw(rt, "environment")+"/"+name.Draw(rt, "pool")),
			Duration: time.Duration(rapid.IntRange(-1, 10).Draw(rt, "half seconds")) * 500 * time.Millisecond,
		}
		want, duration := judge(rules, request)
		got := engine.Evaluate(t.Context(), request)
		seen[got.Allowed]++
		if got.Allowed != want || want && got.Duration != duration || got.Explanation == "" {
			rt.Fatalf("%+v of %+v: %+v, by the oracle %v for %v", request, rules, got, want, duration)
		}
		if got.Allowed && (got.PendingFor <= 0 || got.Duration > got.MaxDuration || got.Rule == "" || got.Hash == "") {
			rt.Fatalf("allowed %+v", got)
		}
		if got.Allowed && (len(got.Steps) > 0) != (len(engine.Approvers(request.Pool)) > 0) {
			rt.Fatalf("%+v with approvers %v", got, engine.Approvers(request.Pool))
		}
		more := request
		more.Groups = append(rapid.SliceOfN(stranger, 1, 4).Draw(rt, "also in"), request.Groups...)
		if again := engine.Evaluate(t.Context(), more); again.Allowed != got.Allowed || again.Explanation != got.Explanation || again.Rule != got.Rule {
			rt.Fatalf("with the groups %q as well: %+v, before %+v", more.Groups, again, got)
		}
	})
	if seen[true] == 0 || seen[false] == 0 {
		t.Fatalf("allowed and refused: %v", seen)
	}
}
