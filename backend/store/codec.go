package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// document is the form in which a grant is kept: explicit names, so that a renamed Go field changes no stored byte.
type document struct {
	ID          string           `json:"id"`
	Subject     grant.Subject    `json:"subject"`
	Owner       grant.Subject    `json:"owner,omitempty"`
	Environment string           `json:"environment"`
	Pool        string           `json:"pool"`
	State       grant.State      `json:"state"`
	Reason      string           `json:"reason"`
	Seconds     int64            `json:"seconds"`
	Groups      []string         `json:"groups,omitempty"`
	Steps       []grant.Step     `json:"steps,omitempty"`
	Approvals   []grant.Approval `json:"approvals,omitempty"`
	Policy      string           `json:"policy,omitempty"`
	PolicyHash  string           `json:"policy_hash,omitempty"`
	Explanation string           `json:"explanation,omitempty"`
	RequestedAt int64            `json:"requested_at,omitempty"`
	StartsAt    int64            `json:"starts_at,omitempty"`
	LapsesAt    int64            `json:"lapses_at,omitempty"`
	ActivatedAt int64            `json:"activated_at,omitempty"`
	ExpiresAt   int64            `json:"expires_at,omitempty"`
	EndedAt     int64            `json:"ended_at,omitempty"`
	Cause       grant.Cause      `json:"cause,omitempty"`
	EndedBy     grant.Subject    `json:"ended_by,omitempty"`
	Comment     string           `json:"comment,omitempty"`
	Version     int64            `json:"version"`
}

type eventDocument struct {
	Grant   document      `json:"grant"`
	From    grant.State   `json:"from,omitempty"`
	Verb    grant.Verb    `json:"verb"`
	Actor   grant.Subject `json:"actor,omitempty"`
	Comment string        `json:"comment,omitempty"`
	At      int64         `json:"at"`
}

// EncodeGrant is the grant's stored form. Times are milliseconds since 1970.
func EncodeGrant(g grant.Grant) ([]byte, error) {
	raw, err := json.Marshal(documentOf(g))
	if err != nil {
		return nil, fmt.Errorf("encode grant: %w", err)
	}
	return raw, nil
}

// DecodeGrant reads what EncodeGrant wrote, or answers ErrCorrupt.
func DecodeGrant(raw []byte) (grant.Grant, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return grant.Grant{}, fmt.Errorf("decode grant: %w: %w", ErrCorrupt, err)
	}
	return d.grant(), nil
}

// EncodeEvent is the event's stored form, and what the chain hashes.
func EncodeEvent(e grant.Event) ([]byte, error) {
	raw, err := json.Marshal(eventDocument{
		Grant: documentOf(e.Grant), From: e.From, Verb: e.Verb, Actor: e.Actor, Comment: e.Comment, At: Millis(e.At),
	})
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return raw, nil
}

// DecodeEvent reads what EncodeEvent wrote, or answers ErrCorrupt.
func DecodeEvent(raw []byte) (grant.Event, error) {
	var d eventDocument
	if err := json.Unmarshal(raw, &d); err != nil {
		return grant.Event{}, fmt.Errorf("decode event: %w: %w", ErrCorrupt, err)
	}
	return grant.Event{
		Grant: d.Grant.grant(), From: d.From, Verb: d.Verb, Actor: d.Actor, Comment: d.Comment, At: Time(d.At),
	}, nil
}

// Chain is the hash of the entry that follows previous (all zero for the first): SHA-256 over previous, the revision in
// decimal, a colon, and the event's stored form. Any change of any entry changes all hashes after it (I7).
func Chain(previous [32]byte, revision int64, event []byte) [32]byte {
	h := sha256.New()
	h.Write(previous[:])
	fmt.Fprintf(h, "%d:", revision)
	h.Write(event)
	return [32]byte(h.Sum(nil))
}

// Millis is a time as stored; 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time reads what Millis wrote.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func documentOf(g grant.Grant) document {
	return document{
		ID: g.ID, Subject: g.Subject, Owner: g.Owner, Environment: g.Pool.Environment, Pool: g.Pool.Name,
		State: g.State, Reason: g.Reason, Seconds: int64(g.Duration / time.Second), Groups: g.Groups,
		Steps: g.Steps, Approvals: g.Approvals, Policy: g.Policy, PolicyHash: g.PolicyHash,
		Explanation: g.Explanation, RequestedAt: Millis(g.RequestedAt), StartsAt: Millis(g.StartsAt),
		LapsesAt: Millis(g.LapsesAt), ActivatedAt: Millis(g.ActivatedAt), ExpiresAt: Millis(g.ExpiresAt),
		EndedAt: Millis(g.EndedAt), Cause: g.Cause, EndedBy: g.EndedBy, Comment: g.Comment, Version: g.Version,
	}
}

func (d document) grant() grant.Grant {
	return grant.Grant{
		ID: d.ID, Subject: d.Subject, Owner: d.Owner, Pool: grant.Pool{Environment: d.Environment, Name: d.Pool},
		State: d.State, Reason: d.Reason, Duration: time.Duration(d.Seconds) * time.Second, Groups: d.Groups,
		Steps: d.Steps, Approvals: d.Approvals, Policy: d.Policy, PolicyHash: d.PolicyHash,
		Explanation: d.Explanation, RequestedAt: Time(d.RequestedAt), StartsAt: Time(d.StartsAt),
		LapsesAt: Time(d.LapsesAt), ActivatedAt: Time(d.ActivatedAt), ExpiresAt: Time(d.ExpiresAt),
		EndedAt: Time(d.EndedAt), Cause: d.Cause, EndedBy: d.EndedBy, Comment: d.Comment, Version: d.Version,
	}
}
