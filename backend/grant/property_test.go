package grant

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// oracle is a grant's life written a second time, with other means: seconds since noon, a set of approvals, and one rule
// a verb. It uses nothing of the code under test but the names of states and verbs.
type oracle struct {
	state    State
	version  int64
	subject  Subject
	owner    Subject
	need     []int           // how many approvals each step lacks
	said     map[Subject]int // who approved which step
	start    int             // milliseconds after noon
	lapse    int             // the same
	end      int             // whole seconds after noon, once it was active
	duration int             // seconds
	endedBy  Subject
	cause    Cause
	ended    bool
}

// people are those who may approve or deny for anybody but themselves; the others are no persons.
var people = map[Subject]bool{alice: true, bob: true, carol: true, "dave@example.com": true}

func (o *oracle) decides(actor Subject, at int) bool {
	return people[actor] && actor != o.subject && actor != o.owner && at < o.lapse
}

func (o *oracle) finish(to State, a Action) {
	o.state, o.ended, o.endedBy = to, true, a.Actor
}

// accept carries the action out if it is allowed.
func (o *oracle) accept(a Action, at int) bool {
	byClock := a.Actor == ""
	switch {
	case o.state == Pending && (a.Verb == Approve || a.Verb == Complete):
		if !o.counts(a, at) {
			return false
		}
	case o.state == Pending && a.Verb == Deny:
		if !o.decides(a.Actor, at) {
			return false
		}
		o.finish(Denied, a)
	case (o.state == Pending || o.state == Approved) && a.Verb == Cancel:
		if byClock || a.Actor != o.subject && a.Actor != o.owner {
			return false
		}
		o.finish(Cancelled, a)
	case (o.state == Pending || o.state == Approved) && a.Verb == Lapse:
		if !byClock || at < o.lapse {
			return false
		}
		o.finish(Lapsed, a)
	case o.state == Approved && a.Verb == Activate:
		if !byClock || at < o.start || at >= o.lapse {
			return false
		}
		o.state, o.end = Active, (at+1000*o.duration)/1000
	case o.state == Active && a.Verb == Extend:
		by := int(a.By / time.Millisecond)
		if by < 1000 || by%1000 != 0 || at >= 1000*o.end {
			return false
		}
		o.end, o.duration = o.end+by/1000, o.duration+by/1000
	case o.state == Active && a.Verb == Expire:
		if !byClock || at < 1000*o.end {
			return false
		}
		o.finish(Expired, a)
	case (o.state == Pending || o.state == Approved || o.state == Active) && a.Verb == Revoke:
		if a.Cause == "" {
			return false
		}
		o.cause = a.Cause
		o.finish(Revoked, a)
	default:
		return false
	}
	o.version++
	return true
}

// counts judges an approval and the completion by policy.
func (o *oracle) counts(a Action, at int) bool {
	if len(o.need) == 0 {
		if a.Verb != Complete || a.Actor != "" {
			return false
		}
		o.state = Approved
		return true
	}
	_, twice := o.said[a.Actor]
	if !o.decides(a.Actor, at) || twice || a.Step < 0 || a.Step >= len(o.need) || o.need[a.Step] == 0 {
		return false
	}
	left := 0
	for _, n := range o.need {
		left += n
	}
	if (left == 1) != (a.Verb == Complete) {
		return false
	}
	o.need[a.Step]--
	o.said[a.Actor] = a.Step
	if left == 1 {
		o.state = Approved
	}
	return true
}

// agrees compares all that the oracle knows.
func (o *oracle) agrees(g Grant) error {
	for i, missing := range o.need {
		listed := false
		for _, m := range g.MissingSteps() {
			listed = listed || m == i
		}
		if listed != (missing > 0) {
			return fmt.Errorf("missing steps %v, by the oracle %v", g.MissingSteps(), o.need)
		}
	}
	if g.State != o.state || g.Version != o.version || len(g.Approvals) != len(o.said) {
		return fmt.Errorf("%s version %d with %d approvals, by the oracle %+v", g.State, g.Version, len(g.Approvals), *o)
	}
	for _, a := range g.Approvals {
		if step, ok := o.said[a.By]; !ok || step != a.Step {
			return fmt.Errorf("approval %+v, by the oracle %v", a, o.said)
		}
	}
	if o.end != 0 && g.ExpiresAt != noon.Add(time.Duration(o.end)*time.Second) {
		return fmt.Errorf("expires at %v, by the oracle %d s after noon", g.ExpiresAt, o.end)
	}
	if o.end == 0 && !g.ExpiresAt.IsZero() || o.ended == g.EndedAt.IsZero() {
		return fmt.Errorf("expires %v ended %v, by the oracle %+v", g.ExpiresAt, g.EndedAt, *o)
	}
	if g.Cause != o.cause || g.EndedBy != o.endedBy || g.Duration != time.Duration(o.duration)*time.Second {
		return fmt.Errorf("ended by %q for %q after %v, by the oracle %+v", g.EndedBy, g.Cause, g.Duration, *o)
	}
	return nil
}

var (
	anyActor = rapid.SampledFrom([]Subject{
		"", alice, bob, carol, "dave@example.com", "agent:triage", "service:deploy-bot", "Alice@example.com",
	})
	anyVerb = rapid.SampledFrom([]Verb{
		Approve, Complete, Activate, Extend, Expire, Lapse, Deny, Cancel, Revoke, Request, Refuse, "",
	})
	anyBy   = rapid.SampledFrom([]time.Duration{time.Second, 9 * time.Second, 500 * time.Millisecond, 0, -time.Second})
	anyTime = rapid.SampledFrom([]int{0, 1, 999, 1000, 7500})
)

// action draws what is done next: at random, or, three times out of four, what leads the grant on. Without that hardly
// any would come to its end.
func action(t *rapid.T, o *oracle) Action {
	a := Action{
		Verb: anyVerb.Draw(t, "verb"), Actor: anyActor.Draw(t, "actor"), Step: rapid.IntRange(-1, 3).Draw(t, "step"),
		By: anyBy.Draw(t, "by"), Cause: rapid.SampledFrom([]Cause{"", CauseOperator, CauseGivenUp}).Draw(t, "cause"),
	}
	if rapid.Bool().Draw(t, "wild") && rapid.Bool().Draw(t, "very wild") {
		return a
	}
	left := 0
	for _, n := range o.need {
		left += n
	}
	switch {
	case o.state == Pending && len(o.need) == 0:
		a.Verb, a.Actor = Complete, ""
	case o.state == Pending:
		a.Verb, a.Step = Approve, rapid.IntRange(0, len(o.need)-1).Draw(t, "open step")
		if left == 1 {
			a.Verb = Complete
		}
	case o.state == Approved:
		a.Verb, a.Actor = Activate, ""
	case o.state == Active && rapid.Bool().Draw(t, "go on"):
		a.Verb = Extend
	case o.state == Active:
		a.Verb, a.Actor = Expire, ""
	}
	return a
}

// I6, I11: whatever anybody does at whatever time, the grant is what the oracle says.
func TestI6AnyActionsAgreeWithTheOracle(t *testing.T) {
	reached := map[State]int{}
	most := 0
	rapid.Check(t, func(rt *rapid.T) {
		o := &oracle{
			state: Pending, version: 1, said: map[Subject]int{},
			subject:  rapid.SampledFrom([]Subject{alice, bob, "agent:triage"}).Draw(rt, "subject"),
			duration: rapid.IntRange(1, 30).Draw(rt, "duration"),
			start:    rapid.SampledFrom([]int{0, 0, 5000}).Draw(rt, "start"),
			lapse:    rapid.SampledFrom([]int{90000, 20000, 2500, 1}).Draw(rt, "lapse"),
			need:     rapid.SampledFrom([][]int{nil, {1}, {2}, {1, 1}, {2, 1}, {1, 2}, {1, 1, 1}}).Draw(rt, "steps"),
		}
		o.need = slices.Clone(o.need)
		if o.subject == "agent:triage" {
			o.owner = carol
		}
		g := asked(rt, o)
		at := 0
		for range 30 {
			at += anyTime.Draw(rt, "pass")
			a := action(rt, o)
			n, e, err := Advance(g, a, noon.Add(time.Duration(at)*time.Millisecond))
			allowed := o.accept(a, at)
			if allowed != (err == nil) {
				rt.Fatalf("%+v at %d ms of %+v: error %v, by the oracle %v", a, at, g, err, allowed)
			}
			if err == nil {
				if e.From != g.State || e.Verb != a.Verb || e.Grant.Version != o.version {
					rt.Fatalf("event %+v of %+v", e, a)
				}
				g = n
				reached[g.State]++
				most = max(most, len(g.Approvals))
			}
			if err := o.agrees(g); err != nil {
				rt.Fatalf("after %+v at %d ms: %v", a, at, err)
			}
		}
	})
	// A check of the check: a walk that never gets anywhere would prove nothing.
	for state := range life {
		if reached[state] == 0 {
			t.Errorf("no walk came to %s", state)
		}
	}
	if most < 3 {
		t.Errorf("no walk had more than %d approvals", most)
	}
}

// asked makes the grant that the oracle starts from.
func asked(t *rapid.T, o *oracle) Grant {
	d := Grant{
		ID: "g1", Subject: o.subject, Owner: o.owner, Pool: Pool{"prod", "web"}, Reason: "ticket 7",
		Duration: time.Duration(o.duration) * time.Second, LapsesAt: noon.Add(time.Duration(o.lapse) * time.Millisecond),
	}
	if o.start > 0 {
		d.StartsAt = noon.Add(time.Duration(o.start) * time.Millisecond)
	}
	for _, count := range o.need {
		d.Steps = append(d.Steps, Step{Groups: []string{"leads"}, Count: count})
	}
	g, _, err := Ask(d, noon)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
