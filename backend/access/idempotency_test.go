package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func TestTheSameKeyAndBodyIsTheSameGrant(t *testing.T) {
	w := newWorld(t)
	first, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-one-01")
	w.equal("first", code(err), ok)
	again, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-one-01")
	w.equal("again", code(err), ok)
	w.equal("id", again.Grant.ID, first.Grant.ID)
	w.equal("events", len(w.verbs()), 3)
	// The answer is the grant as it is now, and also when policy would say no by now.
	w.end(first.Grant.ID)
	again, err = w.service.Request(t.Context(), access.Caller{Subject: alice.Subject}, ask("staging", "db"), "key-one-01")
	w.equal("after its end", code(err), ok)
	w.equal("state", again.Grant.State, grant.Revoked)
}

func TestTheSameKeyWithAnotherBodyIsAConflictAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	first, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-one-01")
	w.equal("first", code(err), ok)
	for name, change := range map[string]func(*access.Ask){
		"pool":     func(a *access.Ask) { a.Pool = "app" },
		"duration": func(a *access.Ask) { a.Duration = time.Minute },
		"reason":   func(a *access.Ask) { a.Reason += "." },
	} {
		other := ask("staging", "db")
		change(&other)
		_, err := w.service.Request(t.Context(), alice, other, "key-one-01")
		w.equal(name, code(err), access.Conflict)
		var e *access.Error
		if errors.As(err, &e) {
			w.equal("names", e.GrantID, first.Grant.ID)
		}
	}
	w.equal("events", len(w.verbs()), 3)
}

// A key belongs to its caller and method: two callers who have the same do not meet.
func TestAKeyIsItsCallersAndItsMethodsAlone(t *testing.T) {
	w := newWorld(t)
	const key = "key-shared"
	a, err := w.service.Request(t.Context(), alice, ask("staging", "db"), key)
	w.equal("alice", code(err), ok)
	d, err := w.service.Request(t.Context(), dave, ask("staging", "db"), key)
	w.equal("dave", code(err), ok)
	if a.Grant.ID == d.Grant.ID || d.Grant.Subject != dave.Subject {
		t.Errorf("dave got %v", d.Grant)
	}
	v, err := w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: a.Grant.ID}, key)
	w.equal("another method", code(err), ok)
	w.equal("state", v.Grant.State, grant.Revoked)
}

func TestEveryMutationMayBeRepeated(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	approval := access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}
	revocation := access.Revocation{GrantID: v.Grant.ID, Reason: "over"}
	denied := w.request(dave, "prod", "db")
	for name, call := range map[string]func() (access.View, error){
		"1 approve": func() (access.View, error) {
			return w.service.Approve(t.Context(), bob, approval, "key-approve")
		},
		"2 deny": func() (access.View, error) {
			return w.service.Deny(t.Context(), bob, access.Decision{GrantID: denied.Grant.ID, Etag: denied.Etag}, "key-deny-")
		},
	} {
		for range 3 {
			_, err := call()
			w.equal(name, code(err), ok)
		}
	}
	for range 3 {
		_, err := w.service.Revoke(t.Context(), carol, revocation, "key-revoke")
		w.equal("revoke", code(err), ok)
	}
	w.equal("active once", w.stored(v.Grant.ID).Version, int64(4)) // request, complete, activate, revoke
	w.equal("denied once", w.stored(denied.Grant.ID).Version, int64(2))
}

// Calls with one key at the same time are one call: each gets the one grant, none gets a conflict.
func TestCallsWithOneKeyAtTheSameTimeMakeOneGrant(t *testing.T) {
	w := newWorld(t)
	pending := w.request(dave, "prod", "db")
	for name, call := range map[string]func() (access.View, error){
		"request": func() (access.View, error) {
			return w.service.Request(t.Context(), alice, ask("staging", "db"), "key-at-once")
		},
		"approve": func() (access.View, error) {
			return w.service.Approve(t.Context(), bob, access.Decision{GrantID: pending.Grant.ID, Etag: pending.Etag}, "key-at-once")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ids := w.atOnce(20, call)
			w.equal("grants", len(ids), 1)
		})
	}
	ids := w.atOnce(20, func() (access.View, error) {
		return w.service.Revoke(t.Context(), oscar, access.Revocation{GrantID: pending.Grant.ID}, "key-at-once")
	})
	w.equal("revoked", len(ids), 1)
	w.equal("events", len(w.verbs()), 1+3+2+1)
}

// atOnce runs a call many times at once; each must succeed. It answers the grants that they named.
func (w *world) atOnce(n int, call func() (access.View, error)) map[string]bool {
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	gate := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-gate
			v, err := call()
			mu.Lock()
			defer mu.Unlock()
			ids[v.Grant.ID] = true
			if err != nil {
				w.t.Errorf("call: %v", err)
			}
		})
	}
	close(gate)
	wg.Wait()
	return ids
}

// The same race made certain: the other call is carried out at the worst moments of this one.
func TestACallThatFindsItsOwnWorkInItsWayIsNoConflict(t *testing.T) {
	for _, moment := range []string{"Replayed", "Live", "Commit"} {
		t.Run("request at "+moment, func(t *testing.T) {
			w := newWorld(t)
			call := func(s *access.Service) (access.View, error) {
				return s.Request(t.Context(), alice, ask("staging", "db"), "key-at-once")
			}
			w.race(moment, call)
		})
	}
	for _, moment := range []string{"Replayed", "Grant", "Commit"} {
		t.Run("approve at "+moment, func(t *testing.T) {
			w := newWorld(t)
			v := w.request(alice, "prod", "db")
			w.race(moment, func(s *access.Service) (access.View, error) {
				return s.Approve(t.Context(), bob, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}, "key-at-once")
			})
		})
		t.Run("revoke at "+moment, func(t *testing.T) {
			w := newWorld(t)
			v := w.request(alice, "staging", "db")
			w.race(moment, func(s *access.Service) (access.View, error) {
				return s.Revoke(t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, "key-at-once")
			})
		})
	}
}

// race carries the call out while another like it is right before the method of the store.
func (w *world) race(moment string, call func(*access.Service) (access.View, error)) {
	w.t.Helper()
	direct := w.elsewhere()
	var other access.View
	var otherErr error
	w.broken.meanwhile(moment, func() { other, otherErr = call(direct) })
	v, err := call(w.service)
	if err != nil || otherErr != nil {
		w.t.Fatalf("errors: %v and %v", err, otherErr)
	}
	w.equal("grant", v.Grant.ID, other.Grant.ID)
}

func TestAKeyThatAnotherBodyTakesAtTheSameTimeIsAConflict(t *testing.T) {
	w := newWorld(t)
	w.broken.meanwhile("Commit", func() {
		_, err := w.elsewhere().Request(t.Context(), alice, ask("staging", "app"), "key-at-once")
		w.equal("the first", code(err), ok)
	})
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-at-once")
	w.equal("the second", code(err), access.Conflict)
	w.equal("events", len(w.verbs()), 3)
}

// The caller has gone when the change was committed: the nodes were told, and the same call again answers with it.
func TestACallWhoseCallerHasGoneCanBeRepeated(t *testing.T) {
	w := newWorld(t)
	w.enforcer.hang, w.enforcer.enforced = true, 0
	ctx, cancel := context.WithCancel(t.Context())
	w.broken.Grants = commitThen{w.db, cancel}
	v, err := w.service.Request(ctx, alice, ask("staging", "db"), "key-gone-1")
	w.broken.Grants = w.db
	w.equal("code", code(err), ok)
	w.equal("told", w.enforcer.told(), []int64{3})
	again, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-gone-1")
	w.equal("again", code(err), ok)
	w.equal("id", again.Grant.ID, v.Grant.ID)
	w.equal("told again, in case the first was not", w.enforcer.told(), []int64{3, 3})
}

// A caller who has gone before the commit has changed nothing, and may ask again.
func TestACallerWhoGoesBeforeTheCommitChangesNothing(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.broken.meanwhile("Commit", cancel)
	_, err := w.service.Request(ctx, alice, ask("staging", "db"), "key-gone-2")
	w.equal("code", code(err), access.Internal)
	w.equal("events", w.verbs(), []grant.Verb{})
	w.equal("told", w.enforcer.told(), []int64{})
	_, err = w.service.Request(t.Context(), alice, ask("staging", "db"), "key-gone-2")
	w.equal("again", code(err), ok)
}

func TestAKeyForServersStandsForOneChange(t *testing.T) {
	w := newWorld(t)
	add := func(s access.Server) error {
		_, err := w.service.AddServer(t.Context(), oscar, "prod", "db", s, "key-server")
		return err
	}
	w.equal("first", code(add(access.Server{Name: "s2", Port: 80})), ok)
	w.equal("again", code(add(access.Server{Name: "s2", Port: 80})), ok)
	w.equal("another port", code(add(access.Server{Name: "s2", Port: 81})), access.Conflict)
	w.equal("calls", w.fleet.calls, []string{"add prod/db s2", "add prod/db s2"})

	w.broken.meanwhile("Commit", func() {
		_, err := w.service.RemoveServer(t.Context(), oscar, "prod", "db", "s2", "key-at-once")
		w.equal("the other", code(err), ok)
	})
	_, err := w.service.RemoveServer(t.Context(), oscar, "prod", "db", "s2", "key-at-once")
	w.equal("the same at the same time", code(err), ok)
}

// A key opens no grant to somebody who may not see it by now: the answer to a call again is what Get would answer.
func TestACallAgainAnswersWithNothingThatItsCallerMayNotSee(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	approval := shown(v)
	approved, err := w.service.Approve(t.Context(), w.fresh(bob), approval, "key-yes-01")
	w.equal("approve", code(err), ok)
	_, err = w.service.Approve(t.Context(), bob, approval, "key-yes-01")
	w.equal("who has approved sees it", code(err), ok)

	asked := w.extended(alice, approved, 30*time.Minute)
	denial := shown(asked)
	_, err = w.service.Deny(t.Context(), carol, denial, "key-no-001")
	w.equal("deny", code(err), ok)
	for name, c := range map[string]access.Caller{"who denied an extension": carol, "and has lost the group": {Subject: carol.Subject}} {
		_, get := w.service.Get(t.Context(), c, v.Grant.ID)
		again, err := w.service.Deny(t.Context(), c, denial, "key-no-001")
		w.equal(name, []any{code(err), again.Grant.ID}, []any{code(get), ""})
		w.equal(name, code(get), access.NotFound)
	}
	revocation := access.Revocation{GrantID: v.Grant.ID, Reason: "over"}
	_, err = w.service.Revoke(t.Context(), oscar, revocation, "key-end-01")
	w.equal("revoke", code(err), ok)
	_, err = w.service.Revoke(t.Context(), access.Caller{Subject: oscar.Subject}, revocation, "key-end-01")
	w.equal("who has ended it sees it", code(err), ok)
}
