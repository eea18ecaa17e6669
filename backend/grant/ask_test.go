package grant

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func draft() Grant {
	return Grant{
		ID: "g1", Subject: alice, Pool: Pool{"prod", "web"}, Reason: "ticket 7", Duration: 15 * time.Minute,
		Groups: []string{"dev"}, GroupsSource: "login", GroupsAt: noon.Add(-time.Minute), Inputs: map[string]string{"ticket": "INC7"},
		Steps: each(of(1, "leads")), Ordered: true, LapsesAt: noon.Add(time.Hour),
		Rule: "web", Policy: "prod", PolicyHash: "h", Explanation: "A member of leads must approve.",
	}
}

func emergency() Grant {
	g := draft()
	g.Steps, g.Ordered, g.BreakGlass, g.Notify = nil, false, true, []string{"security"}
	g.Review = Review{Groups: []string{"security"}, DueAt: noon.Add(24 * time.Hour)}
	return g
}

func window() Grant {
	g := draft()
	g.StartsAt = noon.Add(2 * time.Hour)
	return g
}

func TestAskMakesAPendingGrantOfVersionOne(t *testing.T) {
	local := time.FixedZone("local", 2*3600)
	drafts := map[string]func() Grant{"plain": draft, "window": window, "emergency": emergency}
	for name, draft := range drafts {
		t.Run(name, func(t *testing.T) {
			want := draft()
			want.State, want.Version, want.RequestedAt = Pending, 1, noon.Add(time.Millisecond)

			d := draft()
			for _, at := range []*time.Time{&d.LapsesAt, &d.StartsAt, &d.GroupsAt, &d.Review.DueAt} {
				if !at.IsZero() {
					*at = at.Add(999 * time.Microsecond).In(local)
				}
			}
			got, event, err := Ask(d, noon.Add(1234567*time.Nanosecond).In(local))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("grant (-want +got):\n%s", diff)
			}
			wantEvent := Event{Grant: want, Verb: Request, Actor: alice, Comment: "ticket 7", At: noon.Add(time.Millisecond)}
			if diff := cmp.Diff(wantEvent, event); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if got.StartsAt.Location() != time.UTC || got.GroupsAt.Location() != time.UTC || got.Review.DueAt.Location() != time.UTC {
				t.Error("a time is not UTC")
			}
		})
	}
}

func TestAskRefuses(t *testing.T) {
	tests := map[string]func(*Grant){
		"no id":                       func(g *Grant) { g.ID = "" },
		"no subject":                  func(g *Grant) { g.Subject = "" },
		"subject not canonical":       func(g *Grant) { g.Subject = "Alice@example.com" },
		"subject with a bar":          func(g *Grant) { g.Subject = "alice@example.com|prod/web" },
		"no pool":                     func(g *Grant) { g.Pool = Pool{} },
		"half a pool":                 func(g *Grant) { g.Pool.Name = "" },
		"pool with a slash":           func(g *Grant) { g.Pool.Name = "web/x" },
		"no reason":                   func(g *Grant) { g.Reason = "" },
		"no duration":                 func(g *Grant) { g.Duration = 0 },
		"negative duration":           func(g *Grant) { g.Duration = -time.Second },
		"less than a second":          func(g *Grant) { g.Duration = time.Second - 1 },
		"parts of a second":           func(g *Grant) { g.Duration = time.Second + time.Millisecond },
		"lapses at once":              func(g *Grant) { g.LapsesAt = noon },
		"lapses within a millisecond": func(g *Grant) { g.LapsesAt = noon.Add(time.Millisecond - 1) },
		"lapses never":                func(g *Grant) { g.LapsesAt = time.Time{} },
		"has a state":                 func(g *Grant) { g.State = Active },
		"has a version":               func(g *Grant) { g.Version = 1 },
		"has an approval":             func(g *Grant) { g.Approvals = []Approval{yes(bob, "leads")} },
		"was requested":               func(g *Grant) { g.RequestedAt = noon },
		"was activated":               func(g *Grant) { g.ActivatedAt = noon },
		"was given":                   func(g *Grant) { g.GivenAt = noon },
		"expires already":             func(g *Grant) { g.ExpiresAt = noon.Add(time.Hour) },
		"has ended":                   func(g *Grant) { g.EndedAt = noon },
		"has a cause":                 func(g *Grant) { g.Cause = CauseOperator },
		"was ended by somebody":       func(g *Grant) { g.EndedBy = bob },
		"has a comment":               func(g *Grant) { g.Comment = "no" },
		"has an extension":            func(g *Grant) { g.Extension.By = time.Second },
		"has an extension's approval": func(g *Grant) { g.Extension.Approvals = []Approval{yes(bob, "leads")} },
		"has an extension's rule":     func(g *Grant) { g.Extension.Rule = "web" },
		"owner not canonical":         func(g *Grant) { g.Subject, g.Owner = triage, "Bob@example.com" },
		"owner is an agent":           func(g *Grant) { g.Subject, g.Owner = triage, "agent:other" },
		"owner is a service":          func(g *Grant) { g.Subject, g.Owner = triage, deploy },
		"owner is too long":           func(g *Grant) { g.Subject, g.Owner = triage, Subject(long(129)) },
		"an agent without owner":      func(g *Grant) { g.Subject = triage },
		"a person with an owner":      func(g *Grant) { g.Owner = bob },
		"a service with an owner":     func(g *Grant) { g.Subject, g.Owner = deploy, bob },
		"a person owned by an agent":  func(g *Grant) { g.Owner = triage },
		"a step for nobody":           func(g *Grant) { g.Steps[0].AnyOf[0].Count = 0 },
		"a step without a quorum":     func(g *Grant) { g.Steps[0].AnyOf = nil },
		"the second step is wrong":    func(g *Grant) { g.Steps = append(g.Steps, oneOf(of(0, "x"))) },
		"a review after no emergency": func(g *Grant) { g.Review = Review{Groups: []string{"security"}, DueAt: noon.Add(time.Hour)} },
		"an emergency for approval":   func(g *Grant) { *g = emergency(); g.Steps = each(of(1, "leads")) },
		"an emergency, no review":     func(g *Grant) { *g = emergency(); g.Review = Review{} },
		"an emergency, no reviewers":  func(g *Grant) { *g = emergency(); g.Review.Groups = nil },
		"a reviewers' group, unnamed": func(g *Grant) { *g = emergency(); g.Review.Groups = []string{"security", ""} },
		"a review due never":          func(g *Grant) { *g = emergency(); g.Review.DueAt = time.Time{} },
		"a review due at once":        func(g *Grant) { *g = emergency(); g.Review.DueAt = noon },
		"a review done already":       func(g *Grant) { *g = emergency(); g.Review.By = audrey },
		"a review at a time":          func(g *Grant) { *g = emergency(); g.Review.At = noon },
		"a review with a comment":     func(g *Grant) { *g = emergency(); g.Review.Comment = "fine" },
		"an emergency next week":      func(g *Grant) { *g = emergency(); g.StartsAt, g.LapsesAt = noon.Add(time.Hour), noon.Add(time.Hour) },
		"waits past its window": func(g *Grant) {
			g.StartsAt = noon.Add(time.Hour)
			g.LapsesAt = g.StartsAt.Add(g.Duration + time.Millisecond)
		},
		"its window has passed": func(g *Grant) { g.StartsAt = noon.Add(-g.Duration) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			d := draft()
			spoil(&d)
			g, event, err := Ask(d, noon)
			if !errors.Is(err, ErrAction) {
				t.Fatalf("error %v, want ErrAction", err)
			}
			if g.State != "" || event.Verb != "" {
				t.Fatalf("refused, and still answered %+v %+v", g, event)
			}
		})
	}
}

func TestAskAllowsAtTheBounds(t *testing.T) {
	tests := map[string]func(*Grant){
		"one second":              func(g *Grant) { g.Duration = time.Second },
		"lapses in a millisecond": func(g *Grant) { g.LapsesAt = noon.Add(time.Millisecond) },
		"nobody is asked":         func(g *Grant) { g.Steps = nil },
		"an agent of carol":       func(g *Grant) { g.Subject, g.Owner = triage, carol },
		"a service":               func(g *Grant) { g.Subject = deploy },
		"the longest owner":       func(g *Grant) { g.Subject, g.Owner = triage, Subject(long(128)) },
		"waits to its window's end": func(g *Grant) {
			g.StartsAt = noon.Add(time.Hour)
			g.LapsesAt = g.StartsAt.Add(g.Duration)
		},
		"a window that has begun": func(g *Grant) {
			g.StartsAt = noon.Add(time.Second - g.Duration)
			g.LapsesAt = noon.Add(time.Second)
		},
		"an emergency":               func(g *Grant) { *g = emergency() },
		"a review in a millisecond":  func(g *Grant) { *g = emergency(); g.Review.DueAt = noon.Add(time.Millisecond) },
		"an emergency of an agent":   func(g *Grant) { *g = emergency(); g.Subject, g.Owner = triage, carol },
		"several groups of a review": func(g *Grant) { *g = emergency(); g.Review.Groups = []string{"security", "sre"} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			d := draft()
			change(&d)
			g, _, err := Ask(d, noon)
			if err != nil {
				t.Fatal(err)
			}
			if g.Owner != d.Owner || g.BreakGlass != d.BreakGlass || g.State != Pending {
				t.Errorf("became %+v", g)
			}
		})
	}
}

func TestCheckStepsHoldsTheBounds(t *testing.T) {
	choice := func(n int) Step {
		var s Step
		for range n {
			s.AnyOf = append(s.AnyOf, of(1, "a"))
		}
		return s
	}
	tests := []struct {
		name  string
		steps []Step
		ok    bool
	}{
		{"none", nil, true},
		{"eight steps", repeat(oneOf(of(1, "a")), 8), true},
		{"nine steps", repeat(oneOf(of(1, "a")), 9), false},
		{"64 ways in one step", []Step{choice(64)}, true},
		{"64 ways in six steps", repeat(choice(2), 6), true},
		{"65 ways in two steps", []Step{choice(5), choice(13)}, false},
		{"128 ways in seven steps", repeat(choice(2), 7), false},
		{"no quorum", []Step{{}}, false},
		{"no quorum in the second step", []Step{choice(1), {}}, false},
		{"nobody", each(of(0, "a")), false},
		{"below nobody", each(of(-1, "a")), false},
		{"one", each(of(1, "a")), true},
		{"twenty people", each(of(20, "a")), true},
		{"21 people", each(of(21, "a")), false},
		{"no group", each(of(1)), false},
		{"an unnamed group", each(of(1, "a", "")), false},
		{"the second quorum is wrong", []Step{oneOf(of(1, "a"), of(0, "b"))}, false},
		{"64 people", each(of(20, "a"), of(20, "b"), of(20, "c"), of(4, "d")), true},
		{"65 people", each(of(20, "a"), of(20, "b"), of(20, "c"), of(5, "d")), false},
		{"65 people to choose from", []Step{oneOf(of(20, "a"), of(20, "b"), of(20, "c"), of(5, "d"))}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := CheckSteps(test.steps); test.ok != (err == nil) || err != nil && !errors.Is(err, ErrAction) {
				t.Errorf("error %v, want allowed %v", err, test.ok)
			}
			d := draft()
			d.Steps = test.steps
			if _, _, err := Ask(d, noon); test.ok != (err == nil) {
				t.Errorf("asked: %v", err)
			}
			a, at := fitting(AskExtension)
			a.Extension.Steps = test.steps
			if _, _, err := Advance(inState(Active, AskExtension), a, at); len(test.steps) > 0 && test.ok != (err == nil) {
				t.Errorf("asked as an extension: %v", err)
			}
		})
	}
}

func repeat(s Step, n int) []Step {
	var steps []Step
	for range n {
		steps = append(steps, s)
	}
	return steps
}

// A refusal goes to people and logs: it must not carry a name that somebody made up.
func TestRefusalsDoNotRepeatNames(t *testing.T) {
	d := draft()
	d.Subject = "ALICE-secret@example.com"
	_, _, err := Ask(d, noon)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}
