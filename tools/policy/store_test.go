package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

const configText = `
services:
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      sqlite: {path: "%[1]s/store.db"}
  - name: clutch.service.haproxy
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxy.v1.Config
      environments:
        - name: prod
          tags: [live]
          pools:
            - {name: web, backend: be_web, hosts: [web.example]}
            - {name: cards, backend: be_cards, hosts: [cards.example], tags: [pci]}
      nodes:
        - {name: n1, environments: [prod], dataplane: {url: "http://127.0.0.1:5555", username: admin, password_file: /x}}
      enforcement: {maps_dir: /m, keys_dir: /k, pages_dir: /p, binds: [{address: "127.0.0.1:8080"}]}
  - name: clutch.service.haproxyaccess
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxyaccess.v1.Config
      token: {issuer: "https://clutch.example", encryption_key_file: "%[1]s/token-key"}
      clutch_url: https://clutch.example
      policy: {files: ["%[1]s/old.yaml"]}
`

const openToDevelopers = `version: 1
name: old
rules:
  - name: prod
    match: {tags: [live]}
    who: {groups: [dev]}
    limits: {max_duration: 4h}
`

const closedCards = openToDevelopers + `  - name: cards
    effect: deny
    description: Card data is closed
    match: {tags: [pci]}
`

// gateway is a folder with a configuration, two policies, and an open store.
type gateway struct {
	dir, config, old, new string
	db                    *sqlite.DB
}

func newGateway(t *testing.T) gateway {
	t.Helper()
	dir := t.TempDir()
	g := gateway{
		dir: dir, config: filepath.Join(dir, "clutch-config.yaml"),
		old: filepath.Join(dir, "old.yaml"), new: filepath.Join(dir, "new.yaml"),
	}
	for path, text := range map[string]string{
		g.config: fmt.Sprintf(configText, dir), g.old: openToDevelopers, g.new: closedCards,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	g.db = db
	return g
}

// give makes an active grant of somebody in dev for a pool of prod.
func (g gateway) give(t *testing.T, id string, subject grant.Subject, pool string) {
	t.Helper()
	request := g.ask(t, id, subject, pool, time.Time{})
	approved, complete, err := grant.Advance(request.Grant, grant.Action{Verb: grant.Complete}, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, activate, err := grant.Advance(approved, grant.Action{Verb: grant.Activate}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.db.Commit(t.Context(), store.Change{Events: []grant.Event{request, complete, activate}}); err != nil {
		t.Fatal(err)
	}
}

// ask is the request for an hour; it is not written.
func (g gateway) ask(t *testing.T, id string, subject grant.Subject, pool string, start time.Time) grant.Event {
	t.Helper()
	_, request, err := grant.Ask(grant.Grant{
		ID: id, Subject: subject, Pool: grant.Pool{Environment: "prod", Name: pool}, Reason: "r", Duration: time.Hour,
		Groups: []string{"dev"}, GroupsSource: "login", GroupsAt: noon, LapsesAt: noon.Add(time.Hour), StartsAt: start,
	}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// impact runs the command, which must succeed, and returns what it prints.
func impact(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	world := terminal{in: strings.NewReader(""), out: &out, err: &errs, now: func() time.Time { return noon }}
	if status := world.run(t.Context(), append([]string{"impact"}, args...)); status != exitOK {
		t.Fatalf("exit status %d:\n%s", status, errs.String())
	}
	return out.String()
}

func wants(t *testing.T, out string, lines ...string) {
	t.Helper()
	squeezed := strings.Join(strings.Fields(out), " ")
	for _, line := range lines {
		if !strings.Contains(squeezed, line) {
			t.Errorf("%q is missing in:\n%s", line, out)
		}
	}
}

// The gateway holds its store and runs on. Its configuration says which pools there are and how they are tagged.
func TestTheGrantsOfARunningGatewayAreJudged(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-web", "alice@example.com", "web")
	g.give(t, "g-cards", "alice@example.com", "cards")
	out := impact(t, "-c", g.config, g.old, g.new)
	wants(t, out,
		"2 grants judged, 1 would end", "g-cards alice@example.com prod/cards active 2026-03-02T13:00:00Z Card data is closed.",
		"pools 2 pools", "closed prod/cards members of dev at once, at most 4h (prod) refused now",
	)
	for _, never := range []string{"g-web", "note", "stand under the old policy"} {
		if strings.Contains(out, never) {
			t.Errorf("%q is in:\n%s", never, out)
		}
	}
}

// A grant whose subject has lost the group since is not ended by the change, but by the next look of the gateway.
func TestAGrantIsJudgedByTheGroupsOfTheLastLogin(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-cards", "alice@example.com", "cards")
	login := store.Login{Subject: "alice@example.com", Groups: []string{"sales"}, At: noon.Add(time.Minute)}
	if err := g.db.RememberLogin(t.Context(), login, login.At); err != nil {
		t.Fatal(err)
	}
	wants(t, impact(t, "-c", g.config, g.old, g.new), "1 grant judged, 0 would end", "1 grant does not stand under the old policy either")
	// What the command line says is newer still.
	wants(t, impact(t, "-c", g.config, "--groups-of", "alice@example.com=dev", g.old, g.new), "1 grant judged, 1 would end")
}

// Of a login and a request of the same moment the login was first: it is by the login that the request was decided.
func TestALoginOfTheSameMomentCounts(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-cards", "alice@example.com", "cards")
	if err := g.db.RememberLogin(t.Context(), store.Login{Subject: "alice@example.com", Groups: []string{"sales"}, At: noon}, noon); err != nil {
		t.Fatal(err)
	}
	wants(t, impact(t, "-c", g.config, g.old, g.new), "1 grant judged, 0 would end")
}

func TestGrantsThatWaitAreJudgedAndThoseThatEndedAreNot(t *testing.T) {
	g := newGateway(t)
	pending := g.ask(t, "g-pending", "alice@example.com", "cards", time.Time{})
	window := g.ask(t, "g-window", "bob@example.com", "cards", noon.Add(time.Minute))
	_, complete, err := grant.Advance(window.Grant, grant.Action{Verb: grant.Complete}, noon)
	if err != nil {
		t.Fatal(err)
	}
	ended := g.ask(t, "g-ended", "carol@example.com", "cards", time.Time{})
	_, cancel, err := grant.Advance(ended.Grant, grant.Action{Verb: grant.Cancel, Actor: "carol@example.com"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.db.Commit(t.Context(), store.Change{Events: []grant.Event{pending, window, complete, ended, cancel}}); err != nil {
		t.Fatal(err)
	}
	wants(t, impact(t, "-c", g.config, g.old, g.new), "2 grants judged, 2 would end",
		"g-pending alice@example.com prod/cards pending -", "g-window bob@example.com prod/cards approved -")
}

// What the command line says of a pool's tags counts in place of the configuration's: so a change of tags can be tried.
func TestTagsOfTheCommandLineComeFirst(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-cards", "alice@example.com", "cards")
	wants(t, impact(t, "-c", g.config, "--tags", "prod/cards=live", g.old, g.new), "1 grant judged, 0 would end", "0 changes")
}

// An agent is in no group; the groups in its grant are its owner's, and not known if nobody knew them then.
func TestTheGroupsInAnAgentsGrantAreItsOwners(t *testing.T) {
	g := grant.Grant{Subject: "agent:triage", Owner: "bob@example.com", Groups: []string{"dev"}, GroupsAt: noon}
	facts, err := judgementOf(t).of(t.Context(), g)
	if err != nil || facts.Groups != nil || len(facts.OwnerGroups) != 1 {
		t.Errorf("%+v, %v", facts, err)
	}
	g.Groups, g.GroupsAt = nil, time.Time{}
	if facts, err = judgementOf(t).of(t.Context(), g); err != nil || facts.OwnerGroups != nil {
		t.Errorf("nobody knew them: %+v, %v", facts, err)
	}
	g.GroupsAt = noon
	if facts, err = judgementOf(t).of(t.Context(), g); err != nil || facts.OwnerGroups == nil {
		t.Errorf("they were none: %+v, %v", facts, err)
	}
}

// A login before the request says less than the grant, which holds the groups that the request was decided on.
func TestAnOlderLoginDoesNotCount(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-cards", "alice@example.com", "cards")
	login := store.Login{Subject: "alice@example.com", Groups: []string{"sales"}, At: noon.Add(-time.Minute)}
	if err := g.db.RememberLogin(t.Context(), login, login.At); err != nil {
		t.Fatal(err)
	}
	wants(t, impact(t, "-c", g.config, g.old, g.new), "1 grant judged, 1 would end")
}

func TestGrantsOfAFileGoBeforeThoseOfTheStore(t *testing.T) {
	g := newGateway(t)
	g.give(t, "g-cards", "alice@example.com", "cards")
	empty := filepath.Join(g.dir, "grants.jsonl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, impact(t, "-c", g.config, "--grants", empty, g.old, g.new), "0 grants judged, 0 would end", "closed prod/cards")
}

func TestAStoreThatCannotBeReadIsAnError(t *testing.T) {
	g := newGateway(t)
	for name, change := range map[string][2]string{
		"not there":    {"store.db", "absent.db"},
		"another kind": {fmt.Sprintf("sqlite: {path: %q}", g.dir+"/store.db"), "postgres: {}"},
	} {
		text := fmt.Sprintf(configText, g.dir)
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the configuration has no %q", change[0])
		}
		other := filepath.Join(g.dir, "other.yaml")
		if err := os.WriteFile(other, []byte(strings.Replace(text, change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		world := terminal{out: &out, err: &errs, now: func() time.Time { return noon }}
		if status := world.run(t.Context(), []string{"impact", "-c", other, g.old, g.new}); status != exitFailed || out.Len() > 0 {
			t.Errorf("%s: exit status %d, printed %q and %q", name, status, out.String(), errs.String())
		}
	}
}

// shelf is a store with n grants, as far as impact looks at one.
type shelf struct {
	n      int
	broken error
}

func (s shelf) Login(context.Context, grant.Subject) (store.Login, error) {
	return store.Login{}, store.ErrNotFound
}

// List answers from the highest id down, as stores do among requests of one moment.
func (s shelf) List(_ context.Context, q store.Query) (store.Page, error) {
	var all []store.Record
	for i := s.n; i > 0 && len(all) < q.Limit; i-- {
		id := fmt.Sprintf("%06d", i)
		if q.After != nil && id >= q.After.ID {
			continue
		}
		all = append(all, store.Record{Grant: grant.Grant{
			ID: id, Subject: "alice@example.com", Pool: grant.Pool{Environment: "prod", Name: "cards"}, State: grant.Active,
			Reason: "r", Duration: time.Hour, Groups: []string{"dev"}, RequestedAt: noon, ActivatedAt: noon, GivenAt: noon, ExpiresAt: noon.Add(time.Hour),
		}})
	}
	return store.Page{Records: all}, s.broken
}

func TestEveryGrantOfEveryPageIsJudgedOnce(t *testing.T) {
	for _, n := range []int{0, 1, page - 1, page, page + 1, 2*page + 7} {
		j := judgementOf(t)
		if err := j.pages(t.Context(), shelf{n: n}); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, e := range j.found.Ends {
			ids[e.ID] = true
		}
		if j.found.Judged != n || len(ids) != n {
			t.Errorf("of %d grants %d were judged and %d end", n, j.found.Judged, len(ids))
		}
	}
}

func TestAStoreThatFailsIsToldAndNotAnEmptyOne(t *testing.T) {
	broken := errors.New("the disk is gone")
	if err := judgementOf(t).pages(t.Context(), shelf{broken: broken}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// judgementOf closes the pool of all grants of a shelf.
func judgementOf(t *testing.T) *judgement {
	t.Helper()
	compile := func(name, text string) *policy.Policy {
		doc, err := policy.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := policy.Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		return compiled
	}
	tags := map[grant.Pool][]string{{Environment: "prod", Name: "cards"}: {"live", "pci"}}
	return &judgement{
		before: compile("old.yaml", openToDevelopers), after: compile("new.yaml", closedCards),
		facts: &known{tags: tags}, at: noon,
	}
}
