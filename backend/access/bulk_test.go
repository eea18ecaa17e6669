package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func (w *world) bulk(b access.Bulk) access.BulkResult {
	w.t.Helper()
	b.Reason = "clean up"
	r, err := w.service.RevokeAll(w.t.Context(), oscar, b, w.key())
	if err != nil {
		w.t.Fatalf("revoke all: %v", err)
	}
	return r
}

// What each filter covers, by hand: the same for the dry run, which does nothing, and for the deed.
func TestABulkRevocationEndsWhatItsFilterSaysAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		bulk   access.Bulk
		covers []string
		open   map[grant.State]int
	}{
		"a subject": {access.Bulk{Subject: "alice@example.com"}, []string{"alice prod/db pending", "alice staging/db active"},
			map[grant.State]int{grant.Pending: 1, grant.Active: 1}},
		"an owner, and the agents of theirs": {access.Bulk{Subject: "dave@example.com", Environment: "staging"},
			[]string{"dave staging/app active", "triage staging/db"}, map[grant.State]int{grant.Active: 2}},
		"an environment": {access.Bulk{Environment: "prod"}, []string{"alice prod/db pending", "dave prod/db active"},
			map[grant.State]int{grant.Pending: 1, grant.Active: 1}},
		"a pool": {access.Bulk{Environment: "staging", Pool: "app"}, []string{"dave staging/app active"}, map[grant.State]int{grant.Active: 1}},
		"a rule": {access.Bulk{Rule: "prod"}, []string{"alice prod/db pending", "dave prod/db active"},
			map[grant.State]int{grant.Pending: 1, grant.Active: 1}},
		"states of a rule": {access.Bulk{Rule: "others", States: []grant.State{grant.Approved, grant.Pending, grant.Approved}},
			[]string{"dave test/db approved"}, map[grant.State]int{grant.Approved: 1}},
		"everything": {access.Bulk{Everything: true}, []string{"alice prod/db pending", "alice staging/db active", "dave prod/db active",
			"dave staging/app active", "dave test/db approved", "triage staging/db"},
			map[grant.State]int{grant.Pending: 1, grant.Approved: 1, grant.Active: 4}},
		"no such rule": {access.Bulk{Rule: "none"}, nil, map[grant.State]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.held()
			before := len(w.events())
			dry := c.bulk
			dry.DryRun = true
			r := w.bulk(dry)
			w.equal("dry run", r.Open, c.open)
			w.equal("shown", len(r.Grants), len(c.covers))
			w.equal("writes nothing", len(w.events()), before)
			r = w.bulk(c.bulk)
			w.equal("counts", r.Open, c.open)
			w.equal("failed", r.Failed, 0)
			w.equal("shown", len(r.Grants), len(c.covers))
			for _, v := range r.Grants {
				w.equal("shown as it is", v.Grant.State, grant.Revoked)
			}
			for who, id := range ids {
				g := w.stored(id)
				covered := false
				for _, name := range c.covers {
					covered = covered || name == who
				}
				if covered != (g.State == grant.Revoked) || covered && (g.Cause != grant.CauseOperator || g.EndedBy != oscar.Subject || g.Comment != "clean up") {
					t.Errorf("%s is %s: %s by %s, %q", who, g.State, g.Cause, g.EndedBy, g.Comment)
				}
			}
		})
	}
}

func TestABulkRevocationIsAnOperatorsAndSaysWhatItMeans(t *testing.T) {
	w := newWorld(t)
	w.held()
	before := len(w.events())
	for name, c := range map[string]struct {
		caller access.Caller
		bulk   access.Bulk
		want   access.Code
	}{
		"a user":                    {alice, access.Bulk{Subject: "alice@example.com", Reason: "r"}, no},
		"an approver":               {bob, access.Bulk{Environment: "prod", Reason: "r"}, no},
		"an auditor":                {audrey, access.Bulk{Everything: true, Reason: "r"}, no},
		"nothing":                   {oscar, access.Bulk{Reason: "r"}, invalid},
		"only states":               {oscar, access.Bulk{States: []grant.State{grant.Active}, Reason: "r"}, invalid},
		"everything and a filter":   {oscar, access.Bulk{Everything: true, Environment: "prod", Reason: "r"}, invalid},
		"a pool of anywhere":        {oscar, access.Bulk{Pool: "db", Reason: "r"}, invalid},
		"what has ended":            {oscar, access.Bulk{Everything: true, States: []grant.State{grant.Expired}, Reason: "r"}, invalid},
		"a state that is none":      {oscar, access.Bulk{Everything: true, States: []grant.State{"x"}, Reason: "r"}, invalid},
		"a hostile subject":         {oscar, access.Bulk{Subject: "a|b", Reason: "r"}, invalid},
		"no reason":                 {oscar, access.Bulk{Everything: true}, invalid},
		"an operator under no name": {access.Caller{Groups: []string{"operators"}}, access.Bulk{Everything: true, Reason: "r"}, invalid},
	} {
		_, err := w.service.RevokeAll(t.Context(), c.caller, c.bulk, w.key())
		w.equal(name, code(err), c.want)
	}
	_, err := w.service.RevokeAll(t.Context(), oscar, access.Bulk{Everything: true, Reason: "r"}, "")
	w.equal("no key", code(err), access.Invalid)
	w.equal("events", len(w.events()), before)
}

// A place that nobody knows is no place where all is closed. What is open in one that is gone can be ended there.
func TestABulkRevocationOfAPlaceThatIsNotThereSaysSo(t *testing.T) {
	w := newWorld(t)
	left := w.request(alice, "staging", "app")
	w.catalog.lose(stagingApp)
	before := len(w.events())
	for _, b := range []access.Bulk{
		{Environment: "nope"}, {Environment: "prod", Pool: "nope"}, {Environment: "nope", Pool: "db"}, {Environment: "nope", Subject: "alice@example.com"},
	} {
		for _, b.DryRun = range []bool{true, false} {
			b.Reason = "clean up"
			_, err := w.service.RevokeAll(t.Context(), oscar, b, w.key())
			w.equal(fmt.Sprintf("%+v", b), code(err), access.NotFound)
		}
	}
	w.equal("events", len(w.events()), before)
	w.equal("a place without grants", w.bulk(access.Bulk{Environment: "prod"}).Open, map[grant.State]int{})
	gone := access.Bulk{Environment: "staging", Pool: "app", Reason: "clean up"}
	for _, open := range []map[grant.State]int{{grant.Active: 1}, {}} { // and again, with the same key
		r, err := w.service.RevokeAll(t.Context(), oscar, gone, "key-bulk-gone")
		w.equal("one that is gone", []any{code(err), r.Open}, []any{ok, open})
	}
	w.equal("ended", w.stored(left.Grant.ID).State, grant.Revoked)
}

// Who lost the answer and asks again must not read that there was nothing: it says of when the first call was, and from then
// on the log has what that ended.
func TestABulkRevocationAgainSaysThatItIs(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	b := access.Bulk{Everything: true, Reason: "clean up"}
	w.pass(time.Minute)
	first := w.now()
	r, err := w.service.RevokeAll(t.Context(), oscar, b, "key-bulk-again")
	w.equal("first", []any{code(err), r.FirstAt, r.Open}, []any{ok, time.Time{}, map[grant.State]int{grant.Active: 1}})
	w.pass(time.Minute)
	r, err = w.service.RevokeAll(t.Context(), oscar, b, "key-bulk-again")
	w.equal("again", []any{code(err), r.FirstAt, r.Open}, []any{ok, first.Truncate(time.Millisecond), map[grant.State]int{}})
	page, err := w.service.Events(t.Context(), oscar, access.EventFilter{Verbs: []grant.Verb{grant.Revoke}, From: r.FirstAt})
	w.equal("what the first ended", []any{code(err), len(page.Events), page.Events[0].Event.Grant.ID}, []any{ok, 1, v.Grant.ID})
}

// What changes between the look and the deed is ended all the same, and what has ended by itself is no failure.
func TestABulkRevocationDoesNotLoseToWhatHappensMeanwhile(t *testing.T) {
	w := newWorld(t)
	pending := w.request(alice, "prod", "db")
	ended, stays := w.request(dave, "staging", "db"), w.request(dave, "staging", "app")
	w.broken.meanwhileAfter(1, "Commit", func() { // after the one with the key
		w.approve(pending)
		w.end(ended.Grant.ID)
	})
	r := w.bulk(access.Bulk{Everything: true})
	w.equal("failed", r.Failed, 0)
	w.equal("approved meanwhile", w.stored(pending.Grant.ID).State, grant.Revoked)
	w.equal("ended meanwhile", w.stored(ended.Grant.ID).Version, int64(4))
	w.equal("the third", w.stored(stays.Grant.ID).State, grant.Revoked)
	w.equal("shown", len(r.Grants), 2)
}

// One that cannot be ended keeps none of the others open; the same call ends it later.
func TestOneThatCannotBeEndedDoesNotKeepTheOthersOpen(t *testing.T) {
	w := newWorld(t)
	bad := w.request(alice, "staging", "db")
	good := w.request(dave, "staging", "db")
	w.broken.Grants = failing{w.db, bad.Grant.ID, errBroken}
	b := access.Bulk{Environment: "staging", Reason: "clean up"}
	r, err := w.service.RevokeAll(t.Context(), oscar, b, "key-bulk-1")
	w.equal("code", code(err), ok)
	w.equal("failed", r.Failed, 1)
	w.equal("good", w.stored(good.Grant.ID).State, grant.Revoked)
	w.equal("bad", w.stored(bad.Grant.ID).State, grant.Active)
	w.broken.Grants = w.db
	r, err = w.service.RevokeAll(t.Context(), oscar, b, "key-bulk-1")
	w.equal("again", []any{code(err), r.Failed, r.Open}, []any{ok, 0, map[grant.State]int{grant.Active: 1}})
	w.equal("bad", w.stored(bad.Grant.ID).State, grant.Revoked)
	b.Environment = "prod"
	_, err = w.service.RevokeAll(t.Context(), oscar, b, "key-bulk-1")
	w.equal("another body", code(err), access.Conflict)
}

// More than one page and one commit take.
func TestABulkRevocationDoesNotEndAfterOnePage(t *testing.T) {
	w := newWorld(t)
	const n = 230
	w.insert(n, someone)
	w.pass(10 * time.Minute)
	r := w.bulk(access.Bulk{Subject: "someone@example.com"})
	w.equal("ended", r.Open, map[grant.State]int{grant.Pending: n})
	w.equal("shown", len(r.Grants), access.MaxPage)
	left, err := w.service.List(t.Context(), audrey, access.Filter{States: []grant.State{grant.Pending}})
	w.equal("left", []any{len(left.Grants), code(err)}, []any{0, ok})
}

// The same call again goes on with what the first one covered: what was asked for, or opened, since then is somebody's new
// access, which the operator has not seen.
func TestABulkRevocationAgainEndsNothingNewer(t *testing.T) {
	w := newWorld(t)
	old, waiting := w.request(alice, "staging", "db"), w.request(alice, "prod", "db")
	all := access.Bulk{Everything: true, Reason: "clean up"}
	active := access.Bulk{Everything: true, States: []grant.State{grant.Active}, Reason: "clean up"}
	rule := access.Bulk{Rule: old.Grant.Rule, Reason: "clean up"}
	again := func(b access.Bulk, key string) access.BulkResult {
		t.Helper()
		r, err := w.service.RevokeAll(t.Context(), oscar, b, key)
		w.equal("code", code(err), ok)
		return r
	}
	w.broken.Grants = failing{w.db, old.Grant.ID, errBroken}
	w.equal("active ones", again(active, "key-bulk-2").Failed, 1)
	w.equal("of a rule", again(rule, "key-bulk-3").Failed, 1)
	w.broken.Grants = w.db
	w.pass(time.Millisecond)
	approved := w.approve(waiting)
	newer := w.request(dave, "staging", "app")
	w.equal("active ones again", again(active, "key-bulk-2").Open, map[grant.State]int{grant.Active: 1})
	w.equal("the old one", w.stored(old.Grant.ID).State, grant.Revoked)
	w.equal("approved since", w.stored(approved.Grant.ID).State, grant.Active)
	w.equal("of a rule again", again(rule, "key-bulk-3").Open, map[grant.State]int{})
	w.equal("requested since", w.stored(newer.Grant.ID).State, grant.Active)

	w.equal("a call of its own", again(all, "key-bulk-4").Open, map[grant.State]int{grant.Active: 2})
	w.pass(time.Millisecond)
	newest := w.request(dave, "staging", "app")
	w.equal("again", again(all, "key-bulk-4").Open, map[grant.State]int{})
	w.equal("requested after all", w.stored(newest.Grant.ID).State, grant.Active)
}
