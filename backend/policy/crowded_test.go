package policy_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// restingOn says which rule has given a grant.
func restingOn(rule string) func(*grant.Grant) {
	return func(g *grant.Grant) { g.Rule = rule }
}

// What is given by a rule because an earlier one has no room stands, and what is given by one with room does; nothing else
// stands by it.
func TestLimitsOfConcurrentGrantsAreNotJudgedAgain(t *testing.T) {
	const one, byOps = "  max_concurrent: 1", "approve: {any_of: [{group: ops}]}"
	first := limiting("first", one, byOps) // has no room, or had none
	second := limiting("second", one, byOps)
	last := allowing("last", bySRE)
	for _, c := range []struct {
		name  string
		rules string
		grant grant.Grant
		facts policy.Facts
		cause grant.Cause // empty: it stands
		why   string
	}{
		{"by the last rule", first + last, held(grant.Active, restingOn("last")), known("dev"), "", ""},
		{"approved by it", first + last, held(grant.Approved, restingOn("last")), known("dev"), "", ""},
		{"pending by it", first + last, held(grant.Pending, restingOn("last")), known("dev"), "", ""},
		{"past two rules", first + second + last, held(grant.Active, restingOn("last")), known("dev"), "", ""},
		{"by a rule with a limit of its own", first + limiting("last", one, bySRE), held(grant.Active, restingOn("last")), known("dev"), "", ""},
		{"by the first rule", limiting("first", one, bySRE) + allowing("last", byOps), held(grant.Active, restingOn("first")), known("dev"), "", ""},
		{"extended by it", first + last, held(grant.Active, restingOn("last"), func(g *grant.Grant) {
			g.GivenAt, g.ExpiresAt, g.Duration = monday.Add(time.Minute), monday.Add(2*time.Hour), 2*time.Hour
		}), known("dev"), "", ""},
		{"while it is asked for longer", first + last, held(grant.Active, restingOn("last"), func(g *grant.Grant) {
			g.Extension = grant.Extension{By: time.Minute, Rule: "first", Steps: oneSRE}
		}), known("dev"), "", ""},

		{"an earlier rule without a limit wants others", allowing("first", byOps) + last, held(grant.Active, restingOn("last")), known("dev"), grant.CausePolicyChanged, otherHas},
		{"and of a request that waits", allowing("first", byOps) + last, held(grant.Pending, restingOn("last")), known("dev"), grant.CausePolicyChanged, otherNow},
		{"its own rule wants others", limiting("own", one, byOps) + last, held(grant.Active, restingOn("own")), known("dev"), grant.CausePolicyChanged, otherHas},
		{"its rule is gone, another without room would do", first + limiting("last", one, bySRE), held(grant.Active, restingOn("gone")), known("dev"), grant.CausePolicyChanged, otherHas},
		{"its rule is gone, another without a limit does", first + last, held(grant.Active, restingOn("gone")), known("dev"), "", ""},
		{"a denial", first + last + denying("d"), held(grant.Active, restingOn("last")), known("dev"), grant.CausePolicyChanged, "Not with d."},
		{"its rule gives less", first + briefly("last", bySRE), held(grant.Active, restingOn("last")), known("dev"), grant.CausePolicyChanged, otherHas},
		{"a group lost", first + last, held(grant.Active, restingOn("last")), known("x"), grant.CauseGroupLost, "You must be a member of dev."},
		{"the group of the last rule lost", first + forOnCall("last"), held(grant.Active, restingOn("last"), func(g *grant.Grant) {
			g.Groups = []string{"dev", "oncall"}
		}), known("dev"), grant.CauseGroupLost, otherHas},
		{"a group never had", first + forOnCall("last"), held(grant.Active, restingOn("last")), known("dev"), grant.CausePolicyChanged, otherHas},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := policy.Judge(t.Context(), compile(t, head+c.rules), c.grant, c.facts)
			if v.Stands != (c.cause == "") || v.Cause != c.cause || v.Undecided {
				t.Errorf("%+v", v)
			}
			if !v.Stands && v.Explanation != c.why {
				t.Errorf("%s\nwant %s", v.Explanation, c.why)
			}
			if v.Stands && (!v.Decision.Allowed || v.Explanation != v.Decision.Explanation) {
				t.Errorf("it stands by %+v", v.Decision)
			}
		})
	}
}

// briefly gives half of the time that the grant has.
func briefly(name string, lines ...string) string {
	return "  - name: " + name + "\n    match: {pools: ['*/*']}\n    who: {groups: [dev]}\n    limits: {max_duration: 30m}\n" + indented(lines)
}

func forOnCall(name string) string {
	return "  - name: " + name + "\n    match: {pools: ['*/*']}\n    who: {groups: [oncall]}\n    limits: {max_duration: 4h}\n" + indented([]string{bySRE})
}
