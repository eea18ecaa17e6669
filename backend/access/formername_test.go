package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// former is alice by another spelling of her domain, which an earlier version took for somebody else.
const former grant.Subject = "alice@example.com."

// kept writes events as an earlier version did.
func (w *world) kept(events ...grant.Event) grant.Grant {
	w.t.Helper()
	if _, err := w.db.Commit(w.t.Context(), store.Change{Events: events}); err != nil {
		w.t.Fatal(err)
	}
	return events[len(events)-1].Grant
}

// I11: what an earlier version gave to a second spelling of somebody's address, or by it, does not outlive that version.
func TestI11GrantsOfASecondSpellingEnd(t *testing.T) {
	for name, c := range map[string]struct {
		subject, approver grant.Subject
		ends              bool
	}{
		"one spelling":              {alice.Subject, bob.Subject, false},
		"of a former name":          {former, bob.Subject, true},
		"approved by a former name": {alice.Subject, former, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.requested(w.login(alice, "eng"), ask("prod", "db"))
			asked := w.last()
			w.pass(time.Second)
			asked.Grant.ID, asked.Grant.Subject, asked.Actor = "old", c.subject, c.subject
			asked.Grant.Approvals = []grant.Approval{{By: c.approver, At: w.now(), Groups: []string{"sre"}}}
			g := w.kept(asked)
			w.judge()
			w.equal("what is as it should be", w.stored(v.Grant.ID).State, grant.Pending)
			g = w.stored(g.ID)
			if !c.ends {
				w.equal("state", g.State, grant.Pending)
				return
			}
			w.equal("state", g.State, grant.Revoked)
			w.equal("cause", g.Cause, grant.CausePolicyChanged)
		})
	}
}

// I11: at no entrance is a second spelling of an address a second person.
func TestI11ASecondSpellingOfAnAddressIsNobody(t *testing.T) {
	w := newWorld(t)
	v := w.requested(w.login(alice, "eng"), ask("prod", "db"))
	_, err := w.service.Identify(t.Context(), access.Login{Subject: former, Groups: []string{"sre"}, At: w.now()})
	w.equal("to log in", code(err), access.Invalid)
	other := access.Caller{Subject: former, Groups: []string{"sre"}, GroupsAt: w.now()}
	_, err = w.service.Approve(t.Context(), other, shown(v), w.key())
	w.equal("to approve", code(err), access.Invalid)
	until := w.now().Add(time.Hour)
	_, err = w.service.Lock(t.Context(), w.fresh(oscar), access.LockAsk{Subject: string(former), Reason: "gone", Until: until, DryRun: true}, "")
	w.equal("to lock", code(err), access.Invalid)
	_, err = w.service.RevokeAll(t.Context(), w.fresh(oscar), access.Bulk{Subject: string(former), Reason: "gone", DryRun: true}, "")
	w.equal("to revoke", code(err), access.Invalid)
}
