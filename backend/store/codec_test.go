package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// full has every field set, so that one that the codec forgets shows.
func full() grant.Event {
	at := time.UnixMilli(1_900_000_000_123).UTC()
	g := grant.Grant{
		ID: "g1", Subject: "agent:triage", Owner: "carol@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"},
		State: grant.Revoked, Reason: "a <b> & c", Duration: 90 * time.Second, Groups: []string{"eng"},
		Steps:     []grant.Step{{Groups: []string{"sre"}, Count: 2}},
		Approvals: []grant.Approval{{By: "bob@example.com", At: at, Comment: "yes", Step: 0}},
		Policy:    "rule", PolicyHash: "abc", Explanation: "why", RequestedAt: at, StartsAt: at.Add(1e6), LapsesAt: at.Add(2e6),
		ActivatedAt: at.Add(3e6), ExpiresAt: at.Add(4e6), EndedAt: at.Add(5e6), Cause: grant.CauseOperator,
		EndedBy: "bob@example.com", Comment: "enough", Version: 4,
	}
	return grant.Event{Grant: g, From: grant.Active, Verb: grant.Revoke, Actor: "bob@example.com", Comment: "enough", At: at}
}

// The stored form is what hashes were made of: a change of any byte of it breaks the chain of every log that exists.
const fullDocument = `{"grant":{"id":"g1","subject":"agent:triage","owner":"carol@example.com","environment":"prod","pool":"billing",` +
	`"state":"revoked","reason":"a \u003cb\u003e \u0026 c","seconds":90,"groups":["eng"],"steps":[{"groups":["sre"],"count":2}],` +
	`"approvals":[{"by":"bob@example.com","at":"2030-03-17T17:46:40.123Z","comment":"yes","step":0}],"policy":"rule",` +
	`"policy_hash":"abc","explanation":"why","requested_at":1900000000123,"starts_at":1900000000124,"lapses_at":1900000000125,` +
	`"activated_at":1900000000126,"expires_at":1900000000127,"ended_at":1900000000128,"cause":"operator",` +
	`"ended_by":"bob@example.com","comment":"enough","version":4},"from":"active","verb":"revoke","actor":"bob@example.com",` +
	`"comment":"enough","at":1900000000123}`

func TestStoredFormStaysAsItIs(t *testing.T) {
	raw, err := EncodeEvent(full())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullDocument, string(raw)); diff != "" {
		t.Errorf("stored form (-want +got):\n%s", diff)
	}
	bare, err := EncodeEvent(grant.Event{Verb: grant.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"grant":{"id":"","subject":"","environment":"","pool":"","state":"","reason":"","seconds":0,"version":0},"verb":"refuse","at":0}`
	if string(bare) != want {
		t.Errorf("stored form %s, want %s", bare, want)
	}
}

func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	got, err := DecodeEvent([]byte(fullDocument))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	raw, err := EncodeGrant(full().Grant)
	if err != nil {
		t.Fatal(err)
	}
	g, err := DecodeGrant(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full().Grant, g); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
}

// FuzzDecodeEvent: whatever stands in a file, reading it ends, and what was read once is written the same ever after.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(fullDocument))
	f.Add([]byte(`{"grant":{},"at":-1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := DecodeEvent(raw)
		if err != nil {
			return
		}
		once, err := EncodeEvent(e)
		if err != nil {
			return // a year that JSON has no form for
		}
		again, err := DecodeEvent(once)
		if err != nil {
			t.Fatalf("%s does not read back: %v", once, err)
		}
		if twice, err := EncodeEvent(again); err != nil || string(twice) != string(once) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}
