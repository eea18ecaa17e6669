package policy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// everything is a rule that fills every field of a decision.
const everything = `  - name: r
    match: {pools: ['*/*']}
    who: {groups: [dev]}
    limits: {max_duration: 4h, default_duration: 2h, pending_for: 6h}
    require:
      - {name: kind, title: Kind, description: What it is, choices: [a, b], message: You must choose}
      - {name: note, optional: true}
    approve: {ordered: true, all_of: [{groups: [sre, ops], count: 2}, {any_of: [{group: sec}, {group: boss}]}]}
    auto_approve: [{condition: 'request.duration == duration("1m")'}]
    break_glass: {groups: [oncall], max_duration: 30m, notify: [security], review: {groups: [audit], within: 24h}}
`

var form = []policy.Input{
	{Name: "kind", Title: "Kind", Description: "What it is", Choices: []string{"a", "b"}, Message: "You must choose."},
	{Name: "note", Title: "note", Optional: true, Message: `You must fill in "note".`},
}

var votes = []grant.Step{
	{AnyOf: []grant.Quorum{{Groups: []string{"sre", "ops"}, Count: 2}}},
	{AnyOf: []grant.Quorum{{Groups: []string{"sec"}, Count: 1}, {Groups: []string{"boss"}, Count: 1}}},
}

func TestWholeDecisions(t *testing.T) {
	p := compile(t, head+everything+denying("d", `when: [{condition: 'pool.pool == "closed"'}]`))
	_, hash := p.Version()
	offer := policy.Decision{
		Rule: "r", Policy: "t", Hash: hash, Duration: 2 * time.Hour, DefaultDuration: 2 * time.Hour, MaxDuration: 4 * time.Hour,
		PendingFor: 6 * time.Hour, Inputs: form,
	}
	with := func(change func(*policy.Decision)) policy.Decision {
		d := offer
		change(&d)
		return d
	}
	kind := given("kind", "a")
	for name, c := range map[string]struct {
		request policy.Request
		want    policy.Decision
	}{
		"approval": {ask(lasting(0), kind), with(func(d *policy.Decision) {
			d.Allowed, d.Steps, d.Ordered = true, votes, true
			d.Explanation = "2 members of sre or ops and either 1 member of sec or else 1 member of boss must approve, in this order; never yourself. The request waits for at most 6 hours."
		})},
		"automatic": {ask(lasting(time.Minute), kind), with(func(d *policy.Decision) {
			d.Allowed, d.Duration = true, time.Minute
			d.Explanation = "No approval is needed: you have access at once, for 1 minute."
		})},
		"by somebody on call": {ask(lasting(time.Minute), kind, as("alice@example.com", "oncall", "dev")), with(func(d *policy.Decision) {
			d.Allowed, d.Duration, d.MayBreakGlass = true, time.Minute, true
			d.Explanation = "No approval is needed: you have access at once, for 1 minute."
		})},
		"emergency": {ask(lasting(time.Minute), kind, as("alice@example.com", "oncall", "dev"), urgent), with(func(d *policy.Decision) {
			d.Allowed, d.Duration, d.MayBreakGlass = true, time.Minute, true
			d.BreakGlass, d.DefaultDuration, d.MaxDuration = true, 30*time.Minute, 30*time.Minute
			d.Notify, d.ReviewGroups, d.ReviewWithin = []string{"security"}, []string{"audit"}, 24*time.Hour
			d.Explanation = "You have access at once, in an emergency, for 1 minute. security will be told. A member of audit will review it within 24 hours of its end."
		})},
		"refusal": {ask(lasting(5 * time.Hour)), with(func(d *policy.Decision) {
			d.Duration = 5 * time.Hour
			d.Explanation = "You must ask for at most 4 hours. You must choose."
		})},
		"denial": {ask(lasting(0), kind, pool("prod/closed")), with(func(d *policy.Decision) {
			d.Rule, d.Explanation = "d", "Not with d."
		})},
		"nobody's": {ask(as("alice@example.com", "oncall")), policy.Decision{
			Policy: "t", Hash: hash, Explanation: "You must be a member of dev.",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, p.Evaluate(t.Context(), c.request)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhoeverMayBreakGlassIsTold(t *testing.T) {
	p := compile(t, head+strings.Replace(everything, "'*/*'", "prod/web", 1)+strings.Replace(allowing("s"), "*/*", "prod/plain", 1))
	for name, c := range map[string]struct {
		request policy.Request
		want    bool
	}{
		"on call":                {ask(as("alice@example.com", "dev", "oncall")), true},
		"on call, and refused":   {ask(as("alice@example.com", "dev", "oncall"), lasting(99*time.Hour)), true},
		"not on call":            {ask(), false},
		"on call and not in who": {ask(as("alice@example.com", "oncall")), false},
		"another pool":           {ask(as("alice@example.com", "dev", "oncall"), pool("prod/plain")), false},
	} {
		if d := p.Evaluate(t.Context(), c.request); d.MayBreakGlass != c.want {
			t.Errorf("%s: %v", name, d.MayBreakGlass)
		}
	}
}

// A caller that writes into a decision must not write into the policy.
func TestDecisionsShareNothing(t *testing.T) {
	p := compile(t, head+everything)
	for _, r := range []policy.Request{
		ask(given("kind", "a")), ask(given("kind", "a"), as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)),
	} {
		d := p.Evaluate(t.Context(), r)
		for i := range d.Inputs {
			d.Inputs[i].Name = "x"
			for j := range d.Inputs[i].Choices {
				d.Inputs[i].Choices[j] = "x"
			}
		}
		for _, s := range d.Steps {
			for i := range s.AnyOf {
				s.AnyOf[i].Groups[0] = "x"
				s.AnyOf[i].Count = 0
			}
		}
		for _, list := range [][]string{d.Notify, d.ReviewGroups} {
			for i := range list {
				list[i] = "x"
			}
		}
		again := p.Evaluate(t.Context(), r)
		if diff := cmp.Diff(form, again.Inputs); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(votes, again.Steps); len(again.Steps) > 0 && diff != "" {
			t.Error(diff)
		}
		if slices.Contains(again.Notify, "x") || slices.Contains(again.ReviewGroups, "x") {
			t.Errorf("%+v", again)
		}
	}
}

func TestApproversAreThoseOfAllRulesForThePool(t *testing.T) {
	rules := strings.Replace(everything, "'*/*'", "prod/web", 1) +
		strings.Replace(allowing("s", "approve: {any_of: [{group: zoo}, {group: ops}]}"), "pools: ['*/*']", "tags: [pci]", 1) +
		denying("d") + allowing("free")
	p := compile(t, head+rules)
	for name, c := range map[string]struct {
		pool grant.Pool
		tags []string
		want []string
	}{
		"a pool":             {grant.Pool{Environment: "prod", Name: "web"}, nil, []string{"boss", "ops", "sec", "sre"}},
		"a pool with a tag":  {grant.Pool{Environment: "prod", Name: "web"}, []string{"pci"}, []string{"boss", "ops", "sec", "sre", "zoo"}},
		"a tag":              {grant.Pool{Environment: "prod", Name: "x"}, []string{"a", "pci"}, []string{"ops", "zoo"}},
		"nobody is asked":    {grant.Pool{Environment: "prod", Name: "x"}, nil, nil},
		"a pool without any": {grant.Pool{Environment: "x", Name: "web"}, nil, nil},
	} {
		if diff := cmp.Diff(c.want, p.Approvers(c.pool, c.tags)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What a requester writes comes back in no sentence: it would speak with the voice of the policy.
func TestNothingThatTheRequesterWroteIsRepeated(t *testing.T) {
	const free = "FREE-TEXT"
	p := compile(t, head+allowing("a", `when: [{condition: 'int(request.reason) > 1', message: m}]`, `require: [{name: a, choices: [x]}, {name: b, condition: 'int(inputs.b) > 1'}]`)+
		allowing("b", `when: [{condition: 'timestamp(inputs.a) > now && inputs[request.reason] == ""', message: m}]`, "require: [{name: a}]")+
		denying("d", `when: [{condition: 'duration(request.reason) > duration("1h")'}]`))
	d, findings := p.Explain(t.Context(), ask(because(free), given("a", free), given("b", free), given(free, free)))
	words := d.Explanation
	for _, f := range findings {
		words += strings.Join(f.Reasons, "")
	}
	if strings.Contains(words, free) || !strings.Contains(words, "could not be checked") {
		t.Error(words)
	}
}

// Costs are estimated for facts of a size; larger ones are not judged.
func TestFactsLargerThanTheBoundsAreRefused(t *testing.T) {
	p := compile(t, head+strings.Replace(allowing("r"), "groups: [dev]", "groups: [dev], users: ["+strings.Repeat("a", 116)+"@example.com], agents: ['*']", 1))
	many := func(n, length int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = strings.Repeat("g", length)
		}
		return append(all[:n-1], "dev")
	}
	for name, c := range map[string]struct {
		change change
		want   bool
	}{
		"1000 groups":      {func(r *policy.Request) { r.Groups = many(1000, 256) }, true},
		"1001 groups":      {func(r *policy.Request) { r.Groups = many(1001, 1) }, false},
		"a long group":     {func(r *policy.Request) { r.Groups = many(2, 257) }, false},
		"1000 of an owner": {func(r *policy.Request) { r.OwnerGroups = many(1000, 256) }, true},
		"1001 of an owner": {func(r *policy.Request) { r.OwnerGroups = many(1001, 1) }, false},
		"100 tags":         {func(r *policy.Request) { r.Tags = many(100, 128) }, true},
		"101 tags":         {func(r *policy.Request) { r.Tags = many(101, 1) }, false},
		"a long tag":       {func(r *policy.Request) { r.Tags = many(2, 129) }, false},
		"a reason":         {because(strings.Repeat("r", 1000)), true},
		"a long reason":    {because(strings.Repeat("r", 1001)), false},
		"a subject":        {as(grant.Subject(strings.Repeat("a", 116)+"@example.com"), "dev"), true},
		"a long subject":   {as(grant.Subject(strings.Repeat("a", 117)+"@example.com"), "dev"), false},
		"an owner": {func(r *policy.Request) {
			r.Subject, r.Owner = "agent:a", grant.Subject(strings.Repeat("a", 116)+"@example.com")
		}, true},
		"a long owner": {owned(grant.Subject(strings.Repeat("a", 117) + "@example.com")), false},
		"a pool": {func(r *policy.Request) {
			r.Pool = grant.Pool{Environment: strings.Repeat("e", 31), Name: strings.Repeat("p", 63)}
		}, true},
		"an environment": {func(r *policy.Request) { r.Pool.Environment = strings.Repeat("e", 32) }, false},
		"a long pool":    {func(r *policy.Request) { r.Pool.Name = strings.Repeat("p", 64) }, false},
	} {
		d, findings := p.Explain(t.Context(), ask(c.change))
		if d.Allowed != c.want || d.TimedOut == c.want || (len(findings) == 1) != c.want {
			t.Errorf("%s: %v, %s", name, d.Allowed, d.Explanation)
		}
		if name, hash := p.Version(); d.Policy != name || d.Hash != hash {
			t.Errorf("%+v", d)
		}
		if !c.want && d.Explanation != "The request is larger than the policy can judge." {
			t.Errorf("%s: %s", name, d.Explanation)
		}
	}
}

// An answer to an input beyond the bound is as one that was not given.
func TestAnAnswerOf1000BytesReachesConditionsAndALongerOneDoesNot(t *testing.T) {
	p := compile(t, head+allowing("r", "require: [{name: a, optional: true}]", "when: [{condition: 'inputs.a.size() == 1000', message: m}]"))
	if d := p.Evaluate(t.Context(), ask(given("a", strings.Repeat("x", 1000)))); !d.Allowed {
		t.Errorf("1000: %s", d.Explanation)
	}
	if d := p.Evaluate(t.Context(), ask(given("a", strings.Repeat("x", 1001)))); d.Allowed || !strings.Contains(d.Explanation, unchecked) {
		t.Errorf("1001: %+v", d)
	}
}

func TestWithoutTimeThereIsNoDecision(t *testing.T) {
	p := compile(t, head+allowing("a", "when: [{condition: 'true', message: m}]")+allowing("b")+denying("d", "when: [{condition: 'false'}]"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := policy.Decision{Policy: "t", TimedOut: true, Explanation: "It could not be decided in time. Ask again."}
	_, want.Hash = p.Version()
	d, findings := p.Explain(ctx, ask())
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, p.Evaluate(ctx, ask())); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]policy.Finding{
		{Rule: "a", File: "0.yaml:4", Outcome: policy.Refuses, Reasons: []string{"There was no time to ask this rule."}},
		{Rule: "b", File: "0.yaml:9", Outcome: policy.Refuses, Reasons: []string{"There was no time to ask this rule."}},
		{Rule: "d", File: "0.yaml:13", Deny: true, Outcome: policy.Denies, Reasons: []string{"There was no time to ask this rule."}},
	}, findings); diff != "" {
		t.Error(diff)
	}
}

func TestADenialThatWasNotCheckedInTimeIsNoDecision(t *testing.T) {
	p := compile(t, head+allowing("a")+denying("d", "when: [{condition: 'false'}]"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := p.Evaluate(ctx, ask()); d.Allowed || !d.TimedOut {
		t.Errorf("%+v", d)
	}
}

func TestAnAutomaticApprovalThatWasNotCheckedInTimeIsNoDecision(t *testing.T) {
	p := compile(t, head+allowing("a", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true'}]"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := p.Evaluate(ctx, ask()); d.Allowed || !d.TimedOut || len(d.Steps) > 0 {
		t.Errorf("%+v", d)
	}
}
