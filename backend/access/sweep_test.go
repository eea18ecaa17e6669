package access_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// window asks for staging/app from a time on, which nobody has to approve.
func (w *world) window(c access.Caller, in time.Duration) access.View {
	w.t.Helper()
	a := ask("staging", "app")
	a.StartsAt = w.now().Add(in)
	return w.requested(c, a)
}

func TestSweepDoesWhatIsDueAndNothingElse(t *testing.T) {
	w := newWorld(t)
	active := w.request(alice, "staging", "db").Grant.ID // until 15 minutes
	pending := w.request(alice, "prod", "db").Grant.ID   // until 2 hours
	w1 := w.window(alice, time.Hour).Grant.ID            // its window begins in an hour
	w2 := w.window(dave, 45*time.Minute).Grant.ID        // and nobody looks before it is over
	states := func() []grant.State {
		w.t.Helper()
		if err := w.service.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		return []grant.State{w.stored(active).State, w.stored(pending).State, w.stored(w1).State, w.stored(w2).State}
	}
	w.equal("at once", states(), []grant.State{grant.Active, grant.Pending, grant.Approved, grant.Approved})
	w.pass(15*time.Minute - 600*time.Millisecond) // expiries are whole seconds
	w.equal("after 15 m", states(), []grant.State{grant.Expired, grant.Pending, grant.Approved, grant.Approved})
	w.pass(47 * time.Minute)
	w.equal("after 62 m", states(), []grant.State{grant.Expired, grant.Pending, grant.Active, grant.Lapsed})
	w.pass(time.Hour)
	w.equal("after 122 m", states(), []grant.State{grant.Expired, grant.Lapsed, grant.Expired, grant.Lapsed})
	told := w.enforcer.told()
	w.equal("again", states(), []grant.State{grant.Expired, grant.Lapsed, grant.Expired, grant.Lapsed})
	w.equal("told", w.enforcer.told(), told)
	g := w.stored(active)
	w.equal("ended by", g.EndedBy, grant.Subject(""))
}

// failing refuses to commit events of one grant.
type failing struct {
	store.Grants
	id  string
	err error
}

func (f failing) Commit(ctx context.Context, c store.Change) (int64, error) {
	if slices.ContainsFunc(c.Events, func(e grant.Event) bool { return e.Grant.ID == f.id }) {
		return 0, f.err
	}
	return f.Grants.Commit(ctx, c)
}

func TestOneGrantThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "staging", "db").Grant.ID
	second := w.request(alice, "staging", "app").Grant.ID
	w.pass(time.Hour)
	w.broken.Grants = failing{w.db, first, errBroken}
	if err := w.service.Sweep(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
	w.equal("first", w.stored(first).State, grant.Active)
	w.equal("second", w.stored(second).State, grant.Expired)
	// A race that was lost is left to who won it.
	w.broken.Grants = failing{w.db, first, store.ErrConflict}
	w.equal("lost race", w.service.Sweep(t.Context()), error(nil))
	w.broken.Grants = w.db
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("first, at last", w.stored(first).State, grant.Expired)
}

// queue is a store in which many grants are due.
type queue struct {
	store.Grants
	due []store.Record
}

func (q *queue) Due(_ context.Context, _ time.Time, limit int) (store.Page, error) {
	return store.Page{Records: q.due[:min(limit, len(q.due))]}, nil
}

func (q *queue) Overdue(context.Context, time.Time, int) (store.Page, error) {
	return store.Page{}, nil
}

func (q *queue) Commit(context.Context, store.Change) (int64, error) {
	q.due = q.due[1:]
	return 0, nil
}

// More is due than one read takes.
func TestSweepDoesNotStopAfterOneRead(t *testing.T) {
	w := newWorld(t)
	q := &queue{due: make([]store.Record, 1100)}
	for i := range q.due {
		q.due[i].Grant = grant.Grant{State: grant.Active, ExpiresAt: begin}
	}
	s := w.build(func(c *access.Config) { c.Grants = q })
	w.equal("sweep", s.Sweep(t.Context()), error(nil))
	w.equal("still due", len(q.due), 0)
}

// idle is a store in which nothing is due, or that fails.
type idle struct {
	store.Grants
	reads *int
	err   error
}

func (i idle) Due(context.Context, time.Time, int) (store.Page, error) {
	*i.reads++
	return store.Page{}, i.err
}

func (i idle) Overdue(context.Context, time.Time, int) (store.Page, error) { return store.Page{}, nil }

func TestTheClockGoesOnAfterAFailureAndStopsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, failures := 0, 0
		s := &access.Service{Config: access.Config{Grants: idle{reads: &reads, err: errBroken}, Now: time.Now}}
		c := access.NewClock(s, time.Second, func(err error) {
			if !errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
			failures++
		})
		c.Start()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		c.Stop()
		c.Stop()
		if reads != 11 || failures != 11 {
			t.Errorf("%d reads and %d failures", reads, failures)
		}
		time.Sleep(10 * time.Second)
		if reads != 11 {
			t.Error("it reads after Stop")
		}
	})
}
