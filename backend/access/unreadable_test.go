package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// damaged is a store in which one row cannot be read. That drivers answer so is held by their suite, on damaged rows.
type damaged struct {
	store.Grants
	id string
}

func (d damaged) err(id string) error {
	return errors.Join(errors.New("grant "+id), store.ErrCorrupt)
}

func (d damaged) page(p store.Page, err error) (store.Page, error) {
	var kept store.Page
	for _, r := range p.Records {
		if g := r.Grant; g.ID == d.id {
			kept.Unreadable = append(kept.Unreadable,
				store.Unreadable{ID: g.ID, Subject: g.Subject, Owner: g.Owner, Pool: g.Pool, State: g.State, Err: d.err(g.ID)})
			continue
		}
		kept.Records = append(kept.Records, r)
	}
	return kept, err
}

func (d damaged) List(ctx context.Context, q store.Query) (store.Page, error) {
	return d.page(d.Grants.List(ctx, q))
}

func (d damaged) Due(ctx context.Context, at time.Time, limit int) (store.Page, error) {
	return d.page(d.Grants.Due(ctx, at, limit))
}

func (d damaged) Grant(ctx context.Context, id string) (store.Record, error) {
	if id == d.id {
		return store.Record{}, d.err(id)
	}
	return d.Grants.Grant(ctx, id)
}

// damage makes the grant's row one that cannot be read.
func (w *world) damage(id string) { w.broken.Grants = damaged{w.db, id} }

// named holds that an error names the grant and nothing worse.
func named(t *testing.T, what string, err error, id string) {
	t.Helper()
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "grant "+id) {
		t.Errorf("%s: error %v does not name %s", what, err, id)
	}
}

func TestAnUnreadableRowDoesNotStopTheClock(t *testing.T) {
	w := newWorld(t)
	bad, good := w.request(alice, "staging", "db").Grant.ID, w.request(dave, "staging", "db").Grant.ID
	w.damage(bad)
	w.pass(time.Hour)
	named(t, "sweep", w.service.Sweep(t.Context()), bad)
	w.equal("the other", w.stored(good).State, grant.Expired)
	w.equal("it", w.stored(bad).State, grant.Active)
	named(t, "again", w.service.Sweep(t.Context()), bad)
}

func TestI4AnUnreadableRowDoesNotKeepOthersFromBeingJudged(t *testing.T) {
	w := newWorld(t)
	bad, good := w.request(alice, "staging", "db").Grant.ID, w.request(dave, "staging", "db").Grant.ID
	w.damage(bad)
	w.inForce(`{version: 1, name: none, rules: []}`)
	named(t, "judge", w.service.Judge(t.Context()), bad)
	w.equal("the other", w.stored(good).State, grant.Revoked)
	w.equal("it", w.stored(bad).State, grant.Active)
}

func TestALockSaysWhatItCannotEnd(t *testing.T) {
	for name, c := range map[string]struct {
		ask    access.LockAsk
		open   int
		failed int
	}{
		"everything":        {access.LockAsk{Everything: true}, 2, 1},
		"its subject":       {access.LockAsk{Subject: "alice@example.com"}, 1, 1},
		"another's subject": {access.LockAsk{Subject: "dave@example.com"}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			bad, good := w.request(alice, "staging", "db").Grant.ID, w.request(dave, "staging", "db").Grant.ID
			w.damage(bad)
			dry := c.ask
			dry.DryRun = true
			for _, a := range []access.LockAsk{dry, c.ask} {
				v := w.lock(a)
				w.equal("open", v.Open[grant.Active], c.open)
				w.equal("failed", v.Failed, c.failed)
			}
			w.equal("it", w.stored(bad).State, grant.Active)
			w.equal("the other ended", w.stored(good).State == grant.Revoked, name != "its subject")
		})
	}
}

func TestABulkRevocationSaysWhatItCannotEnd(t *testing.T) {
	w := newWorld(t)
	bad, good := w.request(alice, "staging", "db").Grant.ID, w.request(dave, "staging", "db").Grant.ID
	w.damage(bad)
	r := w.bulk(access.Bulk{Subject: "dave@example.com", DryRun: true})
	w.equal("another's", r.Failed, 0)
	r = w.bulk(access.Bulk{Rule: "staging"})
	w.equal("open", r.Open, map[grant.State]int{grant.Active: 2})
	w.equal("failed", r.Failed, 1)
	w.equal("shown", len(r.Grants), 1)
	w.equal("the other", w.stored(good).State, grant.Revoked)
}

func TestAnUnreadableGrantIsPassedOverInListsAndSaidPlainlyByName(t *testing.T) {
	w := newWorld(t)
	bad, good := w.request(alice, "staging", "db").Grant.ID, w.request(alice, "staging", "app").Grant.ID
	w.damage(bad)
	w.equal("list", w.ids(audrey, access.Filter{}), []string{good})
	w.equal("her own", w.ids(alice, access.Filter{}), []string{good})
	_, get := w.service.Get(t.Context(), alice, bad)
	_, end := w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: bad, Reason: "done"}, w.key())
	for what, err := range map[string]error{"get": get, "revoke": end} {
		w.names(err, access.Internal, bad)
		if !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %q does not say what is wrong", what, err)
		}
	}
	w.request(alice, "prod", "db") // other access of hers goes on
}

// What may be open counts against a limit.
func TestAnUnreadableGrantCountsAsHeld(t *testing.T) {
	w := newWorld(t)
	w.inForce(`{version: 1, name: one, rules: [{name: one, match: {pools: ["*/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h, max_concurrent: 1}}]}`)
	bad := w.request(alice, "staging", "db").Grant.ID
	w.damage(bad)
	_, err := w.service.Request(t.Context(), alice, ask("staging", "app"), w.key())
	w.equal("a second", code(err), access.Forbidden)
	w.request(dave, "staging", "app")
}
