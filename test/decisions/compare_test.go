package decisions

import (
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// asModel is a real grant in the model's words.
func asModel(g grant.Grant) oracle.Grant {
	m := oracle.Grant{
		ID: g.ID, Subject: string(g.Subject), Owner: string(g.Owner), Place: oracle.Place{Environment: g.Pool.Environment, Pool: g.Pool.Name},
		State: string(g.State), Version: int(g.Version), Reason: g.Reason, Inputs: g.Inputs, Duration: g.Duration, Groups: g.Groups,
		GroupsAt: g.GroupsAt, Rule: g.Rule, Steps: planSteps(g.Steps), Ordered: g.Ordered, Approvals: planApprovals(g.Approvals),
		BreakGlass: g.BreakGlass, ReviewGroups: g.Review.Groups, ReviewDue: g.Review.DueAt, ReviewedBy: string(g.Review.By), Overdue: g.Review.OverdueAt,
		Requested: g.RequestedAt, Starts: g.StartsAt, Lapses: g.LapsesAt, Activated: g.ActivatedAt, Given: g.GivenAt,
		Expires: g.ExpiresAt, Ended: g.EndedAt, Cause: string(g.Cause), EndedBy: string(g.EndedBy),
	}
	if e := g.Extension; e.By != 0 {
		m.Extension = &oracle.Extension{
			By: e.By, Reason: e.Reason, Inputs: e.Inputs, Rule: e.Rule, Steps: planSteps(e.Steps), Ordered: e.Ordered,
			Approvals: planApprovals(e.Approvals), Lapses: e.LapsesAt,
		}
	}
	return m
}

func planApprovals(approvals []grant.Approval) []oracle.Approval {
	var all []oracle.Approval
	for _, a := range approvals {
		all = append(all, oracle.Approval{By: string(a.By), At: a.At, Groups: a.Groups})
	}
	return all
}

var sameValue = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(oracle.World{})}

// differs says where the store's grants and locks are not the model's; empty if nowhere.
func differs(w *oracle.World, grants []grant.Grant, locks []grant.Lock) string {
	real := map[string]oracle.Grant{}
	for _, g := range grants {
		real[g.ID] = asModel(g)
	}
	want := map[string]oracle.Grant{}
	for id, g := range w.Grants {
		want[id] = *g
	}
	if diff := cmp.Diff(want, real, sameValue); diff != "" {
		return "grants (-model +store):\n" + diff
	}
	held := map[string]string{}
	for _, l := range locks {
		held[l.ID] = describe(string(l.Subject), l.Environment, l.Pool, string(l.By), l.Until, !l.LiftedAt.IsZero())
	}
	wanted := map[string]string{}
	for _, l := range w.Locks {
		wanted[l.ID] = describe(l.Subject, l.Environment, l.Pool, l.By, l.Until, l.Lifted)
	}
	if diff := cmp.Diff(wanted, held, sameValue); diff != "" {
		return "locks (-model +store):\n" + diff
	}
	return ""
}

func describe(subject, environment, pool, by string, until time.Time, lifted bool) string {
	return fmt.Sprintf("%q in %q/%q by %s until %d, lifted: %t", subject, environment, pool, by, until.UnixMilli(), lifted)
}
