// Package audit keeps Clutch's audit log in the embedded store, behind Clutch's own name for its auditor: Clutch's
// in-memory one loses events. It also has the sink that writes a grant's events into Clutch's audit log, whichever
// auditor that is.
//
// It may import any core package, Clutch, and generated code.
package audit

// <!-- START clutchdoc -->
// description: Keeps the audit log in the embedded store of haproxyaccess.
// <!-- END clutchdoc -->

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	auditv1 "github.com/lyft/clutch/backend/api/audit/v1"
	"github.com/lyft/clutch/backend/service"
	"github.com/lyft/clutch/backend/service/auditsink"

	configv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/audit/v1"
	storeservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Name is the service's name in Clutch's configuration: the same as that of Clutch's own auditor, which it replaces.
const Name = "clutch.service.audit"

// Log is what the auditor keeps events in.
type Log interface {
	store.AuditLog
	store.Positions
}

// Auditor implements Clutch's audit.Auditor. It is safe for concurrent use.
type Auditor struct {
	log   Log
	now   func() time.Time
	sinks *sinks
}

// New is the factory for Clutch. It needs the store before it in the configuration, and its sinks. Sinks are told by
// loops that run until the process ends.
func New(cfg *anypb.Any, logger *zap.Logger, scope tally.Scope) (service.Service, error) {
	config := &configv1.Config{}
	if err := cfg.UnmarshalTo(config); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	log, ok := service.Registry[storeservice.Name].(Log)
	if !ok {
		return nil, fmt.Errorf("services: %s must be listed before %s", storeservice.Name, Name)
	}
	var found []namedSink
	for i, name := range config.GetSinks() {
		sink, ok := service.Registry[name].(auditsink.Sink)
		if !ok {
			return nil, fmt.Errorf("sinks[%d]: %q is no audit sink that is listed before %s", i, name, Name)
		}
		if slices.Contains(config.GetSinks()[:i], name) {
			return nil, fmt.Errorf("sinks[%d]: %q stands there twice", i, name)
		}
		found = append(found, namedSink{name: name, Sink: sink})
	}
	a := newAuditor(log, found, logger, scope, time.Now)
	a.sinks.start()
	return a, nil
}

func newAuditor(log Log, found []namedSink, logger *zap.Logger, scope tally.Scope, now func() time.Time) *Auditor {
	return &Auditor{log: log, now: now, sinks: newSinks(log, found, logger, scope, now)}
}

// Stop ends the loops of the sinks. It may be called twice.
func (a *Auditor) Stop() { a.sinks.stop() }

// Filter implements Clutch's Auditor: every event is kept.
func (a *Auditor) Filter(*auditv1.Event) bool { return true }

// WriteRequestEvent implements Clutch's Auditor: the event is on disk when it returns.
func (a *Auditor) WriteRequestEvent(ctx context.Context, req *auditv1.RequestEvent) (int64, error) {
	raw, err := proto.Marshal(req)
	if err != nil {
		return 0, fmt.Errorf("encode audit event: %w", err)
	}
	return a.log.WriteAudit(ctx, a.now(), raw)
}

// finishTimeout bounds an update that goes on after its call's end.
const finishTimeout = 5 * time.Second

// UpdateRequestEvent implements Clutch's Auditor. The outcome is written even if the caller has given up: the handler may
// have done what it was asked for.
func (a *Auditor) UpdateRequestEvent(ctx context.Context, id int64, update *auditv1.RequestEvent) error {
	raw, err := proto.Marshal(withoutEvents(update))
	if err != nil {
		return fmt.Errorf("encode audit event: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	if err := a.log.FinishAudit(ctx, id, raw); err != nil {
		return fmt.Errorf("finish audit event %d: %w", id, err)
	}
	a.sinks.finished(id)
	return nil
}

// withoutEvents leaves the events out of the answer of a call that read the log: kept, each reading would hold all before
// it, and double the next. The call, its range, its caller and its outcome stay.
func withoutEvents(update *auditv1.RequestEvent) *auditv1.RequestEvent {
	body := update.GetResponseMetadata().GetBody()
	if !body.MessageIs(&auditv1.GetEventsResponse{}) {
		return update
	}
	short := proto.Clone(update).(*auditv1.RequestEvent)
	short.ResponseMetadata.Body = nil
	return short
}

const (
	readBatch = 500
	// maxRead bounds one answer: silently leaving events out would be worse than an error.
	maxRead = 20_000
)

// window is a part of an answer: the events after the first skip of them, at most limit; 0 for all.
type window struct{ skip, limit int64 }

// readEvents reads the events in [start, end), oldest first; end nil is now.
func (a *Auditor) readEvents(ctx context.Context, start time.Time, end *time.Time, w window) ([]*auditv1.Event, error) {
	until := a.now().Add(time.Millisecond)
	if end != nil {
		until = *end
	}
	var events []*auditv1.Event
	for after := int64(0); ; {
		rows, err := a.log.ReadAudit(ctx, start, until, after, readBatch)
		if err != nil {
			return nil, fmt.Errorf("read audit events: %w", err)
		}
		for _, r := range rows {
			after = r.ID
			if w.skip > 0 {
				w.skip--
				continue
			}
			if len(events) == maxRead {
				return nil, fmt.Errorf("more than %d audit events: ask for a shorter time", maxRead)
			}
			e, err := eventOf(r)
			if err != nil {
				return nil, err
			}
			if events = append(events, e); int64(len(events)) == w.limit {
				return events, nil
			}
		}
		if len(rows) < readBatch {
			return events, nil
		}
	}
}

// noOutcome is the status of an event whose call has not ended, or whose end was lost. Clutch's own default, zero, would
// read as success.
// codes.Unknown is what a client makes of an answer that it does not understand; no handler of ours answers it.
const noOutcome = "no outcome was recorded: the call has not ended, or the gateway did"

// eventOf puts a row's two halves together.
func eventOf(r store.AuditRow) (*auditv1.Event, error) {
	request := &auditv1.RequestEvent{}
	if err := proto.Unmarshal(r.Request, request); err != nil {
		return nil, fmt.Errorf("audit event %d: %w", r.ID, err)
	}
	response := &auditv1.RequestEvent{}
	if err := proto.Unmarshal(r.Response, response); err != nil {
		return nil, fmt.Errorf("audit event %d: %w", r.ID, err)
	}
	// Whatever status the call began with: only an answer's counts.
	request.Status = response.GetStatus()
	if request.Status == nil {
		request.Status = &status.Status{Code: int32(codes.Unknown), Message: noOutcome}
	}
	request.ResponseMetadata = response.GetResponseMetadata()
	if request.ResponseMetadata == nil {
		request.ResponseMetadata = &auditv1.ResponseMetadata{}
	}
	request.Resources = append(request.GetResources(), response.GetResources()...)
	e := &auditv1.Event{
		OccurredAt: timestamppb.New(r.At),
		EventType:  &auditv1.Event_Event{Event: request},
	}
	setID(e, r.ID)
	return e, nil
}
