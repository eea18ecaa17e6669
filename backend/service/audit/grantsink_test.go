package audit

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	auditmodule "github.com/lyft/clutch/backend/module/audit"
	"github.com/lyft/clutch/backend/service"
	"github.com/lyft/clutch/backend/service/audit"

	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// fakeWriter is an auditor of any kind.
type fakeWriter struct {
	writeErr, updateErr error
	written, updates    []*auditv1.RequestEvent
}

func (w *fakeWriter) WriteRequestEvent(_ context.Context, e *auditv1.RequestEvent) (int64, error) {
	if w.writeErr != nil {
		return -1, w.writeErr
	}
	w.written = append(w.written, e)
	return int64(len(w.written)), nil
}

func (w *fakeWriter) UpdateRequestEvent(_ context.Context, id int64, e *auditv1.RequestEvent) error {
	if id != int64(len(w.written)) {
		return errors.New("an unknown event")
	}
	if w.updateErr != nil {
		return w.updateErr
	}
	w.updates = append(w.updates, e)
	return nil
}

func entry(verb grant.Verb, from, to grant.State, actor grant.Subject) store.Entry {
	g := grant.Grant{
		ID: "g1", Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"}, State: to,
		Reason: "look", Groups: []string{"eng"}, Policy: "rule", PolicyHash: "abc", Explanation: "because", ExpiresAt: noon.Add(time.Hour),
	}
	if verb == grant.Revoke {
		g.Cause = grant.CauseOperator
	}
	return store.Entry{
		Revision: 41, Hash: [32]byte{0xab, 31: 0x01},
		Event: grant.Event{Grant: g, From: from, Verb: verb, Actor: actor, Comment: "said", At: noon},
	}
}

// What is not of a grant names itself: an auditor filters by resource.
func TestWhatIsOfNoGrantIsAResourceOfItsOwn(t *testing.T) {
	lock := grant.Lock{ID: "l1", Environment: "prod", Reason: "incident", By: "carol@example.com", At: noon, Until: noon.Add(time.Hour)}
	for _, c := range []struct {
		event   grant.Event
		typeURL string
		id      string
		body    *haproxyaccessv1.GrantEvent
	}{
		{
			grant.Event{Verb: grant.PutLock, Actor: lock.By, Comment: lock.Reason, At: noon, Lock: lock},
			"type.googleapis.com/haproxyaccess.v1.Lock", "l1",
			&haproxyaccessv1.GrantEvent{
				Verb: "lock", Actor: "carol@example.com", Comment: "incident", Environment: "prod", Time: timestamppb.New(noon),
				Lock: &haproxyaccessv1.Lock{
					Id: "l1", Environment: "prod", Reason: "incident", Actor: "carol@example.com", CreateTime: timestamppb.New(noon),
					UntilTime: timestamppb.New(noon.Add(time.Hour)),
				},
			},
		},
		{
			grant.Event{Verb: grant.LoadPolicy, At: noon, Grant: grant.Grant{Policy: "acme", PolicyHash: "abc"}},
			"haproxyaccess.v1.Policy", "acme",
			&haproxyaccessv1.GrantEvent{Verb: "policy", Policy: "acme", PolicyHash: "abc", Time: timestamppb.New(noon)},
		},
		{
			grant.Event{Verb: grant.RefusePolicy, At: noon, Comment: "a.yaml:1: no", Grant: grant.Grant{Policy: "acme", PolicyHash: "def"}},
			"haproxyaccess.v1.Policy", "acme",
			&haproxyaccessv1.GrantEvent{
				Verb: "policy_refused", Policy: "acme", PolicyHash: "def", Comment: "a.yaml:1: no", Time: timestamppb.New(noon),
			},
		},
		{
			grant.Event{
				Verb: grant.FindDrift, At: noon, Grant: grant.Grant{Pool: grant.Pool{Environment: "prod"}},
				Drift: grant.Drift{Node: "n1", Environments: []string{"prod"}, Foreign: 1, Rows: []string{"grants.map: foreign x"}},
			},
			"haproxyaccess.v1.Node", "n1",
			&haproxyaccessv1.GrantEvent{
				Verb: "drift", Environment: "prod", Time: timestamppb.New(noon),
				Drift: &haproxyaccessv1.Drift{
					Node: "n1", Environments: []string{"prod"}, ForeignRows: 1, Rows: []string{"grants.map: foreign x"},
				},
			},
		},
	} {
		w := &fakeWriter{}
		if err := NewGrantSink(w).Deliver(t.Context(), store.Entry{Event: c.event}); err != nil {
			t.Fatal(err)
		}
		want := []*auditv1.Resource{{TypeUrl: c.typeURL, Id: c.id}}
		if diff := cmp.Diff(want, w.written[0].GetResources(), protocmp.Transform()); diff != "" {
			t.Errorf("resources (-want +got):\n%s", diff)
		}
		body := &haproxyaccessv1.GrantEvent{}
		if err := w.written[0].GetRequestMetadata().GetBody().UnmarshalTo(body); err != nil {
			t.Fatal(err)
		}
		c.body.Hash = strings.Repeat("00", 32)
		if diff := cmp.Diff(c.body, body, protocmp.Transform()); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
}

func TestAGrantsEventIsAnAuditEvent(t *testing.T) {
	w := &fakeWriter{}
	if err := NewGrantSink(w).Deliver(t.Context(), entry("revoke", "active", "revoked", "bob@example.com")); err != nil {
		t.Fatal(err)
	}
	if len(w.written) != 1 || len(w.updates) != 1 {
		t.Fatalf("%d events, %d outcomes", len(w.written), len(w.updates))
	}
	got := w.written[0]
	want := &haproxyaccessv1.GrantEvent{
		Revision: 41, Hash: "ab00000000000000000000000000000000000000000000000000000000000001", GrantId: "g1",
		Environment: "prod", Pool: "billing", Subject: "alice@example.com", Verb: "revoke", Actor: "bob@example.com",
		From: haproxyaccessv1.Grant_ACTIVE, To: haproxyaccessv1.Grant_REVOKED, Cause: "operator", Comment: "said",
		Time: timestamppb.New(noon), ExpireTime: timestamppb.New(noon.Add(time.Hour)),
		Policy: "rule", PolicyHash: "abc", Explanation: "because", Groups: []string{"eng"}, Reason: "look",
	}
	body := &haproxyaccessv1.GrantEvent{}
	if err := got.GetRequestMetadata().GetBody().UnmarshalTo(body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, body, protocmp.Transform()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	resources := []*auditv1.Resource{{TypeUrl: "type.googleapis.com/haproxyaccess.v1.Grant", Id: "prod/billing"}}
	if diff := cmp.Diff(resources, got.GetResources(), protocmp.Transform()); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	// Clutch's page and API take these for granted.
	for what, part := range map[string]bool{
		"status": got.GetStatus() != nil, "response": got.GetResponseMetadata() != nil,
		"status of the outcome": w.updates[0].GetStatus() != nil, "response of the outcome": w.updates[0].GetResponseMetadata() != nil,
	} {
		if !part {
			t.Errorf("the %s is nil", what)
		}
	}
}

func TestEveryVerbHasItsActionAndState(t *testing.T) {
	const (
		create = apiv1.ActionType_CREATE
		change = apiv1.ActionType_UPDATE
		remove = apiv1.ActionType_DELETE
	)
	tests := []struct {
		verb     grant.Verb
		from, to grant.State
		actor    grant.Subject
		user     string
		action   apiv1.ActionType
		wantFrom haproxyaccessv1.Grant_State
		wantTo   haproxyaccessv1.Grant_State
	}{
		{"request", "", "pending", "alice@example.com", "alice@example.com", create, haproxyaccessv1.Grant_UNSPECIFIED, haproxyaccessv1.Grant_PENDING},
		{"refuse", "", "", "alice@example.com", "alice@example.com", create, haproxyaccessv1.Grant_UNSPECIFIED, haproxyaccessv1.Grant_UNSPECIFIED},
		{"approve", "pending", "pending", "bob@example.com", "bob@example.com", change, haproxyaccessv1.Grant_PENDING, haproxyaccessv1.Grant_PENDING},
		{"complete", "pending", "approved", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_PENDING, haproxyaccessv1.Grant_APPROVED},
		{"activate", "approved", "active", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_APPROVED, haproxyaccessv1.Grant_ACTIVE},
		{"extend", "active", "active", "service:bot", "service:bot", change, haproxyaccessv1.Grant_ACTIVE, haproxyaccessv1.Grant_ACTIVE},
		{"policy", "", "", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_UNSPECIFIED, haproxyaccessv1.Grant_UNSPECIFIED},
		{"policy_refused", "", "", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_UNSPECIFIED, haproxyaccessv1.Grant_UNSPECIFIED},
		{"drift", "", "", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_UNSPECIFIED, haproxyaccessv1.Grant_UNSPECIFIED},
		{"review_overdue", "expired", "expired", "", "system:haproxyaccess", change, haproxyaccessv1.Grant_EXPIRED, haproxyaccessv1.Grant_EXPIRED},
		{"deny", "pending", "denied", "bob@example.com", "bob@example.com", remove, haproxyaccessv1.Grant_PENDING, haproxyaccessv1.Grant_DENIED},
		{"cancel", "approved", "cancelled", "alice@example.com", "alice@example.com", remove, haproxyaccessv1.Grant_APPROVED, haproxyaccessv1.Grant_CANCELLED},
		{"lapse", "pending", "lapsed", "", "system:haproxyaccess", remove, haproxyaccessv1.Grant_PENDING, haproxyaccessv1.Grant_LAPSED},
		{"expire", "active", "expired", "", "system:haproxyaccess", remove, haproxyaccessv1.Grant_ACTIVE, haproxyaccessv1.Grant_EXPIRED},
		{"revoke", "active", "revoked", "", "system:haproxyaccess", remove, haproxyaccessv1.Grant_ACTIVE, haproxyaccessv1.Grant_REVOKED},
	}
	for _, test := range tests {
		w := &fakeWriter{}
		if err := NewGrantSink(w).Deliver(t.Context(), entry(test.verb, test.from, test.to, test.actor)); err != nil {
			t.Fatal(err)
		}
		got, body := w.written[0], &haproxyaccessv1.GrantEvent{}
		if err := got.GetRequestMetadata().GetBody().UnmarshalTo(body); err != nil {
			t.Fatal(err)
		}
		if got.GetServiceName() != "haproxyaccess.v1.GrantEvent" || got.GetMethodName() != string(test.verb) ||
			got.GetUsername() != test.user || got.GetType() != test.action {
			t.Errorf("%s is %s/%s by %s, %v", test.verb, got.GetServiceName(), got.GetMethodName(), got.GetUsername(), got.GetType())
		}
		if body.GetFrom() != test.wantFrom || body.GetTo() != test.wantTo {
			t.Errorf("%s leads from %v to %v", test.verb, body.GetFrom(), body.GetTo())
		}
	}
}

func TestDeliveryFailsUntilTheOutcomeIsKept(t *testing.T) {
	fault := errors.New("fault")
	w := &fakeWriter{writeErr: fault}
	sink := NewGrantSink(w)
	e := entry("expire", "active", "expired", "")
	if err := sink.Deliver(t.Context(), e); !errors.Is(err, fault) {
		t.Fatalf("error %v", err)
	}
	w.writeErr, w.updateErr = nil, fault
	if err := sink.Deliver(t.Context(), e); !errors.Is(err, fault) {
		t.Fatalf("error %v", err)
	}
	w.updateErr = nil
	if err := sink.Deliver(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	// Clutch's own auditor may be configured to keep only some events: that must not hold up the log for ever.
	w.writeErr = audit.ErrFailedFilters
	if err := sink.Deliver(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// What was written is read back with Clutch's own audit module.
func TestClutchsAuditAPIReadsCallsAndGrantEvents(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "s.db"))
	a := newAuditor(db, nil, zaptest.NewLogger(t), tally.NoopScope, time.Now)
	update(t, a, write(t, a, "RequestAccess"), codes.PermissionDenied)
	if err := NewGrantSink(a).Deliver(t.Context(), entry("expire", "active", "expired", "")); err != nil {
		t.Fatal(err)
	}
	write(t, a, "ApproveAccess")

	service.Registry[Name] = a
	t.Cleanup(func() { delete(service.Registry, Name) })
	module, err := auditmodule.New(nil, zaptest.NewLogger(t), tally.NoopScope)
	if err != nil {
		t.Fatal(err)
	}
	api := module.(interface {
		GetEvents(context.Context, *auditv1.GetEventsRequest) (*auditv1.GetEventsResponse, error)
	})
	answer, err := api.GetEvents(t.Context(), &auditv1.GetEventsRequest{
		Window: &auditv1.GetEventsRequest_Since{Since: durationpb.New(time.Hour)},
	})
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		User, Method string
		Code         codes.Code
	}
	var got []line
	for _, e := range answer.GetEvents() {
		r := e.GetEvent()
		got = append(got, line{r.GetUsername(), r.GetMethodName(), codes.Code(r.GetStatus().GetCode())})
	}
	want := []line{
		{"alice@example.com", "RequestAccess", codes.PermissionDenied},
		{"system:haproxyaccess", "expire", codes.OK},
		{"alice@example.com", "ApproveAccess", codes.Unknown},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
