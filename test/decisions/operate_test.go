package decisions

import (
	"cmp"
	"slices"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// operator is one, mostly.
func (r *run) operator() string {
	if chance(r.T, "operator", 85) {
		return audrey
	}
	return r.anybody()
}

// scope names a subject, mostly one whom it would touch, an environment, a pool, or nothing.
func (r *run) scope() (subject, environment, pool string) {
	if chance(r.T, "of a subject", 40) {
		subject = pick(r.T, "subject", slices.Concat(people, []string{"agent:triage", "service:deployer"})...)
		if g := r.one(open); g.Subject != "" && chance(r.T, "whom it touches", 70) {
			subject = pick(r.T, "touched", g.Subject, cmp.Or(g.Owner, g.Subject))
		}
	}
	if chance(r.T, "of a place", 50) {
		p := pick(r.T, "place", places...)
		if environment = p.Environment; chance(r.T, "of a pool", 50) {
			pool = p.Pool
		}
	}
	return subject, environment, pool
}

func (r *run) revokeAll() {
	b := oracle.Bulk{Reason: "clean", DryRun: chance(r.T, "dry", 25)}
	b.Subject, b.Environment, b.Pool = r.scope()
	if chance(r.T, "of a rule", 25) {
		b.Rule = pick(r.T, "rule", "r0", "r1")
	}
	if chance(r.T, "of a state", 25) {
		b.States = some(r.T, "states", []string{"pending", "approved", "active"})
	}
	b.Everything = b.Subject == "" && b.Environment == "" && b.Rule == "" && !chance(r.T, "said wrongly", 15)
	other := b
	other.Reason += "!"
	r.act(r.operator(), revokeAll(b), revokeAll(other))
}

func (r *run) lock() {
	a := oracle.LockAsk{
		Reason: "incident", DryRun: chance(r.T, "dry", 20),
		Until: r.model.Now.Add(pick(r.T, "until", 10*time.Minute, 2*time.Hour, time.Minute, 0)),
	}
	a.Subject, a.Environment, a.Pool = r.scope()
	a.Everything = a.Subject == "" && a.Environment == "" && !chance(r.T, "said wrongly", 15)
	other := a
	other.Reason += "!"
	r.act(r.operator(), lock(a), lock(other))
}

func (r *run) unlock() {
	id := "id9999"
	if n := len(r.model.Locks); n > 0 {
		id = r.model.Locks[below(r.T, "lock", n)].ID
	}
	r.act(r.operator(), unlock(id, "over"), unlock(id, "over!"))
}
