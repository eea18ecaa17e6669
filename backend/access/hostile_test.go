package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// I11: an approval that was given while its giver was in the group does not open anything once they are not.
func TestI11AnApproverWhoLostTheGroupWhileTheVoteWasOnDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	v := w.approvedBy(lead, w.request(alice, "prod", "db"))
	w.pass(time.Minute)
	w.login(lead) // in no group any more
	_, err := w.service.Approve(t.Context(), guard, shown(v), w.key())
	w.equal("the other approval", code(err), access.Conflict)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
}

// A login that a wrong clock dated ahead neither counts as fresh nor holds against the next one.
func TestALoginOfTheFutureIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.pass(2 * time.Hour)
	w.identify(bob.Subject, w.now(), "sre")
	w.pass(-2 * time.Hour)
	ahead := w.identify(bob.Subject, w.now().Add(-time.Minute))
	w.equal("the next login counts", len(ahead.Groups), 0)

	v := w.request(alice, "prod", "db")
	c := bob
	c.GroupsAt = w.now().Add(time.Hour)
	w.service = w.build(func(config *access.Config) { config.GroupsMaxAge = 15 * time.Minute })
	_, err := w.service.Approve(t.Context(), c, shown(v), w.key())
	w.equal("approve", code(err), access.Forbidden)
}

// Who is locked by name decides nothing either, and a lock that would cover nothing is refused.
func TestALockedPersonDecidesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	if _, err := w.service.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Subject: string(bob.Subject)}), w.key()); err != nil {
		t.Fatal(err)
	}
	for name, decide := range map[string]func() error{
		"approve": func() error { _, err := w.service.Approve(t.Context(), bob, shown(v), w.key()); return err },
		"deny":    func() error { _, err := w.service.Deny(t.Context(), bob, shown(v), w.key()); return err },
	} {
		w.equal(name, code(decide()), access.Forbidden)
	}
	for name, ask := range map[string]access.LockAsk{
		"an environment that is not there": {Environment: "prdo"},
		"a pool that is not there":         {Environment: "prod", Pool: "dbb"},
	} {
		_, err := w.service.Lock(t.Context(), oscar, lockAsk(w, ask), w.key())
		w.equal(name, code(err), access.NotFound)
	}
	_, err := w.service.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Subject: "service:triage-bot"}), w.key())
	w.equal("an agent's account", code(err), access.Invalid)
}

// An agent whose owner has not been seen for long rests on nothing.
func TestAnOwnerWhoWasNotSeenForLongIsUnknown(t *testing.T) {
	w := newWorld(t)
	w.identify(dave.Subject, w.now(), "eng")
	w.pass(29 * 24 * time.Hour)
	c, err := w.service.Identify(t.Context(), access.Login{Subject: "service:triage-bot", At: w.now()})
	w.equal("known", code(err) == ok && c.OwnerGroups != nil, true)
	w.pass(2 * 24 * time.Hour)
	c, err = w.service.Identify(t.Context(), access.Login{Subject: "service:triage-bot", At: w.now()})
	w.equal("unknown", code(err) == ok && c.OwnerGroups == nil, true)
}
