package grant

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// life is the page "A grant's life" written down again by hand: what a verb makes of a state. A missing pair must be
// refused. It must never be generated from the table in transition.go.
var life = map[State]map[Verb]State{
	Pending: {
		Approve:  Pending,
		Withdraw: Pending,
		Complete: Approved,
		Deny:     Denied,
		Cancel:   Cancelled,
		Lapse:    Lapsed,
		Revoke:   Revoked,
	},
	Approved: {
		Activate: Active,
		Cancel:   Cancelled,
		Lapse:    Lapsed,
		Revoke:   Revoked,
	},
	Active: {
		AskExtension:    Active,
		Approve:         Active,
		Withdraw:        Active,
		Extend:          Active,
		DenyExtension:   Active,
		CancelExtension: Active,
		LapseExtension:  Active,
		DoReview:        Active,
		ReviewOverdue:   Active,
		Expire:          Expired,
		Revoke:          Revoked,
	},
	Expired:   {DoReview: Expired, ReviewOverdue: Expired},
	Revoked:   {DoReview: Revoked, ReviewOverdue: Revoked},
	Denied:    {},
	Cancelled: {},
	Lapsed:    {},
}

var (
	everyState = []State{"", Pending, Approved, Active, Denied, Cancelled, Lapsed, Expired, Revoked, "ACTIVE", "unknown"}
	everyVerb  = []Verb{
		"", Request, Approve, Complete, Withdraw, Activate, Deny, Cancel, Lapse, Expire, Revoke,
		AskExtension, Extend, DenyExtension, CancelExtension, LapseExtension, DoReview, ReviewOverdue,
		Refuse, PutLock, LiftLock, LoadPolicy, RefusePolicy, FindDrift, "reopen", "Activate",
	}
)

// I6: states move along the table only.
func TestI6EveryStateWithEveryVerb(t *testing.T) {
	for _, from := range everyState {
		for _, verb := range everyVerb {
			t.Run(string(from)+"/"+string(verb), func(t *testing.T) {
				g := inState(from, verb)
				a, at := fitting(verb)
				a.Comment = "said so"
				next, event, err := Advance(g, a, at)
				to, allowed := life[from][verb]
				if !allowed {
					if !errors.Is(err, ErrTransition) {
						t.Fatalf("error %v, want ErrTransition", err)
					}
					if next.State != "" || next.Version != 0 || event.Verb != "" {
						t.Fatalf("a refused action answered %+v, %+v", next, event)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if next.State != to || next.Version != g.Version+1 || next.ID != g.ID {
					t.Errorf("came to %s version %d, want %s version %d", next.State, next.Version, to, g.Version+1)
				}
				if event.From != from || event.Verb != verb || event.Actor != a.Actor || !event.At.Equal(at) ||
					event.Comment != "said so" || event.Grant.State != to || event.Grant.Version != next.Version || event.Lock != (Lock{}) {
					t.Errorf("event %+v does not tell the transition", event)
				}
			})
		}
	}
}

// The table is what the schema and the documentation are checked against.
func TestTransitionsAreTheLifeOfAGrant(t *testing.T) {
	compareWithLife(t, Transitions())
}

// The page for people names the same transitions, one a row: | from | verb | to |.
func TestThePageDrawsTheLifeOfAGrant(t *testing.T) {
	page, err := os.ReadFile("../../docs/state-machine.md")
	if err != nil {
		t.Fatal(err)
	}
	var drawn []Transition
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") || strings.TrimSpace(cells[1]) == "from" {
			continue
		}
		cell := func(i int) string { return strings.Trim(cells[i], " `*") }
		from := cell(1)
		if from == "(none)" {
			from = ""
		}
		drawn = append(drawn, Transition{State(from), Verb(cell(2)), State(cell(3))})
	}
	compareWithLife(t, drawn)
}

func compareWithLife(t *testing.T, transitions []Transition) {
	t.Helper()
	seen := map[State]map[Verb]bool{}
	for _, tr := range transitions {
		if seen[tr.From] == nil {
			seen[tr.From] = map[Verb]bool{}
		}
		if seen[tr.From][tr.Verb] {
			t.Errorf("%s by %s stands there twice", tr.From, tr.Verb)
		}
		seen[tr.From][tr.Verb] = true
		if tr.From == "" {
			if tr.Verb != Request || tr.To != Pending {
				t.Errorf("a grant starts as %s by %s", tr.To, tr.Verb)
			}
			continue
		}
		if to, ok := life[tr.From][tr.Verb]; !ok || to != tr.To {
			t.Errorf("%s by %s leads to %s, by hand %q", tr.From, tr.Verb, tr.To, to)
		}
	}
	if !seen[""][Request] {
		t.Error("no grant can be asked for")
	}
	for from, verbs := range life {
		for verb := range verbs {
			if !seen[from][verb] {
				t.Errorf("%s by %s is missing", from, verb)
			}
		}
	}
}

func TestTransitionsIsACopy(t *testing.T) {
	Transitions()[0] = Transition{Denied, Activate, Active}
	if got := Transitions()[0]; got != (Transition{"", Request, Pending}) {
		t.Fatalf("somebody else's write reached the table: %+v", got)
	}
}

func TestFinalStatesHaveNoWayOut(t *testing.T) {
	final := []State{Denied, Cancelled, Lapsed, Expired, Revoked}
	for _, s := range everyState {
		if s.Final() != slices.Contains(final, s) {
			t.Errorf("%q: final %v", s, s.Final())
		}
	}
	for _, s := range final {
		for verb, to := range life[s] {
			if to != s {
				t.Errorf("%s leads from %s to %s", verb, s, to)
			}
		}
	}
}

// What a verb is, for the store: whether it changes a row, and whether a lock stops it. Closing is never stopped.
func TestWhatVerbsDo(t *testing.T) {
	tests := map[Verb]struct{ ofGrant, opens bool }{
		Request:         {true, true},
		Approve:         {true, true},
		Complete:        {true, true},
		Withdraw:        {true, false},
		Activate:        {true, true},
		Deny:            {true, false},
		Cancel:          {true, false},
		Lapse:           {true, false},
		Expire:          {true, false},
		Revoke:          {true, false},
		AskExtension:    {true, true},
		Extend:          {true, true},
		DenyExtension:   {true, false},
		CancelExtension: {true, false},
		LapseExtension:  {true, false},
		DoReview:        {true, false},
		ReviewOverdue:   {true, false},
		Refuse:          {false, false},
		PutLock:         {false, false},
		LiftLock:        {false, false},
		LoadPolicy:      {false, false},
		RefusePolicy:    {false, false},
		FindDrift:       {false, false},
	}
	for verb, want := range tests {
		if verb.OfGrant() != want.ofGrant || verb.Opens() != want.opens {
			t.Errorf("%s: of a grant %v, opens %v", verb, verb.OfGrant(), verb.Opens())
		}
	}
	for _, tr := range Transitions() {
		if want, known := tests[tr.Verb]; !known || !want.ofGrant {
			t.Errorf("the transition %s is no event of a grant", tr.Verb)
		}
	}
}

func TestCauses(t *testing.T) {
	want := []Cause{"given_up", "approver", "reviewer", "operator", "group_lost", "policy_changed", "lock"}
	got := Causes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("causes %v, want %v", got, want)
	}
	for _, cause := range append(want, "", "GIVEN_UP", "because") {
		a, at := fitting(Revoke)
		a.Cause = cause
		n, _, err := Advance(inState(Active, Revoke), a, at)
		if known := slices.Contains(got, cause); known != (err == nil) || err != nil && !errors.Is(err, ErrAction) || known && n.Cause != cause {
			t.Errorf("cause %q: %q, %v", cause, n.Cause, err)
		}
	}
}
