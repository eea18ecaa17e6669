package audit

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service/audit"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// EventWriter is what is asked of an auditor: these two methods are the same in every version of Clutch.
type EventWriter interface {
	WriteRequestEvent(ctx context.Context, req *auditv1.RequestEvent) (int64, error)
	UpdateRequestEvent(ctx context.Context, id int64, update *auditv1.RequestEvent) error
}

const (
	// eventService and the verb stand where a call has its service and method: an auditor filters by them.
	eventService = "haproxyaccess.v1.GrantEvent"
	// clockUser is the name of the clock and of policy in the log.
	clockUser    = "system:haproxyaccess"
	resourceType = "type.googleapis.com/haproxyaccess.v1.Grant"
	lockType     = "type.googleapis.com/haproxyaccess.v1.Lock"
	policyType   = "haproxyaccess.v1.Policy"
	nodeType     = "haproxyaccess.v1.Node"
)

// GrantSink writes a grant's events into Clutch's audit log. It implements the outbox's Sink.
type GrantSink struct{ writer EventWriter }

// NewGrantSink makes a sink over an auditor.
func NewGrantSink(w EventWriter) *GrantSink { return &GrantSink{writer: w} }

// Name implements the outbox's Sink.
func (s *GrantSink) Name() string { return "grants:" + Name }

// Deliver implements the outbox's Sink. An event that was written and whose outcome was not is written again.
func (s *GrantSink) Deliver(ctx context.Context, e store.Entry) error {
	event, err := requestEvent(e)
	if err != nil {
		return err
	}
	id, err := s.writer.WriteRequestEvent(ctx, event)
	if errors.Is(err, audit.ErrFailedFilters) {
		return nil // Clutch's own auditor is configured not to keep it
	}
	if err != nil {
		return fmt.Errorf("write audit event: %w", err)
	}
	err = s.writer.UpdateRequestEvent(ctx, id, &auditv1.RequestEvent{
		Status: &status.Status{}, ResponseMetadata: &auditv1.ResponseMetadata{},
	})
	if err != nil {
		return fmt.Errorf("write audit outcome: %w", err)
	}
	return nil
}

func requestEvent(e store.Entry) (*auditv1.RequestEvent, error) {
	body, err := anypb.New(grantproto.Event(e))
	if err != nil {
		return nil, fmt.Errorf("encode grant event: %w", err)
	}
	user := string(e.Event.Actor)
	if user == "" {
		user = clockUser
	}
	return &auditv1.RequestEvent{
		Username: user, ServiceName: eventService, MethodName: string(e.Event.Verb), Type: actionOf[e.Event.Verb],
		Resources:        []*auditv1.Resource{resource(e.Event)},
		RequestMetadata:  &auditv1.RequestMetadata{Body: body},
		ResponseMetadata: &auditv1.ResponseMetadata{},
		Status:           &status.Status{},
	}, nil
}

// resource is what the event is about: the pool, or what has no pool by its own name.
func resource(e grant.Event) *auditv1.Resource {
	switch e.Verb {
	case grant.PutLock, grant.LiftLock:
		return &auditv1.Resource{TypeUrl: lockType, Id: e.Lock.ID}
	case grant.LoadPolicy, grant.RefusePolicy:
		return &auditv1.Resource{TypeUrl: policyType, Id: e.Grant.Policy}
	case grant.FindDrift:
		return &auditv1.Resource{TypeUrl: nodeType, Id: e.Drift.Node}
	default:
		return &auditv1.Resource{TypeUrl: resourceType, Id: e.Grant.Pool.String()}
	}
}

// actionOf is the kind of action that Clutch's log knows for a verb.
var actionOf = map[grant.Verb]apiv1.ActionType{
	grant.Request: apiv1.ActionType_CREATE, grant.Refuse: apiv1.ActionType_CREATE,
	grant.Approve: apiv1.ActionType_UPDATE, grant.Complete: apiv1.ActionType_UPDATE,
	grant.Activate: apiv1.ActionType_UPDATE, grant.Extend: apiv1.ActionType_UPDATE,
	grant.Deny: apiv1.ActionType_DELETE, grant.Cancel: apiv1.ActionType_DELETE, grant.Lapse: apiv1.ActionType_DELETE,
	grant.Expire: apiv1.ActionType_DELETE, grant.Revoke: apiv1.ActionType_DELETE,
	grant.Withdraw: apiv1.ActionType_UPDATE, grant.AskExtension: apiv1.ActionType_UPDATE,
	grant.DenyExtension: apiv1.ActionType_UPDATE, grant.CancelExtension: apiv1.ActionType_UPDATE,
	grant.LapseExtension: apiv1.ActionType_UPDATE, grant.DoReview: apiv1.ActionType_UPDATE,
	grant.ReviewOverdue: apiv1.ActionType_UPDATE,
	grant.PutLock:       apiv1.ActionType_CREATE, grant.LiftLock: apiv1.ActionType_DELETE,
	grant.LoadPolicy: apiv1.ActionType_UPDATE, grant.RefusePolicy: apiv1.ActionType_UPDATE, grant.FindDrift: apiv1.ActionType_UPDATE,
}
