package grant

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	anyActor = rapid.SampledFrom([]Subject{"", alice, bob, carol, audrey, triage, deploy, "Alice@example.com"})
	anyVerb  = rapid.SampledFrom(everyVerb)
	anyBy    = rapid.SampledFrom([]time.Duration{time.Second, 9 * time.Second, time.Second, 0, 500 * time.Millisecond, -time.Second})
	anyCause = rapid.SampledFrom([]Cause{CauseOperator, CauseGivenUp, CauseLock, "", "because"})
	anyTime  = rapid.SampledFrom([]int{0, 0, 1, 999, 1000, 2500})
	anyVote  = rapid.SampledFrom([][]Step{
		nil, each(of(1, "a")), each(of(2, "a")), each(of(1, "a"), of(1, "b")), each(of(2, "a", "b"), of(1, "b")),
		each(of(1, "a"), of(1, "b"), of(1, "c")), {oneOf(of(2, "a"), of(1, "b")), oneOf(of(1, "c"))}, {oneOf(of(1, "a"), of(1, "c"))},
	})
)

// wild is anything by anybody.
func wild(t *rapid.T, at int) Action {
	a := Action{Verb: anyVerb.Draw(t, "verb"), Actor: anyActor.Draw(t, "actor"), Groups: someGroups.Draw(t, "groups"), Cause: anyCause.Draw(t, "cause")}
	if rapid.Bool().Draw(t, "with extension") {
		a.Extension.By = anyBy.Draw(t, "by")
	}
	if rapid.Bool().Draw(t, "with vote") {
		a.Extension.Steps, a.Extension.Ordered = anyVote.Draw(t, "vote"), rapid.Bool().Draw(t, "ordered")
		a.Extension.Approvals = []Approval{yes(audrey, "a", "b")} // which nobody may bring along
		a.Extension.LapsesAt = after(at + rapid.SampledFrom([]int{0, 1, 1000, 4000, 60000}).Draw(t, "extension waits"))
	}
	return a
}

// action draws what is done next: at random, or, three times out of four, what leads the grant on. Without that hardly
// any would come to its end.
func action(t *rapid.T, o *oracle, at int) Action {
	a := wild(t, at)
	if rapid.Bool().Draw(t, "wild") && rapid.Bool().Draw(t, "very wild") {
		return a
	}
	requester := o.subject
	if o.owner != "" && rapid.Bool().Draw(t, "the owner") {
		requester = o.owner
	}
	clock := func(v Verb) { a.Verb, a.Actor = v, "" }
	pick := func(verbs ...Verb) Verb { return rapid.SampledFrom(verbs).Draw(t, "sensible verb") }
	switch {
	case o.state == Pending && len(o.asks.steps) == 0:
		clock(Complete)
	case o.state == Pending && len(o.said) > 0 && rapid.IntRange(0, 4).Draw(t, "withdraw") == 0:
		a.Verb, a.Actor = Withdraw, rapid.SampledFrom(o.said).Draw(t, "who").by
	case o.state == Pending:
		a.Verb = pick(Approve, Complete)
	case o.state == Approved:
		clock(pick(Activate, Activate, Activate, Lapse))
	case o.state == Active && o.more != nil && len(o.more.said) > 0 && rapid.IntRange(0, 4).Draw(t, "withdraw") == 0:
		a.Verb, a.Actor = Withdraw, rapid.SampledFrom(o.more.said).Draw(t, "who").by
	case o.state == Active && o.more != nil:
		if rapid.IntRange(0, 3).Draw(t, "nothing new") > 0 {
			a.Extension = Extension{}
		}
		if a.Verb = pick(Approve, Extend, Extend, CancelExtension, DenyExtension, LapseExtension); a.Verb == LapseExtension {
			a.Actor = ""
		} else if a.Verb == CancelExtension {
			a.Actor = requester
		}
	case o.state == Active && !o.urgent && rapid.IntRange(0, 2).Draw(t, "go on") > 0:
		a.Verb, a.Actor, a.Extension.By = AskExtension, requester, anyBy.Draw(t, "longer by")
		if len(a.Extension.Steps) == 0 {
			a.Verb = Extend
		} else if rapid.Bool().Draw(t, "as long as it can") {
			a.Extension.LapsesAt = after(o.end)
		}
	case o.urgent && o.end > 0 && rapid.IntRange(0, 3).Draw(t, "overdue") == 0:
		clock(ReviewOverdue)
	case o.state == Active && rapid.Bool().Draw(t, "look"):
		a.Verb = DoReview
	case o.state == Active:
		clock(Expire)
	case o.state.Final():
		a.Verb = DoReview
	}
	return a
}

// beginning draws a request, for the oracle and for the code.
func beginning(t *rapid.T) (*oracle, Grant) {
	steps, ordered := anyVote.Draw(t, "asks"), rapid.Bool().Draw(t, "in order")
	o := &oracle{
		state: Pending, version: 1,
		subject:  rapid.SampledFrom([]Subject{alice, bob, triage, deploy}).Draw(t, "subject"),
		duration: rapid.IntRange(1, 30).Draw(t, "duration"),
		lapse:    rapid.SampledFrom([]int{90000, 20000, 2500, 1}).Draw(t, "lapse"),
		urgent:   rapid.IntRange(0, 3).Draw(t, "emergency") == 0,
	}
	if !o.urgent {
		o.window = rapid.SampledFrom([]int{0, 0, 3000, 5500}).Draw(t, "window")
	}
	if o.window > 0 {
		o.lapse = min(o.lapse, o.window+1000*o.duration)
	}
	if o.subject == triage {
		o.owner = carol
	}
	d := Grant{
		ID: "g1", Subject: o.subject, Owner: o.owner, Pool: Pool{"prod", "web"}, Reason: "ticket 7",
		Duration: time.Duration(o.duration) * time.Second, LapsesAt: after(o.lapse), BreakGlass: o.urgent,
	}
	if o.urgent {
		d.Review = Review{Groups: []string{"a"}, DueAt: after(1000)}
	} else {
		d.Steps, d.Ordered, o.asks = steps, ordered, voteOf(steps, ordered)
	}
	if o.window > 0 {
		d.StartsAt = after(o.window)
	}
	g, _, err := Ask(d, noon)
	if err != nil {
		t.Fatal(err)
	}
	return o, g
}

// walked counts what walks came to. A walk that never gets anywhere would prove nothing.
type walked struct {
	states    map[State]int
	verbs     map[Verb]int
	approvals int
	voted     int // extensions by people
}

func (w *walked) note(before, after Grant, v Verb) {
	w.states[after.State]++
	w.verbs[v]++
	w.approvals = max(w.approvals, len(after.Approvals))
	if v == Extend && before.Extension.Asked() {
		w.voted++
	}
}

func (w *walked) check(t *testing.T) {
	for state, verbs := range life {
		if w.states[state] == 0 {
			t.Errorf("no walk came to %s", state)
		}
		for verb := range verbs {
			if w.verbs[verb] == 0 {
				t.Errorf("no walk had a %s", verb)
			}
		}
	}
	if w.approvals < 3 || w.voted == 0 {
		t.Errorf("walks had at most %d approvals, and %d extensions by people", w.approvals, w.voted)
	}
}

// I6, I11: whatever anybody does at whatever time, the grant is what the oracle says.
func TestI6AnyActionsAgreeWithTheOracle(t *testing.T) {
	seen := &walked{states: map[State]int{}, verbs: map[Verb]int{}}
	rapid.Check(t, func(rt *rapid.T) {
		o, g := beginning(rt)
		at := 0
		for range 30 {
			at += anyTime.Draw(rt, "pass")
			a := action(rt, o, at)
			n, e, err := Advance(g, a, after(at))
			allowed := o.accept(a, at)
			if allowed != (err == nil) {
				rt.Fatalf("%+v at %d ms of %+v: error %v, by the oracle %v", a, at, g, err, allowed)
			}
			if err == nil {
				if e.From != g.State || e.Verb != a.Verb || e.Grant.Version != o.version {
					rt.Fatalf("event %+v of %+v", e, a)
				}
				seen.note(g, n, a.Verb)
				holds(rt, g, n, a)
				g = n
			}
			if err := o.agrees(g); err != nil {
				rt.Fatalf("after %+v at %d ms: %v", a, at, err)
			}
		}
	})
	seen.check(t)
}

// holds is what is true of every step, whatever the rules are.
func holds(t *rapid.T, before, after Grant, a Action) {
	if !before.ExpiresAt.IsZero() && after.ExpiresAt.Before(before.ExpiresAt) {
		t.Fatalf("%s moved the end from %v back to %v", a.Verb, before.ExpiresAt, after.ExpiresAt)
	}
	if before.State.Final() && after.State != before.State {
		t.Fatalf("%s moved %s to %s", a.Verb, before.State, after.State)
	}
	for _, yes := range slices.Concat(after.Approvals, after.Extension.Approvals) {
		if !people[yes.By] || yes.By == after.Subject || yes.By == after.Owner {
			t.Fatalf("%s approves for %s of %q", yes.By, after.Subject, after.Owner)
		}
	}
	if after.Extension.Asked() && after.Extension.LapsesAt.After(after.ExpiresAt) {
		t.Fatalf("an extension waits until %v, past the end %v", after.Extension.LapsesAt, after.ExpiresAt)
	}
}
