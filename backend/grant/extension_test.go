package grant

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExtensionMovesTheEndByWholeSeconds(t *testing.T) {
	g := inState(Active, Extend)
	at := noon.Add(20 * time.Minute)
	n := must(t, g, Action{Verb: Extend, Actor: alice, Extension: Extension{By: 90 * time.Second}}, at)
	if want := noon.Add(26*time.Minute + 30*time.Second); n.ExpiresAt != want {
		t.Errorf("expires at %v, want %v", n.ExpiresAt, want)
	}
	if n.Duration != 16*time.Minute+30*time.Second || n.ID != g.ID || n.ActivatedAt != g.ActivatedAt || n.GivenAt != at {
		t.Errorf("extended to %+v", n)
	}
	for _, verb := range []Verb{Extend, AskExtension} {
		for _, by := range []time.Duration{0, -1, -time.Second, 1, time.Second - 1, time.Second + 1, math.MinInt64, math.MaxInt64} {
			a, at := fitting(verb)
			a.Extension.By = by
			if _, _, err := Advance(g, a, at); !errors.Is(err, ErrAction) {
				t.Errorf("%s by %v: error %v, want ErrAction", verb, by, err)
			}
		}
		a, at := fitting(verb)
		a.Extension.By = time.Second
		must(t, g, a, at)
	}
}

// The longest durations of whole seconds must not wrap into an end in the past, or a negative duration.
func TestExtensionNeverOverflows(t *testing.T) {
	longest := time.Duration(math.MaxInt64).Truncate(time.Second)
	for _, verb := range []Verb{Extend, AskExtension} {
		a, at := fitting(verb)
		g := inState(Active, verb)
		a.Extension.By = longest
		if _, _, err := Advance(g, a, at); !errors.Is(err, ErrAction) {
			t.Fatalf("%s: error %v, want ErrAction", verb, err)
		}
		a.Extension.By = longest - g.Duration
		if n := must(t, g, a, at); n.ExpiresAt.Before(g.ExpiresAt) || n.Duration < g.Duration {
			t.Errorf("%s: %v until %v", verb, n.Duration, n.ExpiresAt)
		}
	}
}

// One chain: whoever extends, whenever, the new end is the old end and what was asked for, and never an end that has come.
func TestAChainOfExtensionsHasNoGap(t *testing.T) {
	g := inState(Active, Extend)
	end := noon.Add(25 * time.Minute)
	for i := range 5 {
		at := end.Add(-time.Millisecond) // the last moment
		if i%2 == 0 {
			g = must(t, g, Action{Verb: Extend, Actor: alice, Extension: Extension{By: time.Minute}}, at)
		} else {
			ask := Action{Verb: AskExtension, Actor: alice, Extension: Extension{By: time.Minute, Steps: each(of(1, "leads")), LapsesAt: end}}
			g = must(t, g, ask, at.Add(-time.Millisecond))
			if g.ExpiresAt != end || !g.Live(end.Add(-1)) || g.Live(end) {
				t.Fatalf("to ask for it moved the end to %v", g.ExpiresAt)
			}
			g = must(t, g, Action{Verb: Extend, Actor: bob, Groups: []string{"leads"}}, at)
		}
		if end = end.Add(time.Minute); g.ExpiresAt != end || g.GivenAt != at || g.Duration != time.Duration(16+i)*time.Minute {
			t.Fatalf("%d: until %v for %v given at %v, want %v", i, g.ExpiresAt, g.Duration, g.GivenAt, end)
		}
	}
	if _, _, err := Advance(g, Action{Verb: Extend, Actor: alice, Extension: Extension{By: time.Minute}}, end); !errors.Is(err, ErrTransition) {
		t.Errorf("after its end: error %v", err)
	}
}

func TestAskedExtensionIsKeptAsItWasAskedFor(t *testing.T) {
	g := inState(Active, AskExtension)
	a, _ := fitting(AskExtension)
	at := noon.Add(20*time.Minute + 1500*time.Microsecond)
	a.Extension.Inputs, a.Extension.Ordered = map[string]string{"ticket": "8"}, true
	a.Extension.Rule, a.Extension.Policy, a.Extension.PolicyHash, a.Extension.Explanation = "r", "p", "h", "e"
	want := a.Extension
	want.RequestedAt = noon.Add(20*time.Minute + time.Millisecond)
	// What the caller cannot know or must not bring.
	a.Extension.LapsesAt = a.Extension.LapsesAt.Add(999 * time.Microsecond).In(time.FixedZone("local", 3600))
	a.Extension.Approvals = []Approval{yes(bob, "leads"), yes(carol, "leads")}
	a.Extension.RequestedAt = noon
	n := must(t, g, a, at)
	if diff := cmp.Diff(want, n.Extension); diff != "" {
		t.Errorf("extension (-want +got):\n%s", diff)
	}
	n.Extension, n.Version = Extension{}, g.Version
	if diff := cmp.Diff(g, n); diff != "" {
		t.Errorf("beside the extension (-before +after):\n%s", diff)
	}
}

func TestWhatAnExtensionMayNotBe(t *testing.T) {
	end := inState(Active, "").ExpiresAt
	tests := []struct {
		name   string
		verb   Verb
		change func(*Grant, *Action)
		ok     bool
	}{
		{"for approval", AskExtension, func(*Grant, *Action) {}, true},
		{"at once", Extend, func(*Grant, *Action) {}, true},
		{"asked for without a vote", AskExtension, func(_ *Grant, a *Action) { a.Extension.Steps = nil }, false},
		{"at once with a vote", Extend, func(_ *Grant, a *Action) { a.Extension.Steps = each(of(1, "leads")) }, false},
		{"in an emergency", AskExtension, func(g *Grant, _ *Action) { g.BreakGlass = true }, false},
		{"at once in an emergency", Extend, func(g *Grant, _ *Action) { g.BreakGlass = true }, false},
		{"waiting until the end", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = end }, true},
		{"waiting past the end", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = end.Add(time.Millisecond) }, false},
		{"waiting for a millisecond", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = noon.Add(20*time.Minute + time.Millisecond) }, true},
		{"waiting for less", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = noon.Add(20*time.Minute + time.Millisecond - 1) }, false},
		{"not waiting", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = noon.Add(20 * time.Minute) }, false},
		{"waiting for ever", AskExtension, func(_ *Grant, a *Action) { a.Extension.LapsesAt = time.Time{} }, false},
		{"by a step for nobody", AskExtension, func(_ *Grant, a *Action) { a.Extension.Steps = each(of(0, "leads")) }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := inState(Active, test.verb)
			a, at := fitting(test.verb)
			test.change(&g, &a)
			if _, _, err := Advance(g, a, at); test.ok != (err == nil) || err != nil && !errors.Is(err, ErrAction) {
				t.Errorf("error %v, want allowed %v", err, test.ok)
			}
		})
	}
}

// While one waits, there is no other: neither a second one, nor one at once past the people who were asked, nor by the
// last approver who brings their own.
func TestOneExtensionAtATime(t *testing.T) {
	for name, a := range map[string]Action{
		"a second one":        {Verb: AskExtension, Actor: alice, Extension: Extension{By: time.Hour, Steps: each(of(1, "dev")), LapsesAt: noon.Add(24 * time.Minute)}},
		"one at once":         {Verb: Extend, Actor: alice, Groups: []string{"leads"}, Extension: Extension{By: time.Hour}},
		"the approver's own":  {Verb: Extend, Actor: bob, Groups: []string{"leads"}, Extension: Extension{By: time.Hour}},
		"by policy":           {Verb: Extend},
		"by policy, its own":  {Verb: Extend, Extension: Extension{By: time.Hour}},
		"by the subject":      {Verb: Extend, Actor: alice, Groups: []string{"leads"}},
		"approved, not given": {Verb: Approve, Actor: bob, Groups: []string{"leads"}},
		"by who approved":     {Verb: Extend, Actor: carol, Groups: []string{"leads"}},
		"completed":           {Verb: Complete, Actor: bob, Groups: []string{"leads"}},
	} {
		if n, _, err := Advance(lastVote(), a, noon.Add(20*time.Minute)); err == nil {
			t.Errorf("%s: extended to %v", name, n.ExpiresAt)
		}
	}
	g := inState(Active, Approve)
	if _, _, err := Advance(g, Action{Verb: Extend, Actor: bob, Groups: []string{"leads"}}, noon.Add(20*time.Minute)); !errors.Is(err, ErrAction) {
		t.Errorf("given with an approval missing: error %v", err)
	}
}

// An extension rests on its own decision, and so does the grant from then on.
func TestTheGrantRestsOnTheLastDecision(t *testing.T) {
	at := noon.Add(20 * time.Minute)
	g := lastVote()
	g.Inputs = map[string]string{"ticket": "7"}
	g.Rule, g.Policy, g.PolicyHash, g.Explanation = "old", "old", "old", "old"
	e := &g.Extension
	e.Rule, e.Policy, e.PolicyHash, e.Explanation, e.Ordered = "r", "p", "h", "e", true
	e.Steps = each(of(1, "leads"), of(1, "sre"))

	n := must(t, g, Action{Verb: Extend, Actor: bob, Groups: []string{"dev", "sre"}, Comment: "ok"}, at)
	want := g.clone()
	want.Version++
	want.Steps, want.Ordered, want.Approvals = e.Steps, true, []Approval{yes(carol, "leads"), {By: bob, At: at, Comment: "ok", Groups: []string{"sre"}}}
	want.Rule, want.Policy, want.PolicyHash, want.Explanation, want.Reason, want.Inputs = "r", "p", "h", "e", e.Reason, nil
	want.ExpiresAt, want.Duration, want.GivenAt, want.Extension = noon.Add(26*time.Minute), 16*time.Minute, at, Extension{}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("by people (-want +got):\n%s", diff)
	}

	// What policy says at the last approval counts for more than what it said when it was asked for.
	ground := Ground{"r3", "p3", "h3", "e3"}
	n = must(t, g, Action{Verb: Extend, Actor: bob, Groups: []string{"sre"}, Ground: ground}, at)
	if got := (Ground{n.Rule, n.Policy, n.PolicyHash, n.Explanation}); got != ground {
		t.Errorf("rests on %+v", got)
	}
	c, at2 := fitting(Complete)
	c.Ground = ground
	n = must(t, inState(Pending, Complete), c, at2)
	if got := (Ground{n.Rule, n.Policy, n.PolicyHash, n.Explanation}); got != ground {
		t.Errorf("completed, it rests on %+v", got)
	}

	g.Extension.Inputs = map[string]string{"ticket": "8"}
	if n := must(t, g, Action{Verb: Extend, Actor: bob, Groups: []string{"sre"}}, at); n.Inputs["ticket"] != "8" {
		t.Errorf("inputs %v", n.Inputs)
	}

	g.Extension = Extension{}
	n = must(t, g, Action{Verb: Extend, Actor: alice, Extension: Extension{By: time.Second, Reason: "more", Rule: "auto", Policy: "p2", PolicyHash: "h2", Explanation: "e2"}}, at)
	want = g.clone()
	want.Version++
	want.Rule, want.Policy, want.PolicyHash, want.Explanation, want.Reason, want.Inputs = "auto", "p2", "h2", "e2", "more", nil
	want.ExpiresAt, want.Duration, want.GivenAt = g.ExpiresAt.Add(time.Second), g.Duration+time.Second, at
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("at once (-want +got):\n%s", diff)
	}
}

// Approvals of one extension are gone with it: the next one begins with none, and those of the request never count.
func TestApprovalsAreNotReplayed(t *testing.T) {
	for _, verb := range []Verb{DenyExtension, CancelExtension, LapseExtension} {
		g := lastVote()
		a, at := fitting(verb)
		n := must(t, g, a, at)
		if diff := cmp.Diff(Extension{}, n.Extension); diff != "" || n.ExpiresAt != g.ExpiresAt || n.Duration != g.Duration || n.GivenAt != g.GivenAt {
			t.Errorf("%s left %s until %v", verb, diff, n.ExpiresAt)
		}
		ask := Action{Verb: AskExtension, Actor: alice, Extension: Extension{By: time.Hour, Steps: each(of(2, "leads")), LapsesAt: n.ExpiresAt}}
		n = must(t, n, ask, at)
		if _, _, err := Advance(n, Action{Verb: Extend, Actor: bob, Groups: []string{"leads"}}, at); !errors.Is(err, ErrAction) {
			t.Errorf("after %s one approval was enough: %v", verb, err)
		}
		n = must(t, n, Action{Verb: Approve, Actor: bob, Groups: []string{"leads"}}, at) // who approved the request may again
		n = must(t, n, Action{Verb: Extend, Actor: carol, Groups: []string{"leads"}}, at)
		if want := g.ExpiresAt.Add(time.Hour); n.ExpiresAt != want {
			t.Errorf("after %s: until %v, want %v", verb, n.ExpiresAt, want)
		}
	}
}

// What is said of an extension needs one, and a vote on one needs the grant to be open.
func TestNothingToSayWithoutAnExtension(t *testing.T) {
	for _, verb := range []Verb{Approve, Withdraw, DenyExtension, CancelExtension, LapseExtension} {
		g := inState(Active, "")
		a, at := fitting(verb)
		if _, _, err := Advance(g, a, at); !errors.Is(err, ErrTransition) {
			t.Errorf("%s: error %v, want ErrTransition", verb, err)
		}
	}
	for _, verb := range []Verb{Approve, DenyExtension} { // even where the row says that it waits longer
		g := inState(Active, verb)
		g.Extension.LapsesAt = g.ExpiresAt.Add(time.Hour)
		a, _ := fitting(verb)
		if _, _, err := Advance(g, a, g.ExpiresAt); !errors.Is(err, ErrTransition) {
			t.Errorf("%s after the end: error %v, want ErrTransition", verb, err)
		}
		must(t, g, a, g.ExpiresAt.Add(-time.Millisecond))
	}
	g := lastVote()
	g.Extension.LapsesAt = noon.Add(20 * time.Minute)
	if _, _, err := Advance(g, Action{Verb: Extend, Actor: bob, Groups: []string{"leads"}}, noon.Add(20*time.Minute)); !errors.Is(err, ErrTransition) {
		t.Errorf("given after it lapsed: error %v", err)
	}
}

// An extended grant is told from one that is as it was given by when it was given: also where both were in the same
// millisecond, or where the clock of the gateway that extends is behind.
func TestAnExtensionIsGivenAfterTheActivation(t *testing.T) {
	g := inState(Active, Extend)
	for _, c := range []struct{ at, want time.Time }{
		{g.ActivatedAt.Add(-time.Second), g.ActivatedAt.Add(time.Millisecond)},
		{g.ActivatedAt, g.ActivatedAt.Add(time.Millisecond)},
		{g.ActivatedAt.Add(time.Millisecond - 1), g.ActivatedAt.Add(time.Millisecond)},
		{g.ActivatedAt.Add(time.Millisecond), g.ActivatedAt.Add(time.Millisecond)},
		{g.ActivatedAt.Add(2*time.Millisecond + 1), g.ActivatedAt.Add(2 * time.Millisecond)},
	} {
		n := must(t, g, Action{Verb: Extend, Actor: alice, Extension: Extension{By: time.Minute}}, c.at)
		if n.GivenAt != c.want || g.ExtendedAt(c.at) != c.want || n.ActivatedAt != g.ActivatedAt || n.ExpiresAt != g.ExpiresAt.Add(time.Minute) {
			t.Errorf("at %v: given at %v and %v, want %v", c.at, n.GivenAt, g.ExtendedAt(c.at), c.want)
		}
	}
}

// The log tells of each step of an extension how much longer it is about, when it is gone from the grant too.
func TestEventsOfAnExtensionSayHowMuchLonger(t *testing.T) {
	for verb, want := range map[Verb]time.Duration{
		AskExtension: time.Minute, Approve: time.Minute, Withdraw: time.Minute, Extend: time.Minute, DenyExtension: time.Minute,
		CancelExtension: time.Minute, LapseExtension: time.Minute, Expire: 0, Revoke: 0,
	} {
		a, at := fitting(verb)
		_, e, err := Advance(inState(Active, verb), a, at)
		if err != nil || e.Longer != want {
			t.Errorf("%s: %s longer, %v; want %s", verb, e.Longer, err, want)
		}
	}
	a, at := fitting(Approve)
	a.Verb = Extend
	if _, e, err := Advance(lastVote(), a, at); err != nil || e.Longer != time.Minute {
		t.Errorf("the last approval: %s longer, %v", e.Longer, err)
	}
	for _, verb := range []Verb{Approve, Withdraw} {
		a, at := fitting(verb)
		if _, e, err := Advance(inState(Pending, verb), a, at); err != nil || e.Longer != 0 {
			t.Errorf("%s of a request: %s longer, %v", verb, e.Longer, err)
		}
	}
}
