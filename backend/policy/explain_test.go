package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The rules begin in lines 4, 9, 14 and so on.
const told = `  - name: other-pool
    match: {pools: [prod/x]}
    who: {groups: [dev]}
    limits: {max_duration: 4h}

  - name: other-group
    match: {pools: ["*/*"]}
    who: {groups: [ops, sre]}
    limits: {max_duration: 4h}

  - name: other-person
    match: {pools: ["*/*"]}
    who: {users: [bob@example.com]}
    limits: {max_duration: 4h}

  - name: lacks
    match: {pools: ["*/*"]}
    who: {groups: [dev]}
    limits: {max_duration: 1m}
    when: [{condition: "false", message: Never}, {condition: owner.name == "", message: m}, {condition: int(request.reason) > 1, message: m}]

  - name: allows
    match: {pools: ["*/*"]}
    who: {groups: [dev]}
    limits: {max_duration: 4h}
    approve: {any_of: [{group: sre}]}
    auto_approve: [{condition: request.break_glass}]

  - name: later
    match: {pools: ["*/*"]}
    who: {groups: [dev]}
    limits: {max_duration: 1m}

  - {name: deny-other-pool, effect: deny, description: No, match: {pools: [prod/x]}}
  - {name: deny-others, effect: deny, description: No, match: {pools: ["*/*"]}, who: {groups: [ops]}}
  - {name: deny-not-met, effect: deny, description: No, match: {pools: ["*/*"]}, when: [{condition: "true"}, {condition: "false"}]}
`

func TestEachRuleSaysWhatItFound(t *testing.T) {
	why := []policy.Finding{
		{Rule: "other-pool", File: "0.yaml:4", Outcome: policy.NoMatch, Reasons: []string{"It is not about this pool."}},
		{Rule: "other-group", File: "0.yaml:9", Outcome: policy.NoMatch, Reasons: []string{"You must be a member of ops or sre."}},
		{Rule: "other-person", File: "0.yaml:14", Outcome: policy.NoMatch, Reasons: []string{"It is for others."}},
		{Rule: "lacks", File: "0.yaml:19", Outcome: policy.Refuses, Reasons: []string{
			"You must ask for at most 1 minute.", "Never.",
			"The condition at 0.yaml:23:62 could not be checked: it reads a fact that is not known.",
			"The condition at 0.yaml:23:105 could not be checked: it failed.",
		}},
		{Rule: "allows", File: "0.yaml:25", Outcome: policy.Allows, Reasons: []string{"The condition at 0.yaml:30:32 is not met."}},
		{Rule: "later", File: "0.yaml:32", Outcome: policy.Unasked},
		{Rule: "deny-other-pool", File: "0.yaml:37", Deny: true, Outcome: policy.NoMatch, Reasons: []string{"It is not about this pool."}},
		{Rule: "deny-others", File: "0.yaml:38", Deny: true, Outcome: policy.NoMatch, Reasons: []string{"It is for members of ops."}},
		{Rule: "deny-not-met", File: "0.yaml:39", Deny: true, Outcome: policy.NoMatch, Reasons: []string{"The condition at 0.yaml:39:122 is not met."}},
	}
	p := compile(t, head+told)
	d, findings := p.Explain(t.Context(), ask())
	if diff := cmp.Diff(why, findings); diff != "" {
		t.Error(diff)
	}
	if !d.Allowed || d.Rule != "allows" || len(d.Steps) != 1 {
		t.Errorf("%+v", d)
	}
}

// A service account and an agent are in no group, and never can be.
func TestWhoIsInNoGroupIsNotToldToBeInOne(t *testing.T) {
	p := compile(t, head+allowing("r")+denying("d", "who: {groups: [ops, sre]}"))
	for _, subject := range []grant.Subject{"service:bot", "agent:bot"} {
		_, findings := p.Explain(t.Context(), ask(func(r *policy.Request) { r.Subject, r.Groups = subject, nil }))
		got := []string{findings[0].Reasons[0], findings[1].Reasons[0]}
		if diff := cmp.Diff([]string{"It is for members of dev.", "It is for members of ops or sre."}, got); diff != "" {
			t.Errorf("%s: %s", subject, diff)
		}
	}
}

func TestDenialsSayWhatTheyFound(t *testing.T) {
	p := compile(t, head+denying("a")+denying("b", "when: [{condition: 'owner.name == \"\"'}]")+denying("c")+allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'owner.name == \"\"'}]"))
	d, findings := p.Explain(t.Context(), ask())
	if diff := cmp.Diff([]policy.Finding{
		{Rule: "a", File: "0.yaml:4", Deny: true, Outcome: policy.Denies, Reasons: []string{"Not with a."}},
		{Rule: "b", File: "0.yaml:8", Deny: true, Outcome: policy.Denies, Reasons: []string{
			"A rule that denies access could not be checked, and so it denies.",
			"The condition at 0.yaml:12:24 could not be checked: it reads a fact that is not known.",
		}},
		{Rule: "c", File: "0.yaml:13", Deny: true, Outcome: policy.Denies, Reasons: []string{"Not with c."}},
		{Rule: "r", File: "0.yaml:17", Outcome: policy.Allows},
	}, findings); diff != "" {
		t.Error(diff)
	}
	if d.Allowed || d.Rule != "a" || d.Explanation != "Not with a." {
		t.Errorf("%+v", d)
	}
}

func TestAnApprovalThatCannotBeAutomaticSaysWhy(t *testing.T) {
	p := compile(t, head+allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'owner.name == \"\"'}]"))
	_, findings := p.Explain(t.Context(), ask())
	want := []string{"The condition at 0.yaml:9:32 could not be checked: it reads a fact that is not known."}
	if diff := cmp.Diff(want, findings[0].Reasons); diff != "" {
		t.Error(diff)
	}
}

func TestInAnEmergencyOtherRulesSayThatTheyGiveNothing(t *testing.T) {
	p := compile(t, head+allowing("r")+allowing("s", emergency)+denying("d", "when: [{condition: 'false'}]"))
	_, findings := p.Explain(t.Context(), ask(urgent))
	if diff := cmp.Diff([]policy.Finding{
		{Rule: "r", File: "0.yaml:4", Outcome: policy.NoMatch, Reasons: []string{"It gives nothing in an emergency."}},
		{Rule: "s", File: "0.yaml:8", Outcome: policy.Refuses, Reasons: []string{
			"You must be a member of oncall to take access in an emergency.", "You must ask for at most 30 minutes.",
		}},
		{Rule: "d", File: "0.yaml:13", Deny: true, Outcome: policy.NoMatch, Reasons: []string{"The condition at 0.yaml:17:24 is not met."}},
	}, findings); diff != "" {
		t.Error(diff)
	}
}

func TestTheRulesAreListedInTheirOrder(t *testing.T) {
	p := compile(t, head+allowing("z", "description: What for")+denying("a"), "version: 1\nname: u\nrules:\n"+allowing("b"))
	if diff := cmp.Diff([]policy.RuleInfo{
		{Name: "z", File: "0.yaml:4", Description: "What for"},
		{Name: "a", File: "0.yaml:9", Description: "Not with a", Deny: true},
		{Name: "b", File: "1.yaml:4"},
	}, p.Rules()); diff != "" {
		t.Error(diff)
	}
}

// Evaluate stops where the requester has an answer; who keeps the policy wants to know of each rule all that it lacks.
func TestExplainSaysAllThatARuleLacksThoughAnEarlierOneLacksToo(t *testing.T) {
	p := compile(t, head+allowing("near", "when: [{condition: 'false', message: One}]")+
		strings.ReplaceAll(allowing("far", "when: [{condition: 'false', message: Two}]"), "max_duration: 4h", "max_duration: 1h"))
	_, findings := p.Explain(t.Context(), ask(lasting(2*time.Hour)))
	if diff := cmp.Diff([]string{"You must ask for at most 1 hour.", "Two."}, findings[1].Reasons); diff != "" {
		t.Error(diff)
	}
}
