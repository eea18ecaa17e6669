package access_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// dying is a store whose connection breaks right after a commit: the change is there, and nobody was told.
type dying struct{ store.Grants }

func (d dying) Commit(ctx context.Context, c store.Change) (int64, error) {
	if _, err := d.Grants.Commit(ctx, c); err != nil {
		return 0, err
	}
	return 0, errBroken
}

// I5: a call that died between its commit and telling the nodes is found by its key, and the nodes are told then.
func TestI5ACallThatDiedAfterItsCommitIsFinishedByTheSameCallAgain(t *testing.T) {
	w := newWorld(t)
	w.enforcer.enforced = 0 // no node has it yet
	w.broken.Grants = dying{w.db}
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-died-01")
	w.equal("first", code(err), access.Internal)
	w.equal("nobody was told", w.enforcer.told(), []int64{})
	w.broken.Grants = w.db
	v, err := w.service.Request(t.Context(), alice, ask("staging", "db"), "key-died-01")
	w.equal("again", code(err), ok)
	w.equal("state", v.Grant.State, grant.Active)
	w.equal("told", w.enforcer.told(), []int64{3})
	w.equal("waited for", w.enforcer.awaited[0].Revision, int64(3))
	w.equal("events", len(w.verbs()), 3)
}

// A grant that has run out, and that the clock has not come round to, is in an approval's way no more than in a request's.
func TestAGrantThatHasRunOutDoesNotBlockAnApproval(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "prod", "db")
	second := w.twin(first)
	w.approve(first)
	w.pass(15 * time.Minute)
	w.equal("second", w.approve(second).Grant.State, grant.Active)
	w.equal("first", w.stored(first.Grant.ID).State, grant.Expired)
	w.equal("told", w.enforcer.told(), []int64{1, 4, 5, 7})
}

// I6: a revocation that runs beside approvals and denials ends the grant, or finds that it was denied; it never lives on.
func TestI6NoGrantLivesOnAfterARevocation(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		v := w.request(alice, "prod", "db")
		var wg sync.WaitGroup
		for range 6 {
			for _, decide := range w.decisions() {
				wg.Go(func() { _, _ = decide(bob, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}) })
			}
		}
		var err error
		wg.Go(func() {
			_, err = w.service.Revoke(w.t.Context(), oscar, access.Revocation{GrantID: v.Grant.ID, Reason: "stop"}, w.key())
		})
		wg.Wait()
		var refused *access.Error
		switch state := w.stored(v.Grant.ID).State; {
		case err == nil && state == grant.Revoked:
		case errors.As(err, &refused) && refused.Code == access.Conflict && state == grant.Denied:
		default:
			t.Errorf("%s, and the revocation got %v", state, err)
		}
	}
}

func TestTheClockMayBeStartedTwiceAndStoppedUnstarted(t *testing.T) {
	w := newWorld(t)
	never := access.NewClock(w.service, time.Hour, func(err error) { t.Error(err) })
	never.Stop()
	never.Start() // after Stop: nothing runs, as goleak sees
	never.Stop()
	twice := access.NewClock(w.service, time.Hour, func(err error) { t.Error(err) })
	twice.Start()
	twice.Start()
	twice.Stop()
	twice.Stop()
}
