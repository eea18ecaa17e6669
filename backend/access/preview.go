package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// PoolView is a pool with what policy says of the caller asking for it.
type PoolView struct {
	Pool
	Decision       policy.Decision
	ApproverGroups []string
	Lock           *grant.Lock // that stops new access for the caller now
}

// Preview is what Request would decide, and why.
type Preview struct {
	Decision policy.Decision
	Findings []policy.Finding // rule by rule; files by their names alone
	Steps    []StepView
	Lock     *grant.Lock
}

// StepView is a step of a vote with the people who could meet it.
type StepView struct {
	AnyOf  []grant.Quorum
	Wanted bool // an approval could count for it now
	// People could approve: those that the directory knows in the groups, without who may not. More may exist: More says
	// that the list was cut.
	People []grant.Subject
	More   bool
}

// maxPeople is how many approvers are named for one step.
const maxPeople = 20

// Pools lists the pools, of one environment if it is not empty. Pools that one may not ask for are listed with the
// reason. Errors: Invalid, Internal, Conflict (the caller has more open grants than are looked at).
func (s *Service) Pools(ctx context.Context, c Caller, environment string) ([]PoolView, error) {
	if err := checkSubject(c.Subject); err != nil {
		return nil, err
	}
	mine, err := s.grantsOf(ctx, c.Subject)
	if err != nil {
		return nil, err
	}
	locks, err := s.History.Locks(ctx, s.Now(), maxLocks)
	if err != nil {
		return nil, internal(err)
	}
	var views []PoolView
	for _, p := range s.Catalog.Pools() {
		if environment != "" && p.Name.Environment != environment {
			continue
		}
		lock := s.covering(locks, c, p.Name)
		views = append(views, PoolView{
			Pool: p, Decision: underLock(s.Policy.Evaluate(ctx, s.question(c, p, mine)), lock),
			ApproverGroups: s.Policy.Approvers(p.Name, p.Tags), Lock: lock,
		})
	}
	return views, nil
}

// question is a request of the caller for a pool, now, with the default duration.
func (s *Service) question(c Caller, p Pool, mine holdings) policy.Request {
	return policy.Request{
		Subject: c.Subject, Groups: c.Groups, Owner: c.Owner, OwnerGroups: c.OwnerGroups, Pool: p.Name, Tags: p.Tags,
		At: s.Now(), Open: mine.open(""),
	}
}

// Preview answers what Request would decide, and why, rule by rule. A zero duration asks for the default; a reason and
// inputs that are not given yet count as missing. Errors: Invalid, NotFound, Internal.
func (s *Service) Preview(ctx context.Context, c Caller, ask Ask) (Preview, error) {
	if err := checkSubject(c.Subject); err != nil {
		return Preview{}, err
	}
	p, err := s.pool(ask.Environment, ask.Pool)
	if err != nil {
		return Preview{}, err
	}
	if err := checkDuration(ask.Duration); err != nil {
		return Preview{}, err
	}
	if err := checkText("reason", ask.Reason); err != nil {
		return Preview{}, err
	}
	ask.StartsAt = ask.StartsAt.UTC().Truncate(time.Second)
	if err := s.checkStart(ask.StartsAt); err != nil {
		return Preview{}, err
	}
	if err := checkInputs(ask.Inputs); err != nil {
		return Preview{}, err
	}
	return s.preview(ctx, c, p, ask)
}

func (s *Service) preview(ctx context.Context, c Caller, p Pool, ask Ask) (Preview, error) {
	mine, err := s.grantsOf(ctx, c.Subject)
	if err != nil {
		return Preview{}, err
	}
	r := s.question(c, p, mine)
	r.Duration, r.StartsAt, r.Reason, r.Inputs, r.BreakGlass = ask.Duration, ask.StartsAt, ask.Reason, ask.Inputs, ask.BreakGlass
	v := Preview{}
	v.Decision, v.Findings = s.Policy.Explain(ctx, r)
	v.Decision = s.underLogin(v.Decision, c)
	v.Findings = shownFindings(v.Findings)
	b := grant.Ballot{Steps: v.Decision.Steps, Ordered: v.Decision.Ordered}
	if v.Steps, err = s.steps(ctx, b, c.Subject, c.Owner); err != nil {
		return Preview{}, err
	}
	locks, err := s.History.Locks(ctx, s.Now(), maxLocks)
	if err != nil {
		return Preview{}, internal(err)
	}
	v.Lock = s.covering(locks, c, p.Name)
	v.Decision = underLock(v.Decision, v.Lock)
	return v, nil
}

// underLock says first that a lock stops what policy would give, which is what its sentence is about. A lock stops an
// emergency too.
func underLock(d policy.Decision, l *grant.Lock) policy.Decision {
	if l != nil {
		d.Explanation = lockSentence(*l) + " By the policy alone: " + d.Explanation
		d.MayBreakGlass = false
	}
	return d
}

// steps names the people who could approve, without those that never may: the subject and the owner (I11), agents,
// services, and who has approved already.
func (s *Service) steps(ctx context.Context, b grant.Ballot, subject, owner grant.Subject) ([]StepView, error) {
	wanted := b.Wanted()
	views := make([]StepView, len(b.Steps))
	for i, step := range b.Steps {
		views[i] = StepView{AnyOf: step.AnyOf, Wanted: wanted[i]}
		for _, group := range (grant.Ballot{Steps: []grant.Step{step}}).Groups() {
			// Enough to know of one more than is shown, whoever of them falls away below.
			members, err := s.Directory.Members(ctx, group, maxPeople+1+len(b.Approvals)+2)
			if err != nil {
				return nil, internal(fmt.Errorf("read members: %w", err))
			}
			for _, m := range members {
				if m.IsPerson() && m != subject && m != owner && !approved(b, m) {
					views[i].People = append(views[i].People, m)
				}
			}
		}
		slices.Sort(views[i].People)
		views[i].People = slices.Compact(views[i].People)
		if len(views[i].People) > maxPeople {
			views[i].People, views[i].More = views[i].People[:maxPeople], true
		}
	}
	return views, nil
}
