package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// A grant's life, written by hand out of the design's picture and not out of package grant: from, verb, to.
var legal = [][3]string{
	{"", "request", "pending"},
	{"pending", "approve", "pending"},
	{"pending", "complete", "approved"},
	{"pending", "deny", "denied"},
	{"pending", "cancel", "cancelled"},
	{"pending", "lapse", "lapsed"},
	{"pending", "revoke", "revoked"},
	{"pending", "withdraw", "pending"},
	{"approved", "activate", "active"},
	{"approved", "cancel", "cancelled"},
	{"approved", "revoke", "revoked"},
	{"approved", "lapse", "lapsed"},
	{"active", "extend", "active"},
	{"active", "ask_extension", "active"},
	{"active", "approve", "active"},
	{"active", "withdraw", "active"},
	{"active", "deny_extension", "active"},
	{"active", "cancel_extension", "active"},
	{"active", "lapse_extension", "active"},
	{"active", "review", "active"},
	{"expired", "review", "expired"},
	{"revoked", "review", "revoked"},
	{"active", "review_overdue", "active"},
	{"expired", "review_overdue", "expired"},
	{"revoked", "review_overdue", "revoked"},
	{"active", "expire", "expired"},
	{"active", "revoke", "revoked"},
}

var (
	everyState = []string{"pending", "approved", "active", "denied", "cancelled", "lapsed", "expired", "revoked"}
	everyVerb  = []string{
		"request", "approve", "complete", "withdraw", "activate", "deny", "cancel", "lapse", "expire", "revoke", "extend",
		"ask_extension", "deny_extension", "cancel_extension", "lapse_extension", "review", "review_overdue", "", "own",
	}
	// wayTo are the steps from a request to a state.
	wayTo = map[string][][2]string{
		"pending":   {},
		"approved":  {{"complete", "approved"}},
		"active":    {{"complete", "approved"}, {"activate", "active"}},
		"denied":    {{"deny", "denied"}},
		"cancelled": {{"cancel", "cancelled"}},
		"lapsed":    {{"lapse", "lapsed"}},
		"expired":   {{"complete", "approved"}, {"activate", "active"}, {"expire", "expired"}},
		"revoked":   {{"revoke", "revoked"}},
	}
)

func isLegal(from, verb, to string) bool { return slices.Contains(legal, [3]string{from, verb, to}) }

// testStatesMoveAlongTheTable tries every triple of state, verb and state. A driver that trusts its callers fails here:
// the schema itself must refuse what is not in the table.
func testStatesMoveAlongTheTable(t *testing.T, h Harness) {
	s := h(t)()
	n := 0
	for _, from := range everyState {
		for _, verb := range everyVerb {
			for _, to := range append([]string{"", "other"}, everyState...) {
				n++
				tryTransition(t, s, n, from, verb, to)
			}
		}
	}
	for _, to := range append([]string{"", "other"}, everyState...) {
		for _, verb := range everyVerb {
			n++
			e := asked(fmt.Sprintf("g%d", n), subjectOf(n), billing, noon)
			e.Grant.State, e.Verb = grant.State(to), grant.Verb(verb)
			if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}}); (err == nil) != isLegal("", verb, to) {
				t.Errorf("a grant that begins by %q as %q: %v", verb, to, err)
			}
		}
	}
	if err := VerifyChain(log(t, s)); err != nil {
		t.Fatal(err)
	}
}

func tryTransition(t *testing.T, s Store, n int, from, verb, to string) {
	t.Helper()
	e := asked(fmt.Sprintf("g%d", n), subjectOf(n), billing, noon)
	events := []grant.Event{e}
	for _, step := range wayTo[from] {
		e = then(e.Grant, grant.Verb(step[0]), grant.State(step[1]), noon)
		events = append(events, e)
	}
	events = append(events, then(e.Grant, grant.Verb(verb), grant.State(to), noon))
	_, err := s.Commit(t.Context(), store.Change{Events: events})
	if (err == nil) != isLegal(from, verb, to) {
		t.Errorf("%s -%s-> %s: %v", from, verb, to, err)
	}
}

func subjectOf(n int) grant.Subject { return grant.Subject(fmt.Sprintf("service:s%d", n)) }

// testWhatARequestFixedStays: no transition may turn a grant into another subject's or pool's.
func testWhatARequestFixedStays(t *testing.T, h Harness) {
	s := h(t)()
	changes := map[string]func(*grant.Grant){
		"subject":     func(g *grant.Grant) { g.Subject = bob },
		"owner":       func(g *grant.Grant) { g.Owner = bob },
		"pool":        func(g *grant.Grant) { g.Pool = search },
		"environment": func(g *grant.Grant) { g.Pool = staging },
		"time":        func(g *grant.Grant) { g.RequestedAt = g.RequestedAt.Add(time.Second) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			request := asked("of-"+name, alice, billing, noon)
			commit(t, s, request)
			unchanged(t, s, func() {
				e := approved(request)
				change(&e.Grant)
				if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}}); err == nil {
					t.Fatal("accepted")
				}
			})
		})
	}
}
