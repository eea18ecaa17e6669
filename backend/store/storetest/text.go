package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// testAnyText: what people write is kept as it is; a name that is no text to every database is refused, and harms nobody.
func testAnyText(t *testing.T, h Harness) {
	s := h(t)()
	free := asked("g1", alice, billing, noon)
	free.Grant.Reason, free.Grant.Explanation = "a \x00 b \u2028 \"'\\ {} %s \U0001F512", "\x00"
	free.Grant.Inputs = map[string]string{"ticket": "\x00', ''); --"}
	free.Comment = free.Grant.Reason
	commit(t, s, free)
	equal(t, "row", record(t, s, "g1").Grant, free.Grant)
	equal(t, "event", log(t, s)[0].Event, free)

	for name, change := range map[string]func(*grant.Event){
		"id":      func(e *grant.Event) { e.Grant.ID = "g\x00" },
		"subject": func(e *grant.Event) { e.Grant.Subject = "a\x00@example.com" },
		"owner":   func(e *grant.Event) { e.Grant.Owner = "\xff@example.com" },
		"pool":    func(e *grant.Event) { e.Grant.Pool.Name = "b\x00" },
		"group":   func(e *grant.Event) { e.Grant.Steps = steps(1, "sre", "\x00") },
		"verb":    func(e *grant.Event) { e.Verb = "re\x00quest" },
		"state":   func(e *grant.Event) { e.Grant.State = "\xc0" },
	} {
		e := asked("bad", bob, billing, noon)
		change(&e)
		unchanged(t, s, func() {
			if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{e}}); err == nil {
				t.Errorf("%s: accepted", name)
			}
		})
	}
	unchanged(t, s, func() {
		bad := store.Replay{Caller: alice, Method: "m", Key: "k\x00", At: noon}
		if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{asked("g2", bob, billing, noon)}, Replay: &bad}); err == nil {
			t.Error("key: accepted")
		}
	})
	// A question for such a name finds nothing, or is an error.
	if got, err := readable(s.List(t.Context(), store.Query{Subject: "\x00", AwaitingGroups: []string{"\xff"}, Limit: 10})); err == nil && len(got) > 0 {
		t.Errorf("listed %v", got)
	}
	if _, err := s.Grant(t.Context(), "\x00"); err == nil {
		t.Error("a grant of that name was found")
	}
	// An identity provider's groups are not ours to choose: such a one is in nobody's way.
	login := store.Login{Subject: alice, Groups: []string{"a\x00b", "sre"}, At: noon}
	if err := s.RememberLogin(t.Context(), login, noon); err != nil {
		t.Fatal(err)
	}
	got, err := s.Login(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "login", got, login)
	if members, err := s.Members(t.Context(), "sre", time.Time{}, 10); err != nil || len(members) != 1 {
		t.Errorf("members %v, %v", members, err)
	}
	commit(t, s, asked("g3", bob, billing, noon))
}

// testOthersDoNotSuffer: callers that come together each get their own answer, whatever becomes of the others: conflicts,
// keys that were used, and what the schema refuses.
func testOthersDoNotSuffer(t *testing.T, h Harness) {
	s := h(t)()
	base := asked("base", "service:base", billing, noon)
	key := store.Replay{Caller: alice, Method: "m", Key: "used", At: noon}
	if _, err := s.Commit(t.Context(), store.Change{Events: []grant.Event{base}, Replay: &key}); err != nil {
		t.Fatal(err)
	}
	const callers = 60
	errs := make([]error, callers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range callers {
		id := subjectOf(n)
		c := store.Change{Events: opened(string(id), id, billing, noon)}
		switch n % 6 {
		case 1:
			c.Events = append(c.Events, then(base.Grant, grant.Expire, grant.Expired, noon)) // the schema's to refuse
		case 2:
			c.Replay = &key
		case 3:
			stale := then(base.Grant, grant.Deny, grant.Denied, noon)
			stale.Grant.Version = 9
			c.Events = append(c.Events, stale)
		}
		wg.Go(func() {
			<-start
			_, errs[n] = s.Commit(t.Context(), c)
		})
	}
	close(start)
	wg.Wait()
	for n, err := range errs {
		_, missing := s.Grant(t.Context(), string(subjectOf(n)))
		if (err == nil) != (missing == nil) {
			t.Errorf("change %d: %v, and its row: %v", n, err, missing)
		}
		fits := err == nil
		switch n % 6 {
		case 1:
			fits = err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrReplay)
		case 2:
			fits = errors.Is(err, store.ErrReplay)
		case 3:
			fits = errors.Is(err, store.ErrConflict)
		}
		if !fits {
			t.Errorf("change %d of kind %d: %v", n, n%6, err)
		}
	}
	entries := log(t, s)
	if want := 1 + 3*callers/2; len(entries) != want {
		t.Errorf("%d events, want %d", len(entries), want)
	}
	if err := VerifyChain(entries); err != nil {
		t.Fatal(err)
	}
}

// testPlaceGoesOver: within one change a place is given up and taken, in whatever order the grants came up.
func testPlaceGoesOver(t *testing.T, h Harness) {
	s := h(t)()
	old := opened("g1", alice, billing, noon)
	commit(t, s, old...)
	next := asked("g2", alice, billing, noon)
	commit(t, s, next, then(old[2].Grant, grant.Revoke, grant.Revoked, noon), approved(next))
	equal(t, "live grant", liveID(t, s, alice, billing), "g2")
	third := asked("g3", alice, billing, noon)
	commit(t, s, third)
	yes := approved(next)
	commit(t, s, then(third.Grant, grant.Approve, grant.Pending, noon), then(yes.Grant, grant.Revoke, grant.Revoked, noon),
		approvedAgain(third))
	equal(t, "live grant", liveID(t, s, alice, billing), "g3")
}

// approvedAgain is the last approval of a grant that has had one.
func approvedAgain(e grant.Event) grant.Event {
	return approved(then(e.Grant, grant.Approve, grant.Pending, noon))
}

// testOneCurrentKey: two gateways that make the first key at the same time come to one.
func testOneCurrentKey(t *testing.T, h Harness) {
	s := h(t)()
	key := func(kid, state string) store.Key {
		return store.Key{KID: kid, Alg: "RS256", Public: []byte("p"), Sealed: []byte("s"), State: state, Created: noon}
	}
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for n := range errs {
		wg.Go(func() { errs[n] = s.AddKey(t.Context(), key(string(rune('a'+n)), "current")) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantError(t, err, store.ErrConflict)
		}
	}
	keys, err := s.Keys(t.Context())
	if err != nil || won != 1 || len(keys) != 1 {
		t.Fatalf("%d were added; keys %v, %v", won, keys, err)
	}
	if err := s.AddKey(t.Context(), key("x", "retired")); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.SetKeyState(t.Context(), "x", "retired", "current"), store.ErrConflict)
	if err := s.SetKeyState(t.Context(), keys[0].KID, "current", "retired"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetKeyState(t.Context(), "x", "retired", "current"); err != nil {
		t.Fatal(err)
	}
}
