package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Within is the policy with another bound on the time of one decision.
func (p *Policy) Within(d time.Duration) *Policy {
	other := *p
	other.deadline = d
	return &other
}

// fake is a program that does what CEL should not.
type fake struct {
	out   ref.Val
	err   error
	panic any
}

func (f fake) ContextEval(context.Context, any) (ref.Val, *cel.EvalDetails, error) {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.out, nil, f.err
}

// Broken is the policy with all its conditions put in place of by one that panics, fails or answers what is no answer.
func Broken(p *Policy, how string) *Policy {
	f := map[string]fake{
		"panics":      {panic: "broken"},
		"fails":       {err: errors.New("broken")},
		"says a text": {out: types.String("true")},
		"says a one":  {out: types.Int(1)},
		"is silent":   {},
	}[how]
	other := *p
	other.rules = nil
	for _, r := range p.rules {
		r.when, r.auto = broken(r.when, f), broken(r.auto, f)
		other.rules = append(other.rules, r)
	}
	return &other
}

func broken(conditions []condition, f fake) []condition {
	var all []condition
	for _, c := range conditions {
		c.program = f
		all = append(all, c)
	}
	return all
}

// The bound on what a condition may cost stands even where its estimate was wrong: here for facts that Evaluate refuses.
func TestI12ACostBeyondTheBoundIsAFailure(t *testing.T) {
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	c := conditions{env: env, done: map[string]compiled{}}
	built := c.compile(`subject.groups.all(g, g in subject.groups)`)
	if built.problem != "" {
		t.Fatal(built.problem)
	}
	for groups, want := range map[int]answer{1000: yes, 3000: failed} {
		r := &Request{Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "web"}}
		for i := range groups {
			r.Groups = append(r.Groups, fmt.Sprint(i))
		}
		one := condition{program: built.program}
		a, why := one.ask(t.Context(), newFacts(r))
		if a != want || want == failed && why != "it is too dear" {
			t.Errorf("%d groups: %v, %s", groups, a, why)
		}
	}
}

// ending is a context that ends between the beginning of a condition and the first look at it.
type ending struct {
	context.Context
	done  chan struct{}
	looks int
}

func (e *ending) Done() <-chan struct{} { return e.done }

func (e *ending) Err() error {
	if e.looks++; e.looks == 1 {
		return nil
	}
	return context.DeadlineExceeded
}

func TestAConditionIsInterruptedWithinItsLoop(t *testing.T) {
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	c := conditions{env: env, done: map[string]compiled{}}
	r := &Request{Subject: "alice@example.com", Groups: make([]string, 1000)}
	for expression, want := range map[string]answer{
		`subject.groups.all(g, g == "")`: timedOut,
		`subject.groups.size() == 1000`:  yes, // without a loop it is done before anybody looks
	} {
		ctx := &ending{Context: t.Context(), done: make(chan struct{})}
		close(ctx.done)
		one := condition{program: c.compile(expression).program}
		if a, why := one.ask(ctx, newFacts(r)); a != want {
			t.Errorf("%s: %v, %s", expression, a, why)
		}
	}
}

func TestAnExpressionIsCompiledOnce(t *testing.T) {
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	c := conditions{env: env, done: map[string]compiled{}}
	if c.compile("true || subject.name == \"\"").program != c.compile("true || subject.name == \"\"").program || len(c.done) != 1 {
		t.Error("it was compiled again")
	}
}

// What the estimator is told is what Evaluate holds; what it is not told is unbounded.
func TestSizesOfTheFacts(t *testing.T) {
	for path, want := range map[string]uint64{
		"inputs": 20, "inputs.@keys": 32, "inputs.@values": 1000, "inputs.ticket": 1000,
		"subject.name": 128, "subject.kind": 7, "subject.groups": 1000, "subject.groups.@items": 256,
		"owner.name": 128, "owner.groups": 1000, "owner.groups.@items": 256,
		"pool.name": 95, "pool.environment": 31, "pool.pool": 63, "pool.tags": 100, "pool.tags.@items": 128,
		"request.reason": 1000,
		"":               0, "nobody": 0, "inputs.ticket.x": 0, "subject.groups.@items.x": 0, "request.duration": 0,
	} {
		var parts []string
		if path != "" {
			parts = strings.Split(path, ".")
		}
		got := sizes{}.EstimateSize(cost.NewAstNode(nil, parts, nil, nil))
		if want == 0 && got != nil || want != 0 && (got == nil || got.Max != want || got.Min != 0) {
			t.Errorf("%s: %+v, want %d", path, got, want)
		}
	}
	computed := cost.FixedSizeEstimate(3)
	if got := (sizes{}).EstimateSize(cost.NewAstNode(nil, []string{"subject", "name"}, nil, &computed)); got == nil || got.Max != 3 {
		t.Errorf("%+v", got)
	}
}

// Types of CEL's own stand beside those of the facts.
func TestTheProviderKnowsTheFactsAndCELsOwnTypes(t *testing.T) {
	registry, err := types.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	p := provider{registry}
	for name, want := range map[string]bool{subjectType: true, requestType: true, "google.protobuf.Duration": true, "nobody": false} {
		if _, found := p.FindStructType(name); found != want {
			t.Errorf("%s: %v", name, found)
		}
		if _, found := p.FindStructFieldNames(name); found != want {
			t.Errorf("fields of %s: %v", name, found)
		}
	}
	if names, _ := p.FindStructFieldNames(ownerType); len(names) != 2 {
		t.Errorf("%v", names)
	}
	if _, found := p.FindStructFieldType("google.protobuf.Duration", "seconds"); !found {
		t.Error("no seconds")
	}
	name, found := p.FindStructFieldType(ownerType, "name")
	if !found || name.IsSet("no facts") {
		t.Errorf("%v", found)
	}
	if _, err := name.GetFrom("no facts"); !errors.Is(err, errMissing) {
		t.Error(err)
	}
}
