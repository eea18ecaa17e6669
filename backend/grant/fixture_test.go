package grant

import (
	"slices"
	"testing"
	"time"
)

// People of the tests. Alice asks, mostly; security looks at emergencies.
const (
	alice  = Subject("alice@example.com")
	bob    = Subject("bob@example.com")
	carol  = Subject("carol@example.com")
	audrey = Subject("audrey@example.com")
	triage = Subject("agent:triage")
	deploy = Subject("service:deploy-bot")
)

// noon is when the tests' requests are made.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

// after is a time in milliseconds after noon.
func after(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// of is a quorum, oneOf a step with a choice, each a step of its own for each quorum.
func of(count int, groups ...string) Quorum { return Quorum{Groups: groups, Count: count} }

func oneOf(quorums ...Quorum) Step { return Step{AnyOf: quorums} }

func each(quorums ...Quorum) []Step {
	var steps []Step
	for _, q := range quorums {
		steps = append(steps, oneOf(q))
	}
	return steps
}

func yes(by Subject, groups ...string) Approval { return Approval{By: by, Groups: groups} }

// inState is a grant of alice in any state, for which the verb lacks nothing but perhaps the state: asked at noon, lapsing
// at one, and, where it was activated, opened at 12:10 for 15 minutes. Two leads decide, and likewise on an extension, which
// waits until 12:24.
func inState(s State, verb Verb) Grant {
	g := Grant{
		ID: "g1", Subject: alice, Pool: Pool{"prod", "web"}, State: s, Reason: "ticket 7", Duration: 15 * time.Minute,
		Steps: each(of(2, "leads")), Version: 5, RequestedAt: noon, LapsesAt: noon.Add(time.Hour),
	}
	if s == Active || s == Expired || s == Revoked {
		g.ActivatedAt, g.GivenAt = noon.Add(10*time.Minute), noon.Add(10*time.Minute)
		g.ExpiresAt = noon.Add(25 * time.Minute)
	}
	if s != Pending {
		g.Approvals = []Approval{yes(bob, "leads"), yes(carol, "leads")}
	}
	if s == Active && slices.Contains([]Verb{Approve, Withdraw, DenyExtension, CancelExtension, LapseExtension}, verb) {
		g.Extension = Extension{By: time.Minute, Steps: each(of(2, "leads")), RequestedAt: noon.Add(15 * time.Minute), LapsesAt: noon.Add(24 * time.Minute)}
	}
	switch {
	case verb == Withdraw && s == Active:
		g.Extension.Approvals = []Approval{yes(carol, "leads")}
	case verb == Withdraw:
		g.Approvals = []Approval{yes(carol, "leads")}
	case verb == Complete && s == Pending:
		g.Approvals = []Approval{yes(carol, "leads")}
	case verb == DoReview, verb == ReviewOverdue:
		g.BreakGlass, g.Steps, g.Approvals = true, nil, nil
		g.Review = Review{Groups: []string{"security"}, DueAt: noon.Add(24 * time.Hour)}
	}
	return g
}

// lastVote is a grant with an extension that lacks bob's approval alone.
func lastVote() Grant {
	g := inState(Active, Approve)
	g.Extension.Approvals = []Approval{yes(carol, "leads")}
	return g
}

// fitting is an action and a time at which nothing but the state could be in the way.
func fitting(v Verb) (Action, time.Time) {
	at := noon.Add(20 * time.Minute)
	a := Action{Verb: v}
	switch v {
	case Approve, Complete, Deny, DenyExtension:
		a.Actor, a.Groups = bob, []string{"leads"}
	case Withdraw:
		a.Actor = carol
	case Cancel, CancelExtension:
		a.Actor = alice
	case Revoke:
		a.Actor, a.Cause = bob, CauseOperator
	case AskExtension:
		a.Actor = alice
		a.Extension = Extension{By: time.Minute, Reason: "not done", Steps: each(of(2, "leads")), LapsesAt: noon.Add(24 * time.Minute)}
	case Extend:
		a.Actor, a.Extension = alice, Extension{By: time.Minute}
	case DoReview:
		at = noon.Add(25 * time.Minute) // its end has come, whether the clock has been there or not
		a.Actor, a.Groups = audrey, []string{"security"}
	case ReviewOverdue:
		at = noon.Add(24 * time.Hour)
	case Lapse:
		at = noon.Add(2 * time.Hour)
	case LapseExtension:
		at = noon.Add(24 * time.Minute)
	case Expire:
		at = noon.Add(time.Hour)
	}
	return a, at
}

// must advances, where nothing is in the way.
func must(t *testing.T, g Grant, a Action, at time.Time) Grant {
	t.Helper()
	n, _, err := Advance(g, a, at)
	if err != nil {
		t.Fatalf("%s by %q: %v", a.Verb, a.Actor, err)
	}
	return n
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
