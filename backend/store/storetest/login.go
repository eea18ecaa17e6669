package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func testLogins(t *testing.T, h Harness) {
	s := h(t)()
	_, err := s.Login(t.Context(), alice)
	wantError(t, err, store.ErrNotFound)
	remember := func(l store.Login) {
		t.Helper()
		if err := s.RememberLogin(t.Context(), l, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want store.Login) {
		t.Helper()
		got, err := s.Login(t.Context(), want.Subject)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "login", got, want)
	}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	first := store.Login{Subject: alice, Groups: []string{"sre", "eng", "a \"b\" {c},\\"}, At: at(5)}
	remember(first)
	has(first)
	remember(store.Login{Subject: alice, Groups: []string{"older"}, At: at(4)}) // it never goes back
	has(first)
	later := store.Login{Subject: alice, Groups: []string{"ops"}, At: at(6)}
	remember(later)
	has(later)
	// One that a wrong clock has dated ahead counts until one comes that says what time it is.
	ahead := store.Login{Subject: alice, Groups: []string{"ahead"}, At: noon.Add(time.Hour)}
	remember(ahead)
	has(ahead)
	if err := s.RememberLogin(t.Context(), later, ahead.At); err != nil { // it may be right
		t.Fatal(err)
	}
	has(ahead)
	if err := s.RememberLogin(t.Context(), later, ahead.At.Add(-time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	has(later)
	none := store.Login{Subject: bob, At: at(1)}
	remember(none)
	has(none)
	has(later)

	// Of several of one moment what all of them say is kept, in any order.
	for _, test := range []struct{ says, kept []string }{
		{[]string{"eng", "leads", "sre"}, []string{"eng", "leads", "sre"}},
		{[]string{"sre", "leads", "eng", "ops"}, []string{"eng", "leads", "sre"}},
		{[]string{"eng", "security"}, []string{"eng"}},
		{[]string{"eng", "leads", "sre"}, []string{"eng"}},
		{[]string{"security"}, nil},
		{[]string{"eng"}, nil},
	} {
		remember(store.Login{Subject: bob, Groups: test.says, At: at(3)})
		has(store.Login{Subject: bob, Groups: test.kept, At: at(3)})
		got, err := s.Members(t.Context(), "eng", at(3), 10)
		if err != nil || slices.Contains(got, bob) != slices.Contains(test.kept, "eng") {
			t.Errorf("after %v the members are %v, %v", test.says, got, err)
		}
	}
	odd := []string{"a\x00b", "\u2028", "'{}\"", "\xff"}
	for range 2 {
		remember(store.Login{Subject: bob, Groups: append(slices.Clone(odd), "x"), At: at(4)})
	}
	remember(store.Login{Subject: bob, Groups: odd, At: at(4)})
	has(store.Login{Subject: bob, Groups: []string{"a\x00b", "\u2028", "'{}\"", "\ufffd"}, At: at(4)})

	// Callers that race come to the latest.
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			l := store.Login{Subject: carol, Groups: []string{fmt.Sprint("g", n)}, At: at(n * 7 % 20)}
			if err := s.RememberLogin(t.Context(), l, noon.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	has(store.Login{Subject: carol, Groups: []string{"g17"}, At: at(19)})
	raceLogins(t, "dave@example.com", s, s)
}

// raceLogins lets two gateways tell of the same logins at once, each in an order of its own and some of one moment: both
// come to the latest, and of that moment to what all say. Neither ever goes back meanwhile.
func raceLogins(t *testing.T, who grant.Subject, gateways ...Store) {
	t.Helper()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	var wg sync.WaitGroup
	for i, s := range gateways {
		wg.Go(func() {
			var last time.Time
			for n := range 60 {
				k := (n*(7+4*i) + 13*i) % 60 // 60 logins of 20 moments, three of each, that have one group in common
				l := store.Login{Subject: who, Groups: [][]string{{"a", "b"}, {"a", "c"}, {"b", "a", "d"}}[k%3], At: at(k / 3)}
				if err := s.RememberLogin(t.Context(), l, noon.Add(time.Hour)); err != nil {
					t.Error(err)
				}
				kept, err := s.Login(t.Context(), who)
				more := func(g string) bool { return !slices.Contains(l.Groups, g) }
				if err != nil || kept.At.Before(last) || kept.At.Before(l.At) || kept.At.Equal(l.At) && slices.ContainsFunc(kept.Groups, more) {
					t.Errorf("after %v of %v: %v of %v, %v", l.Groups, l.At, kept.Groups, kept.At, err)
				}
				last = kept.At
			}
		})
	}
	wg.Wait()
	for _, s := range gateways {
		kept, err := s.Login(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "login", kept, store.Login{Subject: who, Groups: []string{"a"}, At: at(19)})
	}
}

func testMembers(t *testing.T, h Harness) {
	s := h(t)()
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	for n, l := range []store.Login{
		{Subject: carol, Groups: []string{"sre"}}, {Subject: alice, Groups: []string{"eng", "sre"}},
		{Subject: bob, Groups: []string{"sre-leads", "SRE", "{sre}", "sre,eng"}}, {Subject: "dave@example.com", Groups: []string{"sre", ""}},
		{Subject: "erin@example.com"},
	} {
		l.At = at(n)
		if err := s.RememberLogin(t.Context(), l, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, group string
		since       time.Time
		limit       int
		want        []grant.Subject
	}{
		{"all, sorted", "sre", time.Time{}, 10, []grant.Subject{alice, carol, "dave@example.com"}},
		{"at most", "sre", time.Time{}, 2, []grant.Subject{alice, carol}},
		{"since", "sre", at(1), 10, []grant.Subject{alice, "dave@example.com"}},
		{"a nanosecond later", "sre", at(1).Add(1), 10, []grant.Subject{"dave@example.com"}},
		{"never since", "sre", at(4), 10, nil},
		{"a name with a comma", "sre,eng", time.Time{}, 10, []grant.Subject{bob}},
		{"a name in brackets", "{sre}", time.Time{}, 10, []grant.Subject{bob}},
		{"a group without a name", "", time.Time{}, 10, []grant.Subject{"dave@example.com"}},
		{"no such group", "sr", time.Time{}, 10, nil},
	} {
		got, err := s.Members(t.Context(), test.group, test.since, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, test.name, got, test.want)
	}
	// Who has left a group is no member any more.
	if err := s.RememberLogin(t.Context(), store.Login{Subject: alice, Groups: []string{"eng"}, At: at(9)}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Members(t.Context(), "sre", time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "members", got, []grant.Subject{carol, "dave@example.com"})
}
