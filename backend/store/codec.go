package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// EncodeGrant is the grant's stored form. Times are milliseconds since 1970.
func EncodeGrant(g grant.Grant) ([]byte, error) {
	raw, err := json.Marshal(documentOf(g))
	if err != nil {
		return nil, fmt.Errorf("encode grant: %w", err)
	}
	return raw, nil
}

// DecodeGrant reads what EncodeGrant wrote, now or in an earlier version, or answers ErrCorrupt.
func DecodeGrant(raw []byte) (grant.Grant, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return grant.Grant{}, fmt.Errorf("decode grant: %w: %w", ErrCorrupt, err)
	}
	return d.grant(), nil
}

// EncodeEvent is the event's stored form, and what the chain hashes.
func EncodeEvent(e grant.Event) ([]byte, error) {
	raw, _, err := EncodeTransition(e)
	return raw, err
}

// EncodeTransition is the event's stored form and that of the grant in it, made together: the first contains the second.
func EncodeTransition(e grant.Event) (event, row []byte, err error) {
	if row, err = EncodeGrant(e.Grant); err != nil {
		return nil, nil, err
	}
	rest, err := json.Marshal(eventRest{
		From: e.From, Verb: e.Verb, Actor: e.Actor, Comment: e.Comment, At: Millis(e.At), Lock: lockOf(e.Lock),
		Longer: int64(e.Longer / time.Second), Drift: driftOf(e.Drift),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("encode event: %w", err)
	}
	event = make([]byte, 0, len(`{"grant":`)+len(row)+len(rest))
	event = append(append(event, `{"grant":`...), row...)
	event = append(append(event, ','), rest[1:]...) // there always is a verb and a time
	return event, row, nil
}

// DecodeEvent reads what EncodeEvent wrote, now or in an earlier version, or answers ErrCorrupt.
func DecodeEvent(raw []byte) (grant.Event, error) {
	var d struct {
		Grant document `json:"grant"`
		eventRest
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return grant.Event{}, fmt.Errorf("decode event: %w: %w", ErrCorrupt, err)
	}
	e := grant.Event{
		Grant: d.Grant.grant(), From: d.From, Verb: d.Verb, Actor: d.Actor, Comment: d.Comment, At: Time(d.At),
		Longer: time.Duration(d.Longer) * time.Second, Drift: d.Drift.drift(),
	}
	if d.Lock != nil {
		e.Lock = d.Lock.lock()
	}
	return e, nil
}

// EncodeLock is a lock's stored form.
func EncodeLock(l grant.Lock) ([]byte, error) {
	d := lockOf(l)
	if d == nil {
		d = &lockDocument{}
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode lock: %w", err)
	}
	return raw, nil
}

// DecodeLock reads what EncodeLock wrote, or answers ErrCorrupt.
func DecodeLock(raw []byte) (grant.Lock, error) {
	var d lockDocument
	if err := json.Unmarshal(raw, &d); err != nil {
		return grant.Lock{}, fmt.Errorf("decode lock: %w: %w", ErrCorrupt, err)
	}
	return d.lock(), nil
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
