package haproxyaccess

import (
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
)

// states is by hand: the code makes one name out of the other.
var states = map[grant.State]v1.Grant_State{
	grant.Pending:   v1.Grant_PENDING,
	grant.Approved:  v1.Grant_APPROVED,
	grant.Active:    v1.Grant_ACTIVE,
	grant.Denied:    v1.Grant_DENIED,
	grant.Cancelled: v1.Grant_CANCELLED,
	grant.Lapsed:    v1.Grant_LAPSED,
	grant.Expired:   v1.Grant_EXPIRED,
	grant.Revoked:   v1.Grant_REVOKED,
}

func TestEveryStateHasOneNameInTheAPI(t *testing.T) {
	for domain, api := range states {
		if got := grantproto.State(domain); got != api {
			t.Errorf("%s becomes %s, want %s", domain, got, api)
		}
		if got := grantproto.StateOf(api); got != domain {
			t.Errorf("%s becomes %s, want %s", api, got, domain)
		}
	}
	for _, transition := range grant.Transitions() {
		if _, known := states[transition.To]; !known {
			t.Errorf("the domain's state %s has no name in the API", transition.To)
		}
	}
	if got := len(v1.Grant_State_name); got != len(states)+1 {
		t.Errorf("the API has %d states, want %d and UNSPECIFIED", got, len(states))
	}
	if got := grantproto.State("no state"); got != v1.Grant_UNSPECIFIED {
		t.Errorf("what is no state becomes %s", got)
	}
}

func TestOnlyAStateFilters(t *testing.T) {
	for _, s := range []v1.Grant_State{v1.Grant_UNSPECIFIED, -1, 9} {
		use := fullFake()
		a, _ := newAPI(use)
		_, err := a.ListGrants(aliceContext(t), &v1.ListGrantsRequest{States: []v1.Grant_State{v1.Grant_ACTIVE, s}})
		if status.Code(err) != codes.InvalidArgument || use.asked != nil {
			t.Errorf("%d: %v, asked %v", s, err, use.asked)
		}
	}
}

// A client that shows lapse_time must not show one for a grant that cannot lapse any more.
func TestOnlyAGrantThatWaitsHasATimeToLapse(t *testing.T) {
	waiting := []grant.State{grant.Pending, grant.Approved}
	for state := range states {
		v := fullView()
		v.Grant.State = state
		if got, want := grantProto(v).GetLapseTime() != nil, slices.Contains(waiting, state); got != want {
			t.Errorf("%s: %v, want %v", state, got, want)
		}
	}
}

func TestATimeThatIsNotSetIsAbsent(t *testing.T) {
	g := grantProto(access.View{Grant: grant.Grant{ID: "g1", State: grant.Pending}})
	for name, set := range map[string]bool{
		"request_time": g.RequestTime != nil, "active_time": g.ActiveTime != nil, "expire_time": g.ExpireTime != nil,
		"end_time": g.EndTime != nil, "lapse_time": g.LapseTime != nil,
		"old_workers_until": g.Enforcement.OldWorkersUntil != nil,
	} {
		if set {
			t.Errorf("%s is the year 1", name)
		}
	}
	n := nodeProto(access.NodeStatus{Leases: []access.Lease{{Environment: "prod"}}})
	if n.LastPassTime != nil || n.LastSuccessTime != nil || n.WorkerStartTime != nil || n.Leases[0].Until != nil {
		t.Errorf("a node that was never seen has times: %v", n)
	}
}

func TestARefusalOfPolicyIsNotRequestable(t *testing.T) {
	view := access.PoolView{}
	view.Decision.Explanation = "No rule names this pool."
	if p := poolProto(view); p.Requestable || p.NeedsApproval || p.Explanation != "No rule names this pool." {
		t.Errorf("got %v", p)
	}
	if p := previewProto(access.Preview{Decision: view.Decision}); p.Allowed || p.NeedsApproval || p.Explanation != "No rule names this pool." {
		t.Errorf("got %v", p)
	}
}

// What policy allows and a lock stops cannot be asked for.
func TestALockedPoolIsNotRequestable(t *testing.T) {
	view := access.PoolView{Lock: &grant.Lock{ID: "l1", Reason: "incident"}}
	view.Decision.Allowed = true
	if p := poolProto(view); p.Requestable || p.GetLock().GetReason() != "incident" {
		t.Errorf("got %v", p)
	}
	if p := previewProto(access.Preview{Decision: view.Decision, Lock: view.Lock}); p.Allowed || p.GetLock().GetId() != "l1" {
		t.Errorf("got %v", p)
	}
}
