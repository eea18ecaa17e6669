package haproxyaccess

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
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
				Tags: []string{"pci"},
			},
			Lock:           &lock,
			Decision:       decision,
			ApproverGroups: []string{"prod-approvers", "leads"},
		}},
		preview: preview,
		bulk:    access.BulkResult{Open: openCounts, Grants: []access.View{view}, Failed: 4, FirstAt: at(43)},
		lock:    access.LockView{Lock: lock, Open: openCounts, Failed: 5, Grants: []access.View{view}, Warning: "nobody"},
		locks:   []grant.Lock{lock},
		events: access.EventPage{Next: "later", Events: []store.Entry{{
			Revision: 9, Hash: [32]byte{0xab}, Event: grant.Event{Longer: 5 * time.Minute, Grant: view.Grant, From: grant.Active, Verb: grant.Approve,
				Actor: "bob@example.com", Comment: "fine", At: at(40), Lock: lock,
				Drift: grant.Drift{
					Node: "n1", Environments: []string{"prod", "staging"}, First: at(41), Last: at(42), Passes: 3, Unrepaired: 1,
					Foreign: 5, Changed: 6, Missing: 7, Files: []string{"grants.map"}, Rows: []string{"grants.map: foreign x"},
				}},
		}}},
		policy: access.PolicyStatus{
			Name: "acme", Hash: "abc", Files: []string{"a.yaml"}, Rules: 3, LoadedAt: at(41), Error: "b.yaml:1:1: wrong", ErrorAt: at(42),
		},
		token: "header.payload.signature", expires: at(50),
		nodes: []access.NodeStatus{{
			Node: "edge-1", Environments: []string{"prod", "staging"}, Healthy: true, Error: "it was slow", Dialect: "v3",
			LastPass: at(1), LastSuccess: at(2), Revision: 42,
			Leases:      []access.Lease{{Environment: "prod", Until: at(3)}, {Environment: "staging", Off: true}},
			ClockOffset: -3 * time.Second, DriftRepaired: 5, WorkerStarted: at(4), HAProxyVersion: "2.6.12",
			Rows: 6, Source: "edge", Writer: "gateway-1", LastDrift: []string{"grants.map a", "file"}, LastDriftAt: at(5),
			PendingRemovals: 7, CutsStreams: true, ReachesOldWorkers: true, ConfigManaged: true, ConfigError: "it does not parse",
		}},
		environment: access.Environment{
			Name: "pr-1", Template: "pr-*", By: "service:ci", At: at(6), Pools: []string{"web", "api"}, Problems: []string{"a host"},
		},
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
	Allowed: true, Explanation: "You must be on call.", Rule: "prod", Policy: "acme", Hash: "abc", Duration: time.Minute,
	DefaultDuration: 15 * time.Minute, MaxDuration: time.Hour, PendingFor: 4 * time.Hour, Ordered: true, MayBreakGlass: true,
	Steps: []grant.Step{
		{AnyOf: []grant.Quorum{{Groups: []string{"prod-approvers"}, Count: 1}}},
		{AnyOf: []grant.Quorum{{Groups: []string{"leads"}, Count: 1}, {Groups: []string{"owners"}, Count: 2}}},
	},
	Inputs: []policy.Input{{
		Name: "ticket", Title: "Ticket", Description: "A number", Choices: []string{"a", "b"}, Optional: true, Message: "You must.",
	}},
}

var preview = access.Preview{
	Decision: decision, Lock: &lock,
	Findings: []policy.Finding{{Rule: "prod", Deny: true, Outcome: policy.Denies, Reasons: []string{"Because."}}},
	Steps: []access.StepView{{
		AnyOf: decision.Steps[1].AnyOf, Wanted: true, People: []grant.Subject{"bob@example.com"}, More: true,
	}},
}

// lock is one that was lifted.
var lock = grant.Lock{
	ID: "l1", Subject: "mallory@example.com", Environment: "prod", Pool: "web", Reason: "incident", By: "audrey@example.com",
	At: at(30), Until: at(31), LiftedBy: "carol@example.com", LiftedAt: at(32),
}

func fullView() access.View {
	return access.View{
		Explanation: "Policy says so.",
		Grant: grant.Grant{
			ID: "g1", Subject: "agent:triage", Owner: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "web"},
			State: grant.Pending, Reason: "incident", Duration: 15 * time.Minute, Inputs: map[string]string{"ticket": "INC1"},
			Groups: []string{"developers"}, GroupsSource: "login", GroupsAt: at(20),
			Steps: []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"unseen"}, Count: 2}}}}, Ordered: true,
			Approvals: []grant.Approval{
				{By: "bob@example.com", At: at(11), Comment: "fine", Groups: []string{"unseen"}},
				{By: "carol@example.com", At: at(12), Comment: "go", Groups: []string{"unseen"}},
			},
			Rule: "prod", Policy: "acme", PolicyHash: "abc", Explanation: "Policy says so.",
			BreakGlass: true, Notify: []string{"security"},
			Review: grant.Review{
				Groups: []string{"security"}, DueAt: at(21), By: "carol@example.com", At: at(22), Comment: "all was well",
				OverdueAt: at(26),
			},
			Extension: grant.Extension{
				By: time.Minute, Reason: "longer", Inputs: map[string]string{"ticket": "INC2"}, Rule: "prod2",
				Explanation: "It may.", RequestedAt: at(23), LapsesAt: at(24), Steps: []grant.Step{{}},
				Approvals: []grant.Approval{{By: "bob@example.com", At: at(25), Comment: "ok", Groups: []string{"leads"}}},
			},
			RequestedAt: at(13), StartsAt: at(14), LapsesAt: at(15), ActivatedAt: at(16), ExpiresAt: at(17), EndedAt: at(18),
			Cause: grant.CauseOperator, EndedBy: "audrey@example.com", Comment: "enough", Version: 7,
		},
		Etag: "v7",
		Enforcement: access.Enforcement{
			NodesTotal: 3, NodesEnforced: 2, OldWorkersUntil: at(19), StreamsNotCut: true, StreamsUntil: at(33),
		},
		Nodes: []store.GrantReport{{
			Node: "edge-1", Revision: 41, WrittenAt: at(51), VerifiedAt: at(52), RemovedAt: at(53), FirstAdmitted: at(54),
			LastAdmitted: at(55), Admitted: 8, FirstRefused: at(56), Refused: 9,
		}},
		Hosts:          []string{"web.example", "w.example"},
		ApproverGroups: []string{"prod-approvers", "leads"},
		Steps:          preview.Steps,
	}
}

var stepMessage = &v1.ApprovalStep{
	AnyOf:  []*v1.ApprovalStep_Quorum{{Groups: []string{"leads"}, Count: 1}, {Groups: []string{"owners"}, Count: 2}},
	Wanted: true, People: []string{"bob@example.com"}, MorePeople: true,
}

var approvalMessages = []*v1.Approval{
	{Subject: "bob@example.com", Time: second(11), Comment: "fine", Groups: []string{"unseen"}},
	{Subject: "carol@example.com", Time: second(12), Comment: "go", Groups: []string{"unseen"}},
}

var grantMessage = &v1.Grant{
	Id: "g1", Environment: "prod", Pool: "web", Subject: "agent:triage", Owner: "alice@example.com",
	State: v1.Grant_PENDING, Reason: "incident", Inputs: map[string]string{"ticket": "INC1"},
	Duration: &durationpb.Duration{Seconds: 900}, RequestTime: second(13), StartTime: second(14), ActiveTime: second(16),
	ExpireTime: second(17), EndTime: second(18), LapseTime: second(15), EndCause: "operator", EndComment: "enough", Etag: "v7",
	Enforcement: &v1.Enforcement{
		NodesTotal: 3, NodesEnforced: 2, OldWorkersUntil: second(19), StreamsNotCut: true, StreamsUntil: second(33),
		Nodes: []*v1.NodeEnforcement{{
			Node: "edge-1", Revision: 41, WriteTime: second(51), VerifyTime: second(52), RemoveTime: second(53),
			FirstAdmittedTime: second(54), LastAdmittedTime: second(55), Admitted: 8, FirstRefusedAfterEndTime: second(56),
			RefusedAfterEnd: 9,
		}},
	},
	Approvals:      approvalMessages,
	ApproverGroups: []string{"prod-approvers", "leads"}, Explanation: "Policy says so.",
	Hosts: []string{"web.example", "w.example"}, Rule: "prod", Policy: "acme", PolicyHash: "abc",
	Steps: []*v1.ApprovalStep{stepMessage}, Ordered: true, BreakGlass: true, Notify: []string{"security"},
	Review: &v1.Review{
		Groups: []string{"security"}, DueTime: second(21), Subject: "carol@example.com", Time: second(22), Comment: "all was well",
		OverdueTime: second(26),
	},
	Extension: &v1.Extension{
		Duration: &durationpb.Duration{Seconds: 60}, Reason: "longer", Inputs: map[string]string{"ticket": "INC2"}, Rule: "prod2",
		Explanation: "It may.", RequestTime: second(23), LapseTime: second(24),
		Approvals: []*v1.Approval{{Subject: "bob@example.com", Time: second(25), Comment: "ok", Groups: []string{"leads"}}},
	},
	Groups: []string{"developers"}, GroupsSource: "login", GroupsTime: second(20),
}

var lockMessage = &v1.Lock{
	Id: "l1", Subject: "mallory@example.com", Environment: "prod", Pool: "web", Reason: "incident", Actor: "audrey@example.com",
	CreateTime: second(30), UntilTime: second(31), LiftActor: "carol@example.com", LiftTime: second(32),
}

var openMessage = &v1.OpenGrants{Pending: 1, Approved: 2, Active: 3}

var openCounts = map[grant.State]int{grant.Pending: 1, grant.Approved: 2, grant.Active: 3}

var inputMessage = &v1.Input{
	Name: "ticket", Title: "Ticket", Description: "A number", Choices: []string{"a", "b"}, Optional: true, Message: "You must.",
}

// What is locked cannot be asked for, so requestable and allowed are false here: see TestALockedPoolIsNotRequestable.
var poolMessage = &v1.Pool{
	Environment: "prod", Pool: "web", Description: "The shop", Hosts: []string{"web.example", "w.example"},
	Explanation: "You must be on call.", NeedsApproval: true,
	MaxDuration: &durationpb.Duration{Seconds: 3600}, DefaultDuration: &durationpb.Duration{Seconds: 900},
	ApproverGroups: []string{"prod-approvers", "leads"}, Tags: []string{"pci"}, Lock: lockMessage,
	Inputs: []*v1.Input{inputMessage}, MayBreakGlass: true,
}

var previewMessage = &v1.PreviewAccessResponse{
	NeedsApproval: true, Explanation: "You must be on call.",
	MaxDuration: &durationpb.Duration{Seconds: 3600}, DefaultDuration: &durationpb.Duration{Seconds: 900},
	ApproverGroups: []string{"leads", "owners", "prod-approvers"}, Rule: "prod", Policy: "acme", PolicyHash: "abc",
	Steps: []*v1.ApprovalStep{stepMessage}, Ordered: true, PendingFor: &durationpb.Duration{Seconds: 14400},
	Inputs: []*v1.Input{inputMessage}, MayBreakGlass: true, Lock: lockMessage,
	Findings: []*v1.PreviewAccessResponse_Finding{{Rule: "prod", Deny: true, Outcome: "denies", Reasons: []string{"Because."}}},
}

var eventMessage = &v1.GrantEvent{
	Revision: 9, Hash: "ab" + strings.Repeat("00", 31), GrantId: "g1", Environment: "prod", Pool: "web",
	Subject: "agent:triage", Owner: "alice@example.com", Verb: "approve", Actor: "bob@example.com",
	From: v1.Grant_ACTIVE, To: v1.Grant_PENDING, Cause: "operator", Comment: "fine", Time: second(40), StartTime: second(14),
	ExpireTime: second(17), Duration: &durationpb.Duration{Seconds: 900}, Reason: "incident",
	Inputs: map[string]string{"ticket": "INC1"}, Rule: "prod", Policy: "acme", PolicyHash: "abc", Explanation: "Policy says so.",
	Groups: []string{"developers"}, GroupsSource: "login", GroupsTime: second(20), BreakGlass: true, Notify: []string{"security"},
	Approvals: approvalMessages, Lock: lockMessage, ExtensionDuration: &durationpb.Duration{Seconds: 300},
	Drift: &v1.Drift{
		Node: "n1", Environments: []string{"prod", "staging"}, FirstTime: second(41), LastTime: second(42), Passes: 3, UnrepairedPasses: 1,
		ForeignRows: 5, ChangedRows: 6, MissingRows: 7, Files: []string{"grants.map"}, Rows: []string{"grants.map: foreign x"},
	},
}

var nodeMessage = &v1.NodeStatus{
	Node: "edge-1", Environments: []string{"prod", "staging"}, Healthy: true, Error: "it was slow", Dialect: "v3",
	LastPassTime: second(1), LastSuccessTime: second(2), Revision: 42,
	Leases:      []*v1.NodeStatus_Lease{{Environment: "prod", Until: second(3)}, {Environment: "staging", Off: true}},
	ClockOffset: &durationpb.Duration{Seconds: -3}, DriftRepaired: 5, WorkerStartTime: second(4), HaproxyVersion: "2.6.12",
	Rows: 6, Source: "edge", Writer: "gateway-1", LastDrift: []string{"grants.map a", "file"}, LastDriftTime: second(5),
	PendingRemovals: 7, CutsStreams: true, ReachesOldWorkers: true, ConfigManaged: true, ConfigError: "it does not parse",
}

var environmentMessage = &v1.Environment{
	Name: "pr-1", Template: "pr-*", Actor: "service:ci", RegisterTime: second(6), Pools: []string{"web", "api"},
	Problems: []string{"a host"},
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
