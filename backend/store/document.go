package store

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// document is the form in which a grant is kept: explicit names, so that a renamed Go field changes no stored byte. What
// is empty is left out. legacy.go says how earlier forms differ.
type document struct {
	ID           string             `json:"id"`
	Subject      grant.Subject      `json:"subject"`
	Owner        grant.Subject      `json:"owner,omitempty"`
	Environment  string             `json:"environment"`
	Pool         string             `json:"pool"`
	State        grant.State        `json:"state"`
	Reason       string             `json:"reason"`
	Seconds      int64              `json:"seconds"`
	Groups       []string           `json:"groups,omitempty"`
	GroupsSource string             `json:"groups_source,omitempty"`
	GroupsAt     int64              `json:"groups_at,omitempty"`
	Inputs       map[string]string  `json:"inputs,omitempty"`
	Steps        []stepDocument     `json:"steps,omitempty"`
	Ordered      bool               `json:"ordered,omitempty"`
	Approvals    []approvalDocument `json:"approvals,omitempty"`
	Rule         *string            `json:"rule,omitempty"` // there, be it empty, wherever Policy is
	Policy       string             `json:"policy,omitempty"`
	PolicyHash   string             `json:"policy_hash,omitempty"`
	Explanation  string             `json:"explanation,omitempty"`
	BreakGlass   bool               `json:"break_glass,omitempty"`
	Notify       []string           `json:"notify,omitempty"`
	Review       *reviewDocument    `json:"review,omitempty"`
	Extension    *extensionDocument `json:"extension,omitempty"`
	RequestedAt  int64              `json:"requested_at,omitempty"`
	StartsAt     int64              `json:"starts_at,omitempty"`
	LapsesAt     int64              `json:"lapses_at,omitempty"`
	ActivatedAt  int64              `json:"activated_at,omitempty"`
	ExpiresAt    int64              `json:"expires_at,omitempty"`
	GivenAt      int64              `json:"given_at,omitempty"`
	EndedAt      int64              `json:"ended_at,omitempty"`
	Cause        grant.Cause        `json:"cause,omitempty"`
	EndedBy      grant.Subject      `json:"ended_by,omitempty"`
	Comment      string             `json:"comment,omitempty"`
	Version      int64              `json:"version"`
}

// eventRest is what an event is beside its grant.
type eventRest struct {
	From    grant.State   `json:"from,omitempty"`
	Verb    grant.Verb    `json:"verb"`
	Actor   grant.Subject `json:"actor,omitempty"`
	Comment string        `json:"comment,omitempty"`
	At      int64         `json:"at"`
	Lock    *lockDocument `json:"lock,omitempty"`
	Longer  int64         `json:"longer,omitempty"` // seconds
	// Drift is there where there was some.
	Drift *driftDocument `json:"drift,omitempty"`
}

type driftDocument struct {
	Node         string   `json:"node"`
	Environments []string `json:"environments,omitempty"`
	First        int64    `json:"first,omitempty"`
	Last         int64    `json:"last,omitempty"`
	Passes       int      `json:"passes,omitempty"`
	Unrepaired   int      `json:"unrepaired,omitempty"`
	Foreign      int      `json:"foreign,omitempty"`
	Changed      int      `json:"changed,omitempty"`
	Missing      int      `json:"missing,omitempty"`
	Files        []string `json:"files,omitempty"`
	Rows         []string `json:"rows,omitempty"`
}

type stepDocument struct {
	AnyOf []quorumDocument `json:"any_of,omitempty"`
	legacyStep
}

type quorumDocument struct {
	Groups []string `json:"groups,omitempty"`
	Count  int      `json:"count"`
}

type approvalDocument struct {
	By      grant.Subject `json:"by"`
	At      moment        `json:"at"`
	Comment string        `json:"comment,omitempty"`
	Groups  []string      `json:"groups,omitempty"`
	legacyApproval
}

type reviewDocument struct {
	Groups    []string      `json:"groups,omitempty"`
	DueAt     int64         `json:"due_at,omitempty"`
	By        grant.Subject `json:"by,omitempty"`
	At        int64         `json:"at,omitempty"`
	Comment   string        `json:"comment,omitempty"`
	OverdueAt int64         `json:"overdue_at,omitempty"`
}

type extensionDocument struct {
	Seconds     int64              `json:"seconds"`
	Reason      string             `json:"reason,omitempty"`
	Inputs      map[string]string  `json:"inputs,omitempty"`
	Steps       []stepDocument     `json:"steps,omitempty"`
	Ordered     bool               `json:"ordered,omitempty"`
	Approvals   []approvalDocument `json:"approvals,omitempty"`
	Rule        string             `json:"rule,omitempty"`
	Policy      string             `json:"policy,omitempty"`
	PolicyHash  string             `json:"policy_hash,omitempty"`
	Explanation string             `json:"explanation,omitempty"`
	RequestedAt int64              `json:"requested_at,omitempty"`
	LapsesAt    int64              `json:"lapses_at,omitempty"`
}

type lockDocument struct {
	ID          string        `json:"id"`
	Subject     grant.Subject `json:"subject,omitempty"`
	Environment string        `json:"environment,omitempty"`
	Pool        string        `json:"pool,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	By          grant.Subject `json:"by,omitempty"`
	At          int64         `json:"at,omitempty"`
	Until       int64         `json:"until,omitempty"`
	LiftedBy    grant.Subject `json:"lifted_by,omitempty"`
	LiftedAt    int64         `json:"lifted_at,omitempty"`
}

// moment is a time as Millis stores it.
type moment int64

// UnmarshalJSON reads milliseconds, or the text that the first version wrote.
func (m *moment) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '"' {
		return json.Unmarshal(raw, (*int64)(m))
	}
	var t time.Time
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	*m = moment(Millis(t))
	return nil
}

func documentOf(g grant.Grant) document {
	d := document{
		ID: g.ID, Subject: g.Subject, Owner: g.Owner, Environment: g.Pool.Environment, Pool: g.Pool.Name,
		State: g.State, Reason: g.Reason, Seconds: int64(g.Duration / time.Second),
		Groups: g.Groups, GroupsSource: g.GroupsSource, GroupsAt: Millis(g.GroupsAt), Inputs: g.Inputs,
		Steps: stepsOf(g.Steps), Ordered: g.Ordered, Approvals: approvalsOf(g.Approvals),
		Policy: g.Policy, PolicyHash: g.PolicyHash, Explanation: g.Explanation, BreakGlass: g.BreakGlass, Notify: g.Notify,
		Extension:   extensionOf(g.Extension),
		RequestedAt: Millis(g.RequestedAt), StartsAt: Millis(g.StartsAt), LapsesAt: Millis(g.LapsesAt),
		ActivatedAt: Millis(g.ActivatedAt), ExpiresAt: Millis(g.ExpiresAt), GivenAt: Millis(g.GivenAt), EndedAt: Millis(g.EndedAt),
		Cause: g.Cause, EndedBy: g.EndedBy, Comment: g.Comment, Version: g.Version,
	}
	if g.Rule != "" || g.Policy != "" {
		d.Rule = &g.Rule
	}
	if r := g.Review; !empty(r) {
		d.Review = &reviewDocument{
			Groups: r.Groups, DueAt: Millis(r.DueAt), By: r.By, At: Millis(r.At), Comment: r.Comment, OverdueAt: Millis(r.OverdueAt),
		}
	}
	return d
}

func (d document) grant() grant.Grant {
	g := grant.Grant{
		ID: d.ID, Subject: d.Subject, Owner: d.Owner, Pool: grant.Pool{Environment: d.Environment, Name: d.Pool},
		State: d.State, Reason: d.Reason, Duration: time.Duration(d.Seconds) * time.Second,
		Groups: d.Groups, GroupsSource: d.GroupsSource, GroupsAt: Time(d.GroupsAt), Inputs: d.Inputs,
		Steps: stepsIn(d.Steps), Ordered: d.Ordered, Policy: d.Policy, PolicyHash: d.PolicyHash, Explanation: d.Explanation,
		BreakGlass: d.BreakGlass, Notify: d.Notify, Extension: d.Extension.extension(),
		RequestedAt: Time(d.RequestedAt), StartsAt: Time(d.StartsAt), LapsesAt: Time(d.LapsesAt),
		ActivatedAt: Time(d.ActivatedAt), ExpiresAt: Time(d.ExpiresAt), GivenAt: Time(d.GivenAt), EndedAt: Time(d.EndedAt),
		Cause: d.Cause, EndedBy: d.EndedBy, Comment: d.Comment, Version: d.Version,
	}
	g.Approvals = approvalsIn(d.Approvals, g.Steps)
	if d.Rule != nil {
		g.Rule = *d.Rule
	}
	if r := d.Review; r != nil {
		g.Review = grant.Review{
			Groups: r.Groups, DueAt: Time(r.DueAt), By: r.By, At: Time(r.At), Comment: r.Comment, OverdueAt: Time(r.OverdueAt),
		}
	}
	return d.upgrade(g)
}

func stepsOf(steps []grant.Step) []stepDocument {
	var all []stepDocument
	for _, s := range steps {
		var d stepDocument
		for _, q := range s.AnyOf {
			d.AnyOf = append(d.AnyOf, quorumDocument{Groups: q.Groups, Count: q.Count})
		}
		all = append(all, d)
	}
	return all
}

func stepsIn(all []stepDocument) []grant.Step {
	var steps []grant.Step
	for _, d := range all {
		var s grant.Step
		for _, q := range d.quorums() {
			s.AnyOf = append(s.AnyOf, grant.Quorum{Groups: q.Groups, Count: q.Count})
		}
		steps = append(steps, s)
	}
	return steps
}

func approvalsOf(approvals []grant.Approval) []approvalDocument {
	var all []approvalDocument
	for _, a := range approvals {
		all = append(all, approvalDocument{By: a.By, At: moment(Millis(a.At)), Comment: a.Comment, Groups: a.Groups})
	}
	return all
}

func approvalsIn(all []approvalDocument, steps []grant.Step) []grant.Approval {
	var approvals []grant.Approval
	for _, d := range all {
		approvals = append(approvals, grant.Approval{By: d.By, At: Time(int64(d.At)), Comment: d.Comment, Groups: d.groups(steps)})
	}
	return approvals
}

func extensionOf(e grant.Extension) *extensionDocument {
	if empty(e) {
		return nil
	}
	return &extensionDocument{
		Seconds: int64(e.By / time.Second), Reason: e.Reason, Inputs: e.Inputs, Steps: stepsOf(e.Steps), Ordered: e.Ordered,
		Approvals: approvalsOf(e.Approvals), Rule: e.Rule, Policy: e.Policy, PolicyHash: e.PolicyHash, Explanation: e.Explanation,
		RequestedAt: Millis(e.RequestedAt), LapsesAt: Millis(e.LapsesAt),
	}
}

func (d *extensionDocument) extension() grant.Extension {
	if d == nil {
		return grant.Extension{}
	}
	steps := stepsIn(d.Steps)
	return grant.Extension{
		By: time.Duration(d.Seconds) * time.Second, Reason: d.Reason, Inputs: d.Inputs, Steps: steps, Ordered: d.Ordered,
		Approvals: approvalsIn(d.Approvals, steps), Rule: d.Rule, Policy: d.Policy, PolicyHash: d.PolicyHash,
		Explanation: d.Explanation, RequestedAt: Time(d.RequestedAt), LapsesAt: Time(d.LapsesAt),
	}
}

// lockOf is nil for no lock.
func lockOf(l grant.Lock) *lockDocument {
	if l == (grant.Lock{}) {
		return nil
	}
	return &lockDocument{
		ID: l.ID, Subject: l.Subject, Environment: l.Environment, Pool: l.Pool, Reason: l.Reason, By: l.By, At: Millis(l.At),
		Until: Millis(l.Until), LiftedBy: l.LiftedBy, LiftedAt: Millis(l.LiftedAt),
	}
}

func (d lockDocument) lock() grant.Lock {
	return grant.Lock{
		ID: d.ID, Subject: d.Subject, Environment: d.Environment, Pool: d.Pool, Reason: d.Reason, By: d.By, At: Time(d.At),
		Until: Time(d.Until), LiftedBy: d.LiftedBy, LiftedAt: Time(d.LiftedAt),
	}
}

// driftOf is nil for no drift.
func driftOf(d grant.Drift) *driftDocument {
	if empty(d) {
		return nil
	}
	return &driftDocument{
		Node: d.Node, Environments: d.Environments, First: Millis(d.First), Last: Millis(d.Last), Passes: d.Passes,
		Unrepaired: d.Unrepaired, Foreign: d.Foreign, Changed: d.Changed, Missing: d.Missing, Files: d.Files, Rows: d.Rows,
	}
}

func (d *driftDocument) drift() grant.Drift {
	if d == nil {
		return grant.Drift{}
	}
	return grant.Drift{
		Node: d.Node, Environments: d.Environments, First: Time(d.First), Last: Time(d.Last), Passes: d.Passes,
		Unrepaired: d.Unrepaired, Foreign: d.Foreign, Changed: d.Changed, Missing: d.Missing, Files: d.Files, Rows: d.Rows,
	}
}

// empty reports whether nothing is set in a struct: what is empty is not written, a list without elements neither.
func empty(of any) bool {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Slice, reflect.Map:
			if f.Len() > 0 {
				return false
			}
		default:
			if !f.IsZero() {
				return false
			}
		}
	}
	return true
}
