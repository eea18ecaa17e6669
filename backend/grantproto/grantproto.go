// Package grantproto turns the words of the domain into messages of the API, for all who write them: the module, whose
// answers they are, and the audit log.
//
// It imports grant, store and generated code.
package grantproto

import (
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	v1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// State is a state's message. Its name in the API is the domain's in capitals; a test holds the two together.
func State(s grant.State) v1.Grant_State {
	return v1.Grant_State(v1.Grant_State_value[strings.ToUpper(string(s))])
}

// StateOf reads what State wrote.
func StateOf(s v1.Grant_State) grant.State { return grant.State(strings.ToLower(s.String())) }

// Time is nil for a time that is not set.
func Time(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Duration is nil for no duration.
func Duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// Approvals are the messages of approvals.
func Approvals(approvals []grant.Approval) []*v1.Approval {
	var all []*v1.Approval
	for _, a := range approvals {
		all = append(all, &v1.Approval{Subject: string(a.By), Time: Time(a.At), Comment: a.Comment, Groups: a.Groups})
	}
	return all
}

// Lock is a lock's message; nil for none.
func Lock(l grant.Lock) *v1.Lock {
	if l.ID == "" {
		return nil
	}
	return &v1.Lock{
		Id: l.ID, Subject: string(l.Subject), Environment: l.Environment, Pool: l.Pool, Reason: l.Reason, Actor: string(l.By),
		CreateTime: Time(l.At), UntilTime: Time(l.Until), LiftActor: string(l.LiftedBy), LiftTime: Time(l.LiftedAt),
	}
}

// Drift is a drift's message; nil for none.
func Drift(d grant.Drift) *v1.Drift {
	if d.Node == "" {
		return nil
	}
	return &v1.Drift{
		Node: d.Node, Environments: d.Environments, FirstTime: Time(d.First), LastTime: Time(d.Last),
		Passes: uint64(d.Passes), UnrepairedPasses: uint64(d.Unrepaired), ForeignRows: uint64(d.Foreign),
		ChangedRows: uint64(d.Changed), MissingRows: uint64(d.Missing), Files: d.Files, Rows: d.Rows,
	}
}

// Event is the message of an entry in the log.
func Event(entry store.Entry) *v1.GrantEvent {
	e := entry.Event
	g := e.Grant
	p := &v1.GrantEvent{
		Revision: uint64(entry.Revision), Hash: hex.EncodeToString(entry.Hash[:]), GrantId: g.ID,
		Environment: g.Pool.Environment, Pool: g.Pool.Name, Subject: string(g.Subject), Owner: string(g.Owner),
		Verb: string(e.Verb), Actor: string(e.Actor), From: State(e.From), To: State(g.State), Cause: string(g.Cause),
		Comment: e.Comment, Time: Time(e.At), StartTime: Time(g.StartsAt), ExpireTime: Time(g.ExpiresAt),
		Duration: Duration(g.Duration), Reason: g.Reason, Inputs: g.Inputs, Rule: g.Rule, Policy: g.Policy,
		PolicyHash: g.PolicyHash, Explanation: g.Explanation, Groups: g.Groups, GroupsSource: g.GroupsSource,
		GroupsTime: Time(g.GroupsAt), BreakGlass: g.BreakGlass, Notify: g.Notify, Approvals: Approvals(g.Approvals),
		Lock: Lock(e.Lock), ExtensionDuration: Duration(e.Longer), Drift: Drift(e.Drift),
	}
	if e.Verb == grant.PutLock || e.Verb == grant.LiftLock {
		p.Environment, p.Pool, p.Subject = e.Lock.Environment, e.Lock.Pool, string(e.Lock.Subject)
	}
	return p
}
