package grant

import (
	"errors"
	"testing"
	"time"
)

// life is the page "A grant's life" written down again by hand: what a verb makes of a state. A missing pair must be
// refused. It must never be generated from the table in transition.go.
var life = map[State]map[Verb]State{
	Pending: {
		Approve:  Pending,
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
		Extend: Active,
		Expire: Expired,
		Revoke: Revoked,
	},
	Denied:    {},
	Cancelled: {},
	Lapsed:    {},
	Expired:   {},
	Revoked:   {},
}

var (
	everyState = []State{"", Pending, Approved, Active, Denied, Cancelled, Lapsed, Expired, Revoked, "ACTIVE", "unknown"}
	everyVerb  = []Verb{
		"", Request, Approve, Complete, Activate, Deny, Cancel, Lapse, Extend, Expire, Revoke, Refuse, "reopen", "Activate",
	}
)

const (
	alice = Subject("alice@example.com")
	bob   = Subject("bob@example.com")
	carol = Subject("carol@example.com")
)

// noon is when the tests' requests are made.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 0, time.UTC)

// inState is a grant of alice in any state, with times that fit: asked at noon, lapsing at one, and, where it was
// activated, opened at 12:10 for 15 minutes. It lacks two approvals, or one for Complete.
func inState(s State, verb Verb) Grant {
	count := 2
	if verb == Complete {
		count = 1
	}
	g := Grant{
		ID: "g1", Subject: alice, Pool: Pool{"prod", "web"}, State: s, Reason: "ticket 7", Duration: 15 * time.Minute,
		Steps: []Step{{Groups: []string{"leads"}, Count: count}}, Version: 5,
		RequestedAt: noon, LapsesAt: noon.Add(time.Hour),
	}
	if s == Active || s == Expired || s == Revoked {
		g.ActivatedAt = noon.Add(10 * time.Minute)
		g.ExpiresAt = noon.Add(25 * time.Minute)
	}
	return g
}

// fitting is an action and a time at which nothing but the state could be in the way.
func fitting(v Verb) (Action, time.Time) {
	at := noon.Add(20 * time.Minute)
	a := Action{Verb: v}
	switch v {
	case Approve, Complete, Deny:
		a.Actor = bob
	case Cancel:
		a.Actor = alice
	case Revoke:
		a.Actor, a.Cause = bob, CauseOperator
	case Extend:
		a.Actor, a.By = alice, time.Minute
	case Lapse:
		at = noon.Add(2 * time.Hour)
	case Expire:
		at = noon.Add(time.Hour)
	}
	return a, at
}

// I6: states move along the table only.
func TestI6EveryStateWithEveryVerb(t *testing.T) {
	for _, from := range everyState {
		for _, verb := range everyVerb {
			t.Run(string(from)+"/"+string(verb), func(t *testing.T) {
				g := inState(from, verb)
				a, at := fitting(verb)
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
				if next.State != to || next.Version != g.Version+1 {
					t.Errorf("came to %s version %d, want %s version %d", next.State, next.Version, to, g.Version+1)
				}
				if event.From != from || event.Verb != verb || event.Actor != a.Actor || !event.At.Equal(at) ||
					event.Grant.State != to || event.Grant.Version != next.Version {
					t.Errorf("event %+v does not tell the transition", event)
				}
			})
		}
	}
}

// The table is what the schema and the documentation are checked against.
func TestTransitionsAreTheLifeOfAGrant(t *testing.T) {
	seen := map[State]map[Verb]bool{}
	for _, tr := range Transitions() {
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
	for state, verbs := range life {
		if state.Final() != (len(verbs) == 0) {
			t.Errorf("%s: final %v with %d ways out", state, state.Final(), len(verbs))
		}
	}
	if State("").Final() || State("unknown").Final() {
		t.Error("what is no state is not final")
	}
}
