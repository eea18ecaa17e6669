package access_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// I4: a window opens by what is when it begins, not by what was allowed when it was asked for.
func TestI4AWindowIsJudgedAgainWhenItBegins(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		state  grant.State
		cause  grant.Cause
	}{
		"nothing changed": {func(*world) {}, grant.Active, ""},
		"policy changed": {func(w *world) {
			w.inForce(`{version: 1, name: none, rules: [{name: no, match: {pools: ["*/*"]}, effect: deny, description: A freeze}]}`)
		}, grant.Revoked, grant.CausePolicyChanged},
		"a group lost": {func(w *world) { w.login(alice) }, grant.Revoked, grant.CauseGroupLost},
		// Another gateway may know it: it does not open here, and is not ended.
		"the pool unknown here": {func(w *world) { w.catalog.lose(stagingApp) }, grant.Approved, ""},
		"a lock, of which the revocations failed": {func(w *world) {
			w.broken.set("List")
			_, err := w.service.Lock(w.t.Context(), oscar, lockAsk(w, access.LockAsk{Environment: "staging"}), w.key())
			w.equal("lock", code(err), access.Unavailable)
			w.broken.set("")
		}, grant.Revoked, grant.CauseLock},
		"the locks cannot be read": {func(w *world) { w.broken.set("Locks") }, grant.Approved, ""},
		"groups cannot be read":    {func(w *world) { w.broken.set("Login") }, grant.Approved, ""},
		"no commit":                {func(w *world) { w.broken.set("Commit") }, grant.Approved, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.window(alice, 5*time.Minute)
			w.pass(time.Minute)
			c.change(w)
			w.pass(4 * time.Minute)
			err := w.service.Sweep(t.Context())
			if c.state == grant.Approved && name != "the pool unknown here" != errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
			g := w.stored(v.Grant.ID)
			w.equal("state", g.State, c.state)
			w.equal("cause", g.Cause, c.cause)
			w.equal("opened", !g.ActivatedAt.IsZero(), c.state == grant.Active)
		})
	}
}

// TOCTOU: a lock that comes between the look and the commit stops a window from opening.
func TestALockStopsAWindowBetweenTheLookAndTheCommit(t *testing.T) {
	w := newWorld(t)
	v := w.window(alice, 5*time.Minute)
	w.pass(5 * time.Minute)
	w.broken.meanwhile("Commit", func() {
		_, err := w.elsewhere().Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Environment: "staging"}), w.key())
		w.equal("lock", code(err), ok)
	})
	_ = w.service.Sweep(t.Context()) // that it lost is either nothing or said; what counts is what is open
	w.equal("cause", w.stored(v.Grant.ID).Cause, grant.CauseLock)
	w.equal("never opened", w.stored(v.Grant.ID).ActivatedAt, time.Time{})
}

// waiting is a store whose commits begin and wait, so that the next call finds the subject's turn taken.
type waiting struct {
	store.Grants
	begun, gone chan struct{}
}

func (s waiting) Commit(ctx context.Context, c store.Change) (int64, error) {
	close(s.begun)
	<-s.gone
	return s.Grants.Commit(ctx, c)
}

// lookedUp calls done right after a key was looked up.
type lookedUp struct {
	store.Grants
	done func()
}

func (l lookedUp) Replayed(ctx context.Context, c grant.Subject, method, key string) (store.Replay, error) {
	r, err := l.Grants.Replayed(ctx, c, method, key)
	l.done()
	return r, err
}

// A call that waits for another of the same subject waits no longer than its caller, and no other subject waits.
func TestACallWaitsForItsSubjectsTurnNoLongerThanItsCaller(t *testing.T) {
	w := newWorld(t)
	slow := waiting{w.db, make(chan struct{}), make(chan struct{})}
	w.broken.Grants = slow
	first := make(chan access.Code)
	go func() {
		_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
		first <- code(err)
	}()
	<-slow.begun
	ctx, cancel := context.WithCancel(t.Context())
	w.broken.Grants = lookedUp{w.db, cancel}
	_, err := w.service.Request(ctx, alice, ask("staging", "app"), w.key())
	w.equal("whose caller has gone", code(err), access.Unavailable)
	w.broken.Grants = w.db
	w.request(dave, "staging", "db")
	v := w.request(bob, "prod", "db")
	_, err = w.service.Deny(t.Context(), carol, shown(v), w.key())
	w.equal("deny", code(err), ok)
	close(slow.gone)
	w.equal("first", <-first, ok)
	w.request(alice, "staging", "app")
}
