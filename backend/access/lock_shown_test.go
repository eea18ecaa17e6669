package access_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Whom a lock covers is told that it is there, until when, and its id to ask an operator about; why, and who put it, is for
// those who may list the locks. Wherever they look.
func TestWhomALockCoversLearnsNeitherItsReasonNorWhoPutIt(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	open := w.request(alice, "staging", "db")
	pending := w.request(alice, "prod", "db")
	l := w.lock(access.LockAsk{Subject: "alice@example.com", Reason: "sells our data"}).Lock
	_, refused := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.equal("request", code(refused), access.Forbidden)
	if _, err := w.service.Unlock(t.Context(), oscar, l.ID, "sold nothing", w.key()); err != nil {
		t.Fatal(err)
	}
	again := w.lock(access.LockAsk{Subject: "alice@example.com", Reason: "sells our data"}).Lock

	for name, c := range map[string]struct {
		caller access.Caller
		tells  bool
	}{"the locked": {alice, false}, "an auditor": {audrey, true}, "an operator": {oscar, true}} {
		said := []any{refused.Error()}
		for _, f := range []access.EventFilter{{Subject: "alice@example.com"}, {GrantID: open.Grant.ID}, {GrantID: pending.Grant.ID}} {
			page, err := w.service.Events(t.Context(), c.caller, f)
			w.equal(name+": events", code(err), ok)
			for _, e := range page.Events {
				said = append(said, e.Event)
				if e.Event.Verb == grant.PutLock {
					w.equal(name+": the lock's id", e.Event.Lock.ID == l.ID || e.Event.Lock.ID == again.ID, true)
				}
			}
		}
		pools, err := w.service.Pools(t.Context(), alice, "staging") // of the locked: nobody else has their locks
		w.equal("pools", code(err), ok)
		for _, p := range pools {
			w.equal("id", p.Lock.ID, again.ID)
			said = append(said, p)
		}
		said = append(said, w.preview(alice, ask("staging", "db")), w.viewOf(alice, open.Grant.ID).Grant.Comment)
		raw, err := json.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"sells our data", "sold nothing", "oscar"} {
			if got := strings.Contains(string(raw), secret); got != c.tells {
				t.Errorf("%s is told %q: %v", name, secret, got)
			}
		}
	}
}

func (w *world) viewOf(c access.Caller, id string) access.View {
	w.t.Helper()
	v, err := w.service.Get(w.t.Context(), c, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// A lock is said first, and what policy would give is said as what it is; nothing gets past it, not an emergency either.
func TestAPreviewUnderALockSaysTheLockFirst(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	free := w.preview(erin, ask("prod", "db")).Decision
	w.equal("without a lock", free.MayBreakGlass, true)
	l := w.lock(access.LockAsk{Environment: "prod"}).Lock
	want := "Access is locked until 2026-01-02T04:04:05Z; ask an operator (lock " + l.ID + "). By the policy alone: " + free.Explanation
	got := w.preview(erin, ask("prod", "db")).Decision
	w.equal("explanation", got.Explanation, want)
	w.equal("in an emergency", got.MayBreakGlass, false)
	pools, err := w.service.Pools(t.Context(), erin, "prod")
	w.equal("pools", code(err), ok)
	w.equal("said first", strings.HasPrefix(pools[0].Decision.Explanation, "Access is locked until 2026-01-02T04:04:05Z;"), true)
	w.equal("in an emergency", pools[0].Decision.MayBreakGlass, false)
}
