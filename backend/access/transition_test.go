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

// commitThen calls done right after a change was committed.
type commitThen struct {
	store.Grants
	done func()
}

func (c commitThen) Commit(ctx context.Context, change store.Change) (int64, error) {
	revision, err := c.Grants.Commit(ctx, change)
	c.done()
	return revision, err
}

func TestAGrantIsActiveAtOnceWherePolicyApproves(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	w.equal("state", v.Grant.State, grant.Active)
	// begin is 0.6 s into its second: the end is on a whole second and not later than asked for.
	w.equal("expiry", v.Grant.ExpiresAt, time.Date(2026, 1, 2, 3, 19, 5, 0, time.UTC))
	w.equal("enforcement", v.Enforcement, access.Enforcement{NodesTotal: 1, NodesEnforced: 1})
	w.equal("stored", w.stored(v.Grant.ID).State, grant.Active)
	w.equal("events", w.verbs(), []grant.Verb{grant.Request, grant.Complete, grant.Activate})
	w.equal("told", w.enforcer.told(), []int64{3})
}

// The clock does not run while people decide.
func TestAnApprovalOpensAndTheClockStartsThen(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.equal("state", v.Grant.State, grant.Pending)
	w.equal("nobody waits for nodes", len(w.enforcer.awaited), 0)
	w.pass(time.Hour)
	v = w.approve(v)
	w.equal("state", v.Grant.State, grant.Active)
	w.equal("expiry", v.Grant.ExpiresAt, time.Date(2026, 1, 2, 4, 19, 5, 0, time.UTC))
	w.equal("approvals", []grant.Subject{v.Grant.Approvals[0].By}, []grant.Subject{bob.Subject})
	w.equal("told", w.enforcer.told(), []int64{1, 3})
}

func TestASecondGrantForTheSamePoolIsAConflictThatNamesTheFirst(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "staging", "db")
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.names(err, access.Conflict, first.Grant.ID)
	w.request(alice, "staging", "app") // another pool
	w.request(dave, "staging", "db")   // another subject

	// Two that wait, as an earlier version let them: the second cannot be approved beside the first.
	one := w.request(alice, "prod", "db")
	two := w.twin(one)
	w.approve(one)
	_, err = w.service.Approve(t.Context(), bob, access.Decision{GrantID: two.Grant.ID, Etag: two.Etag}, w.key())
	w.names(err, access.Conflict, one.Grant.ID)
	w.equal("state", w.stored(two.Grant.ID).State, grant.Pending)
}

// twin is a second request for the same, which an earlier version took.
func (w *world) twin(v access.View) access.View {
	w.t.Helper()
	for _, e := range w.events() {
		if e.Event.Grant.ID == v.Grant.ID && e.Event.Verb == grant.Request {
			e.Event.Grant.ID += "-twin"
			return w.viewOf(oscar, w.kept(e.Event).ID)
		}
	}
	w.t.Fatalf("grant %s was never asked for", v.Grant.ID)
	return v
}

// Who waits for a pool is told so, whatever else is asked for there, until that is over. What opens at once waits for nobody.
func TestASecondRequestThatWouldWaitIsAConflictThatNamesTheFirst(t *testing.T) {
	w := newWorld(t)
	w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: "app"}})
	first, err := w.service.Request(t.Context(), alice, ask("prod", "db"), "key-of-the-first")
	w.equal("first", code(err), ok)
	other := ask("prod", "db")
	other.Reason, other.Duration, other.StartsAt = "something else", time.Minute, begin.Add(2*time.Hour)
	for _, a := range []access.Ask{ask("prod", "db"), other} {
		_, err := w.service.Request(t.Context(), alice, a, w.key())
		w.names(err, access.Conflict, first.Grant.ID)
	}
	again, err := w.service.Request(t.Context(), alice, ask("prod", "db"), "key-of-the-first")
	w.equal("the same call again", code(err), ok)
	w.equal("is the first", again.Grant.ID, first.Grant.ID)
	w.request(alice, "prod", "app") // another pool
	w.request(dave, "prod", "db")   // another subject

	w.inForce(`{version: 1, name: changed, rules: [{name: open, match: {pools: ["prod/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h}}]}`)
	w.equal("what opens at once", w.request(alice, "prod", "db").Grant.State, grant.Active)
	w.equal("leaves the first", w.stored(first.Grant.ID).State, grant.Pending)
}

// Who took a request back, or waited in vain, may ask anew.
func TestARequestThatIsOverIsInNobodysWay(t *testing.T) {
	for name, over := range map[string]func(w *world, id string){
		"cancelled": func(w *world, id string) {
			_, err := w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: id}, w.key())
			w.equal("cancel", code(err), ok)
		},
		"lapsed, and not swept yet": func(w *world, _ string) { w.pass(24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.request(alice, "prod", "db")
			over(w, first.Grant.ID)
			w.equal("second", w.request(alice, "prod", "db").Grant.State, grant.Pending)
		})
	}
}

// names checks an error's code and the grant that it names.
func (w *world) names(err error, want access.Code, id string) {
	w.t.Helper()
	var e *access.Error
	if !errors.As(err, &e) || e.Code != want || e.GrantID != id {
		w.t.Errorf("error %v, want %s with %s", err, want, id)
	}
}

// A grant that has run out, and that the clock's loop has not come round to, is in nobody's way.
func TestAGrantThatHasRunOutDoesNotBlockTheNext(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "staging", "db")
	w.pass(15*time.Minute - 601*time.Millisecond)
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.equal("a millisecond before", code(err), access.Conflict)
	w.pass(time.Millisecond)
	second := w.request(alice, "staging", "db")
	w.equal("first", w.stored(first.Grant.ID).State, grant.Expired)
	w.equal("second", w.stored(second.Grant.ID).State, grant.Active)
}

func TestTheClockEndingAnOldGrantMeanwhileIsNoConflict(t *testing.T) {
	w := newWorld(t)
	w.request(alice, "staging", "db")
	w.pass(time.Hour)
	w.broken.meanwhile("Commit", func() { w.equal("sweep", w.service.Sweep(t.Context()), error(nil)) })
	w.equal("state", w.request(alice, "staging", "db").Grant.State, grant.Active)
}

// One approves what one was shown.
func TestADecisionOnWhatWasNotShownIsAConflict(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	for name, decide := range w.decisions() {
		for _, etag := range []string{"", "v0", "v2", "V1", "v1 ", "*"} {
			_, err := decide(bob, access.Decision{GrantID: v.Grant.ID, Etag: etag})
			w.names(err, access.Conflict, v.Grant.ID)
		}
		_, err := decide(bob, access.Decision{GrantID: "g999", Etag: v.Etag})
		w.equal(name+" an unknown grant", code(err), access.NotFound)
	}
	v = w.approve(v)
	for name, decide := range w.decisions() {
		for _, c := range []access.Caller{bob, carol} {
			_, err := decide(c, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag})
			w.names(err, access.Conflict, v.Grant.ID)
			_, err = decide(c, access.Decision{GrantID: v.Grant.ID, Etag: "v1"})
			w.names(err, access.Conflict, v.Grant.ID)
			w.equal(name, w.stored(v.Grant.ID).State, grant.Active)
		}
	}
}

func TestARequestThatHasLapsedCannotBeApproved(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.pass(2 * time.Hour)
	_, err := w.service.Approve(t.Context(), w.fresh(bob), shown(v), w.key())
	w.equal("code", code(err), access.Conflict)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
}

// I6: of decisions that race, exactly one wins, and the events say so.
func TestI6OfRacingDecisionsExactlyOneWins(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		v := w.request(alice, "prod", "db")
		var wg sync.WaitGroup
		var mu sync.Mutex
		codes := map[access.Code]int{}
		for i := range 16 {
			for _, decide := range w.decisions() {
				wg.Go(func() {
					_, err := decide([]access.Caller{bob, carol}[i%2], access.Decision{GrantID: v.Grant.ID, Etag: v.Etag})
					mu.Lock()
					defer mu.Unlock()
					codes[code(err)]++
				})
			}
		}
		wg.Wait()
		w.equal("codes", codes, map[access.Code]int{ok: 1, access.Conflict: 31})
		g := w.stored(v.Grant.ID)
		switch {
		case g.State == grant.Denied && g.Version == 2:
		case g.State == grant.Active && g.Version == 3:
			w.end(g.ID)
		default:
			t.Errorf("%s at version %d", g.State, g.Version)
		}
	}
	w.equal("told too early", w.enforcer.early, []string(nil))
}

func TestADecisionThatLosesItsRaceNamesTheGrant(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.broken.meanwhile("Commit", func() { w.approve(v) })
	_, err := w.service.Deny(t.Context(), carol, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag}, w.key())
	w.names(err, access.Conflict, v.Grant.ID)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Active)
}

// A revocation does not lose to an approval that comes in between.
func TestARevocationWinsAgainstAnApproval(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.broken.meanwhile("Commit", func() { w.approve(v) })
	got, err := w.service.Revoke(t.Context(), oscar, access.Revocation{GrantID: v.Grant.ID, Reason: "stop"}, w.key())
	w.equal("code", code(err), ok)
	w.equal("answer", got.Grant.State, grant.Revoked)
	w.equal("stored", w.stored(v.Grant.ID).State, grant.Revoked)
	w.equal("told", w.enforcer.told(), []int64{1, 3, 4})
}

func TestHowAGrantEndsDependsOnWhoEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		active bool
		caller access.Caller
		state  grant.State
		cause  grant.Cause
	}{
		"the subject cancels what waits": {false, alice, grant.Cancelled, ""},
		"the subject gives up":           {true, alice, grant.Revoked, grant.CauseGivenUp},
		"an approver, what waits":        {false, carol, grant.Revoked, grant.CauseApprover},
		"an approver":                    {true, carol, grant.Revoked, grant.CauseApprover},
		"an operator":                    {true, oscar, grant.Revoked, grant.CauseOperator},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.request(alice, "prod", "db")
			if c.active {
				v = w.approve(v)
			}
			v, err := w.service.Revoke(t.Context(), c.caller, access.Revocation{GrantID: v.Grant.ID, Reason: "over"}, w.key())
			w.equal("code", code(err), ok)
			w.equal("state", v.Grant.State, c.state)
			w.equal("cause", v.Grant.Cause, c.cause)
			w.equal("by", v.Grant.EndedBy, c.caller.Subject)
			w.equal("comment", v.Grant.Comment, "over")
			_, err = w.service.Revoke(t.Context(), c.caller, access.Revocation{GrantID: v.Grant.ID}, w.key())
			w.equal("twice", code(err), access.Conflict)
		})
	}
}

// What policy refuses makes no grant, but an event that says what was asked for and why not.
func TestARefusalByPolicyIsAnEventAndNoGrant(t *testing.T) {
	for name, c := range map[string]struct {
		caller access.Caller
		ask    access.Ask
	}{
		"not a member":          {nobody, ask("staging", "db")},
		"an approver alone":     {carol, ask("prod", "db")},
		"a pool without a rule": {alice, ask("test", "db")},
		"too long": {alice, access.Ask{
			Environment: "staging", Pool: "db", Duration: time.Hour + time.Second, Reason: "to look at it"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.service.Request(t.Context(), c.caller, c.ask, w.key())
			w.equal("code", code(err), access.Forbidden)
			entries, readErr := w.db.Events(t.Context(), 0, 10)
			if readErr != nil || len(entries) != 1 {
				t.Fatalf("events %v, %v", entries, readErr)
			}
			e := entries[0].Event
			w.equal("verb", e.Verb, grant.Refuse)
			w.equal("actor", e.Actor, c.caller.Subject)
			w.equal("reason", e.Grant.Reason, "to look at it")
			w.equal("duration", e.Grant.Duration, c.ask.Duration)
			if e.Grant.Explanation == "" || e.Grant.Explanation != err.Error() {
				t.Errorf("explanation %q, error %q", e.Grant.Explanation, err)
			}
			w.equal("grants", w.ids(audrey, access.Filter{}), []string(nil))
			w.equal("told", w.enforcer.told(), []int64{})
		})
	}
}
