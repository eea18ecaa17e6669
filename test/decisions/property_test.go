package decisions

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

// run is one case: the real thing and the model of it, side by side.
type run struct {
	*rapid.T
	ctx      context.Context
	org      *organisation
	gateway  *gateway
	model    *oracle.World
	log      *chronicle
	refusals int
	keys     int
	past     []pastCall
	document string
	// moved counts changes of policy, groups and pools; basis is how many there were when a grant was given, by its id.
	moved int
	basis map[string]int
}

// pastCall can be made again.
type pastCall struct {
	who, key string
	at       time.Time
	again    call
	altered  call
}

// TestTheDecisionSideDoesWhatTheModelDoes drives random organisations, policies, clocks and callers through both.
func TestTheDecisionSideDoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := newRun(t)
		defer r.close()
		for range 10 + below(t, "steps", 60) {
			r.step()
		}
	})
}

// monday is some time before which the zones of the grammar have had their last change.
var monday = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)

func newRun(t *rapid.T) *run {
	ctx := context.Background()
	r := &run{T: t, ctx: ctx, org: drawOrganisation(t), basis: map[string]int{}}
	now := monday.Add(time.Duration(below(t, "minutes after Monday 7:00", 6*24*60))*time.Minute + 123456789)
	g, err := newGateway(ctx, now, r.org.agents, 1)
	if err != nil {
		t.Fatalf("make the gateway: %v", err)
	}
	r.gateway, r.log = g, newChronicle()
	r.model = oracle.NewWorld(now)
	r.model.MaxAge, r.model.Operators, r.model.Auditors = groupsMaxAge, []string{"operators"}, []string{"auditors"}
	r.model.Agents = r.org.agents
	for p, tags := range r.org.tags {
		r.pool(p, tags, true)
	}
	r.enforce(drawRules(t))
	return r
}

func (r *run) close() {
	if err := r.gateway.close(); err != nil {
		r.Errorf("close the store: %v", err)
	}
}

func (r *run) service() *access.Service { return r.gateway.replicas[0] }

// pool adds a pool to the configuration, or takes it out.
func (r *run) pool(p oracle.Place, tags []string, exists bool) {
	r.gateway.catalog.set(p, tags, exists)
	if delete(r.model.Tags, p); exists {
		r.model.Tags[p] = tags
	}
	r.moved++
}

// enforce puts a policy in force, by its documents.
func (r *run) enforce(rules []oracle.Rule) {
	p, text, err := compile(rules)
	if err != nil {
		r.Fatalf("a policy of the grammar does not compile: %v\n%s", err, text)
	}
	r.gateway.policy.Set(p)
	r.model.Rules, r.document = rules, text
	if err := r.service().PolicyInForce(r.ctx); err != nil {
		r.Fatalf("record the policy: %v", err)
	}
	r.moved++
}

func (r *run) pass(d time.Duration) { r.model.Now = r.gateway.clock.pass(d) }

// do makes a call as somebody, in both worlds, and compares all there is.
func (r *run) do(who, key string, l login, c call) {
	r.Helper()
	r.Logf("%s: %s calls %s [%s]", r.model.Now.Format("Mon 15:04:05.000"), who, c.what, key)
	known := maps.Clone(r.model.Logins)
	caller, err := r.service().Identify(r.ctx, access.Login{Subject: grant.Subject(who), Groups: l.groups, At: l.at})
	modelled, code := r.model.Identify(who, l.groups, l.at)
	if got := codeOf(err); got != code {
		r.Fatalf("identify %s: %s, the model says %s", who, got, code)
	}
	old, had := known[who]
	if l, has := r.model.Logins[who]; has != had || !slices.Equal(old.Groups, l.Groups) {
		r.moved++
	}
	if code != oracle.OK {
		r.compare()
		return
	}
	r.same("caller", oracle.Caller{Name: string(caller.Subject), Groups: caller.Groups, GroupsAt: caller.GroupsAt,
		Owner: string(caller.Owner), OwnerGroups: caller.OwnerGroups}, modelled)
	if (caller.OwnerGroups == nil) != (modelled.OwnerGroups == nil) {
		r.Fatalf("whether the owner's groups are known: %v, the model says %v", caller.OwnerGroups, modelled.OwnerGroups)
	}
	got := c.real(r.ctx, r.service(), caller, key)
	want := c.model(r.model, modelled, key, got.ref)
	if got.code != want.code || got.code == oracle.OK && got.ref != want.ref {
		r.Fatalf("%s calls %s: %s %s (%v), the model says %s %s\npolicy:\n%s", who, c.what, got.code, got.ref, got.why, want.code, want.ref, r.document)
	}
	r.same("what it covers", got.open, want.open)
	r.Logf("  -> %s %s", got.code, got.ref)
	r.compare()
	if got.view != nil {
		stored, err := r.gateway.db.Grant(r.ctx, got.view.Grant.ID)
		if err != nil {
			r.Fatalf("read what was answered: %v", err)
		}
		r.same("answer", got.view.Grant, stored.Grant)
	}
}

func (r *run) same(what string, got, want any) {
	r.Helper()
	if diff := cmp.Diff(want, got, sameValue); diff != "" {
		r.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// compare holds the store against the model, and the log against what must hold whatever is done.
func (r *run) compare() {
	r.Helper()
	entries, err := r.gateway.events(r.ctx, r.log.revision)
	if err != nil {
		r.Fatalf("read the log: %v", err)
	}
	for _, e := range entries {
		if e.Event.Verb == grant.Refuse {
			r.refusals++
		}
		r.undisturbed(e.Event)
		if err := r.log.add(e); err != nil {
			r.Fatalf("the log at revision %d, %s of %s: %v", e.Revision, e.Event.Verb, e.Event.Grant.ID, err)
		}
	}
	if err := r.log.quiet(r.model.Now); err != nil {
		r.Fatalf("the log: %v", err)
	}
	if r.refusals != r.model.Refusals {
		r.Fatalf("%d refusals in the log, the model says %d", r.refusals, r.model.Refusals)
	}
	grants, err := r.gateway.grants(r.ctx)
	if err != nil {
		r.Fatalf("read the grants: %v", err)
	}
	locks, err := r.gateway.db.Locks(r.ctx, time.Time{}, 1000)
	if err != nil {
		r.Fatalf("read the locks: %v", err)
	}
	if diff := differs(r.model, grants, locks); diff != "" {
		r.Fatalf("%s\npolicy:\n%s", diff, r.document)
	}
}

// undisturbed: while policy, groups and pools stay as they were when access was asked for or given, the judge does not end
// it.
func (r *run) undisturbed(e grant.Event) {
	r.Helper()
	id := e.Grant.ID
	judged := e.Grant.Cause == grant.CauseGroupLost || e.Grant.Cause == grant.CausePolicyChanged
	switch {
	case e.Verb == grant.Request, e.Verb == grant.Complete, e.Verb == grant.Extend:
		r.basis[id] = r.moved
	case judged && r.basis[id] == r.moved:
		r.Fatalf("%s was ended for %s, and nothing has changed since it was asked for or given: %s\npolicy:\n%s",
			id, e.Grant.Cause, e.Grant.Comment, r.document)
	}
}

func (r *run) key() string {
	r.keys++
	return fmt.Sprintf("key-%06d", r.keys)
}

// someone presents a login: a new one, or one of before, which may say what is not true any more.
func (r *run) someone(who string) login {
	name := strings.ToLower(who)
	if !strings.Contains(name, "@") {
		return login{at: r.model.Now}
	}
	old := r.org.logins[name]
	if len(old) > 0 && !chance(r.T, "signs in", 75) {
		return old[below(r.T, "login", len(old))]
	}
	l := login{groups: r.org.groups[name], at: r.model.Now}
	r.org.logins[name] = append(old, l)
	return l
}

// act lets somebody make a new call, which can be made again later.
func (r *run) act(who string, c, altered call) {
	p := pastCall{who: who, key: r.key(), at: r.model.Now, again: c, altered: altered}
	r.past = append(r.past, p)
	r.do(who, p.key, r.someone(who), c)
}
