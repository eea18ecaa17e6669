package haproxyaccess

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// rpc is one call: the request with every field set, what the use case must be asked, and the whole answer.
type rpc struct {
	name    string
	call    func(*api, context.Context, proto.Message) (proto.Message, error)
	request proto.Message
	asked   []any
	answer  proto.Message
}

var rpcs = []rpc{
	{
		"ListPools", untyped((*api).ListPools), &v1.ListPoolsRequest{Environment: "prod"},
		[]any{"Pools", alice, "prod"}, &v1.ListPoolsResponse{Pools: []*v1.Pool{poolMessage}},
	},
	{
		"PreviewAccess", untyped((*api).PreviewAccess),
		&v1.PreviewAccessRequest{
			Environment: "prod", Pool: "web", Duration: durationpb.New(90 * time.Second), StartTime: second(70), Reason: "incident",
			Inputs: map[string]string{"ticket": "INC1"}, BreakGlass: true,
		},
		[]any{"Preview", alice, access.Ask{
			Environment: "prod", Pool: "web", Duration: 90 * time.Second, StartsAt: at(70), Reason: "incident",
			Inputs: map[string]string{"ticket": "INC1"}, BreakGlass: true,
		}},
		previewMessage,
	},
	{
		"RequestAccess", untyped((*api).RequestAccess),
		&v1.RequestAccessRequest{
			Environment: "prod", Pool: "web", Duration: durationpb.New(15 * time.Minute), Reason: "incident",
			IdempotencyKey: "key-00001", StartTime: second(70), Inputs: map[string]string{"ticket": "INC1"}, BreakGlass: true,
		},
		[]any{
			"Request", alice,
			access.Ask{
				Environment: "prod", Pool: "web", Duration: 15 * time.Minute, Reason: "incident", StartsAt: at(70),
				Inputs: map[string]string{"ticket": "INC1"}, BreakGlass: true,
			}, "key-00001",
		},
		&v1.RequestAccessResponse{Grant: grantMessage},
	},
	{
		"ApproveAccess", untyped((*api).ApproveAccess),
		&v1.ApproveAccessRequest{GrantId: "g1", Etag: "v7", Comment: "go on", IdempotencyKey: "key-00002"},
		[]any{"Approve", alice, access.Decision{GrantID: "g1", Etag: "v7", Comment: "go on"}, "key-00002"},
		&v1.ApproveAccessResponse{Grant: grantMessage},
	},
	{
		"DenyAccess", untyped((*api).DenyAccess),
		&v1.DenyAccessRequest{GrantId: "g1", Etag: "v7", Comment: "not now", IdempotencyKey: "key-00003"},
		[]any{"Deny", alice, access.Decision{GrantID: "g1", Etag: "v7", Comment: "not now"}, "key-00003"},
		&v1.DenyAccessResponse{Grant: grantMessage},
	},
	{
		"RevokeAccess", untyped((*api).RevokeAccess),
		&v1.RevokeAccessRequest{GrantId: "g1", Reason: "done", IdempotencyKey: "key-00004"},
		[]any{"Revoke", alice, access.Revocation{GrantID: "g1", Reason: "done"}, "key-00004"},
		&v1.RevokeAccessResponse{Grant: grantMessage},
	},
	{
		"ExtendAccess", untyped((*api).ExtendAccess),
		&v1.ExtendAccessRequest{
			GrantId: "g1", Duration: durationpb.New(time.Minute), Reason: "not done", Inputs: map[string]string{"ticket": "INC1"},
			IdempotencyKey: "key-00007",
		},
		[]any{"Extend", alice, access.Longer{
			GrantID: "g1", By: time.Minute, Reason: "not done", Inputs: map[string]string{"ticket": "INC1"},
		}, "key-00007"},
		&v1.ExtendAccessResponse{Grant: grantMessage},
	},
	{
		"CancelExtension", untyped((*api).CancelExtension),
		&v1.CancelExtensionRequest{GrantId: "g1", Reason: "done", IdempotencyKey: "key-00008"},
		[]any{"CancelExtension", alice, access.Revocation{GrantID: "g1", Reason: "done"}, "key-00008"},
		&v1.CancelExtensionResponse{Grant: grantMessage},
	},
	{
		"WithdrawApproval", untyped((*api).WithdrawApproval),
		&v1.WithdrawApprovalRequest{GrantId: "g1", Reason: "too early", IdempotencyKey: "key-00009"},
		[]any{"Withdraw", alice, access.Revocation{GrantID: "g1", Reason: "too early"}, "key-00009"},
		&v1.WithdrawApprovalResponse{Grant: grantMessage},
	},
	{
		"ReviewAccess", untyped((*api).ReviewAccess),
		&v1.ReviewAccessRequest{GrantId: "g1", Etag: "v7", Comment: "all was well", IdempotencyKey: "key-00010"},
		[]any{"Review", alice, access.Decision{GrantID: "g1", Etag: "v7", Comment: "all was well"}, "key-00010"},
		&v1.ReviewAccessResponse{Grant: grantMessage},
	},
	{
		"RevokeGrants", untyped((*api).RevokeGrants),
		&v1.RevokeGrantsRequest{
			Environment: "prod", Pool: "web", Subject: "bob@example.com", Rule: "prod", States: []v1.Grant_State{v1.Grant_ACTIVE},
			Everything: true, Reason: "incident", DryRun: true, IdempotencyKey: "key-00011",
		},
		[]any{"RevokeAll", alice, access.Bulk{
			Environment: "prod", Pool: "web", Subject: "bob@example.com", Rule: "prod", States: []grant.State{grant.Active},
			Everything: true, Reason: "incident", DryRun: true,
		}, "key-00011"},
		&v1.RevokeGrantsResponse{Covered: openMessage, Grants: []*v1.Grant{grantMessage}, Failed: 4, FirstCallTime: second(43)},
	},
	{
		"CreateLock", untyped((*api).CreateLock),
		&v1.CreateLockRequest{
			Environment: "prod", Pool: "web", Subject: "mallory@example.com", Everything: true, Reason: "incident",
			UntilTime: second(31), DryRun: true, IdempotencyKey: "key-00012",
		},
		[]any{"Lock", alice, access.LockAsk{
			Environment: "prod", Pool: "web", Subject: "mallory@example.com", Everything: true, Reason: "incident", Until: at(31),
			DryRun: true,
		}, "key-00012"},
		&v1.CreateLockResponse{Lock: lockMessage, Covered: openMessage, Failed: 5, Grants: []*v1.Grant{grantMessage}, Warning: "nobody"},
	},
	{
		"ReleaseLock", untyped((*api).ReleaseLock),
		&v1.ReleaseLockRequest{LockId: "l1", Reason: "over", IdempotencyKey: "key-00013"},
		[]any{"Unlock", alice, "l1", "over", "key-00013"}, &v1.ReleaseLockResponse{Lock: lockMessage},
	},
	{
		"ListLocks", untyped((*api).ListLocks), &v1.ListLocksRequest{All: true},
		[]any{"Locks", alice, true}, &v1.ListLocksResponse{Locks: []*v1.Lock{lockMessage}},
	},
	{
		"ListEvents", untyped((*api).ListEvents),
		&v1.ListEventsRequest{
			GrantId: "g1", Subject: "bob@example.com", Environment: "prod", Pool: "web", Verbs: []string{"revoke", "lock"},
			StartTime: second(1), EndTime: second(2), OldestFirst: true, PageSize: 17, PageToken: "before",
		},
		[]any{"Events", alice, access.EventFilter{
			GrantID: "g1", Subject: "bob@example.com", Environment: "prod", Pool: "web",
			Verbs: []grant.Verb{grant.Revoke, grant.PutLock}, From: at(1), To: at(2), OldestFirst: true, PageSize: 17,
			PageToken: "before",
		}},
		&v1.ListEventsResponse{Events: []*v1.GrantEvent{eventMessage}, NextPageToken: "later"},
	},
	{
		"GetPolicy", untyped((*api).GetPolicy), &v1.GetPolicyRequest{}, []any{"PolicyStatus", alice},
		&v1.GetPolicyResponse{
			Policy: "acme", PolicyHash: "abc", Files: []string{"a.yaml"}, LoadTime: second(41), Rules: 3,
			Error: "b.yaml:1:1: wrong", ErrorTime: second(42),
		},
	},
	{
		"GetGrant", untyped((*api).GetGrant), &v1.GetGrantRequest{GrantId: "g1"},
		[]any{"Get", alice, "g1"}, &v1.GetGrantResponse{Grant: grantMessage},
	},
	{
		"ListGrants", untyped((*api).ListGrants),
		&v1.ListGrantsRequest{
			Environment: "prod", Pool: "web", Subject: "bob@example.com", PageSize: 17, PageToken: "before",
			States: []v1.Grant_State{v1.Grant_PENDING, v1.Grant_REVOKED}, AwaitingMyApproval: true, AwaitingMyReview: true,
		},
		[]any{"List", alice, access.Filter{
			Environment: "prod", Pool: "web", Subject: "bob@example.com", PageSize: 17, PageToken: "before",
			States: []grant.State{grant.Pending, grant.Revoked}, AwaitingMe: true, AwaitingMyReview: true,
		}},
		&v1.ListGrantsResponse{Grants: []*v1.Grant{grantMessage}, NextPageToken: "after"},
	},
	{
		"IssueToken", untyped((*api).IssueToken), &v1.IssueTokenRequest{GrantId: "g1"},
		[]any{"IssueToken", alice, "g1"},
		&v1.IssueTokenResponse{Token: "header.payload.signature", ExpireTime: second(50)},
	},
	{
		"GetNodeStatus", untyped((*api).GetNodeStatus), &v1.GetNodeStatusRequest{Environment: "prod"},
		[]any{"Nodes", alice, "prod"}, &v1.GetNodeStatusResponse{Nodes: []*v1.NodeStatus{nodeMessage}},
	},
	{
		"ListPoolServers", untyped((*api).ListPoolServers), &v1.ListPoolServersRequest{Environment: "prod", Pool: "web"},
		[]any{"Servers", alice, "prod", "web"}, &v1.ListPoolServersResponse{Servers: serverMessages},
	},
	{
		"AddPoolServer", untyped((*api).AddPoolServer),
		&v1.AddPoolServerRequest{
			Environment: "prod", Pool: "web", Name: "web-3", Address: "10.0.0.3", Port: 8443, IdempotencyKey: "key-00005",
		},
		[]any{
			"AddServer", alice, "prod", "web", access.Server{Name: "web-3", Address: "10.0.0.3", Port: 8443}, "key-00005",
		},
		&v1.AddPoolServerResponse{Servers: serverMessages},
	},
	{
		"RemovePoolServer", untyped((*api).RemovePoolServer),
		&v1.RemovePoolServerRequest{Environment: "prod", Pool: "web", Name: "web-3", IdempotencyKey: "key-00006"},
		[]any{"RemoveServer", alice, "prod", "web", "web-3", "key-00006"},
		&v1.RemovePoolServerResponse{Servers: serverMessages},
	},
	{
		"DrainPoolServer", untyped((*api).DrainPoolServer),
		&v1.DrainPoolServerRequest{Environment: "prod", Pool: "web", Name: "web-3", Ready: true, IdempotencyKey: "key-00014"},
		[]any{"DrainServer", alice, "prod", "web", "web-3", true, "key-00014"},
		&v1.DrainPoolServerResponse{Servers: serverMessages},
	},
	{
		"RegisterEnvironment", untyped((*api).RegisterEnvironment),
		&v1.RegisterEnvironmentRequest{Environment: "pr-1", IdempotencyKey: "key-00015"},
		[]any{"RegisterEnvironment", alice, "pr-1", "key-00015"},
		&v1.RegisterEnvironmentResponse{Environment: environmentMessage},
	},
	{
		"RemoveEnvironment", untyped((*api).RemoveEnvironment),
		&v1.RemoveEnvironmentRequest{Environment: "pr-1", IdempotencyKey: "key-00016"},
		[]any{"RemoveEnvironment", alice, "pr-1", "key-00016"},
		&v1.RemoveEnvironmentResponse{Covered: openMessage, Failed: 5},
	},
	{
		"ListEnvironments", untyped((*api).ListEnvironments), &v1.ListEnvironmentsRequest{},
		[]any{"ListEnvironments", alice}, &v1.ListEnvironmentsResponse{Environments: []*v1.Environment{environmentMessage}},
	},
}

func TestEveryRPCCarriesEachFieldBothWays(t *testing.T) {
	for _, r := range rpcs {
		t.Run(r.name, func(t *testing.T) {
			requireAllSet(t, r.request.ProtoReflect())
			requireAllSet(t, r.answer.ProtoReflect())
			use := fullFake()
			a, logs := newAPI(use)
			answer, err := r.call(a, aliceContext(t), r.request)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.asked, use.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(r.answer, answer, protocmp.Transform()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if logs.Len() > 0 {
				t.Errorf("a good call is logged: %v", logs.All())
			}
		})
	}
}

func TestTheTableHasEveryRPC(t *testing.T) {
	var names []string
	for _, r := range rpcs {
		names = append(names, r.name)
	}
	var want []string
	methods := v1.File_api_haproxyaccess_v1_haproxyaccess_proto.Services().ByName("AccessAPI").Methods()
	for i := range methods.Len() {
		want = append(want, string(methods.Get(i).Name()))
	}
	slices.Sort(names)
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestNoRPCIsCarriedOutForNobody(t *testing.T) {
	for _, r := range rpcs {
		use := fullFake()
		a, _ := newAPI(use)
		answer, err := r.call(a, t.Context(), r.request)
		if status.Code(err) != codes.Unauthenticated || answer != nil || use.asked != nil {
			t.Errorf("%s: %v, %v, asked %v", r.name, answer, err, use.asked)
		}
	}
}

func TestEveryRPCTurnsTheUseCasesErrorIntoAStatus(t *testing.T) {
	for _, r := range rpcs {
		use := fullFake()
		use.err = &access.Error{Code: access.NotFound, Message: "no such thing"}
		a, _ := newAPI(use)
		if answer, err := r.call(a, aliceContext(t), r.request); status.Code(err) != codes.NotFound || answer != nil {
			t.Errorf("%s: %v, %v", r.name, answer, err)
		}
		use.err = errors.New("marker-of-the-inside")
		if _, err := r.call(a, aliceContext(t), r.request); status.Code(err) != codes.Internal || contains(err, "marker") {
			t.Errorf("%s: %v", r.name, err)
		}
	}
}

func TestADurationThatCannotBeIsNotPassedOn(t *testing.T) {
	cases := []struct {
		name     string
		duration *durationpb.Duration
		asked    bool
	}{
		{"none", nil, true},
		{"366 days", durationpb.New(366 * 24 * time.Hour), true},
		{"366 days and a nanosecond", durationpb.New(366*24*time.Hour + 1), false},
		{"what would saturate", &durationpb.Duration{Seconds: 300_000_000_000}, false},
		{"beyond the proto's range", &durationpb.Duration{Seconds: 400_000_000_000}, false},
		{"mixed signs", &durationpb.Duration{Seconds: 1, Nanos: -1}, false},
	}
	for _, c := range cases {
		for name, call := range map[string]func(*api) error{
			"preview": func(a *api) error {
				_, err := a.PreviewAccess(aliceContext(t), &v1.PreviewAccessRequest{Duration: c.duration})
				return err
			},
			"request": func(a *api) error {
				_, err := a.RequestAccess(aliceContext(t), &v1.RequestAccessRequest{Duration: c.duration})
				return err
			},
		} {
			use := fullFake()
			a, _ := newAPI(use)
			err := call(a)
			want := codes.InvalidArgument
			if c.asked {
				want = codes.OK
			}
			if status.Code(err) != want || (use.asked != nil) != c.asked {
				t.Errorf("%s, %s: %v, asked %v", name, c.name, err, use.asked)
			}
		}
	}
}

// unset are fields of which one excludes another.
var unset = []protoreflect.FullName{
	"haproxyaccess.v1.NodeStatus.Lease.until", "haproxyaccess.v1.NodeStatus.Lease.off",
	"haproxyaccess.v1.Pool.requestable", "haproxyaccess.v1.PreviewAccessResponse.allowed",
}

// requireAllSet fails if a field of the message or of one in it is unset: the tables must not pass over one.
func requireAllSet(t *testing.T, m protoreflect.Message) {
	t.Helper()
	fields := m.Descriptor().Fields()
	if name := m.Descriptor().FullName(); name == "google.protobuf.Timestamp" || name == "google.protobuf.Duration" {
		return
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f):
			if !slices.Contains(unset, f.FullName()) {
				t.Errorf("the test leaves %s unset", f.FullName())
			}
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for j := range m.Get(f).List().Len() {
				requireAllSet(t, m.Get(f).List().Get(j).Message())
			}
		case f.Message() != nil:
			requireAllSet(t, m.Get(f).Message())
		}
	}
}

func second(n int64) *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Seconds: 1_700_000_000 + n}
}

func at(n int64) time.Time { return time.Unix(1_700_000_000+n, 0).UTC() }
