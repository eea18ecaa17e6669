package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func TestI12AConditionThatBreaksOpensNothing(t *testing.T) {
	for _, how := range []string{"panics", "fails", "says a text", "says a one", "is silent"} {
		when := policy.Broken(compile(t, head+allowing("r", "when: [{condition: 'true', message: m}]")), how)
		if d := when.Evaluate(t.Context(), ask()); d.Allowed || d.Explanation != unchecked || d.TimedOut {
			t.Errorf("%s: %+v", how, d)
		}
		denial := policy.Broken(compile(t, head+allowing("r")+denying("d", "when: [{condition: 'false'}]")), how)
		if d := denial.Evaluate(t.Context(), ask()); d.Allowed || d.Explanation != blind || d.TimedOut {
			t.Errorf("%s: %+v", how, d)
		}
		auto := policy.Broken(compile(t, head+allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true'}]")), how)
		if d := auto.Evaluate(t.Context(), ask()); !d.Allowed || len(d.Steps) != 1 {
			t.Errorf("%s: %+v", how, d)
		}
	}
}

// A policy that was not made by Compile, or no context: nothing of it is a yes, and nothing of it is a crash.
func TestI12WhatWasNotMadeRefuses(t *testing.T) {
	d, findings := new(policy.Policy).Explain(t.Context(), ask())
	if d.Allowed || d.Explanation == "" || len(findings) != 0 {
		t.Errorf("%+v", d)
	}
	var none context.Context
	forgot := compile(t, head+allowing("r")).Evaluate(none, ask())
	if forgot.Allowed || forgot.Explanation != "The policy failed to decide, and so it refuses." || forgot.Policy != "t" {
		t.Errorf("%+v", forgot)
	}
}

// largest is a request with as many groups as may be, and all of them the owner's in the other order.
func largest() policy.Request {
	r := ask(as("agent:a"), owned("bob@example.com"))
	for i := range 1000 {
		r.Groups = append(r.Groups, fmt.Sprintf("%0256d", i))
		r.OwnerGroups = append(r.OwnerGroups, fmt.Sprintf("%0256d", 999-i))
	}
	return r
}

const dear = `subject.groups.all(g, g in owner.groups)`

func TestTheLargestRequestIsJudgedByTheDearestCondition(t *testing.T) {
	if d := compile(t, conditional(dear)).Within(time.Minute).Evaluate(t.Context(), largest()); !d.Allowed {
		t.Errorf("%+v", d)
	}
}

func TestADecisionHasABoundInTime(t *testing.T) {
	p := compile(t, head+allowing("r", "when: [{condition: 'true', message: m}]"))
	if d := p.Within(0).Evaluate(t.Context(), ask()); d.Allowed || !d.TimedOut || !strings.Contains(d.Explanation, "in time") {
		t.Errorf("%+v", d)
	}
	if d := p.Within(time.Minute).Evaluate(t.Context(), ask()); !d.Allowed {
		t.Errorf("%+v", d)
	}
}
