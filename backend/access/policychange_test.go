package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// I12: what waits when policy changes is judged by the new one before it opens: it may not be allowed any more, or need
// somebody else's yes.
func TestI12PolicyIsAskedAgainBeforeAGrantOpens(t *testing.T) {
	for name, rule := range map[string]policy.Rule{
		"another group may ask":  {Groups: []string{"other"}, ApproverGroups: []string{"sre"}, MaxDuration: time.Hour},
		"shorter":                {Groups: []string{"eng"}, ApproverGroups: []string{"sre"}, MaxDuration: time.Minute},
		"others must approve":    {Groups: []string{"eng"}, ApproverGroups: []string{"security"}, MaxDuration: time.Hour},
		"no pool of that name":   {Groups: []string{"eng"}, ApproverGroups: []string{"sre"}, MaxDuration: time.Hour, Pools: []string{"prod/other"}},
		"nobody approves at all": {Groups: []string{"eng"}, MaxDuration: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.request(alice, "prod", "db")
			rule.Name = "changed"
			if rule.Pools == nil {
				rule.Pools = []string{"prod/*"}
			}
			rules, err := policy.Compile([]policy.Rule{rule})
			if err != nil {
				t.Fatal(err)
			}
			changed := w.build(func(c *access.Config) { c.Policy = rules })
			d := access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}
			_, err = changed.Approve(t.Context(), bob, d, w.key())
			w.equal("approve", code(err), access.Conflict)
			w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
			if _, err := changed.Deny(t.Context(), bob, d, w.key()); err != nil {
				t.Error("it can be denied all the same:", err)
			}
		})
	}
}

func TestWaitingRequestsOfASubjectAreBounded(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "prod", "db")
	for range access.MaxWaiting - 1 {
		w.request(alice, "prod", "db")
	}
	_, err := w.service.Request(t.Context(), alice, ask("prod", "db"), w.key())
	w.equal("one more", code(err), access.Conflict)
	other := access.Caller{Subject: "carol@example.com", Groups: []string{"eng"}}
	w.request(other, "prod", "db")
	if _, err := w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: first.Grant.ID}, w.key()); err != nil {
		t.Fatal(err)
	}
	w.request(alice, "prod", "db")
}

// I14: a reason or comment cannot be made to read as something else than it is.
func TestI14TextHasNoInvisibleCharacters(t *testing.T) {
	w := newWorld(t)
	for _, r := range []rune{'\u202e', '\u2066', '\u200b', '\u2028', '\u2029', '\ufeff', '\u00ad', '\u0085', '\x7f'} {
		a := ask("staging", "db")
		a.Reason = "ticket " + string(r) + " 4711"
		_, err := w.service.Request(t.Context(), alice, a, w.key())
		w.equal(fmt.Sprintf("%U", r), code(err), access.Invalid)
	}
	a := ask("staging", "db")
	a.Reason = "Zugriff f\u00fcr \u30c6\u30b9\u30c8,\n\tsiehe 4711"
	if _, err := w.service.Request(t.Context(), alice, a, w.key()); err != nil {
		t.Error(err)
	}
}
