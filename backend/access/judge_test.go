package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func (w *world) judge() {
	w.t.Helper()
	if err := w.service.Judge(w.t.Context()); err != nil {
		w.t.Fatalf("judge: %v", err)
	}
}

// agentPolicy gives to the agent while its owner is in eng.
const agentPolicy = `
version: 1
name: agents
rules:
  - name: agents
    match: {pools: ["*/*"]}
    who: {agents: [triage]}
    when: [{condition: '"eng" in owner.groups', message: Your owner must be in eng}]
    limits: {max_duration: 1h}
`

// I4: what does not stand any more ends, with its cause; written by hand for each thing that can be lost.
func TestI4WhatDoesNotStandAnyMoreEnds(t *testing.T) {
	changed := func(rule string) func(w *world) {
		return func(w *world) {
			w.inForce(`{version: 1, name: changed, rules: [{name: new, match: {pools: ["*/*"]}, ` + rule + `}]}`)
		}
	}
	staging := func(w *world) access.View { return w.requested(w.login(alice, "eng"), ask("staging", "db")) }
	newer := func(w *world) access.View { // than what the directory knows of her
		w.identify(alice.Subject, begin.Add(-time.Hour), "other")
		return w.request(alice, "staging", "db")
	}
	pending := func(w *world) access.View { return w.requested(w.login(alice, "eng"), ask("prod", "db")) }
	approved := func(w *world) access.View { return w.approve(pending(w)) }
	window := func(w *world) access.View { return w.window(alice, time.Hour) }
	agents := func(w *world) access.View {
		w.inForce(agentPolicy)
		w.login(dave, "eng")
		return w.requested(w.identify("service:triage-bot", begin), ask("staging", "db"))
	}
	for name, c := range map[string]struct {
		make   func(w *world) access.View
		change func(w *world)
		cause  grant.Cause // empty: it stands
	}{
		"nothing changed":               {staging, func(*world) {}, ""},
		"nothing changed, pending":      {pending, func(*world) {}, ""},
		"nothing changed, approved":     {window, func(*world) {}, ""},
		"nothing changed for the agent": {agents, func(*world) {}, ""},
		"not allowed any more":          {staging, changed(`who: {groups: [other]}, limits: {max_duration: 1h}`), grant.CausePolicyChanged},
		"denied":                        {staging, changed(`effect: deny, description: A freeze`), grant.CausePolicyChanged},
		"for less long":                 {staging, changed(`who: {groups: [eng]}, limits: {max_duration: 14m}`), grant.CausePolicyChanged},
		"for exactly as long":           {staging, changed(`who: {groups: [eng]}, limits: {max_duration: 15m}`), ""},
		"with approvals that it lacks":  {staging, changed(`who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre}]}`), grant.CausePolicyChanged},
		"with approvals that it has":    {approved, changed(`who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre}]}`), ""},
		"with one more approval":        {approved, changed(`who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: sre, count: 2}]}`), grant.CausePolicyChanged},
		"pending, with other approvers": {pending, changed(`who: {groups: [eng]}, limits: {max_duration: 1h}, approve: {all_of: [{group: security}]}`), grant.CausePolicyChanged},
		"a window, not allowed":         {window, changed(`who: {groups: [other]}, limits: {max_duration: 1h}`), grant.CausePolicyChanged},
		"at no hour of this time":       {staging, changed(`who: {groups: [eng]}, limits: {max_duration: 1h, hours: [{days: [sat], from: "10:00", to: "11:00"}]}`), grant.CausePolicyChanged},
		"a group lost by a later login": {staging, func(w *world) { w.login(alice, "other") }, grant.CauseGroupLost},
		"pending, a group lost":         {pending, func(w *world) { w.login(alice) }, grant.CauseGroupLost},
		"an approver's group lost":      {approved, func(w *world) { w.login(bob, "eng") }, ""},
		"another's group lost":          {staging, func(w *world) { w.login(dave) }, ""},
		"groups gained":                 {staging, func(w *world) { w.login(alice, "eng", "sre") }, ""},
		"an old login without groups": {staging, func(w *world) {
			w.identify(alice.Subject, begin.Add(-time.Hour))
		}, ""},
		"only older groups are known": {newer, func(*world) {}, ""},
		"another pool gone":           {staging, func(w *world) { w.catalog.lose(stagingApp) }, ""},
		"the agent gone":              {agents, func(w *world) { w.service = w.build(func(c *access.Config) { c.Agents = nil }) }, grant.CausePolicyChanged},
		"the agent another owner's":   {agents, func(w *world) { w.service = w.build(ownedBy(alice.Subject)) }, grant.CausePolicyChanged},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := c.make(w)
			w.pass(time.Minute)
			c.change(w)
			w.judge()
			g := w.stored(v.Grant.ID)
			if c.cause == "" {
				w.equal("state", g.State, v.Grant.State)
				w.equal("version", g.Version, v.Grant.Version)
				return
			}
			w.equal("state", g.State, grant.Revoked)
			w.equal("cause", g.Cause, c.cause)
			w.equal("by policy, nobody", g.EndedBy, grant.Subject(""))
			w.equal("told", w.enforcer.told()[len(w.enforcer.told())-1], w.events()[len(w.events())-1].Revision)
			events := len(w.events())
			w.judge()
			w.equal("a second pass writes nothing", len(w.events()), events)
			_, _, err := w.service.IssueToken(t.Context(), access.Caller{Subject: g.Subject}, g.ID)
			w.equal("no token", code(err), access.Conflict)
		})
	}
}

// I4: what an agent was given for its owner's groups ends with them. Which cause that is, policy says.
func TestI4AnAgentsAccessEndsWithItsOwnersGroup(t *testing.T) {
	w := newWorld(t)
	w.inForce(agentPolicy)
	w.login(dave, "eng")
	v := w.requested(w.identify("service:triage-bot", begin), ask("staging", "db"))
	w.equal("decided on", []any{v.Grant.Groups, v.Grant.GroupsAt, v.Grant.GroupsSource}, []any{[]string{"eng"}, begin, "login"})
	w.pass(time.Minute)
	w.login(dave, "other")
	w.judge()
	g := w.stored(v.Grant.ID)
	w.equal("state", g.State, grant.Revoked)
	if !strings.Contains(g.Comment, "Your owner must be in eng") || !strings.Contains(g.Comment, "groups of 2026-01-02T03:05:05Z by login") {
		t.Errorf("comment %q", g.Comment)
	}
	_, err := w.service.Request(t.Context(), w.identify("service:triage-bot", begin), ask("staging", "db"), w.key())
	w.equal("again", code(err), access.Forbidden)
	w.equal("the refusal says by what", w.last().Grant.Groups, []string{"other"})
}

func ownedBy(owner grant.Subject) func(*access.Config) {
	return func(c *access.Config) {
		c.Agents = map[grant.Subject]access.Agent{"service:triage-bot": {Subject: triage.Subject, Owner: owner}}
	}
}

// Who reads the audit must see by what it was judged: the policy, its hash, and of when the groups are.
func TestARevocationByPolicySaysByWhatItWasJudged(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	w.inForce(basePolicy)
	v := w.requested(w.login(alice, "eng"), ask("staging", "db"))
	w.pass(90 * time.Second)
	w.login(alice, "other")
	w.pass(time.Minute)
	w.judge()
	_, hash := w.policy.Version()
	want := fmt.Sprintf("You must be a member of eng. (policy base, %s; groups of 2026-01-02T03:05:35Z by login)", hash[:12])
	w.equal("comment", w.stored(v.Grant.ID).Comment, want)
}

// Office hours limit when access begins, not how long it lasts.
func TestOfficeHoursThatAreOverEndNothing(t *testing.T) {
	w := newWorld(t)
	w.inForce(`{version: 1, name: hours, rules: [{name: all, match: {pools: ["*/*"]}, who: {groups: [eng]},
	  limits: {max_duration: 1h, hours: [{days: [fri], from: "03:00", to: "03:10"}]}}]}`)
	v := w.request(alice, "staging", "db")
	w.pass(10 * time.Minute)
	_, err := w.service.Request(t.Context(), dave, ask("staging", "db"), w.key())
	w.equal("no new one", code(err), access.Forbidden)
	w.judge()
	w.equal("state", w.stored(v.Grant.ID).State, grant.Active)
}

// late is a policy that does not answer in time.
type late struct{ policy.Engine }

func (late) Evaluate(context.Context, policy.Request) policy.Decision {
	return policy.Decision{TimedOut: true, Explanation: "Too late."}
}

// I12: a policy that cannot answer in time ends nothing and opens nothing, and that is loud.
func TestI12APolicyThatIsLateEndsNothingAndOpensNothing(t *testing.T) {
	w := newWorld(t)
	active, pending, window := w.request(alice, "staging", "db"), w.request(alice, "prod", "db"), w.window(alice, time.Minute)
	s := w.build(func(c *access.Config) { c.Policy = late{c.Policy} })
	w.pass(2 * time.Minute)
	if err := s.Judge(t.Context()); err == nil || !strings.Contains(err.Error(), active.Grant.ID) {
		t.Errorf("error %v", err)
	}
	if err := s.Sweep(t.Context()); err == nil {
		t.Error("the sweep says nothing of the window")
	}
	for _, v := range []access.View{active, pending, window} {
		w.equal(v.Grant.ID, w.stored(v.Grant.ID).State, v.Grant.State)
	}
	_, err := s.Approve(t.Context(), bob, shown(pending), w.key())
	w.equal("approve", code(err), access.Unavailable)
	_, err = s.Extend(t.Context(), alice, longer(active, time.Minute), w.key())
	w.equal("extend", code(err), access.Unavailable)
	_, err = s.Request(t.Context(), dave, ask("staging", "db"), w.key())
	w.equal("request", code(err), access.Unavailable)
}

// partial is a directory that fails for one subject.
type partial struct {
	access.Directory
	fails grant.Subject
}

func (p partial) Membership(ctx context.Context, s grant.Subject) (access.Membership, bool, error) {
	if s == p.fails {
		return access.Membership{}, false, errBroken
	}
	return p.Directory.Membership(ctx, s)
}

// A grant that cannot be judged, or not be ended, stays and is named; all others are judged, on every page.
func TestOneBadGrantDoesNotHoldUpTheJudge(t *testing.T) {
	for name, broken := range map[string]func(w *world, id string, subject grant.Subject) *access.Service{
		"its groups cannot be read": func(w *world, _ string, subject grant.Subject) *access.Service {
			return w.build(func(c *access.Config) { c.Directory = partial{c.Directory, subject} })
		},
		"it cannot be ended": func(w *world, id string, _ grant.Subject) *access.Service {
			return w.build(func(c *access.Config) { c.Grants = failing{w.db, id, errBroken} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pass(time.Hour)
			first := w.request(alice, "prod", "db").Grant.ID // older than all, so on the last page
			w.pass(time.Hour)
			w.insertAt(w.now(), 230, someone)
			w.pass(10 * time.Minute)
			bad := w.request(dave, "prod", "db").Grant // on the first
			w.inForce(`{version: 1, name: none, rules: [{name: no, match: {pools: ["*/*"]}, effect: deny, description: A freeze}]}`)
			err := broken(w, bad.ID, bad.Subject).Judge(t.Context())
			if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), bad.ID) {
				t.Errorf("error %v", err)
			}
			w.equal("the bad one", w.stored(bad.ID).State, grant.Pending)
			w.equal("the last", w.stored(first).State, grant.Revoked)
			w.equal("open", w.ids(audrey, access.Filter{States: []grant.State{grant.Pending}}), []string{bad.ID})
			w.judge()
			w.equal("the bad one, at last", w.stored(bad.ID).State, grant.Revoked)
		})
	}
}

func TestAJudgeWithoutItsStoreSaysSo(t *testing.T) {
	w := newWorld(t)
	w.request(alice, "staging", "db")
	for _, method := range []string{"List", "Locks", "Login"} {
		w.broken.set(method)
		if err := w.service.Judge(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("without %s: %v", method, err)
		}
	}
}

// quiet is a store without grants and locks.
type quiet struct {
	store.Grants
	history
	reads *atomic.Int64
}

func (q quiet) List(context.Context, store.Query) (store.Page, error) {
	q.reads.Add(1)
	return store.Page{}, nil
}

// calm is a log without events.
type calm struct{ history }

func (calm) History(context.Context, store.EventQuery) ([]store.Entry, error) { return nil, nil }

// The judge runs at once, at its interval, and when it is told of a change; being told twice is being told once.
func TestTheJudgeRunsAtOnceWhenItIsPoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		w := &world{t: t, policy: &policy.Current{}, source: &source{}, enforcer: &enforcer{}, tokens: &tokens{}, fleet: &fleet{},
			catalog: &catalog{}, broken: &broken{}}
		s := w.build(func(c *access.Config) { c.Grants, c.History, c.Now = quiet{reads: &reads}, calm{}, time.Now })
		j := access.NewJudge(s, time.Minute, func(err error) { t.Error(err) })
		j.Start()
		synctest.Wait()
		w.equal("at once", reads.Load(), int64(1))
		s.Poke()
		s.Poke()
		synctest.Wait()
		before := reads.Load()
		w.equal("poked", before > 1 && before <= 3, true)
		time.Sleep(61 * time.Second)
		w.equal("at its interval", reads.Load(), before+1)
		j.Stop()
		s.Poke()
		time.Sleep(2 * time.Minute)
		w.equal("stopped", reads.Load(), before+1)
	})
}

// A gateway that knows less than another one on the same store, as during a roll-out, ends nothing for it, and says so.
func TestAGatewayEndsNothingOfWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	w.catalog.lose(stagingDB)
	if err := w.service.Judge(t.Context()); err == nil {
		t.Error("an unknown pool: nothing is said")
	}
	w.equal("state", w.stored(v.Grant.ID).State, grant.Active)

	// Another policy has come into force elsewhere; here the one before is, which would not give it.
	w = newWorld(t)
	v = w.request(alice, "staging", "db")
	other := grant.Event{Verb: grant.LoadPolicy, At: w.now(), Grant: grant.Grant{Policy: "new", PolicyHash: "beef"}}
	if _, err := w.db.Commit(t.Context(), store.Change{Events: []grant.Event{other}}); err != nil {
		t.Fatal(err)
	}
	w.inForce(`{version: 1, name: old, rules: [{name: no, match: {pools: ["*/*"]}, effect: deny, description: A freeze}]}`)
	if err := w.service.Judge(t.Context()); err == nil {
		t.Error("another policy: nothing is said")
	}
	w.equal("state", w.stored(v.Grant.ID).State, grant.Active)
	if err := w.service.PolicyInForce(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.judge()
	w.equal("state", w.stored(v.Grant.ID).State, grant.Revoked)
}
