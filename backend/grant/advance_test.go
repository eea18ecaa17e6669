package grant

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"
)

// Every time rule at the instants around its boundary; the resolution is a millisecond.
func TestTimeRulesAtTheirBoundaries(t *testing.T) {
	lapse, expiry, late := noon.Add(time.Hour), noon.Add(25*time.Minute), noon.Add(24*time.Minute)
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
		{"activate in the last moment", Approved, Activate, lapse.Add(-time.Millisecond), true},
		{"activate as it lapses", Approved, Activate, lapse, false},
		{"activate long after", Approved, Activate, lapse.Add(24 * time.Hour), false},
		{"expire too early", Active, Expire, expiry.Add(-time.Millisecond), false},
		{"expire a nanosecond too early", Active, Expire, expiry.Add(-1), false},
		{"expire on time", Active, Expire, expiry, true},
		{"extend in the last moment", Active, Extend, expiry.Add(-time.Millisecond), true},
		{"extend as it expires", Active, Extend, expiry, false},
		{"extend after it expired", Active, Extend, expiry.Add(time.Second), false},
		{"ask for more after it expired", Active, AskExtension, expiry, false},
		{"approve an extension before it lapses", Active, Approve, late.Add(-time.Millisecond), true},
		{"approve an extension as it lapses", Active, Approve, late, false},
		{"deny an extension before it lapses", Active, DenyExtension, late.Add(-time.Millisecond), true},
		{"deny an extension as it lapses", Active, DenyExtension, late, false},
		{"lapse of an extension too early", Active, LapseExtension, late.Add(-time.Millisecond), false},
		{"lapse of an extension on time", Active, LapseExtension, late, true},
		// Closing is never late: a clock that lags must not keep a grant open.
		{"cancel after it lapsed", Pending, Cancel, lapse.Add(time.Hour), true},
		{"withdraw after it lapsed", Pending, Withdraw, lapse.Add(time.Hour), true},
		{"withdraw from an extension after it lapsed", Active, Withdraw, late.Add(time.Hour), true},
		{"cancel an extension after it lapsed", Active, CancelExtension, late.Add(time.Hour), true},
		{"revoke a pending one after it lapsed", Pending, Revoke, lapse.Add(time.Hour), true},
		{"revoke before it was asked for", Active, Revoke, noon.Add(-time.Hour), true},
		{"revoke after it expired", Active, Revoke, expiry.Add(time.Hour), true},
		{"review after it is due", Expired, DoReview, noon.Add(48 * time.Hour), true},
		{"overdue before the review is due", Expired, ReviewOverdue, noon.Add(24*time.Hour - time.Millisecond), false},
		{"overdue as the review is due", Expired, ReviewOverdue, noon.Add(24 * time.Hour), true},
		{"overdue while it is still open", Active, ReviewOverdue, noon.Add(48 * time.Hour), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, _ := fitting(test.verb)
			_, _, err := Advance(inState(test.state, test.verb), a, test.at)
			if test.ok && err != nil {
				t.Fatal(err)
			}
			if !test.ok && !errors.Is(err, ErrTransition) {
				t.Fatalf("error %v, want ErrTransition", err)
			}
		})
	}
}

// Policy is late too: what has lapsed is not approved by a policy that asks nobody.
func TestPolicyDoesNotCompleteWhatHasLapsed(t *testing.T) {
	g := inState(Pending, "")
	g.Steps = nil
	if _, _, err := Advance(g, Action{Verb: Complete}, g.LapsesAt); !errors.Is(err, ErrTransition) {
		t.Errorf("error %v, want ErrTransition", err)
	}
	must(t, g, Action{Verb: Complete}, g.LapsesAt.Add(-time.Millisecond))
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
			g = must(t, g, Action{Verb: Activate}, at)
			if g.ExpiresAt != want {
				t.Errorf("expires at %v, want %v", g.ExpiresAt, want)
			}
			if began := at.UTC().Truncate(time.Millisecond); g.ActivatedAt != began || g.GivenAt != began {
				t.Errorf("activated at %v, given at %v, want %v", g.ActivatedAt, g.GivenAt, began)
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

// A window is what was asked for: nothing before its start, nothing after its end, whenever it was approved or opened.
func TestWindowsBeginAndEndWhenTheyWereToDo(t *testing.T) {
	start := noon.Add(2*time.Hour + 500*time.Millisecond)
	end := noon.Add(2*time.Hour + 15*time.Minute)
	asked := window()
	asked.StartsAt, asked.Steps = start, nil
	g, _, err := Ask(asked, noon)
	if err != nil {
		t.Fatal(err)
	}
	g = must(t, g, Action{Verb: Complete}, noon.Add(time.Minute))
	if g.LapsesAt != end {
		t.Fatalf("once approved it waits until %v, want its end %v", g.LapsesAt, end)
	}
	tests := []struct {
		name string
		at   time.Time
		verb Verb
		ok   bool
	}{
		{"before it begins", start.Add(-time.Millisecond), Activate, false},
		{"a nanosecond before", start.Add(-1), Activate, false},
		{"as it begins", start, Activate, true},
		{"after the request would have lapsed", start.Add(time.Minute), Activate, true},
		{"in its last moment", end.Add(-time.Millisecond), Activate, true},
		{"at its end", end, Activate, false},
		{"after its end", end.Add(time.Hour), Activate, false},
		{"lapse before its end", end.Add(-time.Millisecond), Lapse, false},
		{"lapse at its end", end, Lapse, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, _, err := Advance(g, Action{Verb: test.verb}, test.at)
			if test.ok != (err == nil) || err != nil && !errors.Is(err, ErrTransition) {
				t.Fatalf("error %v, want allowed %v", err, test.ok)
			}
			if n.State == Active && (n.ExpiresAt != end || n.ActivatedAt.Before(start)) {
				t.Errorf("it is open from %v to %v", n.ActivatedAt, n.ExpiresAt)
			}
		})
	}
}

// What no window bounds keeps the end of its wait; and what waits longer than its window, for whatever reason, is not
// opened after it.
func TestTheEndOfAWait(t *testing.T) {
	g := inState(Pending, Complete)
	a, at := fitting(Complete)
	if n := must(t, g, a, at); n.LapsesAt != g.LapsesAt {
		t.Errorf("approved, it waits until %v", n.LapsesAt)
	}
	g = inState(Approved, Activate)
	g.StartsAt, g.LapsesAt = noon, noon.Add(24*time.Hour)
	if _, _, err := Advance(g, Action{Verb: Activate}, noon.Add(g.Duration)); !errors.Is(err, ErrTransition) {
		t.Errorf("error %v, want ErrTransition", err)
	}
	must(t, g, Action{Verb: Activate}, noon.Add(g.Duration-time.Millisecond))
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
		{Active, Action{Verb: Revoke, Comment: "said so", Cause: CauseLock}, "", CauseLock},
		// A cause belongs to Revoked and nothing else, whatever the action says.
		{Pending, Action{Verb: Cancel, Actor: alice, Comment: "said so", Cause: CauseOperator}, alice, ""},
		{Active, Action{Verb: Expire, Comment: "said so", Cause: CauseOperator}, "", ""},
	}
	for _, test := range tests {
		g := inState(test.from, test.action.Verb)
		if test.from == Active {
			g.Extension = inState(Active, Approve).Extension
		}
		g = must(t, g, test.action, at)
		if g.EndedAt != at || g.EndedBy != test.by || g.Cause != test.cause || g.Comment != "said so" {
			t.Errorf("%+v left %+v", test.action, g)
		}
		if g.Extension.Asked() || g.Waits() {
			t.Errorf("%+v left an extension that waits", test.action)
		}
	}
	a, _ := fitting(Deny)
	a.Comment = "said so"
	if g := must(t, inState(Pending, Deny), a, noon.Add(time.Minute)); g.EndedAt != noon.Add(time.Minute) || g.EndedBy != bob || g.Comment != "said so" || g.Cause != "" {
		t.Errorf("denied: %+v", g)
	}
}

func TestWhoMayCancelAskAndRevoke(t *testing.T) {
	tests := []struct {
		name    string
		subject Subject
		actor   Subject
		ok      bool
	}{
		{"its subject", alice, alice, true},
		{"somebody else", alice, bob, false},
		{"its subject in capitals", alice, "Alice@example.com", false},
		{"nobody", alice, "", false},
		{"the agent", triage, triage, true},
		{"the agent's owner", triage, carol, true},
		{"another agent", triage, "agent:other", false},
		{"nobody for an agent", triage, "", false},
	}
	states := map[Verb]State{Cancel: Pending, AskExtension: Active, Extend: Active, CancelExtension: Active}
	for _, test := range tests {
		for verb, state := range states {
			t.Run(test.name+"/"+string(verb), func(t *testing.T) {
				g := inState(state, verb)
				if g.Subject = test.subject; test.subject == triage {
					g.Owner = carol
				}
				a, at := fitting(verb)
				a.Actor = test.actor
				_, _, err := Advance(g, a, at)
				if test.ok != (err == nil) || err != nil && !errors.Is(err, ErrAction) {
					t.Fatalf("error %v, want allowed %v", err, test.ok)
				}
			})
		}
	}
}

// A grant whose subject was lost in a damaged row must not become everybody's.
func TestNobodyIsNoSubject(t *testing.T) {
	g := inState(Pending, Cancel)
	g.Subject = ""
	if _, _, err := Advance(g, Action{Verb: Cancel}, noon); !errors.Is(err, ErrAction) {
		t.Errorf("error %v, want ErrAction", err)
	}
}

func TestTheClocksVerbsAreNobodyElses(t *testing.T) {
	states := map[Verb]State{Activate: Approved, Lapse: Pending, Expire: Active, LapseExtension: Active}
	for verb, state := range states {
		for _, actor := range []Subject{alice, bob, deploy} {
			a, at := fitting(verb)
			a.Actor = actor
			if _, _, err := Advance(inState(state, verb), a, at); !errors.Is(err, ErrAction) {
				t.Errorf("%s by %s: error %v, want ErrAction", verb, actor, err)
			}
		}
	}
}

// full gives all that a grant can point to, so that something shared shows.
func full(g Grant) Grant {
	g.Groups, g.Notify, g.Inputs = []string{"dev"}, []string{"security"}, map[string]string{"ticket": "7"}
	if len(g.Steps) == 0 {
		g.Steps = each(of(2, "leads"))
	}
	if len(g.Approvals) == 0 {
		g.Approvals = []Approval{yes(carol, "leads")}
	}
	if len(g.Review.Groups) == 0 {
		g.Review.Groups = []string{"security"}
	}
	g.Extension.Inputs = map[string]string{"ticket": "8"}
	if len(g.Extension.Steps) == 0 {
		g.Extension.Steps = each(of(2, "leads"))
	}
	if len(g.Extension.Approvals) == 0 {
		g.Extension.Approvals = []Approval{yes(carol, "leads")}
	}
	return g
}

// scribble changes everything that v points to, in place, and counts it.
func scribble(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0
		}
		for i := range v.NumField() {
			n += scribble(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += scribble(v.Index(i))
			if v.Index(i).Kind() == reflect.String {
				v.Index(i).SetString("scribbled")
				n++
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf("scribbled"))
			n++
		}
	}
	return n
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A caller keeps its grant and its action, whatever becomes of them and of the grant that came out.
func TestNothingIsSharedWithWhatWasPassedIn(t *testing.T) {
	if n := scribble(reflect.ValueOf(ptr(full(inState(Active, Approve)))).Elem()); n != 10 {
		t.Fatalf("%d things to scribble on, want 10: the fixture does not fill all that a grant points to", n)
	}
	for from, verbs := range life {
		for verb := range verbs {
			t.Run(string(from)+"/"+string(verb), func(t *testing.T) {
				a, at := fitting(verb)
				a.Extension.Inputs = map[string]string{"ticket": "9"}
				g := full(inState(from, verb))
				if verb == Approve { // one more than full's is not yet enough
					g.Steps, g.Extension.Steps = each(of(3, "leads")), each(of(3, "leads"))
				}
				before, beforeAction := text(t, g), text(t, a)
				n, e, err := Advance(g, a, at)
				if err != nil {
					t.Fatal(err)
				}
				if text(t, g) != before || text(t, a) != beforeAction {
					t.Fatal("it changed what was passed in")
				}
				result := text(t, n)
				scribble(reflect.ValueOf(&g).Elem())
				scribble(reflect.ValueOf(&a).Elem())
				if text(t, n) != result || text(t, e.Grant) != result {
					t.Errorf("it shares memory with what was passed in:\n%s\n%s", result, text(t, n))
				}
			})
		}
	}
}

func TestAskSharesNothingWithTheDraft(t *testing.T) {
	for _, d := range []Grant{draft(), emergency()} {
		g, e, err := Ask(d, noon)
		if err != nil {
			t.Fatal(err)
		}
		result := text(t, g)
		scribble(reflect.ValueOf(&d).Elem())
		if text(t, g) != result || text(t, e.Grant) != result {
			t.Errorf("it shares memory with the draft: %s", text(t, g))
		}
	}
}

// Room behind a caller's approvals belongs to the caller.
func TestAdvanceDoesNotWriteBehindApprovals(t *testing.T) {
	for _, state := range []State{Pending, Active} {
		g := inState(state, Approve)
		given := append(make([]Approval, 0, 8), yes(carol, "leads"))
		if state == Pending {
			g.Steps, g.Approvals = each(of(3, "leads")), given
		} else {
			g.Extension.Steps, g.Extension.Approvals = each(of(3, "leads")), given
		}
		a, at := fitting(Approve)
		must(t, g, a, at)
		if spare := given[:2][1]; spare.By != "" {
			t.Errorf("%s: wrote %+v", state, spare)
		}
		g.Ballot().Takes([]string{"leads"})
		g.Ballot().Wanted()
		if spare := given[:2][1]; spare.Groups != nil {
			t.Errorf("%s: the ballot wrote %+v", state, spare)
		}
	}
}

func ptr[T any](v T) *T { return &v }
