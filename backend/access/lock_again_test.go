package access_test

import (
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func TestWhoLocksAndSeesLocks(t *testing.T) {
	w := newWorld(t)
	l := w.lock(access.LockAsk{Environment: "staging"})
	for name, c := range map[string]struct {
		caller    access.Caller
		see, lock access.Code
	}{
		"alice": {alice, no, no}, "bob": {bob, no, no}, "audrey": {audrey, ok, no}, "oscar": {oscar, ok, ok},
		"nobody": {access.Caller{}, no, no},
	} {
		_, err := w.service.Locks(t.Context(), c.caller, false)
		w.equal(name+" sees", code(err), c.see)
		_, err = w.service.Lock(t.Context(), c.caller, lockAsk(w, access.LockAsk{Environment: "prod"}), w.key())
		w.equal(name+" locks", code(err), c.lock)
		_, err = w.service.Lock(t.Context(), c.caller, lockAsk(w, access.LockAsk{Environment: "prod", DryRun: true}), w.key())
		w.equal(name+" counts", code(err), c.lock)
		if c.lock != ok {
			_, err = w.service.Unlock(t.Context(), c.caller, l.Lock.ID, "why not", w.key())
			w.equal(name+" unlocks", code(err), no)
		}
	}
	unlocked, err := w.service.Unlock(t.Context(), oscar, l.Lock.ID, "over", w.key())
	w.equal("unlock", code(err), ok)
	holding, err := w.service.Locks(t.Context(), audrey, false)
	w.equal("holding", []any{len(holding), code(err)}, []any{1, ok})
	all, err := w.service.Locks(t.Context(), audrey, true)
	w.equal("all", []any{len(all), code(err)}, []any{2, ok})
	w.equal("the lifted one", all[1], unlocked.Lock)
}

func TestABadLockIsRefused(t *testing.T) {
	w := newWorld(t)
	before := len(w.events())
	for name, a := range map[string]access.LockAsk{
		"of nothing":              {},
		"of everything and more":  {Everything: true, Environment: "prod"},
		"of a pool of anywhere":   {Pool: "db"},
		"of a hostile subject":    {Subject: "alice@example.com|prod/db"},
		"of a hostile place":      {Environment: "prod\n"},
		"that has ended":          {Everything: true, Until: begin},
		"for longer than a year":  {Everything: true, Until: begin.Add(367 * 24 * time.Hour)},
		"for a hostile reason":    {Everything: true, Reason: "\x1b[2J"},
		"for a reason of nothing": {Everything: true, Reason: " "},
	} {
		for _, dry := range []bool{true, false} {
			a := lockAsk(w, a)
			a.DryRun = dry
			_, err := w.service.Lock(t.Context(), oscar, a, w.key())
			w.equal(name, code(err), access.Invalid)
		}
	}
	_, err := w.service.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Everything: true}), "short")
	w.equal("without a key", code(err), access.Invalid)
	w.equal("events", len(w.events()), before)
}

// The same call again puts no second lock, and finishes what the first left; after its end it ends nothing.
func TestALockMayBeAskedForAgain(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	a := lockAsk(w, access.LockAsk{Environment: "staging"})
	// The first dies between the lock's commit and the revocations.
	w.broken.set("List")
	_, err := w.service.Lock(t.Context(), oscar, a, "key-lock-1")
	w.equal("first", code(err), access.Unavailable)
	w.equal("not ended", w.stored(v.Grant.ID).State, grant.Active)
	w.broken.set("")
	l, err := w.service.Lock(t.Context(), oscar, a, "key-lock-1")
	w.equal("again", code(err), ok)
	w.equal("ended", w.stored(v.Grant.ID).Cause, grant.CauseLock)
	w.equal("counted", l.Open, map[grant.State]int{grant.Active: 1})
	locks, err := w.service.Locks(t.Context(), oscar, true)
	w.equal("locks", []any{len(locks), code(err)}, []any{1, ok})
	other := a
	other.Environment = "prod"
	_, err = w.service.Lock(t.Context(), oscar, other, "key-lock-1")
	w.equal("another body", code(err), access.Conflict)

	for range 2 {
		u, err := w.service.Unlock(t.Context(), oscar, l.Lock.ID, "over", "key-unlock")
		w.equal("unlock", code(err), ok)
		w.equal("lifted by", u.Lock.LiftedBy, oscar.Subject)
	}
	fresh := w.request(alice, "staging", "db")
	again, err := w.service.Lock(t.Context(), oscar, a, "key-lock-1")
	w.equal("again, when it is lifted", code(err), ok)
	w.equal("lifted", again.Lock.LiftedBy, oscar.Subject)
	w.pass(2 * time.Hour)
	_, err = w.service.Lock(t.Context(), oscar, a, "key-lock-1")
	w.equal("again, after its time", code(err), ok)
	w.equal("what is new stands", w.stored(fresh.Grant.ID).State, grant.Active)
}

// Calls with one key at the same time put one lock, and lift it once; none is told that it lost against itself.
func TestLocksWithOneKeyAtTheSameTimeAreOne(t *testing.T) {
	w := newWorld(t)
	a := lockAsk(w, access.LockAsk{Environment: "staging"})
	id := w.locksAtOnce(func() (access.LockView, error) {
		return w.service.Lock(t.Context(), oscar, a, "key-at-once")
	})
	w.equal("lifted", w.locksAtOnce(func() (access.LockView, error) {
		return w.service.Unlock(t.Context(), oscar, id, "over", "key-at-once")
	}), id)
	w.equal("events", w.verbs(), []grant.Verb{grant.PutLock, grant.LiftLock})
	// The same race made certain.
	l := w.lock(access.LockAsk{Environment: "prod"})
	for _, moment := range []string{"Replayed", "Lock", "Commit"} {
		w.broken.meanwhile(moment, func() {
			_, err := w.service.Unlock(t.Context(), oscar, l.Lock.ID, "over", "key-certain")
			w.equal("the first at "+moment, code(err), ok)
		})
		_, err := w.service.Unlock(t.Context(), oscar, l.Lock.ID, "over", "key-certain")
		w.equal("the second at "+moment, code(err), ok)
	}
}

func (w *world) locksAtOnce(call func() (access.LockView, error)) (id string) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 16 {
		wg.Go(func() {
			v, err := call()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.t.Errorf("call: %v", err)
			}
			id, ids[v.Lock.ID] = v.Lock.ID, true
		})
	}
	wg.Wait()
	w.equal("locks", len(ids), 1)
	return id
}

// I5: the judge finishes what a lock left when its gateway died between its commit and the revocations; so does the sweep,
// for a window that would begin.
func TestI5TheJudgeFinishesWhatALockLeft(t *testing.T) {
	w := newWorld(t)
	ids := w.held()
	w.broken.set("List") // after the lock's commit nothing more is heard of the gateway
	_, err := w.service.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Subject: "dave@example.com"}), w.key())
	w.equal("the gateway that died", code(err), access.Unavailable)
	w.broken.set("")
	w.equal("dave's is open yet", w.stored(ids["dave prod/db active"]).State, grant.Active)
	other := w.build(nil) // another gateway, or the same when it runs again
	w.pass(10 * time.Minute)
	w.equal("sweep", other.Sweep(t.Context()), error(nil))
	w.equal("a window does not open", w.stored(ids["dave test/db approved"]).Cause, grant.CauseLock)
	w.equal("judge", other.Judge(t.Context()), error(nil))
	for _, name := range []string{"dave prod/db active", "dave staging/app active", "triage staging/db"} {
		w.equal(name, w.stored(ids[name]).Cause, grant.CauseLock)
	}
	w.equal("alice's stays", w.stored(ids["alice staging/db active"]).State, grant.Active)
}

// A lock that is lifted while it still ends grants ends none that were opened after that.
func TestALockThatIsLiftedMeanwhileEndsNothingNew(t *testing.T) {
	w := newWorld(t)
	other := w.elsewhere()
	var fresh access.View
	lifted := func() {
		locks, err := w.db.Locks(t.Context(), w.now(), 10)
		if err != nil || len(locks) != 1 {
			t.Fatalf("locks %v, %v", locks, err)
		}
		_, err = other.Unlock(t.Context(), oscar, locks[0].ID, "over", w.key())
		w.equal("unlock", code(err), ok)
		fresh, err = other.Request(t.Context(), alice, ask("staging", "db"), w.key())
		w.equal("request", code(err), ok)
	}
	w.broken.meanwhile("List", lifted)
	w.lock(access.LockAsk{Environment: "staging"})
	w.equal("after the lock", w.stored(fresh.Grant.ID).State, grant.Active)
	w.end(fresh.Grant.ID)

	other = w.elsewhere()
	w.lock(access.LockAsk{Environment: "staging"})
	w.broken.meanwhile("List", lifted)
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("after the judge", w.stored(fresh.Grant.ID).State, grant.Active)
}

// I5: where only the answers of the store are lost, the lock and the revocations are there, and the nodes are told.
func TestI5ALockOfWhichOnlyTheAnswersAreLostIsCarriedOut(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	w.broken.Grants = dying{w.db}
	l := w.lock(access.LockAsk{Environment: "staging"})
	w.equal("failed", l.Failed, 0)
	w.equal("ended", w.stored(v.Grant.ID).Cause, grant.CauseLock)
	w.equal("verbs", w.verbs()[3:], []grant.Verb{grant.PutLock, grant.Revoke})
	w.equal("told", w.enforcer.told(), []int64{3, 5})
}
