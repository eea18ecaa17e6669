package grant

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every time rule at the instants around its boundary; the resolution is a millisecond.
func TestTimeRulesAtTheirBoundaries(t *testing.T) {
	lapse, start, expiry := noon.Add(time.Hour), noon.Add(15*time.Minute), noon.Add(25*time.Minute)
	tests := []struct {
		name  string
		state State
		verb  Verb
		at    time.Time
		ok    bool
	}{
		{"approve before it lapses", Pending, Approve, lapse.Add(-time.Millisecond), true},
		{"approve a nanosecond before", Pending, Approve, lapse.Add(-1), true},
		{"approve as it lapses", Pending, Approve, lapse, false},
		{"approve after it lapsed", Pending, Approve, lapse.Add(time.Millisecond), false},
		{"complete before it lapses", Pending, Complete, lapse.Add(-time.Millisecond), true},
		{"complete as it lapses", Pending, Complete, lapse, false},
		{"deny before it lapses", Pending, Deny, lapse.Add(-time.Millisecond), true},
		{"deny as it lapses", Pending, Deny, lapse, false},
		{"lapse too early", Pending, Lapse, lapse.Add(-time.Millisecond), false},
		{"lapse a nanosecond too early", Pending, Lapse, lapse.Add(-1), false},
		{"lapse on time", Pending, Lapse, lapse, true},
		{"lapse of an approved one too early", Approved, Lapse, lapse.Add(-time.Millisecond), false},
		{"lapse of an approved one on time", Approved, Lapse, lapse, true},
		{"activate before its window", Approved, Activate, start.Add(-time.Millisecond), false},
		{"activate a nanosecond before", Approved, Activate, start.Add(-1), false},
		{"activate as its window begins", Approved, Activate, start, true},
		{"activate in its window's last moment", Approved, Activate, lapse.Add(-time.Millisecond), true},
		{"activate as its window ends", Approved, Activate, lapse, false},
		{"activate long after", Approved, Activate, lapse.Add(24 * time.Hour), false},
		{"expire too early", Active, Expire, expiry.Add(-time.Millisecond), false},
		{"expire a nanosecond too early", Active, Expire, expiry.Add(-1), false},
		{"expire on time", Active, Expire, expiry, true},
		{"extend in the last moment", Active, Extend, expiry.Add(-time.Millisecond), true},
		{"extend as it expires", Active, Extend, expiry, false},
		{"extend after it expired", Active, Extend, expiry.Add(time.Second), false},
		// Closing is never late: a clock that lags must not keep a grant open.
		{"cancel after it lapsed", Pending, Cancel, lapse.Add(time.Hour), true},
		{"revoke a pending one after it lapsed", Pending, Revoke, lapse.Add(time.Hour), true},
		{"revoke before it was asked for", Active, Revoke, noon.Add(-time.Hour), true},
		{"revoke after it expired", Active, Revoke, expiry.Add(time.Hour), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := inState(test.state, test.verb)
			g.StartsAt = start
			a, _ := fitting(test.verb)
			_, _, err := Advance(g, a, test.at)
			if test.ok && err != nil {
				t.Fatal(err)
			}
			if !test.ok && !errors.Is(err, ErrTransition) {
				t.Fatalf("error %v, want ErrTransition", err)
			}
		})
	}
}

// The clock starts at activation, and HAProxy counts whole seconds: the end is rounded down, never up.
func TestExpiryIsActivationPlusDurationRoundedDown(t *testing.T) {
	tests := []struct{ at, duration, want string }{
		{"2030-05-06T12:00:00Z", "15m", "2030-05-06T12:15:00Z"},
		{"2030-05-06T12:00:00.001Z", "15m", "2030-05-06T12:15:00Z"},
		{"2030-05-06T12:00:00.999999999Z", "15m", "2030-05-06T12:15:00Z"},
		{"2030-05-06T12:00:00.999Z", "1s", "2030-05-06T12:00:01Z"},
		{"2030-05-06T14:00:00.5+02:00", "1s", "2030-05-06T12:00:01Z"},
		{"2030-12-31T23:59:59.9Z", "8760h", "2031-12-31T23:59:59Z"},
	}
	for _, test := range tests {
		t.Run(test.at+"+"+test.duration, func(t *testing.T) {
			at, want := instant(t, test.at), instant(t, test.want)
			duration, err := time.ParseDuration(test.duration)
			if err != nil {
				t.Fatal(err)
			}
			g := inState(Approved, Activate)
			g.Duration, g.LapsesAt = duration, at.Add(time.Hour)
			g, _, err = Advance(g, Action{Verb: Activate}, at)
			if err != nil {
				t.Fatal(err)
			}
			if g.ExpiresAt != want {
				t.Errorf("expires at %v, want %v", g.ExpiresAt, want)
			}
			if g.ExpiresAt.After(at.Add(duration)) {
				t.Errorf("%v is later than asked", g.ExpiresAt)
			}
			if !g.Live(want.Add(-1)) || g.Live(want) {
				t.Error("it is live until its expiry, and not at it")
			}
		})
	}
}

func TestLiveIsActiveAndNotExpired(t *testing.T) {
	for _, s := range everyState {
		g := inState(s, "")
		g.ExpiresAt = noon.Add(time.Hour)
		if got := g.Live(noon); got != (s == Active) {
			t.Errorf("%q: live %v", s, got)
		}
	}
	if (Grant{State: Active}).Live(noon) {
		t.Error("live without an expiry")
	}
}

func TestExtensionMovesTheEndByWholeSeconds(t *testing.T) {
	g := inState(Active, Extend)
	n, _, err := Advance(g, Action{Verb: Extend, Actor: alice, By: 90 * time.Second}, noon.Add(20*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if want := noon.Add(26*time.Minute + 30*time.Second); n.ExpiresAt != want {
		t.Errorf("expires at %v, want %v", n.ExpiresAt, want)
	}
	if n.Duration != 16*time.Minute+30*time.Second || n.ID != g.ID || n.ActivatedAt != g.ActivatedAt {
		t.Errorf("extended to %+v", n)
	}
	for _, by := range []time.Duration{0, -1, -time.Second, 1, time.Second - 1, time.Second + 1, math.MinInt64, math.MaxInt64} {
		if _, _, err := Advance(g, Action{Verb: Extend, Actor: alice, By: by}, noon.Add(20*time.Minute)); !errors.Is(err, ErrAction) {
			t.Errorf("by %v: error %v, want ErrAction", by, err)
		}
	}
}

// The longest durations of whole seconds must not wrap into an end in the past, or a negative duration.
func TestExtensionNeverOverflows(t *testing.T) {
	longest := time.Duration(math.MaxInt64).Truncate(time.Second)
	if _, _, err := Advance(inState(Active, Extend), Action{Verb: Extend, Actor: alice, By: longest}, noon.Add(20*time.Minute)); !errors.Is(err, ErrAction) {
		t.Fatalf("error %v, want ErrAction", err)
	}
}

func TestEndingsAreRecorded(t *testing.T) {
	at := noon.Add(3 * time.Hour)
	tests := []struct {
		from   State
		action Action
		by     Subject
		cause  Cause
	}{
		{Pending, Action{Verb: Cancel, Actor: alice, Comment: "said so"}, alice, ""},
		{Pending, Action{Verb: Lapse, Comment: "said so"}, "", ""},
		{Active, Action{Verb: Expire, Comment: "said so"}, "", ""},
		{Active, Action{Verb: Revoke, Actor: bob, Comment: "said so", Cause: CauseApprover}, bob, CauseApprover},
		{Active, Action{Verb: Revoke, Comment: "said so", Cause: CauseApprover}, "", CauseApprover},
		// A cause belongs to Revoked and nothing else, whatever the action says.
		{Pending, Action{Verb: Cancel, Actor: alice, Comment: "said so", Cause: CauseOperator}, alice, ""},
		{Active, Action{Verb: Expire, Comment: "said so", Cause: CauseOperator}, "", ""},
	}
	for _, test := range tests {
		g, _, err := Advance(inState(test.from, test.action.Verb), test.action, at)
		if err != nil {
			t.Errorf("%+v: %v", test.action, err)
			continue
		}
		if g.EndedAt != at || g.EndedBy != test.by || g.Cause != test.cause || g.Comment != "said so" {
			t.Errorf("%+v left %+v", test.action, g)
		}
	}
}

func TestWhoMayCancelAndRevoke(t *testing.T) {
	at := noon.Add(20 * time.Minute)
	agents := inState(Pending, Cancel)
	agents.Subject, agents.Owner = "agent:triage", carol
	tests := []struct {
		name   string
		g      Grant
		action Action
		ok     bool
	}{
		{"its subject cancels", inState(Pending, Cancel), Action{Verb: Cancel, Actor: alice}, true},
		{"somebody else cancels", inState(Pending, Cancel), Action{Verb: Cancel, Actor: bob}, false},
		{"nobody cancels", inState(Pending, Cancel), Action{Verb: Cancel}, false},
		{"the agent cancels", agents, Action{Verb: Cancel, Actor: "agent:triage"}, true},
		{"the agent's owner cancels", agents, Action{Verb: Cancel, Actor: carol}, true},
		{"another agent cancels", agents, Action{Verb: Cancel, Actor: "agent:other"}, false},
		{"a revocation without a cause", inState(Active, Revoke), Action{Verb: Revoke, Actor: bob}, false},
		{"the clock's verbs are nobody's", inState(Approved, Activate), Action{Verb: Activate, Actor: alice}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Advance(test.g, test.action, at)
			if test.ok != (err == nil) || (err != nil && !errors.Is(err, ErrAction)) {
				t.Fatalf("error %v, want allowed %v", err, test.ok)
			}
		})
	}
}

// A caller keeps its grant, whatever becomes of it and of the one that came out.
func TestAdvanceNeverChangesItsArgument(t *testing.T) {
	for from, verbs := range life {
		for verb := range verbs {
			g := inState(from, verb)
			g.Steps[0].Count++ // for carol's
			// Room behind the last approval, into which a careless append would write.
			g.Approvals = append(make([]Approval, 0, 8), Approval{By: carol, At: noon})
			before := g
			before.Approvals = append([]Approval(nil), g.Approvals...)
			before.Steps = []Step{{Groups: []string{"leads"}, Count: g.Steps[0].Count}}
			a, at := fitting(verb)
			n, _, err := Advance(g, a, at)
			if err != nil {
				t.Fatalf("%s by %s: %v", from, verb, err)
			}
			for i := range n.Approvals {
				n.Approvals[i].By = "mallory@example.com"
			}
			if diff := cmp.Diff(before, g); diff != "" {
				t.Errorf("%s by %s changed its argument (-before +after):\n%s", from, verb, diff)
			}
			if spare := g.Approvals[:2][1]; spare != (Approval{}) {
				t.Errorf("%s by %s wrote behind the argument's approvals: %+v", from, verb, spare)
			}
		}
	}
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
