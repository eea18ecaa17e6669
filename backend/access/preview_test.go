package access_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func (w *world) preview(c access.Caller, a access.Ask) access.Preview {
	w.t.Helper()
	v, err := w.service.Preview(w.t.Context(), c, a)
	if err != nil {
		w.t.Fatalf("preview: %v", err)
	}
	return v
}

func TestPreviewSaysWhatRequestWouldAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.preview(alice, access.Ask{Environment: "prod", Pool: "db"})
	w.equal("allowed", v.Decision.Allowed, true)
	w.equal("default", v.Decision.Duration, 15*time.Minute)
	w.equal("steps", v.Decision.Steps, sre)
	w.equal("rule by rule", []policy.Outcome{v.Findings[0].Outcome, v.Findings[1].Outcome}, []policy.Outcome{policy.Allows, policy.NoMatch})
	w.equal("nobody is allowed", w.preview(nobody, ask("prod", "db")).Decision.Allowed, false)
	w.equal("nothing is written", len(w.events()), 0)
}

// What is asked for reaches policy: a preview of something else would promise what the request does not keep.
func TestPreviewAsksPolicyWhatRequestAsks(t *testing.T) {
	w := newWorld(t)
	var asked []policy.Request
	s := w.build(func(c *access.Config) { c.Policy = overheard{c.Policy, &asked} })
	a := access.Ask{
		Environment: "prod", Pool: "db", Duration: time.Minute, Reason: "why", StartsAt: begin.Add(time.Hour),
		Inputs: map[string]string{"ticket": "INC1"}, BreakGlass: true,
	}
	w.window(alice, time.Minute) // counts as open
	for _, c := range []access.Caller{alice, triage} {
		asked = nil
		if _, err := s.Preview(t.Context(), c, a); err != nil {
			t.Fatal(err)
		}
		_, _ = s.Request(t.Context(), c, a, w.key())
		want := policy.Request{
			Subject: c.Subject, Groups: c.Groups, Owner: c.Owner, OwnerGroups: c.OwnerGroups, Pool: prodDB, Tags: []string{"pci"},
			Duration: time.Minute, Reason: "why", StartsAt: a.StartsAt.Truncate(time.Second), At: begin, Inputs: a.Inputs, BreakGlass: true,
			Open: []grant.Pool{},
		}
		if c.Subject == alice.Subject {
			want.Open = []grant.Pool{stagingApp}
		}
		w.equal("preview and request", asked, []policy.Request{want, want})
	}
}

// A preview of an emergency that promised access at once would cost the minutes for which one is there.
func TestPreviewOfAnEmergencySaysThatTheLoginIsTooOld(t *testing.T) {
	for age, allowed := range map[time.Duration]bool{0: true, 15 * time.Minute: true, 15*time.Minute + time.Second: false} {
		w := newWorld(t)
		w.inForce(emergencyPolicy)
		w.pass(age)
		previewed := w.preview(erin, urgent).Decision
		w.equal("allowed", []bool{previewed.Allowed, previewed.BreakGlass}, []bool{allowed, allowed})
		_, err := w.service.Request(t.Context(), erin, urgent, w.key())
		if allowed {
			w.equal("request", code(err), ok)
			continue
		}
		w.equal("request", code(err), access.Forbidden)
		w.equal("preview says what the request is answered", previewed.Explanation, err.Error())
		w.equal("it says", previewed.Explanation, "Your groups were read more than 15 minutes ago: sign in again, then try once more.")
		w.equal("nobody is told or reviews", len(previewed.Notify)+len(previewed.ReviewGroups), 0)
		w.equal("without an emergency the age is nothing to policy", w.preview(erin, ask("prod", "db")).Decision.Allowed, true)
	}
}

// overheard is a policy that remembers what it was asked.
type overheard struct {
	policy.Engine
	asked *[]policy.Request
}

func (o overheard) Evaluate(ctx context.Context, r policy.Request) policy.Decision {
	*o.asked = append(*o.asked, r)
	return o.Engine.Evaluate(ctx, r)
}

func (o overheard) Explain(ctx context.Context, r policy.Request) (policy.Decision, []policy.Finding) {
	*o.asked = append(*o.asked, r)
	return o.Engine.Explain(ctx, r)
}

func people(steps []access.StepView) [][]grant.Subject {
	var all [][]grant.Subject
	for _, s := range steps {
		all = append(all, s.People)
	}
	return all
}

// I11: the people who could approve are named, and never the requester, the owner of the agent, a service or an agent, nor
// who has approved already.
func TestI11PeopleWhoCouldApproveAreNamedWithoutThoseWhoNeverMay(t *testing.T) {
	w := newWorld(t)
	w.inForce(`{version: 1, name: two, rules: [{name: prod, match: {pools: ["prod/*"]}, who: {groups: [eng], agents: [triage]},
	  limits: {max_duration: 1h}, approve: {all_of: [{group: leads}, {any_of: [{group: security}, {groups: [sre, leads], count: 2}]}]}}]}`)
	for _, c := range []access.Caller{alice, bob, dave} {
		w.login(c, "eng", "leads", "sre")
	}
	w.login(carol, "security")
	w.login(nobody)
	w.identify("service:robot", begin, "leads")
	ab := func(s ...grant.Subject) []grant.Subject { return s }
	a := access.Ask{Environment: "prod", Pool: "db", Duration: time.Minute, Reason: "why"}
	w.equal("for alice", people(w.preview(alice, a).Steps), [][]grant.Subject{
		ab(bob.Subject, dave.Subject), ab(bob.Subject, carol.Subject, dave.Subject)})
	w.equal("for dave's agent", people(w.preview(triage, a).Steps), [][]grant.Subject{
		ab(alice.Subject, bob.Subject), ab(alice.Subject, bob.Subject, carol.Subject)})
	v := w.requested(alice, a)
	v = w.approvedBy(w.login(carol, "security"), v)
	v, err := w.service.Get(t.Context(), alice, v.Grant.ID)
	w.equal("code", code(err), ok)
	w.equal("after carol's", people(v.Steps), [][]grant.Subject{ab(bob.Subject, dave.Subject), ab(bob.Subject, dave.Subject)})

	w.pass(91 * 24 * time.Hour)
	w.equal("of whom nobody has heard for long", people(w.preview(alice, a).Steps), [][]grant.Subject{nil, nil})
	w.broken.set("Members")
	_, err = w.service.Preview(t.Context(), alice, a)
	w.equal("without the directory", code(err), access.Internal)
}

// Twenty people are named, and that there are more is said exactly if there are.
func TestPeopleAreNamedUpToABound(t *testing.T) {
	for n, more := range map[int]bool{19: false, 20: false, 21: true, 22: true, 23: true, 40: true} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			w.login(person("aaa"), "sre") // the requester and the owner come first in the list and fall away
			w.login(person("aab"), "sre")
			for i := range n {
				w.login(person(fmt.Sprintf("p%02d", i)), "sre")
			}
			w.inForce(`{version: 1, name: a, rules: [{name: prod, match: {pools: ["prod/*"]}, who: {agents: [triage], groups: [eng]},
			  limits: {max_duration: 1h}, approve: {all_of: [{group: sre}]}}]}`)
			c := access.Caller{Subject: "agent:triage", Owner: "aaa@example.com"}
			s := w.preview(c, ask("prod", "db")).Steps[0]
			w.equal("named", len(s.People), min(n+1, 20)) // aab may
			w.equal("more", s.More, n+1 > 20)
			v := w.requested(person("aaa", "eng"), ask("prod", "db"))
			w.end(v.Grant.ID)
			w.voted(`{all_of: [{group: sre, count: 2}]}`)
			v = w.requested(person("aaa", "eng"), ask("prod", "db"))
			v = w.approvedBy(person("aab", "sre"), v)
			v, err := w.service.Get(t.Context(), audrey, v.Grant.ID)
			w.equal("code", code(err), ok)
			w.equal("named of those who are left", len(v.Steps[0].People), min(n, 20))
			w.equal("more of them", v.Steps[0].More, more)
		})
	}
}

// Pools are listed with what policy says of each, who approves, and the lock that is on.
func TestPoolsAreListedWithWhatOneMay(t *testing.T) {
	w := newWorld(t)
	pools := func(c access.Caller, environment string) []access.PoolView {
		t.Helper()
		views, err := w.service.Pools(t.Context(), c, environment)
		if err != nil {
			t.Fatal(err)
		}
		return views
	}
	views := pools(alice, "")
	var got []string
	for _, v := range views {
		got = append(got, fmt.Sprintf("%s %t %v", v.Name, v.Decision.Allowed, v.ApproverGroups))
	}
	w.equal("alice", got, []string{"prod/db true [sre]", "staging/app true []", "staging/db true []", "test/db false []"})
	w.equal("of one environment", len(pools(alice, "staging")), 2)
	w.equal("of none", len(pools(alice, "none")), 0)
	for _, v := range pools(nobody, "") {
		w.equal("nobody, "+v.Name.String(), []bool{v.Decision.Allowed, v.Decision.Explanation != ""}, []bool{false, true})
	}
	l := w.lock(access.LockAsk{Subject: "alice@example.com", Environment: "staging"}).Lock
	for _, v := range pools(alice, "") {
		locked := v.Lock != nil
		w.equal(v.Name.String(), locked, v.Name.Environment == "staging")
		if locked {
			w.equal("by", v.Lock.ID, l.ID)
		}
	}
	w.equal("preview", w.preview(alice, ask("staging", "db")).Lock.ID, l.ID)
	w.equal("preview of another", w.preview(alice, ask("prod", "db")).Lock == nil, true)
	w.equal("dave", w.preview(dave, ask("staging", "db")).Lock == nil, true)
	w.pass(time.Hour)
	w.equal("after its end", w.preview(alice, ask("staging", "db")).Lock == nil, true)
	for _, method := range []string{"List", "Head", "Locks"} {
		w.broken.set(method)
		_, err := w.service.Pools(t.Context(), alice, "")
		w.equal("pools without "+method, code(err), access.Internal)
		_, err = w.service.Preview(t.Context(), alice, ask("staging", "db"))
		w.equal("preview without "+method, code(err), access.Internal)
	}
}
