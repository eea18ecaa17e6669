package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The kinds of changes.
const (
	opened          = "opened"
	approvalDropped = "approval dropped"
	approvalChanged = "approval changed" // neither more nor less: other people
	longer          = "longer"
	shorter         = "shorter"
	approvalAdded   = "approval added"
	closed          = "closed"
)

// kinds in the order of a report: what opens comes first.
var kinds = []string{opened, approvalDropped, approvalChanged, longer, shorter, approvalAdded, closed}

// opens reports whether a change of this kind gives somebody more than before. Whether other approvals are stricter than
// those before, a person has to judge: they count.
func opens(kind string) bool {
	return kind == opened || kind == approvalDropped || kind == approvalChanged || kind == longer
}

// change is one difference between two policies.
type change struct {
	Kind string `json:"kind"`
	Pool string `json:"pool"`
	Who  string `json:"who"`
	When string `json:"when"`
	Old  string `json:"old"`
	New  string `json:"new"`

	groups []string
	asker  string
}

// compare puts all questions to both policies and adds the differences to the result.
func (p *plan) compare(ctx context.Context, before, after *policy.Policy, r *result) error {
	r.Pools, r.Changes, r.Notes = []string{}, []*change{}, p.notes
	for _, pool := range p.pools {
		r.Pools = append(r.Pools, pool.String())
	}
	if r.Questions = p.questions(len(p.askers)); r.Questions > maxQuestions {
		return fmt.Errorf("this would take %d questions, more than %d: name fewer pools with --pool", r.Questions, maxQuestions)
	}
	ask := func(a asker, request policy.Request, when string) error {
		was, is := before.Evaluate(ctx, request), after.Evaluate(ctx, request)
		if was.TimedOut || is.TimedOut {
			return fmt.Errorf("%s for %s, %s: one of the policies could not decide in time", a.who, request.Pool, when)
		}
		for _, kind := range differences(was, is) {
			r.add(&change{
				Kind: kind, Pool: request.Pool.String(), Who: a.who, When: when, Old: summary(was), New: summary(is),
				groups: a.groups, asker: a.kind,
			})
		}
		return nil
	}
	for _, pool := range p.pools {
		for _, a := range p.askers {
			for _, o := range p.occasions[pool] {
				if err := ask(a, a.asks(o), o.when); err != nil {
					return err
				}
			}
		}
	}
	for _, t := range p.samples {
		if err := ask(t.asker(), t.request, fmt.Sprintf("as in the test %q", t.name)); err != nil {
			return err
		}
	}
	r.sort()
	return nil
}

// asker is who asks in a test.
func (t sample) asker() asker {
	a := asker{who: string(t.request.Subject), kind: "person", groups: t.request.Groups}
	if !t.request.Subject.IsPerson() {
		a.kind = a.who
	}
	if t.request.Owner != "" {
		a.groups = t.request.OwnerGroups
		a.who += " of " + string(t.request.Owner)
	}
	if len(a.groups) > 0 {
		a.who += " in " + strings.Join(a.groups, ", ")
	}
	return a
}

// add keeps a change unless it is known already of somebody with fewer groups.
func (r *result) add(c *change) {
	key := [3]string{c.Kind, c.Pool, c.asker}
	for _, old := range r.told[key] {
		if subset(old.groups, c.groups) {
			return
		}
	}
	if r.told == nil {
		r.told = map[[3]string][]*change{}
	}
	r.told[key] = append(r.told[key], c)
	r.Changes = append(r.Changes, c)
	r.Opens = r.Opens || opens(c.Kind)
}

func (r *result) sort() {
	slices.SortStableFunc(r.Changes, func(a, b *change) int {
		if n := slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind); n != 0 {
			return n
		}
		return strings.Compare(a.Pool, b.Pool)
	})
}

func subset(small, large []string) bool {
	return !slices.ContainsFunc(small, func(s string) bool { return !slices.Contains(large, s) })
}

// differences are the kinds of changes between two decisions on the same request.
func differences(was, is policy.Decision) []string {
	switch {
	case !was.Allowed && !is.Allowed:
		return nil
	case !was.Allowed:
		return []string{opened}
	case !is.Allowed:
		return []string{closed}
	}
	var all []string
	if kind := approvals(was, is); kind != "" {
		all = append(all, kind)
	}
	switch {
	case is.MaxDuration > was.MaxDuration:
		all = append(all, longer)
	case is.MaxDuration < was.MaxDuration:
		all = append(all, shorter)
	}
	return all
}

// approvals compares two votes step by step. One that keeps all steps and their order is as strict as before, or stricter.
func approvals(was, is policy.Decision) string {
	kept, same := contains(is.Steps, was.Steps), len(is.Steps) == len(was.Steps)
	switch {
	case kept && same && is.Ordered == was.Ordered && (!is.Ordered || reflect.DeepEqual(is.Steps, was.Steps)):
		return ""
	case kept && !was.Ordered:
		return approvalAdded
	case contains(was.Steps, is.Steps) && !same && !is.Ordered:
		return approvalDropped
	default:
		return approvalChanged
	}
}

// contains reports whether all steps of small are among those of large, each as often.
func contains(large, small []grant.Step) bool {
	rest := slices.Clone(large)
	for _, s := range small {
		i := slices.IndexFunc(rest, func(t grant.Step) bool { return reflect.DeepEqual(s, t) })
		if i < 0 {
			return false
		}
		rest = slices.Delete(rest, i, i+1)
	}
	return true
}

// summary is a decision in a few words.
func summary(d policy.Decision) string {
	if !d.Allowed {
		return "refused"
	}
	how := "at once"
	if d.BreakGlass {
		how = "in an emergency"
	}
	if len(d.Steps) > 0 {
		var steps []string
		for _, s := range d.Steps {
			steps = append(steps, describeStep(s))
		}
		glue := " and "
		if d.Ordered {
			glue = ", then "
		}
		how = "after " + strings.Join(steps, glue)
	}
	return fmt.Sprintf("%s, at most %s (%s)", how, span(d.MaxDuration), d.Rule)
}
