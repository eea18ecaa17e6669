package grant

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// deciding are the verbs by which somebody judges somebody's access, each with a grant that waits for it.
func deciding() map[Verb]Grant {
	return map[Verb]Grant{
		Approve:       inState(Pending, Approve),
		Complete:      inState(Pending, Complete),
		Deny:          inState(Pending, Deny),
		Extend:        lastVote(),
		DenyExtension: inState(Active, DenyExtension),
		DoReview:      inState(Expired, DoReview),
	}
}

// I11: the requester, the owner of a requesting agent, and anyone whose canonical subject equals either never count as an
// approver, whatever their groups; an agent or a service never approves.
func TestI11WhoNeverDecides(t *testing.T) {
	person := func(email string) Subject {
		s, err := Person(email)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	tests := []struct {
		name    string
		subject Subject
		actor   Subject
		ok      bool
	}{
		{"somebody else", alice, bob, true},
		{"somebody else for an agent", triage, bob, true},
		{"the subject of people for an agent", triage, alice, true},
		{"somebody else for a service", deploy, alice, true},
		{"the requester", alice, alice, false},
		{"the requester in capitals", alice, person("ALICE@Example.COM"), false},
		{"the requester, not canonical", alice, "Alice@example.com", false},
		{"the requester with a newline", alice, "alice@example.com\n", false},
		{"the owner of the agent", triage, audrey, false},
		{"the owner in capitals", triage, person("Audrey@EXAMPLE.com"), false},
		{"the owner, not canonical", triage, "Audrey@example.com", false},
		{"the agent itself", triage, triage, false},
		{"another agent", triage, "agent:other", false},
		{"an agent for a person", alice, triage, false},
		{"a service", alice, deploy, false},
		{"the service itself", deploy, deploy, false},
		{"nobody", alice, "", false},
		{"nobody for an agent", triage, "", false},
		{"anonymous", alice, "system:anonymous", false},
		{"an endless name", alice, Subject(long(129)), false},
	}
	for _, test := range tests {
		for verb, g := range deciding() {
			t.Run(test.name+"/"+string(verb), func(t *testing.T) {
				if g.Subject = test.subject; test.subject == triage {
					g.Owner = audrey
				}
				a, at := fitting(verb)
				a.Actor, a.Groups, a.Extension = test.actor, []string{"leads", "security", "admins"}, Extension{}
				n, _, err := Advance(g, a, at)
				if test.ok && err != nil {
					t.Fatal(err)
				}
				if !test.ok && (!errors.Is(err, ErrAction) || n.State != "") {
					t.Fatalf("error %v, want ErrAction", err)
				}
			})
		}
	}
}

// Groups, not names, open a vote, and only those of the moment.
func TestOnlyAMemberApproves(t *testing.T) {
	verbs := deciding()
	delete(verbs, Deny) // whether they may at all is their caller's to say: a no needs no step
	delete(verbs, DenyExtension)
	for verb, g := range verbs {
		for _, groups := range [][]string{nil, {}, {""}, {"dev"}, {"Leads"}, {"lead"}, {"leads "}, {"leads,security"}, {"admins"}} {
			a, at := fitting(verb)
			a.Actor, a.Groups, a.Extension = bob, groups, Extension{}
			if _, _, err := Advance(g, a, at); err == nil {
				t.Errorf("%s by a member of %q", verb, groups)
			}
		}
	}
}

// A walk over two steps of two and one: which approvals count, in every wrong order.
func TestApprovalsAreCounted(t *testing.T) {
	const guard, other = Subject("guard@example.com"), Subject("other@example.com")
	type try struct {
		verb   Verb
		actor  Subject
		groups []string
		want   error  // nil: it counts
		wanted []bool // afterwards
	}
	leads, security, both := []string{"leads"}, []string{"security"}, []string{"dev", "security", "leads"}
	walk := []try{
		{Complete, bob, leads, ErrAction, []bool{true, true}},                 // two more are missing
		{Complete, "", nil, ErrAction, []bool{true, true}},                    // policy asked for people
		{Approve, bob, []string{"dev"}, ErrTransition, []bool{true, true}},    // of no step
		{Approve, bob, nil, ErrTransition, []bool{true, true}},                // nor these
		{Approve, alice, both, ErrAction, []bool{true, true}},                 // I11
		{Withdraw, bob, nil, ErrTransition, []bool{true, true}},               // nothing to take back
		{Approve, bob, both, nil, []bool{true, true}},                         // for either step
		{Approve, bob, both, ErrTransition, []bool{true, true}},               // the same person twice
		{Approve, bob, security, ErrTransition, []bool{true, true}},           // for the other step neither
		{Approve, carol, security, nil, []bool{true, false}},                  // bob stands for leads now
		{Approve, guard, security, ErrTransition, []bool{true, false}},        // it is full
		{Complete, guard, security, ErrTransition, []bool{true, false}},       // to the end neither
		{Withdraw, alice, nil, ErrTransition, []bool{true, false}},            // not hers
		{Withdraw, "", nil, ErrTransition, []bool{true, false}},               // not policy's
		{Withdraw, carol, nil, nil, []bool{true, true}},                       // hers
		{Withdraw, carol, nil, ErrTransition, []bool{true, true}},             // once
		{Approve, carol, security, nil, []bool{true, false}},                  // and again
		{Approve, audrey, leads, ErrAction, []bool{true, false}},              // it is the last: it completes
		{Complete, carol, leads, ErrTransition, []bool{true, false}},          // has approved already
		{Complete, "agent:other", leads, ErrAction, []bool{true, false}},      // no person
		{Complete, audrey, []string{"leads"}, nil, []bool{}},                  // the last one
		{Approve, other, leads, ErrTransition, []bool{}},                      // decided
		{Complete, other, leads, ErrTransition, []bool{}},                     // decided
		{Withdraw, bob, nil, ErrTransition, []bool{}},                         // too late
		{Withdraw, audrey, nil, ErrTransition, []bool{}},                      // for the last too
		{Deny, other, leads, ErrTransition, []bool{}},                         // and for a no
		{Approve, bob, []string{"leads", "x"}, ErrTransition, []bool{}},       // decided
		{DenyExtension, other, []string{"leads"}, ErrTransition, []bool{}},    // it is not active
		{AskExtension, alice, []string{"leads"}, ErrTransition, []bool{}},     // nor this
		{Extend, other, []string{"leads", "security"}, ErrTransition, nil},    // nor this
		{Complete, "", []string{"leads", "security"}, ErrTransition, nil},     // nor policy
		{Complete, "x@example.com", []string{"security"}, ErrTransition, nil}, // nor anybody
	}
	g := inState(Pending, Approve)
	g.Steps = each(of(2, "leads"), of(1, "security"))
	for i, try := range walk {
		at := noon.Add(time.Duration(i+1) * time.Second)
		n, _, err := Advance(g, Action{Verb: try.verb, Actor: try.actor, Groups: try.groups, Comment: "ok"}, at)
		if !errors.Is(err, try.want) || (try.want == nil && err != nil) {
			t.Fatalf("%d: %s by %q of %v: error %v, want %v", i, try.verb, try.actor, try.groups, err, try.want)
		}
		if err == nil {
			g = n
		}
		if got := g.Ballot().Wanted(); !slices.Equal(got, try.wanted) {
			t.Fatalf("%d: wanted %v, want %v", i, got, try.wanted)
		}
	}
	want := []Approval{
		{By: bob, At: after(7000), Comment: "ok", Groups: []string{"leads", "security"}},
		{By: carol, At: after(17000), Comment: "ok", Groups: []string{"security"}},
		{By: audrey, At: after(21000), Comment: "ok", Groups: []string{"leads"}},
	}
	if diff := cmp.Diff(want, g.Approvals); diff != "" || g.State != Approved {
		t.Fatalf("%s, approvals (-want +got):\n%s", g.State, diff)
	}
}

// Without steps policy approves, and only policy.
func TestCompleteByPolicyAlone(t *testing.T) {
	g := inState(Pending, "")
	g.Steps = nil
	n, e, err := Advance(g, Action{Verb: Complete}, noon)
	if err != nil || n.State != Approved || len(n.Approvals) != 0 || e.Actor != "" {
		t.Fatalf("%+v, %v", n, err)
	}
	for _, actor := range []Subject{alice, bob, deploy} {
		if _, _, err := Advance(g, Action{Verb: Complete, Actor: actor, Groups: []string{"leads"}}, noon); !errors.Is(err, ErrAction) {
			t.Errorf("%s completed what nobody had to approve: %v", actor, err)
		}
		if _, _, err := Advance(g, Action{Verb: Approve, Actor: actor, Groups: []string{"leads"}}, noon); err == nil {
			t.Errorf("%s approved what nobody had to approve", actor)
		}
	}
}

// Steps that policy would have to be broken to ask for must not be open doors.
func TestStepsForNobodyAreNeverApproved(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, steps := range [][]Step{
			{{}}, each(of(0, "leads")), each(of(-1, "leads")), each(of(1)), each(of(0, "x"), of(1, "leads")),
			each(of(-1, "x"), of(2, "leads")), {{}, oneOf(of(1, "leads"))}, {oneOf(of(0, "x")), oneOf(of(0, "leads"))},
		} {
			g := inState(Pending, "")
			g.Steps, g.Ordered = steps, ordered
			if g.Ballot().Complete() {
				t.Errorf("%+v, ordered %v: nobody has to approve", steps, ordered)
			}
			for _, actor := range []Subject{"", bob} {
				if _, _, err := Advance(g, Action{Verb: Complete, Actor: actor, Groups: []string{"leads"}}, noon); err == nil {
					t.Errorf("%+v, ordered %v: completed by %q", steps, ordered, actor)
				}
			}
		}
	}
}

// Whose approval is withdrawn, and what falls with it. In an ordered vote what came after may have rested on it.
func TestWithdrawals(t *testing.T) {
	two := each(of(2, "leads"), of(1, "security"), of(1, "ops"))
	choice := []Step{oneOf(of(2, "leads"), of(2, "sre")), oneOf(of(1, "security"))}
	tests := []struct {
		name    string
		ordered bool
		steps   []Step
		given   []Approval
		who     Subject
		left    []Subject
		wanted  []bool
	}{
		{"the only one", false, two, []Approval{yes(bob, "leads")}, bob, nil, []bool{true, true, true}},
		{"the first, unordered", false, two, []Approval{yes(bob, "leads"), yes(carol, "security"), yes(audrey, "leads")},
			bob, []Subject{carol, audrey}, []bool{true, false, true}},
		{"the second, unordered", false, two, []Approval{yes(bob, "leads"), yes(carol, "security"), yes(audrey, "leads")},
			carol, []Subject{bob, audrey}, []bool{false, true, true}},
		{"the last one's, ordered", true, two, []Approval{yes(bob, "leads"), yes(audrey, "leads"), yes(carol, "security")},
			carol, []Subject{bob, audrey}, []bool{false, true, false}},
		{"of the first step, ordered: the second falls", true, two, []Approval{yes(bob, "leads"), yes(audrey, "leads"), yes(carol, "security")},
			bob, []Subject{audrey}, []bool{true, false, false}},
		{"of the first step: who can stand for it stays", true, two, []Approval{yes(bob, "leads"), yes(audrey, "leads"), yes(carol, "leads", "security")},
			audrey, []Subject{bob, carol}, []bool{false, true, false}},
		{"which no step rested on, ordered", true, choice, []Approval{yes(bob, "leads"), yes(carol, "sre"), yes(audrey, "leads")},
			carol, []Subject{bob, audrey}, []bool{false, true}},
	}
	for _, test := range tests {
		for _, state := range []State{Pending, Active} {
			t.Run(test.name+"/"+string(state), func(t *testing.T) {
				g := inState(state, Withdraw)
				if state == Pending {
					g.Steps, g.Ordered, g.Approvals = test.steps, test.ordered, test.given
				} else {
					g.Extension.Steps, g.Extension.Ordered, g.Extension.Approvals = test.steps, test.ordered, test.given
				}
				n := must(t, g, Action{Verb: Withdraw, Actor: test.who}, noon.Add(20*time.Minute))
				var left []Subject
				for _, a := range n.Ballot().Approvals {
					left = append(left, a.By)
				}
				if !slices.Equal(left, test.left) || !slices.Equal(n.Ballot().Wanted(), test.wanted) {
					t.Errorf("left %v wanted %v, want %v and %v", left, n.Ballot().Wanted(), test.left, test.wanted)
				}
				if state == Active && len(n.Approvals) != 2 {
					t.Errorf("of the request are left: %+v", n.Approvals)
				}
			})
		}
	}
}

// A vote goes on after any withdrawal: whoever fell can approve again, and the order is kept.
func TestAnOrderedVoteGoesOnAfterAWithdrawal(t *testing.T) {
	g := inState(Pending, "")
	g.Steps, g.Ordered = each(of(1, "leads"), of(1, "security"), of(1, "ops")), true
	do := func(v Verb, who Subject, groups ...string) error {
		n, _, err := Advance(g, Action{Verb: v, Actor: who, Groups: groups}, noon)
		if err == nil {
			g = n
		}
		return err
	}
	script := []struct {
		verb  Verb
		who   Subject
		group string
		ok    bool
	}{
		{Approve, carol, "security", false}, // not yet
		{Approve, bob, "leads", true},
		{Approve, carol, "security", true},
		{Withdraw, bob, "", true},
		{Withdraw, carol, "", false},        // fell with his
		{Complete, audrey, "ops", false},    // the order is kept
		{Approve, carol, "security", false}, // likewise
		{Approve, bob, "leads", true},
		{Complete, audrey, "ops", false}, // security has not said yes to this
		{Approve, carol, "security", true},
		{Complete, audrey, "ops", true},
	}
	for i, line := range script {
		if err := do(line.verb, line.who, line.group); line.ok != (err == nil) {
			t.Fatalf("%d: %s by %s: %v", i, line.verb, line.who, err)
		}
	}
	if g.State != Approved {
		t.Errorf("it is %s", g.State)
	}
}

func TestWaitsBallotAndApprovedBy(t *testing.T) {
	for _, s := range everyState {
		g := inState(s, "")
		if g.Waits() != (s == Pending) || len(g.Ballot().Steps) > 0 != (s == Pending) || len(g.Deciders()) > 0 != (s == Pending) {
			t.Errorf("%q: waits %v for %+v", s, g.Waits(), g.Ballot())
		}
		g.Extension = lastVote().Extension
		g.Extension.Steps, g.Extension.Ordered = each(of(2, "sre", "leads")), true
		if waits := s == Pending || s == Active; g.Waits() != waits {
			t.Errorf("%q with an extension: waits %v", s, g.Waits())
		}
		want := map[State][]string{Pending: {"leads"}, Active: {"leads", "sre"}}[s]
		if !slices.Equal(g.Deciders(), want) || g.Ballot().Ordered != (s == Active) || len(g.Ballot().Approvals) > 0 != (s == Active) {
			t.Errorf("%q with an extension: ballot %+v, deciders %v", s, g.Ballot(), g.Deciders())
		}
	}
	g := inState(Active, Withdraw) // by bob and carol, the extension by carol
	g.Approvals = g.Approvals[:1]
	if !g.ApprovedBy(bob) || !g.ApprovedBy(carol) || g.ApprovedBy(audrey) || g.ApprovedBy("") {
		t.Errorf("approved by %+v, %+v", g.Approvals, g.Extension.Approvals)
	}
	if g = inState(Pending, ""); g.Ordered || g.Ballot().Ordered {
		t.Error("ordered")
	}
	if g.Ordered = true; !g.Ballot().Ordered {
		t.Error("not ordered")
	}
}
