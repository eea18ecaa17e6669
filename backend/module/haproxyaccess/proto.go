package haproxyaccess

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func grantProtos(views []access.View) []*v1.Grant {
	var all []*v1.Grant
	for _, v := range views {
		all = append(all, grantProto(v))
	}
	return all
}

func grantProto(v access.View) *v1.Grant {
	g := v.Grant
	p := &v1.Grant{
		Id: g.ID, Environment: g.Pool.Environment, Pool: g.Pool.Name, Subject: string(g.Subject), Owner: string(g.Owner),
		State: grantproto.State(g.State), Reason: g.Reason, Duration: durationpb.New(g.Duration), Inputs: g.Inputs,
		RequestTime: grantproto.Time(g.RequestedAt), StartTime: grantproto.Time(g.StartsAt), ActiveTime: grantproto.Time(g.ActivatedAt),
		ExpireTime: grantproto.Time(g.ExpiresAt), EndTime: grantproto.Time(g.EndedAt), EndCause: string(g.Cause), EndComment: g.Comment,
		Etag: v.Etag, Hosts: v.Hosts, ApproverGroups: v.ApproverGroups, Steps: stepProtos(v), Ordered: g.Ballot().Ordered,
		Approvals: grantproto.Approvals(g.Approvals), Rule: g.Rule, Policy: g.Policy, PolicyHash: g.PolicyHash,
		Explanation: v.Explanation, Groups: g.Groups, GroupsSource: g.GroupsSource, GroupsTime: grantproto.Time(g.GroupsAt),
		BreakGlass: g.BreakGlass, Notify: g.Notify, Review: reviewProto(g.Review), Extension: extensionProto(g.Extension),
		Enforcement: enforcementProto(v),
	}
	if g.State == grant.Pending || g.State == grant.Approved {
		p.LapseTime = grantproto.Time(g.LapsesAt)
	}
	return p
}

// stepProtos is the vote that is on, with people where they were looked up.
func stepProtos(v access.View) []*v1.ApprovalStep {
	steps := v.Steps
	if steps == nil {
		b := v.Grant.Ballot()
		for i, wanted := range b.Wanted() {
			steps = append(steps, access.StepView{AnyOf: b.Steps[i].AnyOf, Wanted: wanted})
		}
	}
	return stepViewProtos(steps)
}

func stepViewProtos(steps []access.StepView) []*v1.ApprovalStep {
	var all []*v1.ApprovalStep
	for _, s := range steps {
		p := &v1.ApprovalStep{Wanted: s.Wanted, MorePeople: s.More}
		for _, q := range s.AnyOf {
			p.AnyOf = append(p.AnyOf, &v1.ApprovalStep_Quorum{Groups: q.Groups, Count: uint32(q.Count)})
		}
		for _, who := range s.People {
			p.People = append(p.People, string(who))
		}
		all = append(all, p)
	}
	return all
}

func reviewProto(r grant.Review) *v1.Review {
	if !r.Asked() {
		return nil
	}
	return &v1.Review{
		Groups: r.Groups, DueTime: grantproto.Time(r.DueAt), Subject: string(r.By), Time: grantproto.Time(r.At), Comment: r.Comment,
		OverdueTime: grantproto.Time(r.OverdueAt),
	}
}

func extensionProto(e grant.Extension) *v1.Extension {
	if !e.Asked() {
		return nil
	}
	return &v1.Extension{
		Duration: durationpb.New(e.By), Reason: e.Reason, Inputs: e.Inputs, Approvals: grantproto.Approvals(e.Approvals),
		RequestTime: grantproto.Time(e.RequestedAt), LapseTime: grantproto.Time(e.LapsesAt), Rule: e.Rule, Explanation: e.Explanation,
	}
}

func poolProto(p access.PoolView) *v1.Pool {
	d := p.Decision
	return &v1.Pool{
		Environment: p.Name.Environment, Pool: p.Name.Name, Description: p.Description, Hosts: p.Hosts, Tags: p.Tags,
		Requestable: d.Allowed && p.Lock == nil, Explanation: d.Explanation,
		NeedsApproval: len(d.Steps) > 0, MaxDuration: durationpb.New(d.MaxDuration),
		DefaultDuration: durationpb.New(d.DefaultDuration), ApproverGroups: p.ApproverGroups,
		Inputs: inputProtos(d.Inputs), MayBreakGlass: d.MayBreakGlass, Lock: lockOrNil(p.Lock),
	}
}

func previewProto(p access.Preview) *v1.PreviewAccessResponse {
	d := p.Decision
	resp := &v1.PreviewAccessResponse{
		Allowed: d.Allowed && p.Lock == nil, NeedsApproval: len(d.Steps) > 0, Explanation: d.Explanation,
		MaxDuration: durationpb.New(d.MaxDuration), DefaultDuration: durationpb.New(d.DefaultDuration),
		ApproverGroups: grant.Ballot{Steps: d.Steps}.Groups(), Rule: d.Rule, Policy: d.Policy, PolicyHash: d.Hash,
		Steps: stepViewProtos(p.Steps), Ordered: d.Ordered, PendingFor: durationpb.New(d.PendingFor),
		Inputs: inputProtos(d.Inputs), MayBreakGlass: d.MayBreakGlass, Lock: lockOrNil(p.Lock),
	}
	for _, f := range p.Findings {
		resp.Findings = append(resp.Findings, &v1.PreviewAccessResponse_Finding{
			Rule: f.Rule, Deny: f.Deny, Outcome: string(f.Outcome), Reasons: f.Reasons,
		})
	}
	return resp
}

func inputProtos(inputs []policy.Input) []*v1.Input {
	var all []*v1.Input
	for _, i := range inputs {
		all = append(all, &v1.Input{
			Name: i.Name, Title: i.Title, Description: i.Description, Choices: i.Choices, Optional: i.Optional, Message: i.Message,
		})
	}
	return all
}

func lockOrNil(l *grant.Lock) *v1.Lock {
	if l == nil {
		return nil
	}
	return grantproto.Lock(*l)
}

func openProto(open map[grant.State]int) *v1.OpenGrants {
	return &v1.OpenGrants{
		Pending: uint32(open[grant.Pending]), Approved: uint32(open[grant.Approved]), Active: uint32(open[grant.Active]),
	}
}
