package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// log is what a caller reads, a line for each event.
func (w *world) log(c access.Caller, f access.EventFilter) ([]string, access.Code) {
	w.t.Helper()
	f.OldestFirst = true
	page, err := w.service.Events(w.t.Context(), c, f)
	var lines []string
	for _, e := range page.Events {
		who := e.Event.Grant.Subject
		if !e.Event.Verb.OfGrant() && e.Event.Lock.ID != "" {
			who = e.Event.Lock.Subject
		}
		lines = append(lines, fmt.Sprintf("%s %s", e.Event.Verb, who))
	}
	return lines, code(err)
}

// Who reads what of the log, by hand: auditors and operators all, others what happened to their own access, and to a grant
// that they may see.
func TestOthersEventsAreNotShown(t *testing.T) {
	w := newWorld(t)
	w.inForce(lockPolicy)
	alices := w.request(alice, "prod", "db").Grant.ID
	w.request(triage, "staging", "db") // dave's agent
	_, err := w.service.Request(t.Context(), nobody, ask("staging", "db"), w.key())
	w.equal("refused", code(err), access.Forbidden)
	w.equal("policy", w.service.PolicyInForce(t.Context()), error(nil))
	lock := w.lock(access.LockAsk{Subject: "carol@example.com"}).Lock.ID

	own := []string{"request alice@example.com"}
	agents := []string{"request agent:triage", "complete agent:triage", "activate agent:triage"}
	all := append(slices.Concat(own, agents), "refuse nobody@example.com", "policy ", "lock carol@example.com")
	for name, c := range map[string]struct {
		caller access.Caller
		filter access.EventFilter
		want   []string
		code   access.Code
	}{
		"an auditor":                        {audrey, access.EventFilter{}, all, ok},
		"an operator":                       {oscar, access.EventFilter{}, all, ok},
		"alice":                             {alice, access.EventFilter{}, own, ok},
		"alice, by name":                    {alice, access.EventFilter{Subject: "alice@example.com"}, own, ok},
		"alice, her grant":                  {alice, access.EventFilter{GrantID: alices}, own, ok},
		"dave, with his agent's":            {dave, access.EventFilter{}, agents, ok},
		"dave, another's name":              {dave, access.EventFilter{Subject: "alice@example.com"}, nil, no},
		"dave, another's grant":             {dave, access.EventFilter{GrantID: alices}, nil, unknown},
		"the agent":                         {triage, access.EventFilter{}, agents, ok},
		"an approver, all of a pool":        {bob, access.EventFilter{Environment: "prod", Pool: "db"}, nil, ok},
		"an approver, what waits for them":  {bob, access.EventFilter{GrantID: alices}, own, ok},
		"who was refused":                   {nobody, access.EventFilter{}, []string{"refuse nobody@example.com"}, ok},
		"who is locked":                     {carol, access.EventFilter{}, []string{"lock carol@example.com"}, ok},
		"a lock by its id":                  {carol, access.EventFilter{GrantID: lock}, nil, unknown},
		"a lock by its id, for an auditor":  {audrey, access.EventFilter{GrantID: lock}, []string{"lock carol@example.com"}, ok},
		"loaded policies":                   {audrey, access.EventFilter{Verbs: []grant.Verb{grant.LoadPolicy}}, []string{"policy "}, ok},
		"loaded policies, for others":       {alice, access.EventFilter{Verbs: []grant.Verb{grant.LoadPolicy}}, nil, ok},
		"nobody at all":                     {access.Caller{}, access.EventFilter{}, nil, invalid},
		"a service under an approver's hat": {robot, access.EventFilter{GrantID: alices}, nil, unknown},
	} {
		got, gotCode := w.log(c.caller, c.filter)
		w.equal(name, got, c.want)
		w.equal(name+": code", gotCode, c.code)
	}
}

// A caller without a name is nobody, and never everybody.
func TestACallerWithoutANameReadsNothing(t *testing.T) {
	w := newWorld(t)
	w.request(alice, "staging", "db")
	for _, c := range []access.Caller{{}, {Groups: []string{"eng", "sre", "auditors"}}} {
		_, err := w.service.List(t.Context(), c, access.Filter{})
		w.equal("list", code(err), access.Invalid)
		_, err = w.service.Events(t.Context(), c, access.EventFilter{})
		w.equal("events", code(err), access.Invalid)
		_, err = w.service.Pools(t.Context(), c, "")
		w.equal("pools", code(err), access.Invalid)
		_, err = w.service.Preview(t.Context(), c, ask("staging", "db"))
		w.equal("preview", code(err), access.Invalid)
	}
}

// All events are on one page and on one only, whichever way one reads and whatever is written meanwhile.
func TestPagesOfEventsHaveNoGapAndNoDouble(t *testing.T) {
	for _, oldest := range []bool{true, false} {
		for _, size := range []int{1, 2, 3, 4, 7, 8, 200} {
			t.Run(fmt.Sprintf("%d, oldest first %t", size, oldest), func(t *testing.T) {
				w := newWorld(t)
				w.insert(8, someone)
				var got []int64
				f := access.EventFilter{PageSize: size, OldestFirst: oldest}
				for pages := 0; ; pages++ {
					page, err := w.service.Events(t.Context(), audrey, f)
					if err != nil || len(page.Events) > size || pages > 20 {
						t.Fatalf("%d events on page %d, %v", len(page.Events), pages, err)
					}
					for _, e := range page.Events {
						got = append(got, e.Revision)
					}
					if f.PageToken = page.Next; page.Next == "" {
						break
					}
					if !oldest { // what is newer than the first page is on none
						w.request(person(w.key(), "eng"), "prod", "db")
					}
				}
				want := []int64{1, 2, 3, 4, 5, 6, 7, 8}
				if !oldest {
					slices.Reverse(want)
				}
				w.equal("revisions", got, want)
			})
		}
	}
}

func TestABadQuestionForEventsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.request(alice, "prod", "db")
	for name, f := range map[string]access.EventFilter{
		"negative page": {PageSize: -1}, "huge page": {PageSize: access.MaxPage + 1}, "a made-up token": {PageToken: "x"},
		"a token of revision 0": {PageToken: "eyJyIjowfQ"}, "a token of another list": {PageToken: "eyJ0IjoxLCJpIjoiZzEifQ"},
		"a token with another field": {PageToken: "eyJyIjoxLCJ4IjoxfQ"}, "a token with a field twice": {PageToken: "eyJyIjoyLCJyIjoxfQ"},
		"a hostile subject": {Subject: "alice@example.com|"}, "a verb that is none": {Verbs: []grant.Verb{"' OR 1=1"}},
	} {
		_, err := w.service.Events(t.Context(), audrey, f)
		w.equal(name, code(err), access.Invalid)
	}
	_, err := w.service.List(t.Context(), audrey, access.Filter{States: []grant.State{"x"}})
	w.equal("a state that is none", code(err), access.Invalid)
	// One that is said a million times is said once.
	_, err = w.service.List(t.Context(), audrey, access.Filter{States: slices.Repeat([]grant.State{grant.Pending}, 1_000_000)})
	w.equal("states", code(err), ok)
	_, err = w.service.Events(t.Context(), audrey, access.EventFilter{Verbs: slices.Repeat([]grant.Verb{grant.Request}, 1_000_000)})
	w.equal("verbs", code(err), ok)
	// A token from anywhere starts the list elsewhere, and shows nobody what they may not see.
	page, err := w.service.Events(t.Context(), dave, access.EventFilter{PageToken: access.EventToken(1 << 62)})
	w.equal("elsewhere", []any{len(page.Events), page.Next, code(err)}, []any{0, "", ok})
}

// torn is a log that cannot be read after some revision.
type torn struct {
	history
	after int64
}

func (h torn) History(ctx context.Context, q store.EventQuery) ([]store.Entry, error) {
	entries, err := h.history.History(ctx, q)
	if i := slices.IndexFunc(entries, func(e store.Entry) bool { return e.Revision > h.after }); i == 0 {
		return nil, store.ErrCorrupt
	} else if i > 0 {
		entries = entries[:i]
	}
	return entries, err
}

// An audit that cannot be read on must not look like the end of the log.
func TestALogThatCannotBeReadOnDoesNotEndQuietly(t *testing.T) {
	w := newWorld(t)
	w.insert(8, someone)
	s := w.build(func(c *access.Config) { c.History = torn{w.db, 5} })
	page, err := s.Events(t.Context(), audrey, access.EventFilter{OldestFirst: true})
	w.equal("what can be read", []any{len(page.Events), code(err)}, []any{5, ok})
	if page.Next == "" {
		t.Fatal("it looks like the end")
	}
	_, err = s.Events(t.Context(), audrey, access.EventFilter{OldestFirst: true, PageToken: page.Next})
	w.equal("the next page", code(err), access.Internal)
}

// The log says when another policy came into force: once for each change, and again after going back.
func TestThePolicyInForceIsRecordedOncePerChange(t *testing.T) {
	w := newWorld(t)
	w.source.status.Files = []string{"/etc/policy/a.yaml", "/etc/policy/b.yaml"}
	hashes := []string{}
	hash := func() string { _, hash := w.policy.Version(); return hash }
	for _, text := range []string{basePolicy, lockPolicy, basePolicy} {
		w.inForce(text)
		hashes = append(hashes, hash())
		for range 2 {
			if err := w.service.PolicyInForce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.build(nil).PolicyInForce(t.Context()); err != nil { // and a gateway that starts anew
			t.Fatal(err)
		}
		w.request(person("p"+w.key(), "eng"), "prod", "db") // something in between
	}
	var got []string
	for _, e := range w.events() {
		if e.Event.Verb == grant.LoadPolicy {
			got = append(got, e.Event.Grant.PolicyHash)
			w.equal("files", e.Event.Comment, "files: a.yaml, b.yaml")
		}
	}
	w.equal("recorded", got, hashes)
	w.equal("told", w.enforcer.told()[0], int64(1))
	for _, method := range []string{"History", "Commit"} {
		w.inForce(lockPolicy)
		w.broken.set(method)
		if err := w.service.PolicyInForce(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("without %s: %v", method, err)
		}
	}
}

// A grant and a refusal remember the policy by which they were decided.
func TestADecisionNamesItsPolicy(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	name, hash := w.policy.Version()
	w.equal("policy", []string{v.Grant.Policy, v.Grant.PolicyHash, v.Grant.Rule}, []string{name, hash, "prod"})
	want := w.policy.Evaluate(t.Context(), policy.Request{
		Subject: alice.Subject, Groups: alice.Groups, Pool: prodDB, Duration: 15 * time.Minute, At: begin}).Explanation
	w.equal("explanation", v.Grant.Explanation, want)
	_, _ = w.service.Request(t.Context(), nobody, ask("prod", "db"), w.key())
	w.equal("refused by", []string{w.last().Grant.Policy, w.last().Grant.PolicyHash}, []string{name, hash})
}

func TestOnlyAuditorsAndOperatorsSeeThePolicysFiles(t *testing.T) {
	w := newWorld(t)
	w.source.status = access.PolicyStatus{Name: "base", Files: []string{"a.yaml"}, Error: "b.yaml:1:1: no"}
	for who, c := range map[access.Code][]access.Caller{ok: {audrey, oscar}, no: {alice, bob, nobody, robot, {}}} {
		for _, c := range c {
			got, err := w.service.PolicyStatus(t.Context(), c)
			w.equal(string(c.Subject), code(err), who)
			w.equal("shown", got.Error != "", who == ok)
		}
	}
}
