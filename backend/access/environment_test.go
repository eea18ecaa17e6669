package access_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// templates has pr-*, whose environments have the pool web, and found-*, whose environments nobody registers.
type templates struct {
	w    *world
	mu   sync.Mutex
	err  error // of Check
	max  int
	seen []string // that Refresh saw in the store
}

var ci = access.Caller{Subject: "service:ci"}

func (s *templates) Template(name string) (access.Template, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(name, "pr-"):
		return access.Template{Pattern: "pr-*", Registrars: []string{"service:ci", "releasers"}, Max: s.max}, true
	case strings.HasPrefix(name, "found-"):
		return access.Template{Pattern: "found-*", Registrars: []string{"service:ci"}, Max: s.max, Found: true}, true
	}
	return access.Template{}, false
}

func (s *templates) Check(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *templates) Describe(name string) (pools, problems []string) {
	return []string{"web"}, []string{name + " has a problem"}
}

func (s *templates) Refresh(ctx context.Context) error {
	rows, err := s.w.db.Environments(ctx, s.w.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
	for _, r := range rows {
		if r.RemovedAt.IsZero() {
			s.seen = append(s.seen, r.Name)
		}
	}
	return err
}

const ephemeralPolicy = `
version: 1
name: ephemeral
rules:
  - name: approved
    match: {pools: ["pr-9/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
    approve: {all_of: [{group: sre}]}
  - name: others
    match: {pools: ["*/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
`

// withTemplates is a world whose catalog always has the pools of pr-1, pr-2, pr-9 and found-1, as a gateway's that has not
// heard yet that one is gone.
func withTemplates(t *testing.T) (*world, *templates) {
	w := newWorld(t)
	w.inForce(ephemeralPolicy)
	for _, name := range []string{"found-1", "pr-1", "pr-2", "pr-9"} {
		w.catalog.have = append(w.catalog.have, access.Pool{Name: grant.Pool{Environment: name, Name: "web"}})
	}
	s := &templates{w: w, max: 3}
	w.service = w.ephemeral(s)
	return w, s
}

func (w *world) ephemeral(s *templates) *access.Service {
	return w.build(func(c *access.Config) {
		c.Environments, c.Templates = w.db, s
		c.NewID = func() string { return "e" + w.key() }
	})
}

func (w *world) register(name string) access.Environment {
	w.t.Helper()
	e, err := w.service.RegisterEnvironment(w.t.Context(), ci, name, w.key())
	if err != nil {
		w.t.Fatalf("register %s: %v", name, err)
	}
	return e
}

func (w *world) remove(c access.Caller, name string) access.RemovalView {
	w.t.Helper()
	v, err := w.service.RemoveEnvironment(w.t.Context(), c, name, w.key())
	if err != nil {
		w.t.Fatalf("remove %s: %v", name, err)
	}
	return v
}

// Who registers, removes and lists, and changes servers there; by hand.
func TestOperatorsAndRegistrarsChangeEnvironments(t *testing.T) {
	fakeCI := access.Caller{Subject: "alice@example.com", Groups: []string{"service:ci"}, GroupsAt: begin}
	for name, c := range map[string]struct {
		caller access.Caller
		may    access.Code
		lists  int
	}{
		"an operator":                           {oscar, ok, 1},
		"a registrar that is a service account": {ci, ok, 1},
		"a registrar by group":                  {person("rita", "releasers"), ok, 1},
		"another service account":               {robot, no, 0},
		"a service account with a group":        {access.Caller{Subject: "service:x", Groups: []string{"releasers"}}, no, 0},
		"a group called like the service":       {fakeCI, no, 0},
		"an agent":                              {triage, no, 0},
		"a person":                              {alice, no, 0},
		"an auditor":                            {audrey, no, 1},
		"nobody at all":                         {access.Caller{Groups: []string{"releasers"}}, no, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := withTemplates(t)
			w.register("pr-1")
			_, err := w.service.RegisterEnvironment(t.Context(), c.caller, "pr-2", w.key())
			w.equal("register", code(err), c.may)
			_, err = w.service.AddServer(t.Context(), c.caller, "pr-1", "web", access.Server{Name: "s", Address: "10.0.0.1", Port: 1}, w.key())
			w.equal("add a server", code(err), c.may)
			_, err = w.service.DrainServer(t.Context(), c.caller, "pr-1", "web", "s", false, w.key())
			w.equal("drain a server", code(err), c.may)
			_, err = w.service.RemoveServer(t.Context(), c.caller, "pr-1", "web", "s", w.key())
			w.equal("remove a server", code(err), c.may)
			_, err = w.service.AddServer(t.Context(), c.caller, "prod", "db", access.Server{Name: "s"}, w.key())
			w.equal("a server in prod", code(err) == ok, c.caller.Subject == oscar.Subject)
			_, err = w.service.RemoveEnvironment(t.Context(), c.caller, "pr-2", w.key())
			w.equal("remove", code(err), c.may)
			list, _ := w.service.ListEnvironments(t.Context(), c.caller)
			w.equal("list", len(list), c.lists)
			_, err = w.service.Servers(t.Context(), c.caller, "pr-1", "web")
			w.equal("see servers", code(err) == ok, c.lists == 1)
		})
	}
}

func TestWhatIsNoTemplatesIsNotRegistered(t *testing.T) {
	w, s := withTemplates(t)
	for name, want := range map[string]access.Code{
		"prod": unknown, "other-1": unknown, "found-1": conflict, "pr-A": invalid, "pr-1|x": invalid, "": invalid,
		"pr-" + strings.Repeat("x", 29): invalid,
	} {
		_, err := w.service.RegisterEnvironment(t.Context(), oscar, name, w.key())
		w.equal("register "+name, code(err), want)
		_, err = w.service.RemoveEnvironment(t.Context(), oscar, name, w.key())
		w.equal("remove "+name, code(err), want)
	}
	s.err = fmt.Errorf("%w: host x is prod/db's", access.ErrEnvironment)
	_, err := w.service.RegisterEnvironment(t.Context(), oscar, "pr-1", w.key())
	if code(err) != conflict || !strings.Contains(err.Error(), "host x is prod/db's") {
		t.Errorf("a conflict: %v", err)
	}
	s.err = errBroken
	_, err = w.service.RegisterEnvironment(t.Context(), oscar, "pr-1", w.key())
	if code(err) != access.Unavailable || strings.Contains(err.Error(), marker) {
		t.Errorf("no node answers: %v", err)
	}
	rows, err := w.db.Environments(t.Context(), time.Time{})
	w.equal("none is registered", []any{len(rows), code(err)}, []any{0, ok})
}

func TestNoMoreEnvironmentsThanTheTemplateAllows(t *testing.T) {
	w, s := withTemplates(t)
	w.register("pr-1")
	w.register("pr-2")
	w.register("pr-3")
	_, err := w.service.RegisterEnvironment(t.Context(), ci, "pr-4", w.key())
	w.equal("a fourth", code(err), conflict)
	w.register("pr-3") // is there
	w.remove(ci, "pr-2")
	w.register("pr-4")
	w.equal("the catalog follows", s.seen, []string{"pr-1", "pr-3", "pr-4"})
}

// A call that is repeated does what it did, and nothing to what came after it.
func TestARepeatedCallDoesNotTouchALaterEnvironment(t *testing.T) {
	w, _ := withTemplates(t)
	register, remove := w.key(), w.key()
	do := func(method, key string) access.Code {
		w.pass(time.Second)
		var err error
		if method == "register" {
			_, err = w.service.RegisterEnvironment(t.Context(), ci, "pr-1", key)
		} else {
			_, err = w.service.RemoveEnvironment(t.Context(), ci, "pr-1", key)
		}
		return code(err)
	}
	there := func() bool {
		list, err := w.service.ListEnvironments(t.Context(), ci)
		return err == nil && len(list) == 1
	}
	for i, c := range []struct {
		method, key string
		want        access.Code
		there       bool
	}{
		{"remove", w.key(), unknown, false},
		{"register", register, ok, true}, {"register", register, ok, true}, {"register", w.key(), ok, true},
		{"remove", register, ok, false}, // keys are of one method
		{"register", register, unknown, false},
		{"register", w.key(), ok, true}, {"remove", remove, ok, false}, {"remove", remove, ok, false},
		{"register", w.key(), ok, true}, {"remove", remove, ok, true},
	} {
		if got := do(c.method, c.key); got != c.want || there() != c.there {
			t.Errorf("step %d, %s: %s, there %t; want %s, %t", i, c.method, got, there(), c.want, c.there)
		}
	}
}

// I4: with the environment end its grants, in whatever state they are, and nobody gets new ones; other environments' stay.
func TestI4TheRemovalOfAnEnvironmentEndsItsGrants(t *testing.T) {
	w, _ := withTemplates(t)
	for _, name := range []string{"pr-1", "pr-2", "pr-9"} {
		w.register(name)
	}
	w.pass(time.Second)
	active, other := w.request(alice, "pr-1", "web"), w.request(alice, "pr-2", "web")
	pending, static := w.request(alice, "pr-9", "web"), w.request(alice, "staging", "db")
	later := ask("pr-1", "web")
	later.StartsAt = w.now().Add(time.Minute)
	approved := w.requested(dave, later)

	v := w.remove(ci, "pr-1")
	w.equal("counts", v, access.RemovalView{Open: map[grant.State]int{grant.Active: 1, grant.Approved: 1}})
	w.remove(oscar, "pr-9")
	for id, by := range map[string]grant.Subject{
		active.Grant.ID: ci.Subject, approved.Grant.ID: ci.Subject, pending.Grant.ID: oscar.Subject,
	} {
		g := w.stored(id)
		if g.State != grant.Revoked && g.State != grant.Denied && g.State != grant.Cancelled || g.Cause != grant.CauseOperator ||
			g.EndedBy != by || !strings.Contains(g.Comment, "was removed") {
			t.Errorf("%s is %s, cause %s, by %s: %s", g.Pool, g.State, g.Cause, g.EndedBy, g.Comment)
		}
	}
	for _, v := range []access.View{other, static} {
		w.equal("another environment's "+v.Grant.Pool.String(), w.stored(v.Grant.ID).State, grant.Active)
	}
	w.equal("nodes are told", w.enforcer.told()[len(w.enforcer.told())-1], w.events()[len(w.events())-1].Revision)
	// The catalog of this gateway still has its pools.
	_, err := w.service.Request(t.Context(), alice, ask("pr-1", "web"), w.key())
	w.equal("new access", code(err), unknown)
	_, err = w.service.AddServer(t.Context(), ci, "pr-1", "web", access.Server{Name: "s"}, w.key())
	w.equal("a server", code(err), unknown)

	w.register("pr-1")
	w.pass(time.Second)
	again := w.request(alice, "pr-1", "web")
	if err := w.service.Judge(t.Context()); err != nil {
		t.Error(err)
	}
	w.equal("after it was registered again", w.stored(again.Grant.ID).State, grant.Active)
	w.equal("what was ended stays so", w.stored(active.Grant.ID).State, grant.Revoked)
}

// I4: what another gateway let in between its look and the removal is ended by the judge, also if the environment is
// there again by then.
func TestI4AGrantThatSlipsInIsEndedByTheJudge(t *testing.T) {
	for name, again := range map[string]bool{"removed": false, "registered again": true} {
		t.Run(name, func(t *testing.T) {
			w, _ := withTemplates(t)
			w.register("pr-1")
			w.pass(time.Second)
			w.broken.meanwhile("Commit", func() {
				if err := w.db.RemoveEnvironment(t.Context(), "pr-1", oscar.Subject, w.now()); err != nil {
					t.Error(err)
				}
			})
			v := w.request(alice, "pr-1", "web")
			w.equal("it slipped in", w.stored(v.Grant.ID).State, grant.Active)
			w.pass(time.Second)
			if again {
				row := store.Environment{Name: "pr-1", Template: "pr-*", By: oscar.Subject, At: w.now()}
				if err := w.db.RegisterEnvironment(t.Context(), row); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.service.Judge(t.Context()); err != nil {
				t.Error(err)
			}
			g := w.stored(v.Grant.ID)
			w.equal("state", []any{g.State, g.Cause, g.EndedBy}, []any{grant.Revoked, grant.CauseOperator, oscar.Subject})
		})
	}
}

// A gateway without the template knows by the store that the environment was removed; one that has it as a configured
// environment goes by its configuration.
func TestI4AGatewayJudgesRemovedEnvironmentsByTheStore(t *testing.T) {
	w, s := withTemplates(t)
	w.register("pr-1")
	w.pass(time.Second)
	v := w.request(alice, "pr-1", "web")
	if err := w.db.RemoveEnvironment(t.Context(), "pr-1", "", w.now()); err != nil {
		t.Fatal(err)
	}
	static := &staticTemplates{s}
	w.service = w.build(func(c *access.Config) { c.Environments, c.Templates = w.db, static })
	if err := w.service.Judge(t.Context()); err != nil {
		t.Error(err)
	}
	w.equal("where it is configured", w.stored(v.Grant.ID).State, grant.Active)
	w.catalog.lose(grant.Pool{Environment: "pr-1", Name: "web"})
	if err := w.service.Judge(t.Context()); err != nil {
		t.Error(err)
	}
	g := w.stored(v.Grant.ID)
	w.equal("where it is unknown", []any{g.State, g.Cause, g.EndedBy}, []any{grant.Revoked, grant.CausePolicyChanged, grant.Subject("")})
}

// staticTemplates has no template.
type staticTemplates struct{ *templates }

func (staticTemplates) Template(string) (access.Template, bool) { return access.Template{}, false }

// I6: however a removal and a request meet, once the judge has been there nothing is open in the environment.
func TestI6ARemovalAndARequestLeaveNothingOpen(t *testing.T) {
	w, s := withTemplates(t)
	for range rounds {
		w.register("pr-1")
		w.pass(time.Second)
		var wg sync.WaitGroup
		gate := make(chan struct{})
		var asked, removed error
		one, other := w.ephemeral(s), w.ephemeral(s)
		wg.Go(func() {
			<-gate
			_, asked = one.Request(t.Context(), alice, ask("pr-1", "web"), w.key())
		})
		wg.Go(func() {
			<-gate
			_, removed = other.RemoveEnvironment(t.Context(), ci, "pr-1", w.key())
		})
		close(gate)
		wg.Wait()
		if got := code(asked); removed != nil || !slices.Contains([]access.Code{ok, unknown}, got) {
			t.Fatalf("request %v, removal %v", asked, removed)
		}
		if err := w.service.Judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		open, err := w.db.List(t.Context(), store.Query{Environment: "pr-1", States: []grant.State{grant.Pending, grant.Approved, grant.Active}, Limit: 10})
		if err != nil || len(open.Records) > 0 {
			t.Fatalf("open: %v, %v", open, err)
		}
		w.pass(time.Second)
	}
}

// Nothing of an earlier environment of the name may be open in a new one.
func TestI4AnEnvironmentIsNotRegisteredOverOpenGrants(t *testing.T) {
	w, _ := withTemplates(t)
	w.register("pr-1")
	w.pass(time.Second)
	v := w.request(alice, "pr-1", "web")
	if err := w.db.RemoveEnvironment(t.Context(), "pr-1", oscar.Subject, w.now()); err != nil {
		t.Fatal(err)
	}
	w.broken.set("List")
	_, err := w.service.RegisterEnvironment(t.Context(), ci, "pr-1", w.key())
	w.equal("while they cannot be ended", code(err), access.Unavailable)
	w.broken.set("")
	w.register("pr-1")
	w.equal("afterwards", w.stored(v.Grant.ID).State, grant.Revoked)
}

func TestDrainingASecondTimeIsTheSameCallAndBackIsAnother(t *testing.T) {
	w := newWorld(t)
	key := w.key()
	for _, c := range []struct {
		ready bool
		want  access.Code
	}{{false, ok}, {false, ok}, {true, conflict}} {
		_, err := w.service.DrainServer(t.Context(), oscar, "prod", "db", "s1", c.ready, key)
		w.equal("code", code(err), c.want)
	}
	w.fleet.err = fmt.Errorf("node n1: %w", access.ErrNoServer)
	_, err := w.service.DrainServer(t.Context(), oscar, "prod", "db", "s1", true, w.key())
	w.equal("not there", code(err), unknown)
	w.equal("calls", w.fleet.calls, []string{"drain prod/db s1 false", "drain prod/db s1 false", "drain prod/db s1 true"})
}

// reports is what became of a grant, or the error.
type reports struct{ err error }

func (r reports) GrantReports(_ context.Context, id string) ([]store.GrantReport, error) {
	return []store.GrantReport{{GrantID: id, Node: "n1", Admitted: 7}}, r.err
}

func TestWhatBecameOfAGrantIsShownWhereItIsReadByItself(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "staging", "db")
	for _, r := range []reports{{}, {errBroken}} {
		w.service = w.build(func(c *access.Config) { c.Reports = r })
		got, err := w.service.Get(t.Context(), alice, v.Grant.ID)
		if r.err != nil {
			w.equal("a broken store", []any{code(err), strings.Contains(err.Error(), marker)}, []any{access.Internal, false})
			continue
		}
		w.equal("reports", got.Nodes, []store.GrantReport{{GrantID: v.Grant.ID, Node: "n1", Admitted: 7}})
		page, err := w.service.List(t.Context(), alice, access.Filter{})
		w.equal("in a list", []any{code(err), len(page.Grants[0].Nodes)}, []any{ok, 0})
	}
}
