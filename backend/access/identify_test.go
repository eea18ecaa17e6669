package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func (w *world) identify(subject grant.Subject, at time.Time, groups ...string) access.Caller {
	w.t.Helper()
	c, err := w.service.Identify(w.t.Context(), access.Login{Subject: subject, Groups: groups, At: at})
	if err != nil {
		w.t.Fatalf("identify %s: %v", subject, err)
	}
	return c
}

// An old token that says more than a later login does not bring lost groups back; nor does it make groups younger.
func TestAnOldTokenIsNotBelievedAfterALaterLogin(t *testing.T) {
	w := newWorld(t)
	c := w.identify(alice.Subject, begin, "sre", "eng", "sre")
	w.equal("first", c, access.Caller{Subject: alice.Subject, Groups: []string{"eng", "sre"}, GroupsAt: begin, GroupsSource: "login"})
	w.pass(time.Hour)
	later := w.now()
	w.equal("later", w.identify(alice.Subject, later, "eng").Groups, []string{"eng"})
	c = w.identify(alice.Subject, begin, "sre", "eng")
	w.equal("the old token", c.Groups, []string{"eng"})
	w.equal("as of", c.GroupsAt, later)
	// It is known to a gateway that starts anew, too.
	w.service = w.build(nil)
	w.equal("another process", w.identify(alice.Subject, begin, "sre").Groups, []string{"eng"})
	w.equal("somebody else", w.identify(bob.Subject, begin, "sre").Groups, []string{"sre"})
}

// A login that an identity provider's clock dated ahead must not outlast the next.
func TestALoginFromTheFutureCountsAsOfNow(t *testing.T) {
	w := newWorld(t)
	c := w.identify(alice.Subject, begin.Add(time.Hour), "eng", "sre")
	w.equal("as of", c.GroupsAt, begin)
	w.pass(time.Minute)
	w.equal("later", w.identify(alice.Subject, w.now(), "eng").Groups, []string{"eng"})
}

// A service account has no groups, whatever its login says; so it can neither decide nor read all.
func TestAServiceHasNoGroups(t *testing.T) {
	w := newWorld(t)
	c := w.identify("service:robot", begin, "eng", "sre", "operators")
	w.equal("caller", c, access.Caller{Subject: "service:robot"})
	_, known, err := access.NewLogins(w.db, w.now, nil).Membership(t.Context(), "service:robot")
	w.equal("remembered", []any{known, err}, []any{false, error(nil)})
}

// The account of an agent is the agent, with the newest groups of its owner, if any are known, and none of its own.
func TestAnAgentIsKnownByItsServiceAccount(t *testing.T) {
	w := newWorld(t)
	want := access.Caller{Subject: "agent:triage", Owner: dave.Subject}
	w.equal("owner never seen", w.identify("service:triage-bot", begin, "sre", "operators"), want)
	w.login(dave)
	want.OwnerGroups, want.GroupsAt, want.GroupsSource = []string{}, begin, "login"
	w.equal("owner in no group", w.identify("service:triage-bot", begin), want)
	w.pass(time.Second)
	w.login(dave, "eng")
	want.OwnerGroups, want.GroupsAt = []string{"eng"}, w.now()
	w.equal("owner in eng", w.identify("service:triage-bot", begin), want)
}

// I11: an agent that came without its account would have no owner whom anything is forbidden.
func TestI11NobodyLogsInAsAnAgentOrUnderABadName(t *testing.T) {
	w := newWorld(t)
	for _, s := range []grant.Subject{"agent:triage", "agent:other", "", "Alice@example.com", "alice", "alice@example.com\n"} {
		_, err := w.service.Identify(t.Context(), access.Login{Subject: s, Groups: []string{"eng"}, At: begin})
		w.equal(string(s), code(err), access.Invalid)
	}
}

// That groups cannot be read never means that there are none: a rule that denies by a group would not deny.
func TestGroupsThatCannotBeReadAreAnError(t *testing.T) {
	w := newWorld(t)
	w.login(dave, "eng")
	for subject, fails := range map[grant.Subject]string{alice.Subject: "Login RememberLogin", "service:triage-bot": "Login"} {
		for _, method := range strings.Fields(fails) {
			w.broken.set(method)
			c, err := w.service.Identify(t.Context(), access.Login{Subject: subject, Groups: []string{"eng"}, At: begin})
			w.equal(string(subject)+" without "+method, code(err), access.Internal)
			w.equal("caller", c, access.Caller{})
			if err != nil && strings.Contains(err.Error(), marker) || !errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
		}
	}
}

// The judge is told when somebody's groups have changed, and not of every login.
func TestALoginWithOtherGroupsIsAChange(t *testing.T) {
	w := newWorld(t)
	for _, step := range []struct {
		name   string
		groups []string
		want   int64
	}{
		{"the first", []string{"eng", "sre"}, 0},
		{"the same", []string{"sre", "eng"}, 0},
		{"fewer", []string{"eng"}, 1},
		{"more", []string{"eng", "ops"}, 2},
		{"none", nil, 3},
		{"none again", nil, 3},
	} {
		w.pass(time.Second)
		w.login(alice, step.groups...)
		w.equal(step.name, w.changes.Load(), step.want)
	}
}

// I11 rests on it that each agent has one owner, who is a person.
func TestI11AnAgentHasOneAccountAndOneOwner(t *testing.T) {
	w := newWorld(t)
	full := w.service.Config
	agent := func(subject, owner grant.Subject) access.Agent { return access.Agent{Subject: subject, Owner: owner} }
	for name, c := range map[string]struct {
		agents map[grant.Subject]access.Agent
		good   bool
	}{
		"none": {nil, true},
		"two":  {map[grant.Subject]access.Agent{"service:a": agent("agent:a", "a@example.com"), "service:b": agent("agent:b", "a@example.com")}, true},
		"one agent of two accounts": {
			map[grant.Subject]access.Agent{"service:a": agent("agent:a", "a@example.com"), "service:b": agent("agent:a", "b@example.com")}, false},
		"a person's account":    {map[grant.Subject]access.Agent{"a@example.com": agent("agent:a", "a@example.com")}, false},
		"an agent's account":    {map[grant.Subject]access.Agent{"agent:a": agent("agent:a", "a@example.com")}, false},
		"no agent's name":       {map[grant.Subject]access.Agent{"service:a": agent("service:b", "a@example.com")}, false},
		"no owner":              {map[grant.Subject]access.Agent{"service:a": agent("agent:a", "")}, false},
		"owned by an agent":     {map[grant.Subject]access.Agent{"service:a": agent("agent:a", "agent:b")}, false},
		"owned by a service":    {map[grant.Subject]access.Agent{"service:a": agent("agent:a", "service:b")}, false},
		"owner in capitals":     {map[grant.Subject]access.Agent{"service:a": agent("agent:a", "A@example.com")}, false},
		"an account in capital": {map[grant.Subject]access.Agent{"service:A": agent("agent:a", "a@example.com")}, false},
	} {
		config := full
		config.Agents = c.agents
		if _, err := access.New(config); (err == nil) != c.good {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
