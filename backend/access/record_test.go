package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func someDrift() grant.Drift {
	return grant.Drift{
		Node: "n1", Environments: []string{"prod"}, First: begin.Add(-time.Minute), Last: begin, Passes: 2, Unrepaired: 1, Foreign: 1,
		Files: []string{"grants.map"}, Rows: []string{"grants.map: foreign mallory@example.com|prod/db"},
	}
}

// of are the events of a verb in the log.
func (w *world) of(verb grant.Verb) []grant.Event {
	var all []grant.Event
	for _, e := range w.events() {
		if e.Event.Verb == verb {
			all = append(all, e.Event)
		}
	}
	return all
}

// A commit whose answer was lost is told again, and another gateway may tell it too.
func TestADriftIsRecordedOnceHoweverOftenItIsTold(t *testing.T) {
	w := newWorld(t)
	for _, s := range []*access.Service{w.service, w.service, w.elsewhere()} {
		w.equal("error", s.DriftFound(t.Context(), someDrift()), error(nil))
	}
	one := grant.Event{Verb: "drift", At: begin, Grant: grant.Grant{Pool: grant.Pool{Environment: "prod"}}, Drift: someDrift()}
	w.equal("events", w.of("drift"), []grant.Event{one})
	later := someDrift()
	later.First, later.Environments = begin, []string{"prod", "staging"}
	w.equal("error", w.service.DriftFound(t.Context(), later), error(nil))
	two := grant.Event{Verb: "drift", At: begin, Drift: later}
	w.equal("events", w.of("drift"), []grant.Event{one, two})
	w.equal("nodes woken", len(w.enforcer.told()), 0)
	w.broken.set("Commit")
	later.First = begin.Add(time.Second)
	if err := w.service.DriftFound(t.Context(), later); !errors.Is(err, errBroken) {
		t.Errorf("without a store: %v", err)
	}
}

func TestOnlyAuditorsAndOperatorsReadOfDriftAndRefusedPolicies(t *testing.T) {
	w := newWorld(t)
	w.equal("error", w.service.DriftFound(t.Context(), someDrift()), error(nil))
	w.equal("error", w.service.PolicyRefused(t.Context(), access.PolicyRefusal{Hash: "abc"}), error(nil))
	for _, f := range []access.EventFilter{{}, {Environment: "prod"}, {Verbs: []grant.Verb{"drift", "policy_refused"}}} {
		want := []string{"drift ", "policy_refused "}
		if f.Environment != "" {
			want = want[:1]
		}
		for who, c := range map[string]access.Caller{"an auditor": audrey, "an operator": oscar} {
			got, c := w.log(c, f)
			w.equal(who, got, want)
			w.equal(who, c, ok)
		}
		for who, c := range map[string]access.Caller{"alice": alice, "an approver": bob, "an agent": triage, "a service": robot} {
			got, _ := w.log(c, f)
			w.equal(who, got, []string(nil))
		}
	}
}

func TestARefusedPolicyIsRecordedOnceForItsContent(t *testing.T) {
	w := newWorld(t)
	name, hash := w.policy.Version()
	refusal := func(hash string) access.PolicyRefusal {
		return access.PolicyRefusal{
			Files: []string{"/etc/clutch/policy/a.yaml", "/etc/clutch/policy/b.yaml"}, Hash: hash,
			Error: "/etc/clutch/policy/b.yaml:3:1: there is no field \"efect\"",
		}
	}
	refuse := func(s *access.Service, hash string) {
		t.Helper()
		w.equal("error", s.PolicyRefused(t.Context(), refusal(hash)), error(nil))
	}
	refuse(w.service, "abc")
	refuse(w.service, "abc")
	refuse(w.elsewhere(), "abc")
	w.equal("events", w.of("policy_refused"), []grant.Event{{
		Verb: "policy_refused", At: begin, Comment: "b.yaml:3:1: there is no field \"efect\"",
		Grant: grant.Grant{
			Policy: name, PolicyHash: "abc",
			Explanation: "The policy " + name + " (" + hash[:12] + ") stays in force; files: a.yaml, b.yaml",
		},
	}})
	refuse(w.service, "def")
	refuse(w.elsewhere(), "abc") // within a day of the first
	w.equal("recorded", len(w.of("policy_refused")), 2)
	w.pass(1000 * time.Hour)
	w.request(person("p"+w.key(), "eng"), "prod", "db") // whose key drives the old ones out
	refuse(w.service, "def")                            // still the last
	w.equal("recorded", len(w.of("policy_refused")), 2)
	for _, method := range []string{"History", "Commit"} {
		w.broken.set(method)
		if err := w.service.PolicyRefused(t.Context(), refusal("new")); !errors.Is(err, errBroken) {
			t.Errorf("without %s: %v", method, err)
		}
		w.broken.set("")
	}
}

// What stands in a file is shown in a log and on a page, and may be anybody's.
func TestWhatIsWrongWithAPolicyIsShownSafelyAndShort(t *testing.T) {
	for name, c := range map[string]struct{ is, shown string }{
		"lines stay":            {"a:1: no\n\tb: no", "a:1: no\n\tb: no"},
		"a terminal's commands": {"a\x1b[2J\rb", `a\x1b[2J\rb`},
		"invisible":             {"a\u202eb\u2028c\u200bd", `a\u202eb\u2028c\u200bd`},
		"not UTF-8":             {"a\xffb", `a\xffb`},
		"letters of others":     {"é → 鍵 \ufffd", "é → 鍵 \ufffd"},
		"long":                  {strings.Repeat("é", 1000) + "xyz", strings.Repeat("é", 998) + " ..."},
		"just short enough":     {strings.Repeat("x", 2000), strings.Repeat("x", 2000)},
		"long by its escapes":   {strings.Repeat("\x1b", 1996), strings.Repeat(`\x1b`, 499) + " ..."},
	} {
		w := newWorld(t)
		w.equal("error", w.service.PolicyRefused(t.Context(), access.PolicyRefusal{Hash: "abc", Error: c.is}), error(nil))
		w.equal(name, w.last().Comment, c.shown)
	}
}
