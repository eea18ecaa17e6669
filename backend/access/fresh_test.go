package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// emergencyPolicy lets oncall past the approvals of prod.
const emergencyPolicy = `
version: 1
name: emergency
rules:
  - name: prod
    match: {pools: ["prod/*"]}
    who: {groups: [eng], agents: [triage], services: [robot]}
    limits: {max_duration: 4h}
    approve: {all_of: [{group: sre}]}
    break_glass: {groups: [oncall], max_duration: 30m, notify: [security], review: {groups: [security], within: 24h}}
`

var (
	erin   = person("erin", "eng", "oncall")
	sam    = person("sam", "security")
	urgent = access.Ask{Environment: "prod", Pool: "db", Duration: 30 * time.Minute, Reason: "it burns", BreakGlass: true}
)

// What is decided by groups is decided by groups that were read a short time ago: somebody may have lost them since.
func TestADecisionNeedsGroupsOfTheLast15Minutes(t *testing.T) {
	for name, c := range map[string]struct {
		caller access.Caller
		do     func(w *world, c access.Caller) error
	}{
		"approve": {bob, func(w *world, c access.Caller) error {
			_, err := w.service.Approve(w.t.Context(), c, shown(w.request(alice, "prod", "db")), w.key())
			return err
		}},
		"approve an extension": {bob, func(w *world, c access.Caller) error {
			v := w.extended(alice, w.approve(w.request(alice, "prod", "db")), time.Minute)
			_, err := w.service.Approve(w.t.Context(), c, shown(v), w.key())
			return err
		}},
		"break the glass": {erin, func(w *world, c access.Caller) error {
			_, err := w.service.Request(w.t.Context(), c, urgent, w.key())
			return err
		}},
		"review": {sam, func(w *world, c access.Caller) error {
			v := w.requested(w.fresh(erin), urgent)
			w.end(v.Grant.ID)
			v, err := w.service.Get(w.t.Context(), sam, v.Grant.ID)
			w.equal("get", code(err), ok)
			_, err = w.service.Review(w.t.Context(), c, shown(v), w.key())
			return err
		}},
	} {
		for age, want := range map[time.Duration]access.Code{
			0: ok, 15 * time.Minute: ok, 15*time.Minute + time.Millisecond: access.Forbidden, time.Hour: access.Forbidden,
		} {
			t.Run(name+" after "+age.String(), func(t *testing.T) {
				w := newWorld(t)
				w.inForce(emergencyPolicy)
				w.pass(age)
				err := c.do(w, c.caller)
				w.equal("code", code(err), want)
				if want == access.Forbidden && !strings.Contains(err.Error(), "sign in again") {
					t.Errorf("message %q", err)
				}
			})
		}
		t.Run(name+" with groups of no time", func(t *testing.T) {
			w := newWorld(t)
			w.inForce(emergencyPolicy)
			timeless := c.caller
			timeless.GroupsAt = time.Time{}
			w.equal("code", code(c.do(w, timeless)), access.Forbidden)
		})
	}
}

// What takes access away does not wait for a login.
func TestADenialNeedsNoFreshGroups(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.pass(time.Hour)
	v, err := w.service.Deny(t.Context(), bob, shown(v), w.key())
	w.equal("code", code(err), ok)
	w.equal("state", v.Grant.State, grant.Denied)
}

// What a later login lost counts at the approval, though the request was made with it.
func TestTheRequesterIsJudgedAtTheApprovalByTheirNewestGroups(t *testing.T) {
	w := newWorld(t)
	v := w.requested(w.login(alice, "eng"), ask("prod", "db"))
	w.pass(time.Minute)
	w.login(alice)
	_, err := w.service.Approve(t.Context(), bob, shown(v), w.key())
	w.names(err, access.Conflict, v.Grant.ID)
	w.pass(time.Minute)
	w.login(alice, "eng") // and regained, it counts again
	w.approve(v)
}

// An approver's old token does not approve what a later login of theirs could not.
func TestAnApproverWhoLostTheGroupDoesNotApproveByAnOldToken(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.login(bob, "eng", "sre")
	w.pass(time.Minute)
	w.login(bob, "eng")
	old := w.identify(bob.Subject, begin, "eng", "sre")
	_, err := w.service.Approve(t.Context(), old, shown(v), w.key())
	w.equal("code", code(err), access.NotFound)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
}
