package grant

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func draft() Grant {
	return Grant{
		ID: "g1", Subject: alice, Pool: Pool{"prod", "web"}, Reason: "ticket 7", Duration: 15 * time.Minute,
		Groups: []string{"dev"}, Steps: []Step{{Groups: []string{"leads"}, Count: 1}}, LapsesAt: noon.Add(time.Hour),
		Policy: "prod", PolicyHash: "h", Explanation: "A member of leads must approve.",
	}
}

func TestAskMakesAPendingGrantOfVersionOne(t *testing.T) {
	local := time.FixedZone("local", 2*3600)
	at := noon.Add(1234567 * time.Nanosecond).In(local)
	want := draft()
	want.State, want.Version, want.RequestedAt = Pending, 1, noon.Add(time.Millisecond)

	d := draft()
	d.LapsesAt = d.LapsesAt.Add(999 * time.Microsecond).In(local)
	got, event, err := Ask(d, at)
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
}

func TestAskRefuses(t *testing.T) {
	tests := map[string]func(*Grant){
		"no id":                    func(g *Grant) { g.ID = "" },
		"no subject":               func(g *Grant) { g.Subject = "" },
		"subject not canonical":    func(g *Grant) { g.Subject = "Alice@example.com" },
		"subject with a bar":       func(g *Grant) { g.Subject = "alice@example.com|prod/web" },
		"no pool":                  func(g *Grant) { g.Pool = Pool{} },
		"half a pool":              func(g *Grant) { g.Pool.Name = "" },
		"pool with a slash":        func(g *Grant) { g.Pool.Name = "web/x" },
		"no reason":                func(g *Grant) { g.Reason = "" },
		"no duration":              func(g *Grant) { g.Duration = 0 },
		"negative duration":        func(g *Grant) { g.Duration = -time.Second },
		"less than a second":       func(g *Grant) { g.Duration = time.Second - 1 },
		"parts of a second":        func(g *Grant) { g.Duration = time.Second + time.Millisecond },
		"lapses at once":           func(g *Grant) { g.LapsesAt = noon },
		"lapses never":             func(g *Grant) { g.LapsesAt = time.Time{} },
		"has a state":              func(g *Grant) { g.State = Active },
		"has a version":            func(g *Grant) { g.Version = 1 },
		"has an approval":          func(g *Grant) { g.Approvals = []Approval{{By: bob}} },
		"was requested":            func(g *Grant) { g.RequestedAt = noon },
		"was activated":            func(g *Grant) { g.ActivatedAt = noon },
		"expires already":          func(g *Grant) { g.ExpiresAt = noon.Add(time.Hour) },
		"has ended":                func(g *Grant) { g.EndedAt = noon },
		"has a cause":              func(g *Grant) { g.Cause = CauseOperator },
		"was ended by somebody":    func(g *Grant) { g.EndedBy = bob },
		"has a comment":            func(g *Grant) { g.Comment = "no" },
		"owner not canonical":      func(g *Grant) { g.Owner = "Bob@example.com" },
		"owner is an agent":        func(g *Grant) { g.Owner = "agent:triage" },
		"a step for nobody":        func(g *Grant) { g.Steps[0].Count = 0 },
		"a step below nobody":      func(g *Grant) { g.Steps[0].Count = -1 },
		"a step without groups":    func(g *Grant) { g.Steps[0].Groups = nil },
		"a step with no name":      func(g *Grant) { g.Steps[0].Groups = []string{""} },
		"the second step is wrong": func(g *Grant) { g.Steps = append(g.Steps, Step{Groups: []string{"x"}}) },
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

func TestAskByAnAgentKeepsItsOwner(t *testing.T) {
	d := draft()
	d.Subject, d.Owner = "agent:triage", carol
	g, _, err := Ask(d, noon)
	if err != nil || g.Owner != carol {
		t.Fatalf("owner %q, error %v", g.Owner, err)
	}
}
