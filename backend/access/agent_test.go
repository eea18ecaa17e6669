package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// I11: an agent's request is approved neither by its owner, nor by an agent, nor by the agent itself, whatever their groups;
// nor does an agent approve its owner's.
func TestI11AnAgentsRequestIsApprovedByNeitherItsOwnerNorAnAgent(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	sres := []string{"sre", "operators", "eng"}
	hats := map[string]access.Caller{
		"the owner":       person("dave", sres...),
		"the agent":       {Subject: triage.Subject, Owner: dave.Subject, Groups: sres, GroupsAt: begin},
		"another agent":   {Subject: "agent:other", Owner: bob.Subject, Groups: sres, GroupsAt: begin},
		"the agent's bot": {Subject: "service:triage-bot", Groups: sres, GroupsAt: begin},
	}
	asked := map[string]access.View{
		"the agent's request": w.request(triage, "prod", "db"),
		"the owner's request": w.request(dave, "prod", "db"),
	}
	for what, v := range asked {
		for who, c := range hats {
			for name, decide := range w.decisions() {
				if _, err := decide(c, shown(v)); code(err) != access.Forbidden && code(err) != access.NotFound {
					t.Errorf("%s of %s by %s: %v", name, what, who, err)
				}
			}
			w.equal(what+" awaits "+who, w.ids(c, access.Filter{AwaitingMe: true}), []string(nil))
		}
		w.equal(what, w.stored(v.Grant.ID).Version, int64(1))
		w.equal(what+", by another", w.approve(v).Grant.State, grant.Active)
	}
}

// I11: nor on an extension of the agent's access, which the owner may ask for.
func TestI11AnOwnerExtendsTheirAgentsAccessAndDoesNotApproveThat(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	owner := person("dave", "eng", "sre")
	v := w.extended(owner, w.approve(w.request(triage, "prod", "db")), time.Minute)
	w.equal("asked for", []any{v.Grant.Extension.By.Seconds(), v.Grant.Subject}, []any{60.0, triage.Subject})
	_, err := w.service.Approve(t.Context(), owner, shown(v), w.key())
	w.equal("approve", code(err), access.Forbidden)
	_, err = w.service.Deny(t.Context(), owner, shown(v), w.key())
	w.equal("deny", code(err), access.Forbidden)
	_, err = w.service.CancelExtension(t.Context(), owner, access.Revocation{GrantID: v.Grant.ID}, w.key())
	w.equal("cancel", code(err), ok)

	// A refusal is the agent's, whoever asked.
	_, err = w.service.Extend(t.Context(), owner, longer(v, 2*time.Hour), w.key())
	w.equal("too long", code(err), access.Forbidden)
	e := w.last()
	w.equal("refused", []any{e.Verb, e.Actor, e.Grant.Subject, e.Grant.Owner, e.Grant.Groups},
		[]any{grant.Refuse, owner.Subject, triage.Subject, owner.Subject, []string{"eng"}})
}

// An owner sees, ends and cancels what their agent has; a token is the agent's alone.
func TestWhatAnOwnerDoesWithTheirAgentsAccess(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	active, pending := w.request(triage, "staging", "db"), w.request(triage, "prod", "db")
	w.equal("sees", w.ids(dave, access.Filter{}), []string{pending.Grant.ID, active.Grant.ID})
	_, _, err := w.service.IssueToken(t.Context(), dave, active.Grant.ID)
	w.equal("a token for the owner", code(err), access.Forbidden)
	_, _, err = w.service.IssueToken(t.Context(), triage, active.Grant.ID)
	w.equal("a token for the agent", code(err), ok)
	w.equal("without groups", w.tokens.claims[0].Groups, []string(nil))
	v, err := w.service.Revoke(t.Context(), dave, access.Revocation{GrantID: active.Grant.ID}, w.key())
	w.equal("gives up", []any{v.Grant.State, v.Grant.Cause, code(err)}, []any{grant.Revoked, grant.CauseGivenUp, ok})
	v, err = w.service.Revoke(t.Context(), dave, access.Revocation{GrantID: pending.Grant.ID}, w.key())
	w.equal("cancels", []any{v.Grant.State, code(err)}, []any{grant.Cancelled, ok})
	w.equal("another agent of nobody sees nothing", w.ids(access.Caller{Subject: "agent:other", Owner: bob.Subject}, access.Filter{}), []string(nil))
}

// What the configuration took away does not open any more: neither a pool that is gone, nor an agent that works for another.
func TestWhatLostItsGroundDoesNotOpen(t *testing.T) {
	for name, lose := range map[string]func(w *world){
		"the pool":  func(w *world) { w.catalog.lose(prodDB) },
		"the agent": func(w *world) { w.service = w.build(func(c *access.Config) { c.Agents = nil }) },
		"its owner": func(w *world) { w.service = w.build(ownedBy(alice.Subject)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.inForce(lockPolicy)
			pending := w.request(triage, "prod", "db")
			lose(w)
			_, err := w.service.Approve(t.Context(), bob, shown(pending), w.key())
			w.names(err, access.Conflict, pending.Grant.ID)
			w.equal("state", w.stored(pending.Grant.ID).State, grant.Pending)
		})
		t.Run(name+", extended", func(t *testing.T) {
			w := newWorld(t)
			w.inForce(lockPolicy)
			active := w.approve(w.request(triage, "prod", "db"))
			lose(w)
			_, err := w.service.Extend(t.Context(), dave, longer(active, time.Minute), w.key())
			w.names(err, access.Conflict, active.Grant.ID)
		})
	}
}
