package grant

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// I11: the requester, the owner of a requesting agent, and anyone whose canonical subject equals either never count as an
// approver; an agent or a service never approves.
func TestI11WhoNeverDecides(t *testing.T) {
	person := func(email string) Subject {
		s, err := Person(email)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	own := inState(Pending, Approve)
	agents := inState(Pending, Approve)
	agents.Subject, agents.Owner = "agent:triage", carol
	tests := []struct {
		name  string
		g     Grant
		actor Subject
		ok    bool
	}{
		{"somebody else", own, bob, true},
		{"somebody else for an agent", agents, bob, true},
		{"the subject of people for an agent", agents, alice, true},
		{"the requester", own, alice, false},
		{"the requester in capitals", own, person("ALICE@Example.COM"), false},
		{"the requester, not canonical", own, "Alice@example.com", false},
		{"the requester with a newline", own, "alice@example.com\n", false},
		{"the owner of the agent", agents, carol, false},
		{"the owner in capitals", agents, person("Carol@EXAMPLE.com"), false},
		{"the agent itself", agents, "agent:triage", false},
		{"another agent", agents, "agent:other", false},
		{"an agent for a person", own, "agent:triage", false},
		{"a service", own, "service:deploy-bot", false},
		{"nobody", own, "", false},
		{"nobody for an agent", agents, "", false},
		{"anonymous", own, "system:anonymous", false},
	}
	for _, test := range tests {
		for _, verb := range []Verb{Approve, Complete, Deny} {
			t.Run(test.name+"/"+string(verb), func(t *testing.T) {
				g := test.g
				if verb == Complete {
					g.Steps = []Step{{Groups: []string{"leads"}, Count: 1}}
				}
				n, _, err := Advance(g, Action{Verb: verb, Actor: test.actor}, noon.Add(time.Minute))
				if test.ok {
					if err != nil {
						t.Fatal(err)
					}
					if verb != Deny && !slices.Equal(n.Approvals, []Approval{{By: test.actor, At: noon.Add(time.Minute)}}) {
						t.Errorf("approvals %+v", n.Approvals)
					}
					return
				}
				if !errors.Is(err, ErrAction) {
					t.Fatalf("error %v, want ErrAction", err)
				}
			})
		}
	}
}

// A walk over two steps of two and one: which approvals count, in every wrong order.
func TestApprovalsAreCountedByStep(t *testing.T) {
	const dave, erin = Subject("dave@example.com"), Subject("erin@example.com")
	type try struct {
		verb  Verb
		actor Subject
		step  int
		want  error // nil: it counts
		left  []int // steps that lack approvals afterwards
	}
	walk := []try{
		{Complete, bob, 0, ErrAction, []int{0, 1}},         // two more are missing
		{Complete, "", 0, ErrAction, []int{0, 1}},          // policy asked for people
		{Approve, bob, 2, ErrTransition, []int{0, 1}},      // no such step
		{Approve, bob, -1, ErrTransition, []int{0, 1}},     // nor this
		{Approve, alice, 0, ErrAction, []int{0, 1}},        // I11
		{Approve, bob, 0, nil, []int{0, 1}},                // one of two
		{Approve, bob, 0, ErrTransition, []int{0, 1}},      // the same person twice
		{Approve, bob, 1, ErrTransition, []int{0, 1}},      // for the other step neither
		{Approve, carol, 1, nil, []int{0}},                 // the second step before the first is full
		{Approve, dave, 1, ErrTransition, []int{0}},        // it is full
		{Complete, dave, 1, ErrTransition, []int{0}},       // to the end neither
		{Approve, dave, 0, ErrAction, []int{0}},            // it is the last: it completes
		{Complete, carol, 0, ErrTransition, []int{0}},      // has approved already
		{Complete, "agent:triage", 0, ErrAction, []int{0}}, // no person
		{Complete, dave, 0, nil, nil},                      // the last one
		{Approve, erin, 0, ErrTransition, nil},             // decided
		{Complete, erin, 0, ErrTransition, nil},            // decided
	}
	g := inState(Pending, Approve)
	g.Steps = []Step{{Groups: []string{"leads"}, Count: 2}, {Groups: []string{"security"}, Count: 1}}
	for i, try := range walk {
		at := noon.Add(time.Duration(i+1) * time.Second)
		n, _, err := Advance(g, Action{Verb: try.verb, Actor: try.actor, Step: try.step, Comment: "ok"}, at)
		if !errors.Is(err, try.want) || (try.want == nil && err != nil) {
			t.Fatalf("%d: %s by %q for step %d: error %v, want %v", i, try.verb, try.actor, try.step, err, try.want)
		}
		if err == nil {
			want := append(slices.Clone(g.Approvals), Approval{By: try.actor, At: at, Comment: "ok", Step: try.step})
			if !slices.Equal(n.Approvals, want) {
				t.Fatalf("%d: approvals %+v, want %+v", i, n.Approvals, want)
			}
			g = n
		}
		if got := g.MissingSteps(); !slices.Equal(got, try.left) {
			t.Fatalf("%d: steps %v lack approvals, want %v", i, got, try.left)
		}
	}
	if g.State != Approved {
		t.Fatalf("it is %s", g.State)
	}
}

// Without steps policy approves, and only policy.
func TestCompleteByPolicyAlone(t *testing.T) {
	g := inState(Pending, Complete)
	g.Steps = nil
	n, e, err := Advance(g, Action{Verb: Complete}, noon)
	if err != nil || n.State != Approved || len(n.Approvals) != 0 || e.Actor != "" {
		t.Fatalf("%+v, %v", n, err)
	}
	for _, actor := range []Subject{alice, bob, "service:deploy-bot"} {
		if _, _, err := Advance(g, Action{Verb: Complete, Actor: actor}, noon); !errors.Is(err, ErrAction) {
			t.Errorf("%s completed what nobody had to approve: %v", actor, err)
		}
		if _, _, err := Advance(g, Action{Verb: Approve, Actor: actor}, noon); err == nil {
			t.Errorf("%s approved what nobody had to approve", actor)
		}
	}
}

// Steps that policy would have to be broken to ask for must not be open doors.
func TestStepsForNobodyAreNeverApproved(t *testing.T) {
	for _, count := range []int{0, -1} {
		g := inState(Pending, Complete)
		g.Steps[0].Count = count
		for _, actor := range []Subject{"", bob} {
			if _, _, err := Advance(g, Action{Verb: Complete, Actor: actor}, noon); err == nil {
				t.Errorf("a step that asks for %d people was completed by %q", count, actor)
			}
		}
	}
}
