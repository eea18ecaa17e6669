package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// FuzzRoundTrip: whatever people write, and whatever times and numbers a grant has, is read as it was written. A grant
// holds text as JSON has it (valid UTF-8), whole milliseconds and whole seconds.
func FuzzRoundTrip(f *testing.F) {
	f.Add("alice@example.com", "look <at> \"it\" & \\ \u2028 \u0000 \u00e9", "sre", int64(1_900_000_000_123), int64(900), int64(1), uint8(0))
	f.Add("", "", "", int64(0), int64(0), int64(0), uint8(255))
	f.Add("a|b/c", "{\"id\":\"g2\"}", ",", int64(-1), int64(-1), int64(-1), uint8(7))
	f.Fuzz(func(t *testing.T, who, text, group string, ms, seconds, number int64, present uint8) {
		e, ok := eventOf(who, text, group, ms, seconds, number, present)
		if !ok {
			return
		}
		raw, err := EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEvent(raw)
		if err != nil {
			t.Fatalf("%s does not read back: %v", raw, err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("event (-written +read):\n%s", diff)
		}
		if raw, err = EncodeGrant(e.Grant); err != nil {
			t.Fatal(err)
		}
		g, err := DecodeGrant(raw)
		if err != nil {
			t.Fatalf("%s does not read back: %v", raw, err)
		}
		if diff := cmp.Diff(e.Grant, g); diff != "" {
			t.Errorf("grant (-written +read):\n%s", diff)
		}
	})
}

// eventOf makes an event out of any values, and says whether it is one that could be there. present's bits choose which
// of the parts that may be missing are there.
func eventOf(who, text, group string, ms, seconds, number int64, present uint8) (grant.Event, bool) {
	const century = 100 * 365 * 24 * 3600
	for _, s := range []string{who, text, group} {
		if strings.ToValidUTF8(s, "") != s {
			return grant.Event{}, false
		}
	}
	if seconds < -century || seconds > century || ms < 0 || ms > 80*century*1000 { // years of more digits have no form
		return grant.Event{}, false
	}
	when := func(bit int) time.Time {
		if present&(1<<bit) == 0 || ms+int64(bit) == 0 { // 1970's first moment is that of no time
			return time.Time{}
		}
		return time.UnixMilli(ms + int64(bit)).UTC()
	}
	g := grant.Grant{
		ID: text, Subject: grant.Subject(who), Pool: grant.Pool{Environment: group, Name: who}, State: grant.State(group),
		Reason: text, Duration: time.Duration(seconds) * time.Second, Policy: group, PolicyHash: who, Explanation: text,
		RequestedAt: when(0), StartsAt: when(1), LapsesAt: when(2), ActivatedAt: when(3), ExpiresAt: when(4), EndedAt: when(5),
		Cause: grant.Cause(text), Comment: group, Version: number,
	}
	if present&(1<<6) != 0 {
		g.Owner, g.EndedBy, g.Groups = grant.Subject(text), grant.Subject(group), []string{group, who, ""}
	}
	if present&(1<<7) != 0 {
		g.Steps = []grant.Step{{Groups: []string{who, group}, Count: int(number)}, {}}
		g.Approvals = []grant.Approval{{By: grant.Subject(text), At: when(0), Comment: who, Step: int(number)}, {}}
	}
	return grant.Event{
		Grant: g, From: grant.State(who), Verb: grant.Verb(group), Actor: grant.Subject(text), Comment: who, At: when(2),
	}, true
}
