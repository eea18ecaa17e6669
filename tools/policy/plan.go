package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// maxQuestions bounds how often each of the two policies is asked.
const maxQuestions = 100_000

// asker is somebody for whom a pool is asked for.
type asker struct {
	who         string // in the report
	kind        string // whom the groups make a difference for: changes of the same kind of asker are told once
	subject     grant.Subject
	groups      []string // the subject's, or the owner's of an agent
	owner       grant.Subject
	ownerGroups []string
}

// occasion is when and how it is asked for.
type occasion struct {
	when    string         // in the report
	request policy.Request // without a subject
}

// plan is all that is asked of both policies.
type plan struct {
	pools     []grant.Pool
	askers    []asker // from few groups to many
	occasions map[grant.Pool][]occasion
	samples   []sample
	notes     []string
}

// The subjects of askers who stand for many. Nobody has an address there.
const (
	somebody = grant.Subject("somebody@example.invalid")
	anAgent  = grant.Subject("agent:impact.example.invalid")
	anOwner  = grant.Subject("owner@example.invalid")
)

// newPlan asks for the pools that are given, else for those of the configuration, else for those of the tests.
func newPlan(o *outline, k *known, given []grant.Pool, now time.Time) *plan {
	p := &plan{pools: given, occasions: map[grant.Pool][]occasion{}}
	if len(p.pools) == 0 {
		p.pools = k.pools
	}
	if len(p.pools) == 0 {
		for _, t := range o.tests {
			p.pools = append(p.pools, t.request.Pool)
		}
		p.notes = append(p.notes, "the pools are those of the documents' tests; --pool or -c names others")
	}
	p.pools = unique(p.pools)
	for _, pool := range p.pools {
		p.occasions[pool] = occasionsOf(pool, o, k, now)
	}
	for _, t := range o.tests {
		if slices.Contains(p.pools, t.request.Pool) {
			t.request = settled(t.request, now)
			p.samples = append(p.samples, t)
		}
	}
	p.askers = o.askers(false)
	if pairs := o.askers(true); p.questions(len(pairs)) <= maxQuestions {
		p.askers = pairs
	} else {
		p.notes = append(p.notes, "members of two groups at a time were not compared, there are too many; fewer pools (--pool) let it be done")
	}
	return p
}

// noteUntagged says of which pools the tags are not known: rules that go by tags do not fit them, and so what such a rule
// opens or ends there is not seen.
func (p *plan) noteUntagged(k *known, more []grant.Pool) {
	var untagged []string
	for _, pool := range unique(append(more, p.pools...)) {
		if _, known := k.tags[pool]; !known {
			untagged = append(untagged, pool.String())
		}
	}
	if len(untagged) > 0 {
		p.notes = append(p.notes, fmt.Sprintf("rules go by tags, and those of %s are not known: -c or --tags names them", strings.Join(untagged, ", ")))
	}
}

func (p *plan) questions(askers int) int {
	n := 0
	for _, occasions := range p.occasions {
		n += askers * len(occasions)
	}
	return n + len(p.samples)
}

func unique(pools []grant.Pool) []grant.Pool {
	pools = slices.Clone(pools)
	slices.SortFunc(pools, func(a, b grant.Pool) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(pools)
}

// occasionsOf are now, an emergency now, and each occasion on which a test expects that the pool is given: a policy with
// office hours, inputs or windows says nothing of interest on others.
func occasionsOf(pool grant.Pool, o *outline, k *known, now time.Time) []occasion {
	tags, tagged := k.tags[pool]
	base := settled(policy.Request{Pool: pool, Tags: tags, Inputs: o.answers(pool)}, now)
	var more []occasion
	seen := map[string]bool{}
	for _, t := range o.tests {
		if t.request.Pool != pool || !t.granted {
			continue
		}
		r := settled(t.request, now)
		r.Subject, r.Groups, r.Owner, r.OwnerGroups = "", nil, "", nil
		if tagged {
			r.Tags = tags
		} else if base.Tags == nil {
			base.Tags = r.Tags
		}
		if key := fmt.Sprintf("%#v", r); !seen[key] { // maps are printed in order
			seen[key] = true
			more = append(more, occasion{fmt.Sprintf("as in the test %q", t.name), r})
		}
	}
	emergency := base
	emergency.BreakGlass = true
	return append([]occasion{{"now", base}, {"now, in an emergency", emergency}}, more...)
}

// settled fills in what a test leaves to the engine.
func settled(r policy.Request, now time.Time) policy.Request {
	if r.At.IsZero() {
		r.At = now
	}
	if r.Reason == "" {
		r.Reason = "A look at what a change of policy does"
	}
	return r
}

// answers fills in the inputs as tests do that expect access: those of the pool first.
func (o *outline) answers(pool grant.Pool) map[string]string {
	all, own := map[string]string{}, map[string]string{}
	for _, t := range o.tests {
		if !t.granted {
			continue
		}
		for name, value := range t.request.Inputs {
			into := all
			if t.request.Pool == pool {
				into = own
			}
			if _, there := into[name]; !there {
				into[name] = value
			}
		}
	}
	maps.Copy(all, own)
	return all
}

// askers are somebody in no group, in each one, and, if pairs is set, in each two; every subject that is named; and
// agents of owners in no group and in each one.
func (o *outline) askers(pairs bool) []asker {
	all := []asker{{who: "anybody", kind: "person", subject: somebody}}
	for i, a := range o.groups {
		all = append(all, asker{who: "members of " + a, kind: "person", subject: somebody, groups: []string{a}})
		for _, b := range o.groups[i+1:] {
			if pairs {
				all = append(all, asker{who: "members of both " + a + " and " + b, kind: "person", subject: somebody, groups: []string{a, b}})
			}
		}
	}
	for _, s := range o.subjects {
		if s.IsAgent() {
			all = append(all, o.owned(s, string(s))...)
		} else {
			all = append(all, asker{who: string(s), kind: string(s), subject: s})
		}
	}
	if o.agents {
		all = append(all, o.owned(anAgent, "any agent")...)
	}
	// The smaller sets first: what they get, larger ones get because of them.
	slices.SortStableFunc(all, func(a, b asker) int { return len(a.groups) - len(b.groups) })
	return all
}

func (o *outline) owned(agent grant.Subject, name string) []asker {
	all := []asker{{who: name + " of anybody", kind: name, subject: agent, owner: anOwner, ownerGroups: []string{}}}
	for _, g := range o.groups {
		all = append(all, asker{
			who: name + " of members of " + g, kind: name, subject: agent, groups: []string{g}, owner: anOwner, ownerGroups: []string{g},
		})
	}
	return all
}

// asks is the request of an asker on an occasion. An agent has no groups of its own.
func (a asker) asks(o occasion) policy.Request {
	r := o.request
	r.Subject, r.Groups, r.Owner, r.OwnerGroups = a.subject, a.groups, a.owner, a.ownerGroups
	if a.owner != "" {
		r.Groups = nil
	}
	return r
}
