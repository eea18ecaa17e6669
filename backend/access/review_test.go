package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A review is by a person of the named groups, and never by who had the access; it moves no state and is done once.
func TestAReviewIsByTheRightPeopleOnly(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	erinToo := person("erin", "eng", "oncall", "security")
	v := w.requested(erinToo, urgent)
	w.equal("awaits sam while it is open", w.ids(sam, access.Filter{AwaitingMyReview: true}), []string{v.Grant.ID})
	_, err := w.service.Review(t.Context(), sam, shown(v), w.key())
	w.names(err, access.Conflict, v.Grant.ID)
	w.end(v.Grant.ID)
	v, err = w.service.Get(t.Context(), sam, v.Grant.ID)
	w.equal("get", code(err), ok)
	for name, c := range map[string]struct {
		caller access.Caller
		want   access.Code
	}{
		"who had it":             {erinToo, no},
		"an approver":            {bob, unknown},
		"an operator":            {oscar, no},
		"an auditor":             {audrey, no},
		"a service in the group": {access.Caller{Subject: "service:robot", Groups: []string{"security"}, GroupsAt: begin}, unknown},
		"an agent in the group":  {access.Caller{Subject: "agent:triage", Owner: sam.Subject, Groups: []string{"security"}, GroupsAt: begin}, unknown},
		"nobody":                 {nobody, unknown},
	} {
		_, err := w.service.Review(t.Context(), c.caller, shown(v), w.key())
		w.equal(name, code(err), c.want)
	}
	w.equal("events", len(w.events()), 4)
	w.equal("awaits sam", w.ids(sam, access.Filter{AwaitingMyReview: true}), []string{v.Grant.ID})
	w.equal("awaits erin", w.ids(erinToo, access.Filter{AwaitingMyReview: true}), []string(nil))
	w.equal("awaits bob", w.ids(bob, access.Filter{AwaitingMyReview: true}), []string(nil))

	bare := shown(v)
	bare.Comment = " "
	_, err = w.service.Review(t.Context(), sam, bare, w.key())
	w.equal("without a word", code(err), access.Invalid)
	old := shown(v)
	old.Etag = "v2"
	_, err = w.service.Review(t.Context(), sam, old, w.key())
	w.names(err, access.Conflict, v.Grant.ID)
	v, err = w.service.Review(t.Context(), sam, shown(v), w.key())
	w.equal("code", code(err), ok)
	w.equal("state", v.Grant.State, grant.Revoked)
	w.equal("by", v.Grant.Review.By, sam.Subject)
	w.equal("said", v.Grant.Review.Comment, "fine")
	w.equal("awaits sam no more", w.ids(sam, access.Filter{AwaitingMyReview: true}), []string(nil))
	_, err = w.service.Review(t.Context(), person("sue", "security"), shown(v), w.key())
	w.equal("a second", code(err), access.Conflict)
}

// It is reviewed after its end as well.
func TestAReviewOutlivesTheAccess(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	v := w.requested(erin, urgent)
	w.pass(time.Hour)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("awaits sam", w.ids(sam, access.Filter{AwaitingMyReview: true}), []string{v.Grant.ID})
	seen, err := w.service.Get(t.Context(), sam, v.Grant.ID)
	w.equal("get", code(err), ok)
	seen, err = w.service.Review(t.Context(), w.fresh(sam), shown(seen), w.key())
	w.equal("review", code(err), ok)
	w.equal("state", seen.Grant.State, grant.Expired)
}

func TestThereIsNothingToReviewOfOrdinaryAccess(t *testing.T) {
	w := newWorld(t)
	v := w.approve(w.request(alice, "prod", "db"))
	_, err := w.service.Review(t.Context(), bob, shown(v), w.key())
	w.equal("code", code(err), access.Conflict)
}

// Who only looks afterwards has no say over other access to the pool; the emergency that waits for their look they may end,
// and the log does not call them an approver.
func TestAReviewerEndsTheEmergencyAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	revoke := func(c access.Caller, id string) access.Code {
		_, err := w.service.Revoke(t.Context(), c, access.Revocation{GrantID: id, Reason: "that will do"}, w.key())
		return code(err)
	}
	ordinary := w.approve(w.request(alice, "prod", "db")).Grant.ID
	w.equal("ordinary access, by a reviewer", revoke(sam, ordinary), unknown)
	w.equal("ordinary access, by an approver", revoke(carol, ordinary), ok)
	w.equal("cause", w.stored(ordinary).Cause, grant.CauseApprover)
	for who, want := range map[string]struct {
		caller access.Caller
		cause  grant.Cause
	}{
		"a reviewer": {sam, "reviewer"}, "an approver of the pool": {bob, "approver"},
		"both": {person("sue", "security", "sre"), "approver"}, "an operator": {oscar, "operator"},
	} {
		id := w.requested(erin, urgent).Grant.ID
		w.equal(who, revoke(want.caller, id), ok)
		w.equal(who+": cause", w.stored(id).Cause, want.cause)
		w.equal(who+": by", w.stored(id).EndedBy, want.caller.Subject)
	}
	w.equal("their own emergency", revoke(person("erin", "eng", "oncall", "security"), w.requested(erin, urgent).Grant.ID), ok)
	w.equal("cause", w.last().Grant.Cause, grant.CauseGivenUp)
	pools, err := w.service.Pools(t.Context(), alice, "prod")
	w.equal("pools", code(err), ok)
	w.equal("approvers", pools[0].ApproverGroups, []string{"sre"})
}
