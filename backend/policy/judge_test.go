package policy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

var (
	oneSRE   = []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"sre"}, Count: 1}}}}
	byBob    = grant.Approval{By: "bob@example.com", Groups: []string{"sre"}}
	bySecond = grant.Approval{By: "carol@example.com", Groups: []string{"ops"}}
)

// held is alice's grant of an hour for prod/web in a state, changed.
func held(s grant.State, changes ...func(*grant.Grant)) grant.Grant {
	g := grant.Grant{
		ID: "g", Subject: "alice@example.com", Groups: []string{"dev"}, Pool: grant.Pool{Environment: "prod", Name: "web"}, State: s,
		Reason: "to look", Duration: time.Hour, Steps: oneSRE, RequestedAt: monday,
	}
	if s != grant.Pending {
		g.Approvals = []grant.Approval{byBob}
	}
	if s == grant.Active {
		g.ActivatedAt, g.GivenAt, g.ExpiresAt = monday, monday, monday.Add(time.Hour)
	}
	for _, change := range changes {
		change(&g)
	}
	return g
}

func known(groups ...string) policy.Facts {
	return policy.Facts{Groups: groups, At: monday.Add(30 * time.Minute)}
}

const (
	bySRE    = "approve: {any_of: [{group: sre}]}"
	otherNow = "Other approvals are needed now; ask again."
	otherHas = "Other approvals are needed now than it has; ask again."
	limited  = "You must ask for at most 30 minutes."
)

func shorter(lines ...string) string {
	return strings.Replace(allowing("r", lines...), "max_duration: 4h, default_duration: 1h", "max_duration: 30m", 1)
}

var judgements = []struct {
	name  string
	rules string
	grant grant.Grant
	facts policy.Facts
	cause grant.Cause // empty: it stands
	why   string
}{
	{"pending", allowing("r", bySRE), held(grant.Pending), known("dev"), "", ""},
	{"approved", allowing("r", bySRE), held(grant.Approved), known("dev"), "", ""},
	{"active", allowing("r", bySRE), held(grant.Active), known("dev"), "", ""},

	{"a group lost, pending", allowing("r", bySRE), held(grant.Pending), known("x"), grant.CauseGroupLost, "You must be a member of dev."},
	{"a group lost, approved", allowing("r", bySRE), held(grant.Approved), known("x"), grant.CauseGroupLost, "You must be a member of dev."},
	{"a group lost, active", allowing("r", bySRE), held(grant.Active), known("x"), grant.CauseGroupLost, "You must be a member of dev."},
	{"a group gained", allowing("r", bySRE), held(grant.Active, func(g *grant.Grant) { g.Groups = nil }), known("dev"), "", ""},
	{"a group lost, and the policy changed", shorter(bySRE), held(grant.Active), known("x"), grant.CausePolicyChanged, "You must be a member of dev."},
	{"a denied group gained", allowing("r", bySRE) + denying("d", "who: {groups: [bad]}"), held(grant.Active), known("dev", "bad"), grant.CauseGroupLost, "Not with d."},

	{"the policy changed, pending", shorter(bySRE), held(grant.Pending), known("dev"), grant.CausePolicyChanged, limited},
	{"the policy changed, approved", shorter(bySRE), held(grant.Approved), known("dev"), grant.CausePolicyChanged, limited},
	{"the policy changed, active", shorter(bySRE), held(grant.Active), known("dev"), grant.CausePolicyChanged, limited},
	{"a denial", allowing("r", bySRE) + denying("d"), held(grant.Active), known("dev"), grant.CausePolicyChanged, "Not with d."},
	{"a tag gained", allowing("r", bySRE) + "  - {name: d, effect: deny, description: No, match: {tags: [pci]}}\n", held(grant.Active), policy.Facts{Groups: []string{"dev"}, Tags: []string{"pci"}, At: monday}, grant.CausePolicyChanged, "No."},

	{"other approvals, pending", allowing("r", "approve: {any_of: [{group: ops}]}"), held(grant.Pending), known("dev"), grant.CausePolicyChanged, otherNow},
	{"more approvals, pending", allowing("r", "approve: {any_of: [{group: sre, count: 2}]}"), held(grant.Pending), known("dev"), grant.CausePolicyChanged, otherNow},
	{"no approval any more, pending", allowing("r"), held(grant.Pending), known("dev"), "", ""},
	{"an approval now, pending", allowing("r", bySRE), held(grant.Pending, func(g *grant.Grant) { g.Steps = nil }), known("dev"), grant.CausePolicyChanged, otherNow},
	{"another order of one", allowing("r", "approve: {ordered: true, all_of: [{group: sre}]}"), held(grant.Pending), known("dev"), "", ""},
	{"an order now", allowing("r", "approve: {ordered: true, all_of: [{group: sre}, {group: ops}]}"), held(grant.Pending, votesOf(false, "sre", "ops")), known("dev"), grant.CausePolicyChanged, otherNow},
	{"another order", allowing("r", "approve: {ordered: true, all_of: [{group: sre}, {group: ops}]}"), held(grant.Pending, votesOf(true, "ops", "sre")), known("dev"), grant.CausePolicyChanged, otherNow},
	{"the same order", allowing("r", "approve: {ordered: true, all_of: [{group: sre}, {group: ops}]}"), held(grant.Pending, votesOf(true, "sre", "ops")), known("dev"), "", ""},
	{"no order, and another", allowing("r", "approve: {all_of: [{group: sre}, {group: ops}]}"), held(grant.Pending, votesOf(false, "ops", "sre")), known("dev"), "", ""},
	{"groups in another order", allowing("r", "approve: {any_of: [{groups: [a, b]}, {group: c}]}"), held(grant.Pending, func(g *grant.Grant) {
		g.Steps = []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"c"}, Count: 1}, {Groups: []string{"b", "a"}, Count: 1}}}}
	}), known("dev"), "", ""},
	{"either is not both", allowing("r", "approve: {all_of: [{group: a}, {group: b}]}"), held(grant.Pending, func(g *grant.Grant) {
		g.Steps = []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"a"}, Count: 1}, {Groups: []string{"b"}, Count: 1}}}}
	}), known("dev"), grant.CausePolicyChanged, otherNow},
	{"two groups are not one of two", allowing("r", "approve: {any_of: [{groups: [a, b]}]}"), held(grant.Pending, votesOf(false, `a" "b`)), known("dev"), grant.CausePolicyChanged, otherNow},

	{"approvals by others, approved", allowing("r", "approve: {any_of: [{group: ops}]}"), held(grant.Approved), known("dev"), grant.CausePolicyChanged, otherHas},
	{"more approvals, active", allowing("r", "approve: {any_of: [{group: sre, count: 2}]}"), held(grant.Active), known("dev"), grant.CausePolicyChanged, otherHas},
	{"fewer approvals, active", allowing("r"), held(grant.Active), known("dev"), "", ""},
	{"approvals now, active", allowing("r", bySRE), held(grant.Active, func(g *grant.Grant) { g.Steps, g.Approvals = nil, nil }), known("dev"), grant.CausePolicyChanged, otherHas},
	{"two approvals in order", allowing("r", "approve: {ordered: true, all_of: [{group: sre}, {group: ops}]}"), held(grant.Active, approvedBy(byBob, bySecond)), known("dev"), "", ""},
	{"two approvals in the wrong order", allowing("r", "approve: {ordered: true, all_of: [{group: ops}, {group: sre}]}"), held(grant.Active, approvedBy(byBob, bySecond)), known("dev"), grant.CausePolicyChanged, otherHas},
	{"two approvals in any order", allowing("r", "approve: {all_of: [{group: ops}, {group: sre}]}"), held(grant.Active, approvedBy(byBob, bySecond)), known("dev"), "", ""},
	{"automatic by a group that is lost", allowing("r", bySRE, `auto_approve: [{condition: '"lead" in subject.groups'}]`), held(grant.Active, func(g *grant.Grant) { g.Groups, g.Steps, g.Approvals = []string{"dev", "lead"}, nil, nil }), known("dev"), grant.CauseGroupLost, otherHas},

	// What is judged, and as of when.
	{"hours of when it was given", limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`), held(grant.Active), known("dev"), "", ""},
	{"other hours than when it was given", limiting("r", `  hours: [{from: "10:30", to: "10:31"}]`), held(grant.Active), known("dev"), grant.CausePolicyChanged, "You must begin within these hours: every day, 10:30 to 10:31 (UTC)."},
	{"hours of when it was asked for", limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`), held(grant.Approved), known("dev"), "", ""},
	{"hours of when it was asked for, pending", limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`, bySRE), held(grant.Pending), known("dev"), "", ""},
	{"hours of now, pending", limiting("r", `  hours: [{from: "10:30", to: "10:31"}]`, bySRE), held(grant.Pending), known("dev"), grant.CausePolicyChanged, "You must begin within these hours: every day, 10:30 to 10:31 (UTC)."},
	{"a day ahead when it was asked for", allowing("r", `when: [{condition: 'request.start - now >= duration("24h")', message: m}]`), held(grant.Approved, window(monday.Add(24*time.Hour))), known("dev"), "", ""},
	{"a day ahead, and open by now", allowing("r", `when: [{condition: 'request.start - now >= duration("24h")', message: m}]`), held(grant.Active, window(monday.Add(24*time.Hour))), known("dev"), "", ""},
	{"hours of the window", limiting("r", `  hours: [{from: "11:00", to: "11:01"}]`), held(grant.Approved, window(monday.Add(time.Hour))), known("dev"), "", ""},
	{"a window that has begun", limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`), held(grant.Approved, window(monday)), known("dev"), "", ""},
	{"a window of an active grant is past", limiting("r", `  hours: [{from: "10:00", to: "10:01"}]`), held(grant.Active, window(monday.Add(48*time.Hour))), known("dev"), "", ""},
	{"now, of an active grant", allowing("r", `when: [{condition: 'now == timestamp("2026-03-02T10:00:00Z")', message: m}]`), held(grant.Active), known("dev"), "", ""},
	{"now, of a pending one", allowing("r", `when: [{condition: 'now == timestamp("2026-03-02T10:00:00Z")', message: m}]`, bySRE), held(grant.Pending), known("dev"), "", ""},
	{"what is left of the last decision", allowing("r", `when: [{condition: 'request.duration == duration("45m") && request.total == duration("2h") && request.extension', message: m}]`), held(grant.Active, func(g *grant.Grant) {
		g.Duration, g.GivenAt, g.ExpiresAt = 2*time.Hour, monday.Add(75*time.Minute), monday.Add(2*time.Hour+500*time.Millisecond)
	}), known("dev"), "", ""},
	{"no extension", allowing("r", `when: [{condition: '!request.extension && request.duration == duration("1h") && request.total == duration("1h")', message: m}]`), held(grant.Active), known("dev"), "", ""},
	{"at least a second", allowing("r", `when: [{condition: 'request.duration == duration("1s")', message: m}]`), held(grant.Active, func(g *grant.Grant) { g.ExpiresAt = g.GivenAt.Add(time.Millisecond) }), known("dev"), "", ""},
	{"a total that is too long now", limiting("r", "  max_total: 4h"), held(grant.Active, func(g *grant.Grant) { g.Duration = 5 * time.Hour }), known("dev"), grant.CausePolicyChanged, "You must ask for less: access may be open for at most 4 hours in all, with what it is made longer by."},
	{"other grants do not count again", limiting("r", "  max_concurrent: 1"), held(grant.Active), known("dev"), "", ""},
	{"the reason and the answers", allowing("r", `when: [{condition: 'request.reason == "to look"', message: m}]`, ticket), held(grant.Active, func(g *grant.Grant) { g.Inputs = map[string]string{"ticket": "INC1"} }), known("dev"), "", ""},
	{"an answer that is asked for now", allowing("r", ticket), held(grant.Active), known("dev"), grant.CausePolicyChanged, "You must give a number."},
	{"an emergency", allowing("r", bySRE, emergency), held(grant.Active, breaking), known("dev", "oncall"), "", ""},
	{"an emergency off call", allowing("r", bySRE, emergency), held(grant.Active, breaking), known("dev"), grant.CauseGroupLost, "You must be a member of oncall to take access in an emergency."},
	{"no emergency any more", allowing("r", bySRE), held(grant.Active, breaking), known("dev", "oncall"), grant.CausePolicyChanged, "No rule of the policy gives you access to this pool in an emergency."},
	{"an agent's owner", strings.Replace(allowing("r", bySRE, `when: [{condition: 'owner.name == "carol@example.com" && "boss" in owner.groups', message: m}]`), "groups: [dev]", "agents: ['*']", 1), held(grant.Active, agents), policy.Facts{OwnerGroups: []string{"boss"}, At: monday}, "", ""},
	{"an agent's owner who is no boss any more", strings.Replace(allowing("r", bySRE, `when: [{condition: '"boss" in owner.groups', message: Find a boss}]`), "groups: [dev]", "agents: ['*']", 1), held(grant.Active, agents, func(g *grant.Grant) { g.Groups = []string{"boss"} }), policy.Facts{OwnerGroups: []string{}, At: monday}, grant.CauseGroupLost, "Find a boss."},
	{"an agent's owner who is no boss", strings.Replace(allowing("r", bySRE, `when: [{condition: '"boss" in owner.groups', message: Find a boss}]`), "groups: [dev]", "agents: ['*']", 1), held(grant.Active, agents), policy.Facts{OwnerGroups: []string{}, At: monday}, grant.CausePolicyChanged, "Find a boss."},

	{"denied", denying("d"), held(grant.Denied), known(), "", ""},
	{"cancelled", denying("d"), held(grant.Cancelled), known(), "", ""},
	{"lapsed", denying("d"), held(grant.Lapsed), known(), "", ""},
	{"expired", denying("d"), held(grant.Expired), known(), "", ""},
	{"revoked", denying("d"), held(grant.Revoked), known(), "", ""},
}

func votesOf(ordered bool, groups ...string) func(*grant.Grant) {
	return func(g *grant.Grant) {
		g.Steps, g.Ordered = nil, ordered
		for _, group := range groups {
			g.Steps = append(g.Steps, grant.Step{AnyOf: []grant.Quorum{{Groups: []string{group}, Count: 1}}})
		}
	}
}

func approvedBy(approvals ...grant.Approval) func(*grant.Grant) {
	return func(g *grant.Grant) { g.Approvals = approvals }
}

func window(start time.Time) func(*grant.Grant) {
	return func(g *grant.Grant) { g.StartsAt = start }
}

func breaking(g *grant.Grant) {
	g.BreakGlass, g.Steps, g.Approvals, g.Groups = true, nil, nil, []string{"dev", "oncall"}
	g.Duration, g.ExpiresAt = 30*time.Minute, g.GivenAt.Add(30*time.Minute)
}

func agents(g *grant.Grant) { g.Subject, g.Owner, g.Groups = "agent:a", "carol@example.com", nil }

func TestJudgements(t *testing.T) {
	for _, c := range judgements {
		t.Run(c.name, func(t *testing.T) {
			v := policy.Judge(t.Context(), compile(t, head+c.rules), c.grant, c.facts)
			if v.Stands != (c.cause == "") || v.Cause != c.cause || v.Undecided {
				t.Errorf("%+v", v)
			}
			if !v.Stands && v.Explanation != c.why {
				t.Errorf("%s\nwant %s", v.Explanation, c.why)
			}
			if v.Stands && !c.grant.State.Final() && (!v.Decision.Allowed || v.Explanation != v.Decision.Explanation) {
				t.Errorf("it stands by %+v", v.Decision)
			}
		})
	}
}

// engine answers with what it is told and remembers what it was asked.
type engine struct {
	policy.Engine
	answers []policy.Decision
	asked   []policy.Request
}

func (e *engine) Evaluate(_ context.Context, r policy.Request) policy.Decision {
	e.asked = append(e.asked, r)
	return e.answers[len(e.asked)-1]
}

func TestWhatIsNotDecidedInTimeStands(t *testing.T) {
	late := policy.Decision{TimedOut: true, Explanation: "late"}
	for _, s := range []grant.State{grant.Pending, grant.Approved, grant.Active} {
		v := policy.Judge(t.Context(), &engine{answers: []policy.Decision{late}}, held(s), known("dev"))
		if diff := cmp.Diff(policy.Verdict{Stands: true, Undecided: true, Explanation: "late", Decision: late}, v); diff != "" {
			t.Error(diff)
		}
	}
	no := policy.Decision{Explanation: "no"}
	v := policy.Judge(t.Context(), &engine{answers: []policy.Decision{no, late}}, held(grant.Active), known("dev"))
	if diff := cmp.Diff(policy.Verdict{Stands: true, Undecided: true, Explanation: "late", Decision: late}, v); diff != "" {
		t.Error("where the rule that it rests on was not asked in time:", diff)
	}
	for _, answers := range [][]policy.Decision{{no, no, late}, {no, no, no, late}} {
		v := policy.Judge(t.Context(), &engine{answers: answers}, held(grant.Active), known("dev"))
		if diff := cmp.Diff(policy.Verdict{Cause: grant.CausePolicyChanged, Explanation: "no", Decision: no}, v); diff != "" {
			t.Error(diff)
		}
	}
}

// The request that is judged holds all of the grant, and nothing but the groups differs in the question for the cause.
func TestAGrantIsAskedForAgain(t *testing.T) {
	full := func(g *grant.Grant) {
		g.Subject, g.Owner, g.Reason, g.Inputs, g.BreakGlass = "agent:a", "carol@example.com", "why", map[string]string{"a": "x"}, true
		g.Groups = []string{"old"}
		g.Approvals, g.Steps = nil, nil
	}
	now := monday.Add(30 * time.Minute)
	facts := policy.Facts{Groups: []string{"new"}, OwnerGroups: []string{"theirs"}, Tags: []string{"pci"}, At: now}
	base := policy.Request{
		Subject: "agent:a", Groups: []string{"new"}, Owner: "carol@example.com", OwnerGroups: []string{"theirs"},
		Pool: grant.Pool{Environment: "prod", Name: "web"}, Tags: []string{"pci"}, Duration: time.Hour, At: monday,
		Reason: "why", Inputs: map[string]string{"a": "x"}, BreakGlass: true,
	}
	later, soon, far, active := base, base, base, base
	later.StartsAt, soon.StartsAt, far.StartsAt = monday.Add(time.Hour), now, monday.Add(99*time.Hour)
	active.Total = time.Hour
	for name, c := range map[string]struct {
		grant grant.Grant
		want  policy.Request
	}{
		"pending":           {held(grant.Pending, full), base},
		"approved":          {held(grant.Approved, full), base},
		"a window to come":  {held(grant.Approved, full, window(monday.Add(time.Hour))), later},
		"a window at once":  {held(grant.Approved, full, window(now)), soon},
		"active":            {held(grant.Active, full), active},
		"an active window":  {held(grant.Active, full, window(monday.Add(99*time.Hour))), far},
		"pending in window": {held(grant.Pending, full, window(monday.Add(time.Hour))), later},
	} {
		e := &engine{answers: []policy.Decision{{Explanation: "no"}, {}, {}, {Allowed: true}}}
		v := policy.Judge(t.Context(), e, c.grant, facts)
		old := c.want // an agent's groups are its owner's
		old.Groups, old.OwnerGroups = nil, []string{"old"}
		want := []policy.Request{c.want, c.want, old, old} // with room, and with none but under its rule
		if diff := cmp.Diff(want, e.asked, cmpopts.IgnoreUnexported(policy.Request{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if v.Cause != grant.CauseGroupLost {
			t.Errorf("%s: %+v", name, v)
		}
	}
	person := held(grant.Pending, full, func(g *grant.Grant) { g.Subject, g.Owner = "alice@example.com", "" })
	e := &engine{answers: []policy.Decision{{Explanation: "no"}, {}, {Allowed: true}}}
	policy.Judge(t.Context(), e, person, facts)
	if len(e.asked) != 3 || !slices.Equal(e.asked[2].Groups, []string{"old"}) || !slices.Equal(e.asked[2].OwnerGroups, []string{"theirs"}) {
		t.Errorf("of a person: %+v", e.asked)
	}
}
