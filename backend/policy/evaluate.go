package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Evaluate implements Engine.
func (p *Policy) Evaluate(ctx context.Context, r Request) Decision {
	d, _ := p.decide(ctx, &r, false)
	return d
}

// Explain implements Engine. It asks every rule, where Evaluate stops at the one that decides.
func (p *Policy) Explain(ctx context.Context, r Request) (Decision, []Finding) {
	return p.decide(ctx, &r, true)
}

// Version implements Engine.
func (p *Policy) Version() (name, hash string) { return p.name, p.hash }

// Approvers implements Engine.
func (p *Policy) Approvers(pool grant.Pool, tags []string) []string {
	var all []string
	for _, i := range p.allows {
		r := &p.rules[i]
		if !r.scope.fits(pool, tags) {
			continue
		}
		all = append(all, grant.Ballot{Steps: r.Steps}.Groups()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// decide is Evaluate, and Explain if explain is set. Findings has an entry for each rule then.
func (p *Policy) decide(ctx context.Context, r *Request, explain bool) (d Decision, findings []Finding) {
	refusal := Decision{Policy: p.name, Hash: p.hash}
	defer func() {
		if recover() != nil {
			d, findings = refusal, nil
			d.Explanation, d.TimedOut = "The policy failed to decide, and so it refuses.", true
		}
	}()
	if !r.bounded() {
		refusal.Explanation, refusal.TimedOut = "The request is larger than the policy can judge.", true
		return refusal, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	e := &evaluation{policy: p, r: r, facts: newFacts(r), groups: make(map[string]bool, len(r.Groups))}
	for _, g := range r.Groups {
		e.groups[g] = true
	}
	if explain {
		e.findings = make([]Finding, len(p.rules))
	}
	d = e.decide(ctx)
	if e.late {
		d = Decision{TimedOut: true, Explanation: "It could not be decided in time. Ask again."}
		e.noteUnheard()
	}
	d.Policy, d.Hash, d.MayBreakGlass = p.name, p.hash, e.mayBreakGlass()
	return d, e.findings
}

// evaluation is one request on its way through the rules.
type evaluation struct {
	policy   *Policy
	r        *Request
	facts    *facts
	groups   map[string]bool
	findings []Finding // nil if nobody wants them
	late     bool      // a condition was not asked in time: nothing that was found counts
}

// decide lets the rules that allow speak before those that deny: what is asked for is only then known, since the rule that
// would give it says for how long where the requester does not.
func (e *evaluation) decide(ctx context.Context) Decision {
	chosen, nearest, lacks := e.allow(ctx)
	rule := chosen
	if rule == nil {
		rule = nearest
	}
	d := e.offer(rule)
	if denier, said := e.deny(ctx, rule); denier != nil {
		d.Rule, d.Explanation = denier.name, said
		return d
	}
	switch {
	case chosen != nil:
		e.give(ctx, chosen, &d)
	case nearest != nil:
		d.Explanation = joinSentences(lacks)
	default:
		d.Explanation = e.nobody()
	}
	return d
}

// allow finds the first rule that gives what is asked for, else the first that is about it, with what it lacks.
func (e *evaluation) allow(ctx context.Context) (chosen, nearest *rule, lacks []lack) {
	for _, i := range e.policy.allows {
		r := &e.policy.rules[i]
		if why := e.mismatch(r); why != "" {
			e.note(r, NoMatch, why)
			continue
		}
		if chosen != nil {
			e.note(r, Unasked)
			continue
		}
		found := e.lacks(ctx, r, nearest == nil || e.findings != nil)
		switch {
		case e.late:
			return nil, nil, nil
		case len(found) == 0:
			chosen = r
			e.note(r, Allows)
			if e.findings == nil {
				return chosen, nearest, lacks
			}
		default:
			if nearest == nil {
				nearest, lacks = r, found
			}
			e.note(r, Refuses, details(found)...)
		}
	}
	return chosen, nearest, lacks
}

// mismatch says why a rule is not about the request; empty if it is.
func (e *evaluation) mismatch(r *rule) string {
	switch {
	case !r.scope.fits(e.r.Pool, e.r.Tags):
		return "It is not about this pool."
	case !r.who.has(e.r.Subject, e.groups):
		return r.wanted(e.r.Subject)
	case e.r.BreakGlass && !r.Deny && r.Emergency == nil:
		return "It gives nothing in an emergency."
	default:
		return ""
	}
}

func (m *members) has(s grant.Subject, groups map[string]bool) bool {
	if m.anybody || m.subjects[s] || m.anyAgent && s.IsAgent() {
		return true
	}
	for _, g := range m.groups {
		if groups[g] {
			return true
		}
	}
	return false
}

// wanted says whom a rule is for, of a subject that it is not for. Only to whom it could give something, and who can be in
// a group, is told to be in one.
func (r *rule) wanted(s grant.Subject) string {
	switch {
	case len(r.who.groups) == 0:
		return "It is for others."
	case r.Deny || !s.IsPerson():
		return "It is for members of " + or(r.who.groups) + "."
	default:
		return memberOf(r.who.groups)
	}
}

// deny finds the first rule that denies. A condition that cannot be told counts as met: the rule denies unless another of
// its conditions is not met. giver is the rule whose duration and inputs are judged, nil for none.
func (e *evaluation) deny(ctx context.Context, giver *rule) (denier *rule, said string) {
	if e.late || len(e.policy.denies) == 0 {
		return nil, ""
	}
	e.ask(giver)
	for _, i := range e.policy.denies {
		r := &e.policy.rules[i]
		if why := e.mismatch(r); why != "" {
			e.note(r, NoMatch, why)
			continue
		}
		denies, why := e.meets(ctx, r)
		if e.late {
			return nil, ""
		}
		if !denies {
			e.note(r, NoMatch, why)
			continue
		}
		words := r.denied
		if why != "" {
			words = "A rule that denies access could not be checked, and so it denies."
			e.note(r, Denies, words, why)
		} else {
			e.note(r, Denies, words)
		}
		if denier == nil {
			denier, said = r, words
		}
		if e.findings == nil {
			break
		}
	}
	return denier, said
}

// meets reports whether a rule that denies does so, and why not; or which of its conditions could not be told.
func (e *evaluation) meets(ctx context.Context, r *rule) (denies bool, why string) {
	for i := range r.when {
		a, reason := e.put(ctx, &r.when[i])
		switch a {
		case no:
			return false, unmet(r.when[i].place)
		case failed:
			why = untold(r.when[i].place, reason)
		}
	}
	return true, why
}

// put asks a condition, and remembers if there was no time to.
func (e *evaluation) put(ctx context.Context, c *condition) (answer, string) {
	a, why := c.ask(ctx, e.facts)
	e.late = e.late || a == timedOut
	return a, why
}

// ask sets the facts that depend on the rule: how long is asked for, and the inputs that the rule declares and that were
// given.
func (e *evaluation) ask(r *rule) {
	duration := e.duration(r)
	e.facts.duration = types.Duration{Duration: duration}
	e.facts.total = types.Duration{Duration: e.total(duration)}
	e.facts.inputs = noInputs
	if r == nil || len(r.inputs) == 0 {
		return
	}
	given := make(map[string]string, len(r.inputs))
	for _, in := range r.inputs {
		if answer := e.r.Inputs[in.Name]; answer != "" && len(answer) <= maxAnswer {
			given[in.Name] = answer
		}
	}
	e.facts.inputs = types.NewStringStringMap(types.DefaultTypeAdapter, given)
}

// duration is how long is asked for: as the request says, or else the rule.
func (e *evaluation) duration(r *rule) time.Duration {
	switch {
	case e.r.Duration != 0 || r == nil:
		return e.r.Duration
	case e.r.BreakGlass && r.Emergency != nil:
		return r.Emergency.MaxDuration
	default:
		return r.Limits.DefaultDuration
	}
}

// total is never less than what is asked for now.
func (e *evaluation) total(duration time.Duration) time.Duration { return max(e.r.Total, duration) }

// offer is what a decision holds of the rule that decided or came nearest, whatever is decided.
func (e *evaluation) offer(r *rule) Decision {
	if r == nil {
		return Decision{}
	}
	d := Decision{
		Rule: r.name, Duration: e.duration(r), DefaultDuration: r.Limits.DefaultDuration, MaxDuration: r.Limits.MaxDuration,
		PendingFor: r.Limits.PendingFor, Inputs: slices.Clone(r.form),
	}
	for i := range d.Inputs {
		d.Inputs[i].Choices = slices.Clone(d.Inputs[i].Choices) // a caller must not change the policy
	}
	if e.r.BreakGlass && r.Emergency != nil {
		d.DefaultDuration, d.MaxDuration = r.Emergency.MaxDuration, r.Emergency.MaxDuration
	}
	return d
}

// give makes the decision of the rule that allows.
func (e *evaluation) give(ctx context.Context, r *rule, d *Decision) {
	d.Allowed = true
	switch {
	case e.r.BreakGlass:
		d.BreakGlass = true
		d.Notify = values(r.Emergency.Notify)
		d.ReviewGroups, d.ReviewWithin = values(r.Emergency.ReviewGroups), r.Emergency.ReviewWithin
		d.Explanation = e.emergencySentence(d)
	case len(r.Steps) == 0:
		d.Explanation = e.atOnce(d.Duration)
	default:
		automatic, message := e.automatic(ctx, r)
		if automatic {
			d.Explanation = strings.TrimSpace(message + " " + e.atOnce(d.Duration))
			return
		}
		d.Steps, d.Ordered = cloneSteps(r.Steps), r.Ordered
		d.Explanation = e.approvalSentence(d)
	}
}

// automatic reports whether all conditions of auto_approve are met. What cannot be told is not.
func (e *evaluation) automatic(ctx context.Context, r *rule) (bool, string) {
	if len(r.auto) == 0 {
		return false, ""
	}
	e.ask(r)
	message := ""
	for i := range r.auto {
		c := &r.auto[i]
		switch a, why := e.put(ctx, c); a {
		case yes:
		case no:
			e.note(r, Allows, unmet(c.place))
			return false, ""
		default:
			e.note(r, Allows, untold(c.place, why))
			return false, ""
		}
		if message == "" {
			message = c.message
		}
	}
	return true, message
}

func (e *evaluation) mayBreakGlass() bool {
	for _, i := range e.policy.urgent {
		r := &e.policy.rules[i]
		if r.scope.fits(e.r.Pool, e.r.Tags) && r.who.has(e.r.Subject, e.groups) && r.emergency.has(e.r.Subject, e.groups) {
			return true
		}
	}
	return false
}

func (e *evaluation) note(r *rule, o Outcome, reasons ...string) {
	if e.findings != nil {
		e.findings[r.index] = Finding{Rule: r.name, File: r.place, Deny: r.Deny, Outcome: o, Reasons: reasons}
	}
}

// noteUnheard says of the rules that did not get their turn that nothing comes of them.
func (e *evaluation) noteUnheard() {
	for i := range e.findings {
		if r := &e.policy.rules[i]; e.findings[i].Outcome == "" {
			outcome := Refuses
			if r.Deny {
				outcome = Denies
			}
			e.note(r, outcome, "There was no time to ask this rule.")
		}
	}
}

// cloneSteps keeps a caller from changing the policy.
func cloneSteps(steps []grant.Step) []grant.Step {
	all := make([]grant.Step, len(steps))
	for i, s := range steps {
		for _, q := range s.AnyOf {
			all[i].AnyOf = append(all[i].AnyOf, grant.Quorum{Groups: slices.Clone(q.Groups), Count: q.Count})
		}
	}
	return all
}
