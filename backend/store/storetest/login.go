package storetest

import (
	"fmt"
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
