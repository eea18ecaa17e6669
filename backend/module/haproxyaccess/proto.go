package haproxyaccess

import (
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The state's name in the API is the domain's in capitals; a test holds the two together.
func stateProto(s grant.State) haproxyaccessv1.Grant_State {
	return haproxyaccessv1.Grant_State(haproxyaccessv1.Grant_State_value[strings.ToUpper(string(s))])
}

func stateOf(s haproxyaccessv1.Grant_State) grant.State {
	return grant.State(strings.ToLower(s.String()))
}

func grantProto(v access.View) *haproxyaccessv1.Grant {
	g := v.Grant
	p := &haproxyaccessv1.Grant{
		Id: g.ID, Environment: g.Pool.Environment, Pool: g.Pool.Name, Subject: string(g.Subject),
		State: stateProto(g.State), Reason: g.Reason, Duration: durationpb.New(g.Duration),
		RequestTime: timestamp(g.RequestedAt), ActiveTime: timestamp(g.ActivatedAt), ExpireTime: timestamp(g.ExpiresAt),
		EndTime: timestamp(g.EndedAt), EndCause: string(g.Cause), EndComment: g.Comment, Etag: v.Etag,
		Explanation: g.Explanation, Hosts: v.Hosts, ApproverGroups: v.ApproverGroups,
		Enforcement: &haproxyaccessv1.Enforcement{
			NodesTotal: uint32(v.Enforcement.NodesTotal), NodesEnforced: uint32(v.Enforcement.NodesEnforced),
			OldWorkersUntil: timestamp(v.Enforcement.OldWorkersUntil), StreamsNotCut: v.Enforcement.StreamsNotCut,
		},
	}
	if g.State == grant.Pending || g.State == grant.Approved {
		p.LapseTime = timestamp(g.LapsesAt)
	}
	for _, a := range g.Approvals {
		p.Approvals = append(p.Approvals, &haproxyaccessv1.Approval{
			Subject: string(a.By), Time: timestamp(a.At), Comment: a.Comment,
		})
	}
	return p
}

func poolProto(p access.PoolView) *haproxyaccessv1.Pool {
	return &haproxyaccessv1.Pool{
		Environment: p.Name.Environment, Pool: p.Name.Name, Description: p.Description, Hosts: p.Hosts,
		Requestable: p.Decision.Allowed, Explanation: p.Decision.Explanation,
		NeedsApproval: len(p.Decision.Steps) > 0, MaxDuration: durationpb.New(p.Decision.MaxDuration),
		DefaultDuration: durationpb.New(p.Decision.DefaultDuration), ApproverGroups: p.ApproverGroups,
	}
}

func previewProto(d policy.Decision) *haproxyaccessv1.PreviewAccessResponse {
	p := &haproxyaccessv1.PreviewAccessResponse{
		Allowed: d.Allowed, NeedsApproval: len(d.Steps) > 0, Explanation: d.Explanation,
		MaxDuration: durationpb.New(d.MaxDuration),
	}
	for _, step := range d.Steps {
		p.ApproverGroups = append(p.ApproverGroups, step.Groups...)
	}
	return p
}

func nodeProto(n access.NodeStatus) *haproxyaccessv1.NodeStatus {
	p := &haproxyaccessv1.NodeStatus{
		Node: n.Node, Environments: n.Environments, Healthy: n.Healthy, Error: n.Error, Dialect: n.Dialect,
		LastPassTime: timestamp(n.LastPass), LastSuccessTime: timestamp(n.LastSuccess), Revision: uint64(n.Revision),
		ClockOffset: durationpb.New(n.ClockOffset), DriftRepaired: uint64(n.DriftRepaired),
		WorkerStartTime: timestamp(n.WorkerStarted), HaproxyVersion: n.HAProxyVersion,
	}
	for _, l := range n.Leases {
		p.Leases = append(p.Leases, &haproxyaccessv1.NodeStatus_Lease{
			Environment: l.Environment, Off: l.Off, Until: timestamp(l.Until),
		})
	}
	return p
}

func serverProtos(servers []access.Server) []*haproxyaccessv1.PoolServer {
	var all []*haproxyaccessv1.PoolServer
	for _, s := range servers {
		all = append(all, &haproxyaccessv1.PoolServer{
			Node: s.Node, Name: s.Name, Address: s.Address, Port: uint32(s.Port),
			OperationalState: s.OperationalState, AdminState: s.AdminState, Error: s.Error,
		})
	}
	return all
}

func filterOf(req *haproxyaccessv1.ListGrantsRequest) (access.Filter, error) {
	f := access.Filter{
		Environment: req.GetEnvironment(), Pool: req.GetPool(), Subject: req.GetSubject(),
		AwaitingMe: req.GetAwaitingMyApproval(), PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken(),
	}
	for _, s := range req.GetStates() {
		if _, known := haproxyaccessv1.Grant_State_name[int32(s)]; !known || s == haproxyaccessv1.Grant_UNSPECIFIED {
			return f, status.Errorf(codes.InvalidArgument, "states: %s is no state", s)
		}
		f.States = append(f.States, stateOf(s))
	}
	return f, nil
}

// checkDuration refuses what AsDuration would silently saturate or what is no valid duration.
func checkDuration(d *durationpb.Duration) error {
	if d == nil {
		return nil
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() > 366*24*time.Hour {
		return status.Error(codes.InvalidArgument, "duration: out of range")
	}
	return nil
}

// timestamp is nil for a time that is not set.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
