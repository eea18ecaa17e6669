package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// lockPolicy gives everything, to the agent too.
const lockPolicy = `
version: 1
name: lock
rules:
  - name: prod
    match: {pools: ["prod/*"]}
    who: {groups: [eng], agents: [triage], services: [robot]}
    limits: {max_duration: 1h}
    approve: {all_of: [{group: sre}]}
  - name: others
    match: {pools: ["*/*"]}
    who: {groups: [eng], agents: [triage], services: [robot]}
    limits: {max_duration: 1h}
`

func (w *world) lock(a access.LockAsk) access.LockView {
	w.t.Helper()
	v, err := w.service.Lock(w.t.Context(), oscar, lockAsk(w, a), w.key())
	if err != nil {
		w.t.Fatalf("lock: %v", err)
	}
	return v
}

// lockAsk fills in why and until when.
func lockAsk(w *world, a access.LockAsk) access.LockAsk {
	if a.Reason == "" {
		a.Reason = "a break-in"
	}
	if a.Until.IsZero() {
		a.Until = w.now().Add(time.Hour)
	}
	return a
}

// held is one grant of each kind: by name, its id.
func (w *world) held() map[string]string {
	w.t.Helper()
	w.inForce(lockPolicy)
	a := ask("test", "db")
	a.StartsAt = begin.Add(10 * time.Minute)
	return map[string]string{
		"alice prod/db pending":   w.request(alice, "prod", "db").Grant.ID,
		"alice staging/db active": w.request(alice, "staging", "db").Grant.ID,
		"dave prod/db active":     w.approve(w.request(dave, "prod", "db")).Grant.ID,
		"dave staging/app active": w.request(dave, "staging", "app").Grant.ID,
		"dave test/db approved":   w.requested(dave, a).Grant.ID,
		"triage staging/db":       w.request(triage, "staging", "db").Grant.ID,
	}
}

// What a lock of each scope covers, written by hand; everything else stays.
func TestI4ALockEndsWhatItCoversAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		ask    access.LockAsk
		covers []string
		open   map[grant.State]int
	}{
		"alice": {access.LockAsk{Subject: "alice@example.com"},
			[]string{"alice prod/db pending", "alice staging/db active"}, map[grant.State]int{grant.Pending: 1, grant.Active: 1}},
		"dave, who owns an agent": {access.LockAsk{Subject: "dave@example.com"},
			[]string{"dave prod/db active", "dave staging/app active", "dave test/db approved", "triage staging/db"},
			map[grant.State]int{grant.Active: 3, grant.Approved: 1}},
		"the agent alone": {access.LockAsk{Subject: "agent:triage"}, []string{"triage staging/db"}, map[grant.State]int{grant.Active: 1}},
		"an environment": {access.LockAsk{Environment: "staging"},
			[]string{"alice staging/db active", "dave staging/app active", "triage staging/db"}, map[grant.State]int{grant.Active: 3}},
		"a pool": {access.LockAsk{Environment: "staging", Pool: "db"},
			[]string{"alice staging/db active", "triage staging/db"}, map[grant.State]int{grant.Active: 2}},
		"a subject in an environment": {access.LockAsk{Subject: "dave@example.com", Environment: "prod"},
			[]string{"dave prod/db active"}, map[grant.State]int{grant.Active: 1}},
		"everything": {access.LockAsk{Everything: true},
			[]string{"alice prod/db pending", "alice staging/db active", "dave prod/db active", "dave staging/app active",
				"dave test/db approved", "triage staging/db"}, map[grant.State]int{grant.Pending: 1, grant.Approved: 1, grant.Active: 4}},
		"somebody without any": {access.LockAsk{Subject: "carol@example.com"}, nil, map[grant.State]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.held()
			before := w.events()

			dry := c.ask
			dry.DryRun = true
			v := w.lock(dry)
			w.equal("dry run counts", v.Open, c.open)
			listed := map[string]bool{}
			for _, g := range v.Grants {
				listed[g.Grant.ID] = !g.Grant.State.Final()
			}
			w.equal("dry run lists", len(v.Grants), len(c.covers))
			for _, name := range c.covers {
				w.equal("dry run lists "+name, listed[ids[name]], true)
			}
			w.equal("dry run writes nothing", len(w.events()), len(before))
			locks, err := w.service.Locks(t.Context(), oscar, true)
			w.equal("no lock", []any{len(locks), code(err)}, []any{0, ok})

			v = w.lock(c.ask)
			w.equal("counts", v.Open, c.open)
			w.equal("failed", v.Failed, 0)
			w.equal("lists", len(v.Grants), len(c.covers))
			for _, g := range v.Grants {
				w.equal("as it is afterwards", g.Grant.State, grant.Revoked)
			}
			for who, id := range ids {
				g := w.stored(id)
				covered := false
				for _, name := range c.covers {
					covered = covered || name == who
				}
				if covered != (g.State == grant.Revoked) {
					t.Errorf("%s is %s", who, g.State)
				}
				if covered && (g.Cause != grant.CauseLock || g.EndedBy != oscar.Subject || g.Comment != "Access was locked (lock "+v.Lock.ID+").") {
					t.Errorf("%s: cause %s, by %s: %s", who, g.Cause, g.EndedBy, g.Comment)
				}
			}
			w.equal("first the lock, then the grants", w.events()[len(before)].Event.Verb, grant.PutLock)
			if len(c.covers) > 0 {
				w.equal("nodes are told", w.enforcer.told()[len(w.enforcer.told())-1], w.events()[len(w.events())-1].Revision)
			}
		})
	}
}

// Whatever opens is refused while a lock holds, and is told until when; what closes is not.
func TestALockStopsWhatOpensAndNothingElse(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	pending, active := w.request(alice, "prod", "db"), w.request(alice, "staging", "db")
	waiting := w.extended(dave, w.approve(w.request(dave, "prod", "db")), time.Minute)
	// The lock is there and its grants are not ended yet: the store fails between the two.
	w.broken.set("List")
	_, err := w.service.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Everything: true}), w.key())
	w.equal("lock", code(err), access.Unavailable)
	w.broken.set("")
	for name, do := range map[string]func() error{
		"request": func() error { _, err := w.service.Request(t.Context(), bob, ask("staging", "db"), w.key()); return err },
		"request that waits": func() error {
			_, err := w.service.Request(t.Context(), bob, ask("prod", "db"), w.key())
			return err
		},
		"extend": func() error {
			_, err := w.service.Extend(t.Context(), alice, longer(active, time.Minute), w.key())
			return err
		},
		"approve":              func() error { _, err := w.service.Approve(t.Context(), bob, shown(pending), w.key()); return err },
		"approve an extension": func() error { _, err := w.service.Approve(t.Context(), bob, shown(waiting), w.key()); return err },
		"an agent": func() error {
			_, err := w.service.Request(t.Context(), triage, ask("staging", "db"), w.key())
			return err
		},
	} {
		err := do()
		w.equal(name, code(err), access.Forbidden)
		if err == nil || strings.Contains(err.Error(), "a break-in") || !strings.Contains(err.Error(), "2026-01-02T04:04:05Z") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, verb := range w.verbs()[w.index(grant.PutLock)+1:] {
		w.equal("only refusals", verb, grant.Refuse)
	}
	_, err = w.service.Deny(t.Context(), bob, shown(pending), w.key())
	w.equal("deny", code(err), ok)
	_, err = w.service.Revoke(t.Context(), alice, access.Revocation{GrantID: active.Grant.ID}, w.key())
	w.equal("give up", code(err), ok)
	// What a lock left undone is found by the judge.
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("cause", w.stored(waiting.Grant.ID).Cause, grant.CauseLock)
}

func (w *world) index(verb grant.Verb) int {
	for i, v := range w.verbs() {
		if v == verb {
			return i
		}
	}
	w.t.Fatalf("no %s", verb)
	return -1
}

// TOCTOU: a lock that comes between a request's evaluation and its commit stops it all the same.
func TestALockStopsARequestBetweenItsEvaluationAndItsCommit(t *testing.T) {
	for name, do := range map[string]func(w *world, pending, active access.View) error{
		"request": func(w *world, _, _ access.View) error {
			_, err := w.service.Request(w.t.Context(), alice, ask("staging", "app"), w.key())
			return err
		},
		"approve": func(w *world, pending, _ access.View) error {
			_, err := w.service.Approve(w.t.Context(), bob, shown(pending), w.key())
			return err
		},
		"extend": func(w *world, _, active access.View) error {
			_, err := w.service.Extend(w.t.Context(), alice, longer(active, time.Minute), w.key())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pending, active := w.request(alice, "prod", "db"), w.request(alice, "staging", "db")
			other := w.elsewhere()
			w.broken.meanwhile("Commit", func() {
				_, err := other.Lock(t.Context(), oscar, lockAsk(w, access.LockAsk{Everything: true}), w.key())
				w.equal("lock", code(err), ok)
			})
			err := do(w, pending, active)
			if got := code(err); got != access.Forbidden && got != access.Conflict {
				t.Errorf("code %s: %v", got, err)
			}
			w.equal("open", w.ids(audrey, access.Filter{States: []grant.State{grant.Pending, grant.Approved, grant.Active}}), []string(nil))
		})
	}
}

// Unlocking lets people ask again, and gives nothing back.
func TestUnlockingRestoresNothing(t *testing.T) {
	w := newWorld(t)
	ids := w.held()
	l := w.lock(access.LockAsk{Everything: true})
	v, err := w.service.Unlock(t.Context(), oscar, l.Lock.ID, "it is over", w.key())
	w.equal("unlock", code(err), ok)
	w.equal("by", v.Lock.LiftedBy, oscar.Subject)
	w.equal("event", w.last().Comment, "it is over")
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	for who, id := range ids {
		w.equal(who, w.stored(id).State, grant.Revoked)
	}
	w.request(alice, "staging", "db")
	_, err = w.service.Unlock(t.Context(), oscar, l.Lock.ID, "it is over", w.key())
	w.equal("twice", code(err), access.Conflict)
	_, err = w.service.Unlock(t.Context(), oscar, "none", "it is over", w.key())
	w.equal("none", code(err), access.NotFound)
	_, err = w.service.Unlock(t.Context(), oscar, l.Lock.ID, "", w.key())
	w.equal("without a reason", code(err), access.Invalid)
}

// A lock ends by itself at its end and not before.
func TestALockEndsAtItsTime(t *testing.T) {
	w := newWorld(t)
	l := w.lock(access.LockAsk{Environment: "staging", Until: begin.Add(time.Minute)})
	w.pass(time.Minute - time.Millisecond)
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.equal("before", code(err), access.Forbidden)
	w.pass(time.Millisecond)
	v := w.request(alice, "staging", "db")
	w.equal("judge", w.service.Judge(t.Context()), error(nil))
	w.equal("stands", w.stored(v.Grant.ID).State, grant.Active)
	_, err = w.service.Unlock(t.Context(), oscar, l.Lock.ID, "late", w.key())
	w.equal("unlock", code(err), access.Conflict)
}

// A name that nobody has is locked, and said to be nobody's: it may be a slip of the pen.
func TestALockOfNobodyIsPutAndSaidToBeOfNobody(t *testing.T) {
	w := newWorld(t)
	w.login(carol, "sre")
	w.request(alice, "staging", "db") // without a login that the store knows
	for subject, want := range map[string]bool{
		"alise@example.com": true, "service:nobody": true, "agent:triag": true,
		"alice@example.com": false, "carol@example.com": false, "agent:triage": false, string(triage.Owner): false, "": false,
	} {
		a := access.LockAsk{Subject: subject, Everything: subject == "", DryRun: true}
		w.equal(subject+", dry run", w.lock(a).Warning != "", want)
		a.DryRun = false
		v := w.lock(a)
		w.equal(subject, v.Warning != "", want)
		if _, err := w.service.Unlock(t.Context(), oscar, v.Lock.ID, "over", w.key()); err != nil {
			t.Fatal(err)
		}
	}
}
