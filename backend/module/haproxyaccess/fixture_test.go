package haproxyaccess

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// fullFake answers with every field set, each to another value. No such grant can be: it has all times and is pending.
func fullFake() *fake {
	view := fullView()
	return &fake{
		granted: view,
		page:    access.Page{Grants: []access.View{view}, Next: "after"},
		pools: []access.PoolView{{
			Pool: access.Pool{
				Name: grant.Pool{Environment: "prod", Name: "web"}, Description: "The shop", Hosts: []string{"web.example", "w.example"},
			},
			Decision:       decision,
			ApproverGroups: []string{"prod-approvers", "leads"},
		}},
		preview: decision,
		token:   "header.payload.signature", expires: at(50),
		nodes: []access.NodeStatus{{
			Node: "edge-1", Environments: []string{"prod", "staging"}, Healthy: true, Error: "it was slow", Dialect: "v3",
			LastPass: at(1), LastSuccess: at(2), Revision: 42,
			Leases:      []access.Lease{{Environment: "prod", Until: at(3)}, {Environment: "staging", Off: true}},
			ClockOffset: -3 * time.Second, DriftRepaired: 5, WorkerStarted: at(4), HAProxyVersion: "2.6.12",
		}},
		servers: []access.Server{
			{
				Node: "edge-1", Name: "web-1", Address: "10.0.0.1", Port: 8080, OperationalState: "up", AdminState: "ready",
				Error: "stale",
			},
			{
				Node: "edge-2", Name: "web-2", Address: "10.0.0.2", Port: 8081, OperationalState: "unknown",
				AdminState: "maint", Error: "no answer",
			},
		},
	}
}

var decision = policy.Decision{
	Allowed: true, Explanation: "You must be on call.", Rule: "prod", Hash: "abc", Duration: time.Minute,
	DefaultDuration: 15 * time.Minute, MaxDuration: time.Hour, PendingFor: 4 * time.Hour,
	Steps: []grant.Step{{Groups: []string{"prod-approvers"}, Count: 1}, {Groups: []string{"leads", "owners"}, Count: 2}},
}

func fullView() access.View {
	return access.View{
		Grant: grant.Grant{
			ID: "g1", Subject: "agent:triage", Owner: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "web"},
			State: grant.Pending, Reason: "incident", Duration: 15 * time.Minute, Groups: []string{"developers"},
			Steps: []grant.Step{{Groups: []string{"unseen"}, Count: 2}},
			Approvals: []grant.Approval{
				{By: "bob@example.com", At: at(11), Comment: "fine"}, {By: "carol@example.com", At: at(12), Comment: "go"},
			},
			Policy: "prod", PolicyHash: "abc", Explanation: "Policy says so.",
			RequestedAt: at(13), StartsAt: at(14), LapsesAt: at(15), ActivatedAt: at(16), ExpiresAt: at(17), EndedAt: at(18),
			Cause: grant.CauseOperator, EndedBy: "audrey@example.com", Comment: "enough", Version: 7,
		},
		Etag:           "v7",
		Enforcement:    access.Enforcement{NodesTotal: 3, NodesEnforced: 2, OldWorkersUntil: at(19), StreamsNotCut: true},
		Hosts:          []string{"web.example", "w.example"},
		ApproverGroups: []string{"prod-approvers", "leads"},
	}
}

var grantMessage = &v1.Grant{
	Id: "g1", Environment: "prod", Pool: "web", Subject: "agent:triage", State: v1.Grant_PENDING, Reason: "incident",
	Duration: &durationpb.Duration{Seconds: 900}, RequestTime: second(13), ActiveTime: second(16), ExpireTime: second(17),
	EndTime: second(18), LapseTime: second(15), EndCause: "operator", EndComment: "enough", Etag: "v7",
	Enforcement: &v1.Enforcement{NodesTotal: 3, NodesEnforced: 2, OldWorkersUntil: second(19), StreamsNotCut: true},
	Approvals: []*v1.Approval{
		{Subject: "bob@example.com", Time: second(11), Comment: "fine"},
		{Subject: "carol@example.com", Time: second(12), Comment: "go"},
	},
	ApproverGroups: []string{"prod-approvers", "leads"}, Explanation: "Policy says so.",
	Hosts: []string{"web.example", "w.example"},
}

var poolMessage = &v1.Pool{
	Environment: "prod", Pool: "web", Description: "The shop", Hosts: []string{"web.example", "w.example"},
	Requestable: true, Explanation: "You must be on call.", NeedsApproval: true,
	MaxDuration: &durationpb.Duration{Seconds: 3600}, DefaultDuration: &durationpb.Duration{Seconds: 900},
	ApproverGroups: []string{"prod-approvers", "leads"},
}

var previewMessage = &v1.PreviewAccessResponse{
	Allowed: true, NeedsApproval: true, Explanation: "You must be on call.",
	MaxDuration: &durationpb.Duration{Seconds: 3600}, ApproverGroups: []string{"prod-approvers", "leads", "owners"},
}

var nodeMessage = &v1.NodeStatus{
	Node: "edge-1", Environments: []string{"prod", "staging"}, Healthy: true, Error: "it was slow", Dialect: "v3",
	LastPassTime: second(1), LastSuccessTime: second(2), Revision: 42,
	Leases:      []*v1.NodeStatus_Lease{{Environment: "prod", Until: second(3)}, {Environment: "staging", Off: true}},
	ClockOffset: &durationpb.Duration{Seconds: -3}, DriftRepaired: 5, WorkerStartTime: second(4), HaproxyVersion: "2.6.12",
}

var serverMessages = []*v1.PoolServer{
	{
		Node: "edge-1", Name: "web-1", Address: "10.0.0.1", Port: 8080, OperationalState: "up", AdminState: "ready",
		Error: "stale",
	},
	{
		Node: "edge-2", Name: "web-2", Address: "10.0.0.2", Port: 8081, OperationalState: "unknown", AdminState: "maint",
		Error: "no answer",
	},
}
