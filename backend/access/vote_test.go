package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// voted puts a policy in force in which prod is approved by the vote.
func (w *world) voted(vote string) {
	w.t.Helper()
	w.inForce(`{version: 1, name: voted, rules: [{name: prod, match: {pools: ["prod/*"]}, who: {groups: [eng]},
	  limits: {max_duration: 1h}, approve: ` + vote + `}]}`)
}

var (
	lead     = person("lead", "leads")
	guard    = person("guard", "security")
	both     = person("both", "leads", "security")
	onlooker = person("onlooker", "other")
)

// Who approves in turn, what each gets, and whether the grant is active after that. Written by hand.
func TestI6AGrantOpensWithItsLastApprovalAndNotBefore(t *testing.T) {
	type step struct {
		who    access.Caller
		want   access.Code
		active bool
	}
	for name, c := range map[string]struct {
		vote  string
		steps []step
	}{
		"all of two groups": {`{all_of: [{group: leads}, {group: security}]}`, []step{
			{onlooker, unknown, false}, {lead, ok, false}, {lead, conflict, false}, {guard, ok, true}}},
		"all of, another of the same group": {`{all_of: [{group: leads}, {group: security}]}`, []step{
			{lead, ok, false}, {person("lead2", "leads"), conflict, false}, {guard, ok, true}}},
		"one person for two groups counts once": {`{all_of: [{group: leads}, {group: security}]}`, []step{
			{both, ok, false}, {both, conflict, false}, {lead, ok, true}}},
		"one person for two groups counts where it helps": {`{all_of: [{group: leads}, {group: security}]}`, []step{
			{both, ok, false}, {guard, ok, true}}},
		"any of":      {`{any_of: [{group: leads}, {group: security, count: 2}]}`, []step{{lead, ok, true}}},
		"any of, two": {`{any_of: [{group: leads}, {group: security, count: 2}]}`, []step{{guard, ok, false}, {both, ok, true}}},
		"two of a group": {`{all_of: [{group: leads, count: 2}]}`, []step{
			{lead, ok, false}, {lead, conflict, false}, {guard, unknown, false}, {both, ok, true}}},
		"in order": {`{ordered: true, all_of: [{group: leads}, {group: security}]}`, []step{
			{guard, conflict, false}, {lead, ok, false}, {lead, conflict, false}, {guard, ok, true}}},
		"in order, who is in both stands for the first": {`{ordered: true, all_of: [{group: leads}, {group: security}]}`, []step{
			{both, ok, false}, {both, conflict, false}, {lead, conflict, false}, {guard, ok, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.voted(c.vote)
			v := w.request(alice, "prod", "db")
			for i, step := range c.steps {
				before := w.stored(v.Grant.ID)
				d := access.Decision{GrantID: v.Grant.ID, Etag: etagOf(before)}
				_, err := w.service.Approve(t.Context(), step.who, d, w.key())
				g := w.stored(v.Grant.ID)
				if code(err) != step.want || (g.State == grant.Active) != step.active {
					t.Fatalf("step %d, %s: %v, then %s", i+1, step.who.Subject, err, g.State)
				}
				if step.want != ok && g.Version != before.Version {
					t.Fatalf("step %d: refused, and it changed something", i+1)
				}
			}
		})
	}
}

// etagOf is the etag of a grant as the etag's form is promised: v and the version.
func etagOf(g grant.Grant) string { return "v" + string('0'+rune(g.Version)) }

// An approval remembers what it counts for, and what was said.
func TestAnApprovalSaysWhoWhenAndForWhat(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	v := w.request(alice, "prod", "db")
	w.pass(time.Minute)
	c := w.fresh(person("both", "security", "leads", "more"))
	v, err := w.service.Approve(t.Context(), c, shown(v), w.key())
	w.equal("code", code(err), ok)
	w.equal("approvals", v.Grant.Approvals, []grant.Approval{{
		By: both.Subject, At: w.now().Truncate(time.Millisecond), Comment: "fine", Groups: []string{"leads", "security"},
	}})
	w.equal("state", v.Grant.State, grant.Pending)
	w.equal("sees what they approved", w.sees(both, v.Grant.ID), ok)
}

func (w *world) sees(c access.Caller, id string) access.Code {
	_, err := w.service.Get(w.t.Context(), c, id)
	return code(err)
}

func (w *world) withdraw(c access.Caller, v access.View) (access.View, error) {
	return w.service.Withdraw(w.t.Context(), c, access.Revocation{GrantID: v.Grant.ID, Reason: "not sure"}, w.key())
}

// An approval is taken back by who gave it and nobody else, while others are missing; then it counts for nothing.
func TestAnApprovalIsWithdrawnByWhoGaveIt(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	v := w.approvedBy(lead, w.request(alice, "prod", "db"))
	shown, err := w.service.Get(t.Context(), alice, v.Grant.ID)
	w.equal("wanted", []any{shown.Steps[0].Wanted, shown.Steps[1].Wanted, code(err)}, []any{false, true, ok})
	for name, c := range map[string]struct {
		caller access.Caller
		want   access.Code
	}{
		"who did not approve": {guard, conflict}, "the requester": {alice, conflict}, "an operator": {oscar, conflict},
		"somebody else": {onlooker, unknown}, "nobody": {access.Caller{}, invalid},
	} {
		_, err := w.withdraw(c.caller, v)
		w.equal(name, code(err), c.want)
	}
	// Even after they have left the group.
	v, err = w.withdraw(person("lead"), v)
	w.equal("code", code(err), ok)
	w.equal("approvals", len(v.Grant.Approvals), 0)
	w.equal("verb", w.last().Verb, grant.Withdraw)
	w.equal("comment", w.last().Comment, "not sure")
	v = w.approvedBy(guard, v)
	w.equal("one alone opens nothing", v.Grant.State, grant.Pending)
	v = w.approvedBy(lead, v)
	w.equal("both", v.Grant.State, grant.Active)
	_, err = w.withdraw(lead, v)
	w.equal("too late", code(err), access.Conflict)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Active)
}

// Who was shown a grant before another's approval came, or was withdrawn, decides on what is not there any more.
func TestADecisionOnAnotherStateOfTheVoteIsAConflict(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	asked := w.request(alice, "prod", "db")
	approved := w.approvedBy(lead, asked)
	for _, decide := range w.decisions() {
		_, err := decide(guard, shown(asked))
		w.names(err, access.Conflict, asked.Grant.ID)
	}
	if _, err := w.withdraw(lead, approved); err != nil {
		t.Fatal(err)
	}
	for _, decide := range w.decisions() {
		_, err := decide(guard, shown(approved))
		w.names(err, access.Conflict, asked.Grant.ID)
	}
	w.equal("verbs", w.verbs(), []grant.Verb{grant.Request, grant.Approve, grant.Withdraw})
}

// The approvals of the request count for nothing in the vote on its extension, and who gave one may give one there.
func TestAnExtensionHasAVoteOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.voted(`{all_of: [{group: leads}, {group: security}]}`)
	v := w.approvedBy(guard, w.approvedBy(lead, w.request(alice, "prod", "db")))
	end := v.Grant.ExpiresAt
	v = w.approvedBy(lead, w.extended(alice, v, 10*time.Minute))
	w.equal("half", v.Grant.ExpiresAt, end)
	w.equal("awaits lead", w.ids(lead, access.Filter{AwaitingMe: true}), []string(nil))
	w.equal("awaits guard", w.ids(guard, access.Filter{AwaitingMe: true}), []string{v.Grant.ID})
	v, err := w.withdraw(lead, v)
	w.equal("withdraw", code(err), ok)
	v = w.approvedBy(guard, v)
	w.equal("half again", v.Grant.ExpiresAt, end)
	v = w.approvedBy(lead, v)
	w.equal("both", v.Grant.ExpiresAt, end.Add(10*time.Minute))
}
