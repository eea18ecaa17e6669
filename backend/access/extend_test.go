package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func longer(v access.View, by time.Duration) access.Longer {
	return access.Longer{GrantID: v.Grant.ID, By: by, Reason: "not done yet"}
}

// extended asks for more time and must succeed.
func (w *world) extended(c access.Caller, v access.View, by time.Duration) access.View {
	w.t.Helper()
	v, err := w.service.Extend(w.t.Context(), c, longer(v, by), w.key())
	if err != nil {
		w.t.Fatalf("extend: %v", err)
	}
	return v
}

// Where nobody approves, an extension is given at once. The grant stays the same one, is active all the time, and its end
// moves by what was asked.
func TestAnExtensionThatNobodyApprovesIsGivenAtOnceWithoutAGap(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	w.pass(10 * time.Minute)
	e := w.extended(alice, v, 20*time.Minute)
	w.equal("id", e.Grant.ID, v.Grant.ID)
	w.equal("state", e.Grant.State, grant.Active)
	w.equal("end", e.Grant.ExpiresAt, v.Grant.ExpiresAt.Add(20*time.Minute))
	w.equal("length", e.Grant.Duration, 35*time.Minute)
	w.equal("rests on", e.Grant.GivenAt, w.now())
	w.equal("events", w.verbs(), []grant.Verb{grant.Request, grant.Complete, grant.Activate, grant.Extend})
	w.equal("told", w.enforcer.told(), []int64{3, 4})
	w.equal("waited for", w.enforcer.awaited[1].Revision, int64(4))
}

// max_duration bounds the time from now to the new end, max_total the whole.
func TestAnExtensionIsJudgedLikeARequestForTheTimeFromNowOn(t *testing.T) {
	w := newWorld(t)
	w.inForce(`{version: 1, name: total, rules: [{name: all, match: {pools: ["*/*"]}, who: {groups: [eng]},
	  limits: {max_duration: 1h, max_total: 90m}}]}`)
	v := w.request(alice, "staging", "db") // 15 minutes
	refused := func(what string, by time.Duration, told string) {
		t.Helper()
		_, err := w.service.Extend(t.Context(), alice, longer(v, by), w.key())
		w.equal(what, code(err), access.Forbidden)
		w.equal("told", err.Error(), told)
		w.equal("event", w.last().Verb, grant.Refuse)
		w.equal("explanation", w.last().Grant.Explanation, err.Error())
		w.equal("which grant", w.last().Grant.ID, v.Grant.ID)
		w.equal("how much longer", w.last().Longer, by)
		page, err := w.service.Events(t.Context(), alice, access.EventFilter{GrantID: v.Grant.ID, Verbs: []grant.Verb{grant.Refuse}, PageSize: 1})
		w.equal("events", code(err), ok)
		w.equal("found by its grant", page.Events[0].Event, w.last())
	}
	// 14:59.4 are left, which count as 15 minutes.
	refused("a second above an hour from now", 45*time.Minute+time.Second,
		"You must ask for at most 45 minutes more: access may be open for at most 1 hour from now on.")
	v = w.extended(alice, v, 45*time.Minute)
	w.pass(30*time.Minute + 400*time.Millisecond)
	refused("a second above 90 minutes in all", 30*time.Minute+time.Second,
		"You must ask for at most 30 minutes more: access may be open for at most 1 hour 30 minutes in all.")
	refused("more than both", 31*time.Minute, "You must ask for at most 30 minutes more: access may be open for at most 1 hour 30 minutes in all.")
	v = w.extended(alice, v, 30*time.Minute)
	w.equal("end", v.Grant.ExpiresAt, begin.Add(90*time.Minute).Truncate(time.Second))
	refused("when it has been open for as long as it may", time.Second,
		"You must let it end: access may be open for at most 1 hour 30 minutes in all.")
	w.equal("stored", w.stored(v.Grant.ID).ExpiresAt, v.Grant.ExpiresAt)
}

// Until an extension is approved the grant ends as it would have; then its end moves in one step.
func TestAnExtensionWaitsForApprovalsWithoutAGap(t *testing.T) {
	w := newWorld(t)
	v := w.approve(w.request(alice, "prod", "db"))
	end := v.Grant.ExpiresAt
	v = w.extended(alice, v, 30*time.Minute)
	w.equal("active all the time", v.Grant.State, grant.Active)
	w.equal("the end has not moved", v.Grant.ExpiresAt, end)
	w.equal("deciders", v.ApproverGroups, []string{"sre"})
	w.equal("waits until the end", v.Grant.Extension.LapsesAt, end)
	w.equal("says so", v.Grant.Extension.Explanation, "1 member of sre must approve; never yourself. The request waits until the access ends.")
	w.equal("how much longer", w.last().Longer, 30*time.Minute)
	w.equal("bob sees it", w.ids(bob, access.Filter{AwaitingMe: true}), []string{v.Grant.ID})
	w.pass(10 * time.Minute)
	_, err := w.service.Extend(t.Context(), alice, longer(v, time.Minute), w.key())
	w.equal("one at a time", code(err), access.Conflict)
	for _, c := range []access.Caller{aliceSRE, robot, dave} {
		_, err := w.service.Approve(t.Context(), w.fresh(c), shown(v), w.key())
		if code(err) == ok {
			t.Errorf("%s approved", c.Subject)
		}
	}
	v = w.approvedBy(carol, v)
	w.equal("state", v.Grant.State, grant.Active)
	w.equal("the end has moved", v.Grant.ExpiresAt, end.Add(30*time.Minute))
	w.equal("nothing waits", v.Grant.Extension.Asked(), false)
	w.equal("approved by", v.Grant.Approvals[0].By, carol.Subject)
	w.pass(10 * time.Minute) // past the first end
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("still active", w.stored(v.Grant.ID).Live(w.now()), true)
}

// An extension that comes to nothing leaves the grant as it was, with its end.
func TestAnExtensionThatComesToNothingLeavesTheEndAsItWas(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, v access.View) error
		verb grant.Verb
	}{
		"denied": {func(w *world, v access.View) error {
			_, err := w.service.Deny(w.t.Context(), bob, shown(v), w.key())
			return err
		}, grant.DenyExtension},
		"cancelled": {func(w *world, v access.View) error {
			_, err := w.service.CancelExtension(w.t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
			return err
		}, grant.CancelExtension},
		"lapsed": {func(w *world, _ access.View) error {
			w.pass(2 * time.Minute)
			return w.service.Sweep(w.t.Context())
		}, grant.LapseExtension},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(`{version: 1, name: short, rules: [{name: prod, match: {pools: ["prod/*"]}, who: {groups: [eng]},
			  limits: {max_duration: 1h, pending_for: 2m}, approve: {all_of: [{group: sre}]}}]}`)
			v := w.approve(w.request(alice, "prod", "db"))
			asked := w.extended(alice, v, 30*time.Minute)
			w.equal("waits", asked.Grant.Extension.LapsesAt, w.now().Add(2*time.Minute))
			w.equal("told", asked.Grant.Extension.Explanation,
				"1 member of sre must approve; never yourself. The request waits for at most 2 minutes, and not past the end of the access.")
			if err := c.end(w, asked); err != nil {
				t.Fatal(err)
			}
			w.equal("verb", w.last().Verb, c.verb)
			w.equal("how much longer", w.last().Longer, 30*time.Minute)
			g := w.stored(v.Grant.ID)
			w.equal("state", g.State, grant.Active)
			w.equal("end", g.ExpiresAt, v.Grant.ExpiresAt)
			w.equal("nothing waits", g.Extension.Asked(), false)
			_, err := w.service.Approve(t.Context(), w.fresh(bob), shown(asked), w.key())
			w.equal("approve it now", code(err), access.Conflict)
			w.extended(alice, v, time.Minute) // and it can be asked for again
		})
	}
}

// Access in an emergency is asked for anew.
func TestBreakGlassIsNotExtended(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	v := w.requested(erin, urgent)
	_, err := w.service.Extend(t.Context(), erin, longer(v, time.Minute), w.key())
	w.equal("code", code(err), access.Forbidden)
	w.equal("end", w.stored(v.Grant.ID).ExpiresAt, v.Grant.ExpiresAt)
}

// An extension is its subject's to ask for and to cancel.
func TestWhoExtendsAGrant(t *testing.T) {
	w := newWorld(t)
	v := w.approve(w.request(alice, "prod", "db"))
	waiting := w.extended(alice, v, time.Minute)
	for name, c := range map[string]struct {
		caller         access.Caller
		extend, cancel access.Code
	}{
		"an approver": {bob, no, no}, "another": {dave, unknown, unknown}, "an operator": {oscar, no, no}, "a service": {robot, unknown, unknown},
	} {
		_, err := w.service.Extend(t.Context(), c.caller, longer(v, time.Minute), w.key())
		w.equal(name+" extends", code(err), c.extend)
		_, err = w.service.CancelExtension(t.Context(), c.caller, access.Revocation{GrantID: waiting.Grant.ID}, w.key())
		w.equal(name+" cancels", code(err), c.cancel)
	}
	w.equal("events", len(w.events()), 4)
	_, err := w.service.CancelExtension(t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
	w.equal("cancel", code(err), ok)
	_, err = w.service.CancelExtension(t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
	w.equal("cancel what does not wait", code(err), access.Conflict)
}

func TestOnlyALiveGrantIsExtended(t *testing.T) {
	w := newWorld(t)
	pending := w.request(alice, "prod", "db")
	_, err := w.service.Extend(t.Context(), alice, longer(pending, time.Minute), w.key())
	w.names(err, access.Conflict, pending.Grant.ID)
	v := w.request(alice, "staging", "db")
	w.pass(15*time.Minute - 600*time.Millisecond) // the very second of its end, and the clock has not come round
	_, err = w.service.Extend(t.Context(), alice, longer(v, time.Minute), w.key())
	w.names(err, access.Conflict, v.Grant.ID)
	w.equal("end", w.stored(v.Grant.ID).ExpiresAt, v.Grant.ExpiresAt)
}

// An extension in the very millisecond of the activation is judged as one afterwards, by the rule and the hours of extensions.
func TestAnExtensionInTheMomentOfTheActivationIsJudgedAsOne(t *testing.T) {
	for name, approve := range map[string]string{"at once": "", "by an approval": ", approve: {all_of: [{group: sre}]}"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(`{version: 1, name: twice, rules: [
			  {name: first, match: {pools: ["*/*"]}, who: {groups: [eng]}, when: [{condition: "!request.extension", message: no}], limits: {max_duration: 15m}},
			  {name: further, match: {pools: ["*/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h},
			    when: [{condition: "request.extension && now > timestamp('2026-01-02T03:04:05.600Z')", message: no}]` + approve + `}]}`)
			v := w.extended(alice, w.request(alice, "staging", "db"), 15*time.Minute)
			if approve != "" {
				v = w.approve(v)
			}
			w.equal("rule", v.Grant.Rule, "further")
			w.equal("judge", w.service.Judge(t.Context()), error(nil))
			w.equal("state", w.stored(v.Grant.ID).State, grant.Active)
			w.equal("length", w.stored(v.Grant.ID).Duration, 30*time.Minute)
		})
	}
}

// What a subject holds when the last approval comes counts: the rule that has no room by then gives nothing, and one that has
// room again decides.
func TestTheLastApprovalCountsWhatIsHeldByThen(t *testing.T) {
	w := newWorld(t)
	w.inForce(`{version: 1, name: two, rules: [
	  {name: one, match: {pools: ["staging/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h, max_concurrent: 1}, approve: {all_of: [{group: leads}]}},
	  {name: more, match: {pools: ["staging/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre}]}}]}`)
	lead := w.fresh(access.Caller{Subject: "carol@example.com", Groups: []string{"leads"}})
	db, app := w.request(alice, "staging", "db"), w.request(alice, "staging", "app")
	w.equal("rules", []string{db.Grant.Rule, app.Grant.Rule}, []string{"one", "one"})
	db = w.approvedBy(lead, db)
	_, err := w.service.Approve(t.Context(), lead, shown(app), w.key())
	w.equal("without room", code(err), access.Conflict)
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("it still waits", w.stored(app.Grant.ID).State, grant.Pending)
	if _, err = w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: app.Grant.ID}, w.key()); err != nil {
		t.Fatal(err)
	}

	app = w.request(alice, "staging", "app")
	w.equal("rule", app.Grant.Rule, "more")
	open := w.approve(app)
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("by the rule with room", w.stored(open.Grant.ID).State, grant.Active)
	if _, err = w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: app.Grant.ID}, w.key()); err != nil {
		t.Fatal(err)
	}

	app = w.request(alice, "staging", "app")
	if _, err = w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: db.Grant.ID}, w.key()); err != nil {
		t.Fatal(err)
	}
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("it waits on", w.stored(app.Grant.ID).State, grant.Pending)
	_, err = w.service.Approve(t.Context(), w.fresh(bob), shown(app), w.key())
	w.equal("the earlier rule decides again", code(err), access.Conflict)
}
