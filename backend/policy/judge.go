package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Judge says whether a pending or live grant still stands under what is in force, with what is known now: policy is asked
// once more what it was asked when the grant was requested, or when it was last given, with the newest groups. So nothing
// ends because time passes. A pending request must want the approvals that it waits for; approved and active grants must
// have those that policy would want. A pending extension of an active grant is its own question, and not asked here.
//
// What limits of concurrent grants said is not judged again, in either direction: a grant stands that would be given if
// there were room everywhere, or if none were left but under the rule that it rests on, since an earlier rule may have been
// passed over for want of it. The subject could bring about either by what else it holds, and rules that deny hear both
// questions.
func Judge(ctx context.Context, e Engine, g grant.Grant, f Facts) Verdict {
	if g.State.Final() {
		return Verdict{Stands: true}
	}
	r := again(g, f)
	d, objection := ask(ctx, e, g, r)
	switch {
	case d.TimedOut:
		return Verdict{Stands: true, Undecided: true, Explanation: d.Explanation, Decision: d}
	case objection == "":
		return Verdict{Stands: true, Explanation: d.Explanation, Decision: d}
	default:
		return Verdict{Cause: cause(ctx, e, g, r), Explanation: objection, Decision: d}
	}
}

// ask puts the question with room everywhere, and, if the grant does not stand by the answer, with none but under the rule
// that it rests on. If it does not stand either way, the first answer says why: the second would speak of limits. One that
// is not known leaves the whole open.
func ask(ctx context.Context, e Engine, g grant.Grant, r Request) (d Decision, objection string) {
	d = e.Evaluate(ctx, r)
	if objection = object(g, d); d.TimedOut || objection == "" {
		return d, objection
	}
	r.crowded, r.roomIn = true, g.Rule
	if second := e.Evaluate(ctx, r); second.TimedOut || object(g, second) == "" {
		return second, object(g, second)
	}
	return d, objection
}

// cause asks whether it is the subject's groups that make the difference.
func cause(ctx context.Context, e Engine, g grant.Grant, r Request) grant.Cause {
	if r.Groups = g.Groups; g.Owner != "" {
		r.Groups, r.OwnerGroups = nil, g.Groups // an agent's grant rests on its owner's groups
	}
	if _, objection := ask(ctx, e, g, r); objection == "" {
		return grant.CauseGroupLost
	}
	return grant.CausePolicyChanged
}

// again is the request that would lead to the grant.
func again(g grant.Grant, f Facts) Request {
	r := Request{
		Subject: g.Subject, Groups: f.Groups, Owner: g.Owner, OwnerGroups: f.OwnerGroups, Pool: g.Pool, Tags: f.Tags,
		Reason: g.Reason, Inputs: g.Inputs, BreakGlass: g.BreakGlass, Duration: g.Duration,
	}
	// Nothing ends because time passes: what waits, and a window, is judged as of when it was asked for, with the beginning
	// that it asked for; anything else as of when it was given.
	if extended := g.GivenAt.After(g.ActivatedAt); g.State != grant.Active || !g.StartsAt.IsZero() && !extended {
		r.At, r.StartsAt = g.RequestedAt, g.StartsAt
		return r
	}
	r.At, r.Total = g.GivenAt, g.Duration
	// At least a second: a window may have been opened at its very end.
	r.Duration = max(g.ExpiresAt.Sub(g.GivenAt).Truncate(time.Second), time.Second)
	r.Extension = g.GivenAt.After(g.ActivatedAt)
	return r
}

// object says why a grant does not stand under a decision; empty if it does.
func object(g grant.Grant, d Decision) string {
	switch {
	case !d.Allowed:
		return cmp.Or(d.Explanation, "The policy refuses it.") // an engine that says nothing must not pass for one that allows
	case g.State == grant.Pending:
		if len(d.Steps) > 0 && !SameVote(g.Ballot(), grant.Ballot{Steps: d.Steps, Ordered: d.Ordered}) {
			return "Other approvals are needed now; ask again."
		}
	case !(grant.Ballot{Steps: d.Steps, Ordered: d.Ordered, Approvals: g.Approvals}).Complete():
		return "Other approvals are needed now than it has; ask again."
	}
	return ""
}

// SameVote compares two votes by what they ask for, whoever has approved: in which order groups and quorums are written
// down means nothing, and that of steps only where they are ordered.
func SameVote(a, b grant.Ballot) bool {
	ordered := func(v grant.Ballot) bool { return v.Ordered && len(v.Steps) > 1 }
	return ordered(a) == ordered(b) && slices.Equal(demands(a.Steps, a.Ordered), demands(b.Steps, b.Ordered))
}

// demands has an entry for each step, the same for steps that ask for the same.
func demands(steps []grant.Step, ordered bool) []string {
	all := make([]string, len(steps))
	for i, s := range steps {
		quorums := make([]string, len(s.AnyOf))
		for j, q := range s.AnyOf {
			groups := slices.Clone(q.Groups)
			slices.Sort(groups)
			quorums[j] = fmt.Sprintf("%d of %q", q.Count, groups)
		}
		slices.Sort(quorums)
		all[i] = strings.Join(quorums, " or ")
	}
	if !ordered {
		slices.Sort(all)
	}
	return all
}
