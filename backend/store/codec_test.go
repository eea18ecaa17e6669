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
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	g := grant.Grant{
		ID: "g1", Subject: "agent:triage", Owner: "carol@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"},
		State: grant.Revoked, Reason: "a <b> & c", Duration: 90 * time.Second, Groups: []string{"eng"},
		GroupsSource: "login", GroupsAt: after(7), Inputs: map[string]string{"ticket": "INC1", "change": "CHG2"},
		Steps: []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"sre"}, Count: 2}, {Groups: []string{"ops"}, Count: 1}}}}, Ordered: true,
		Approvals: []grant.Approval{{By: "bob@example.com", At: at, Comment: "yes", Groups: []string{"sre"}}},
		Rule:      "rule", Policy: "policy", PolicyHash: "abc", Explanation: "why", BreakGlass: true, Notify: []string{"security"},
		Review: grant.Review{Groups: []string{"security"}, DueAt: after(8), By: "dave@example.com", At: after(9), Comment: "fine"},
		Extension: grant.Extension{
			By: time.Minute, Reason: "more", Inputs: map[string]string{"ticket": "INC3"},
			Steps: []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"leads"}, Count: 1}}}}, Ordered: true,
			Approvals: []grant.Approval{{By: "dave@example.com", At: after(10), Comment: "ok", Groups: []string{"leads"}}},
			Rule:      "other", Policy: "newer", PolicyHash: "def", Explanation: "because", RequestedAt: after(11), LapsesAt: after(12),
		},
		RequestedAt: at, StartsAt: after(1), LapsesAt: after(2), ActivatedAt: after(3), ExpiresAt: after(4), GivenAt: after(6),
		EndedAt: after(5), Cause: grant.CauseOperator, EndedBy: "bob@example.com", Comment: "enough", Version: 4,
	}
	l := grant.Lock{
		ID: "l1", Subject: "alice@example.com", Environment: "prod", Pool: "search", Reason: "incident", By: "bob@example.com",
		At: at, Until: after(13), LiftedBy: "carol@example.com", LiftedAt: after(14),
	}
	return grant.Event{
		Grant: g, From: grant.Active, Verb: grant.Revoke, Actor: "bob@example.com", Comment: "enough", At: at, Lock: l,
		Drift: grant.Drift{
			Node: "n1", Environments: []string{"prod", "staging"}, First: after(15), Last: after(16), Passes: 3, Unrepaired: 1,
			Foreign: 5, Changed: 6, Missing: 7, Files: []string{"grants.map"}, Rows: []string{"grants.map: foreign a|prod/b"},
		},
	}
}

// The stored form is what hashes were made of: a change of any byte of it breaks the chain of every log that exists.
const fullDocument = `{"grant":{"id":"g1","subject":"agent:triage","owner":"carol@example.com","environment":"prod","pool":"billing",` +
	`"state":"revoked","reason":"a \u003cb\u003e \u0026 c","seconds":90,"groups":["eng"],"groups_source":"login","groups_at":1900000000130,` +
	`"inputs":{"change":"CHG2","ticket":"INC1"},"steps":[{"any_of":[{"groups":["sre"],"count":2},{"groups":["ops"],"count":1}]}],"ordered":true,` +
	`"approvals":[{"by":"bob@example.com","at":1900000000123,"comment":"yes","groups":["sre"]}],"rule":"rule","policy":"policy",` +
	`"policy_hash":"abc","explanation":"why","break_glass":true,"notify":["security"],` +
	`"review":{"groups":["security"],"due_at":1900000000131,"by":"dave@example.com","at":1900000000132,"comment":"fine"},` +
	`"extension":{"seconds":60,"reason":"more","inputs":{"ticket":"INC3"},"steps":[{"any_of":[{"groups":["leads"],"count":1}]}],"ordered":true,` +
	`"approvals":[{"by":"dave@example.com","at":1900000000133,"comment":"ok","groups":["leads"]}],"rule":"other","policy":"newer",` +
	`"policy_hash":"def","explanation":"because","requested_at":1900000000134,"lapses_at":1900000000135},` +
	`"requested_at":1900000000123,"starts_at":1900000000124,"lapses_at":1900000000125,` +
	`"activated_at":1900000000126,"expires_at":1900000000127,"given_at":1900000000129,"ended_at":1900000000128,"cause":"operator",` +
	`"ended_by":"bob@example.com","comment":"enough","version":4},"from":"active","verb":"revoke","actor":"bob@example.com",` +
	`"comment":"enough","at":1900000000123,"lock":{"id":"l1","subject":"alice@example.com","environment":"prod","pool":"search",` +
	`"reason":"incident","by":"bob@example.com","at":1900000000123,"until":1900000000136,"lifted_by":"carol@example.com","lifted_at":1900000000137},` +
	`"drift":{"node":"n1","environments":["prod","staging"],"first":1900000000138,"last":1900000000139,"passes":3,"unrepaired":1,` +
	`"foreign":5,"changed":6,"missing":7,"files":["grants.map"],"rows":["grants.map: foreign a|prod/b"]}}`

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
	if raw, err = EncodeLock(full().Lock); err != nil {
		t.Fatal(err)
	}
	l, err := DecodeLock(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full().Lock, l); diff != "" {
		t.Errorf("lock (-want +got):\n%s", diff)
	}
}

// The rows of grants and locks hold the same bytes as the log.
func TestARowIsAPartOfItsEvent(t *testing.T) {
	event, row, err := EncodeTransition(full())
	if err != nil {
		t.Fatal(err)
	}
	alone, err := EncodeGrant(full().Grant)
	if err != nil {
		t.Fatal(err)
	}
	if string(event) != fullDocument || string(row) != string(alone) {
		t.Errorf("event %s\nrow %s", event, row)
	}
}

// A log that the first version wrote: what it means today. Its bytes are those of a released program.
func TestDocumentsOfTheFirstVersion(t *testing.T) {
	const old = `{"grant":{"id":"g1","subject":"agent:triage","owner":"carol@example.com","environment":"prod","pool":"billing",` +
		`"state":"revoked","reason":"a \u003cb\u003e \u0026 c","seconds":90,"groups":["eng"],"steps":[{"groups":["sre","leads"],"count":2},{"groups":["security"],"count":1}],` +
		`"approvals":[{"by":"bob@example.com","at":"2030-03-17T17:46:40.123Z","comment":"yes","step":0},{"by":"dave@example.com","at":"2030-03-17T18:46:40.123+01:00","comment":"","step":1}],` +
		`"policy":"rule","policy_hash":"abc","explanation":"why","requested_at":1900000000123,"starts_at":1900000000124,"lapses_at":1900000000125,` +
		`"activated_at":1900000000126,"expires_at":1900000000127,"ended_at":1900000000128,"cause":"operator",` +
		`"ended_by":"bob@example.com","comment":"enough","version":4},"from":"active","verb":"revoke","actor":"bob@example.com",` +
		`"comment":"enough","at":1900000000123}`
	at := time.UnixMilli(1_900_000_000_123).UTC()
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	want := grant.Event{
		Grant: grant.Grant{
			ID: "g1", Subject: "agent:triage", Owner: "carol@example.com", Pool: grant.Pool{Environment: "prod", Name: "billing"},
			State: grant.Revoked, Reason: "a <b> & c", Duration: 90 * time.Second, Groups: []string{"eng"},
			Steps: []grant.Step{
				{AnyOf: []grant.Quorum{{Groups: []string{"sre", "leads"}, Count: 2}}},
				{AnyOf: []grant.Quorum{{Groups: []string{"security"}, Count: 1}}},
			},
			Approvals: []grant.Approval{
				{By: "bob@example.com", At: at, Comment: "yes", Groups: []string{"sre", "leads"}},
				{By: "dave@example.com", At: at, Groups: []string{"security"}},
			},
			Rule: "rule", PolicyHash: "abc", Explanation: "why",
			RequestedAt: at, StartsAt: after(1), LapsesAt: after(2), ActivatedAt: after(3), ExpiresAt: after(4), GivenAt: after(3),
			EndedAt: after(5), Cause: grant.CauseOperator, EndedBy: "bob@example.com", Comment: "enough", Version: 4,
		},
		From: grant.Active, Verb: grant.Revoke, Actor: "bob@example.com", Comment: "enough", At: at,
	}
	got, err := DecodeEvent([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// What an approval counted for cannot be known where its step is not there: for nothing, then.
func TestAnApprovalOfNoStepCountsForNothing(t *testing.T) {
	for _, step := range []string{"-1", "1", "7"} {
		g, err := DecodeGrant([]byte(`{"steps":[{"groups":["sre"],"count":1}],"approvals":[{"by":"bob@example.com","at":"2030-03-17T17:46:40Z","step":` + step + `}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Approvals) != 1 || g.Approvals[0].Groups != nil {
			t.Errorf("step %s: %+v", step, g.Approvals)
		}
	}
}

// FuzzDecodeEvent: whatever stands in a file, reading it ends, and what was read once is written the same ever after.
func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(fullDocument))
	f.Add([]byte(`{"grant":{},"at":-1}`))
	f.Add([]byte(`{"grant":{"policy":"p","steps":[{"groups":["a"],"count":1}],"approvals":[{"at":"2030-01-01T00:00:00Z","step":0}]}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := DecodeEvent(raw)
		if err != nil {
			return
		}
		once, err := EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
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
