package haproxyaccess

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grantproto"
)

// asking is what a request and its preview have in common.
type asking interface {
	GetEnvironment() string
	GetPool() string
	GetDuration() *durationpb.Duration
	GetStartTime() *timestamppb.Timestamp
	GetReason() string
	GetInputs() map[string]string
	GetBreakGlass() bool
}

func askOf(req asking) (access.Ask, error) {
	d, err := durationOf(req.GetDuration())
	if err != nil {
		return access.Ask{}, err
	}
	start, err := timeOf("start_time", req.GetStartTime())
	if err != nil {
		return access.Ask{}, err
	}
	return access.Ask{
		Environment: req.GetEnvironment(), Pool: req.GetPool(), Duration: d, Reason: req.GetReason(), StartsAt: start,
		Inputs: req.GetInputs(), BreakGlass: req.GetBreakGlass(),
	}, nil
}

func previewOf(req *v1.PreviewAccessRequest) (access.Ask, error) { return askOf(req) }

func filterOf(req *v1.ListGrantsRequest) (access.Filter, error) {
	states, err := statesOf(req.GetStates())
	return access.Filter{
		Environment: req.GetEnvironment(), Pool: req.GetPool(), Subject: req.GetSubject(), States: states,
		AwaitingMe: req.GetAwaitingMyApproval(), AwaitingMyReview: req.GetAwaitingMyReview(),
		PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken(),
	}, err
}

func bulkOf(req *v1.RevokeGrantsRequest) (access.Bulk, error) {
	states, err := statesOf(req.GetStates())
	return access.Bulk{
		Subject: req.GetSubject(), Environment: req.GetEnvironment(), Pool: req.GetPool(), Rule: req.GetRule(), States: states,
		Everything: req.GetEverything(), Reason: req.GetReason(), DryRun: req.GetDryRun(),
	}, err
}

func eventFilterOf(req *v1.ListEventsRequest) (access.EventFilter, error) {
	f := access.EventFilter{
		GrantID: req.GetGrantId(), Subject: req.GetSubject(), Environment: req.GetEnvironment(), Pool: req.GetPool(),
		OldestFirst: req.GetOldestFirst(), PageSize: int(req.GetPageSize()), PageToken: req.GetPageToken(),
	}
	for _, verb := range req.GetVerbs() {
		f.Verbs = append(f.Verbs, grant.Verb(verb)) // one that does not exist finds nothing
	}
	var err error
	if f.From, err = timeOf("start_time", req.GetStartTime()); err != nil {
		return f, err
	}
	f.To, err = timeOf("end_time", req.GetEndTime())
	return f, err
}

func statesOf(states []v1.Grant_State) ([]grant.State, error) {
	var all []grant.State
	for _, s := range states {
		if _, known := v1.Grant_State_name[int32(s)]; !known || s == v1.Grant_UNSPECIFIED {
			return nil, &access.Error{Code: access.Invalid, Message: fmt.Sprintf("states: %s is no state", s)}
		}
		all = append(all, grantproto.StateOf(s))
	}
	return all, nil
}

// maxDuration bounds what is understood as a duration at all; policy has its own bounds.
const maxDuration = 366 * 24 * time.Hour

// durationOf refuses what AsDuration would silently saturate or what is no valid duration. Not set is zero.
func durationOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil || d.AsDuration() > maxDuration || d.AsDuration() < -maxDuration {
		return 0, &access.Error{Code: access.Invalid, Message: "duration: out of range"}
	}
	return d.AsDuration(), nil
}

// timeOf refuses what is no valid time. Not set is the zero time.
func timeOf(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if err := t.CheckValid(); err != nil {
		return time.Time{}, &access.Error{Code: access.Invalid, Message: field + ": out of range"}
	}
	return t.AsTime(), nil
}
