package access_test

import (
	"fmt"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// I12: what waits when policy changes is judged by the new one before it opens: it may not be allowed any more, or need
// somebody else's yes.
func TestI12PolicyIsAskedAgainBeforeAGrantOpens(t *testing.T) {
	for name, rule := range map[string]string{
		"another group may ask": `who: {groups: [other]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre}]}`,
		"shorter":               `who: {groups: [eng]}, limits: {max_duration: 1m}, approve: {all_of: [{group: sre}]}`,
		"others must approve":   `who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: security}]}`,
		"one more must approve": `who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre, count: 2}]}`,
		"in an order":           `who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {ordered: true, all_of: [{group: sre}, {group: sre}]}`,
		"it is denied":          `effect: deny, description: A freeze`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.request(alice, "prod", "db")
			w.inForce(`{version: 1, name: changed, rules: [{name: changed, match: {pools: ["prod/*"]}, ` + rule + `}]}`)
			_, err := w.service.Approve(t.Context(), bob, shown(v), w.key())
			w.equal("approve", code(err), access.Conflict)
			w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
			if _, err := w.service.Deny(t.Context(), bob, shown(v), w.key()); err != nil {
				t.Error("it can be denied all the same:", err)
			}
		})
	}
}

// I12: nor does the last approval of a vote count in another order than it was asked for.
func TestI12AVoteThatIsInAnOrderByNowIsAnotherVote(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	v := w.approvedBy(guard, w.request(alice, "prod", "db"))
	w.voted(`{ordered: true, all_of: [{group: leads}, {group: security}]}`)
	_, err := w.service.Approve(t.Context(), lead, shown(v), w.key())
	w.equal("approve", code(err), access.Conflict)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
}

// I12: without a policy nothing opens, not even what policy allowed before.
func TestI12NoPolicyInForceMeansNo(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.policy.Set(nil)
	_, err := w.service.Approve(t.Context(), bob, shown(v), w.key())
	w.equal("approve", code(err), access.Unavailable)
	_, err = w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.equal("request", code(err), access.Unavailable)
	if err := w.service.Judge(t.Context()); err == nil {
		t.Error("the judge says nothing of a grant that it could not judge")
	}
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending) // nor does anything end for want of one
}

// What needs no approval by now may open with one.
func TestAnApprovalThatIsNotNeededAnyMoreOpensAllTheSame(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.inForce(`{version: 1, name: changed, rules: [{name: open, match: {pools: ["prod/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h}}]}`)
	w.judge()
	opened := w.approve(v)
	w.equal("state", opened.Grant.State, grant.Active)
	w.equal("the rule that it rests on", opened.Grant.Rule, "open")
}

func TestWaitingRequestsOfASubjectAreBounded(t *testing.T) {
	w := newWorld(t)
	first := w.request(alice, "prod", "db")
	for i := range access.MaxWaiting - 1 {
		w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: fmt.Sprintf("p%03d", i)}})
		w.request(alice, "prod", fmt.Sprintf("p%03d", i))
	}
	w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: "prod", Name: "more"}})
	_, err := w.service.Request(t.Context(), alice, ask("prod", "more"), w.key())
	w.equal("one more", code(err), access.Conflict)
	w.request(dave, "prod", "db")
	if _, err := w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: first.Grant.ID}, w.key()); err != nil {
		t.Fatal(err)
	}
	w.request(alice, "prod", "more")
}

// I14: a reason or comment cannot be made to read as something else than it is.
func TestI14TextHasNoInvisibleCharacters(t *testing.T) {
	w := newWorld(t)
	for _, r := range []rune{'\u202e', '\u2066', '\u200b', '\u2028', '\u2029', '\ufeff', '\u00ad', '\u0085', '\x7f'} {
		a := ask("staging", "db")
		a.Reason = "ticket " + string(r) + " 4711"
		_, err := w.service.Request(t.Context(), alice, a, w.key())
		w.equal(fmt.Sprintf("%U", r), code(err), access.Invalid)
	}
	a := ask("staging", "db")
	a.Reason = "Zugriff f\u00fcr \u30c6\u30b9\u30c8,\n\tsiehe 4711"
	if _, err := w.service.Request(t.Context(), alice, a, w.key()); err != nil {
		t.Error(err)
	}
}
