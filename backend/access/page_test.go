package access_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// pages reads a list to its end; between two pages it does something.
func (w *world) pages(c access.Caller, f access.Filter, between func()) (ids []string, pages int) {
	w.t.Helper()
	for {
		page, err := w.service.List(w.t.Context(), c, f)
		if err != nil {
			w.t.Fatal(err)
		}
		pages++
		for _, v := range page.Grants {
			ids = append(ids, v.Grant.ID)
		}
		if len(page.Grants) > f.PageSize || pages > 1000 {
			w.t.Fatalf("%d grants on page %d", len(page.Grants), pages)
		}
		if page.Next == "" {
			return ids, pages
		}
		f.PageToken = page.Next
		between()
	}
}

// insert writes n requests that wait straight to the store, some of them of the same millisecond.
func (w *world) insert(n int, subject func(i int) grant.Subject) (newestFirst []string) {
	w.t.Helper()
	return w.insertAt(begin, n, subject)
}

func (w *world) insertAt(from time.Time, n int, subject func(i int) grant.Subject) (newestFirst []string) {
	w.t.Helper()
	var events []grant.Event
	for i := range n {
		at := from.Add(time.Duration(i/3) * time.Second)
		_, e, err := grant.Ask(grant.Grant{
			ID: fmt.Sprintf("p%03d", i), Subject: subject(i), Pool: grant.Pool{Environment: "prod", Name: "db"}, Reason: "r",
			Duration: time.Minute, Steps: sre, LapsesAt: from.Add(time.Hour),
		}, at)
		if err != nil {
			w.t.Fatal(err)
		}
		events, newestFirst = append(events, e), append(newestFirst, e.Grant.ID)
	}
	if _, err := w.db.Commit(w.t.Context(), store.Change{Events: events}); err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(newestFirst)
	return newestFirst
}

func someone(int) grant.Subject { return "someone@example.com" }

// Every grant is on one page and on one only, whatever comes in between.
func TestPagesAreStable(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 9, 10, 200} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			w := newWorld(t)
			want := w.insert(10, someone)
			w.pass(time.Hour)
			got, pages := w.pages(audrey, access.Filter{PageSize: size}, func() { w.request(person(w.key(), "eng"), "prod", "db") })
			w.equal("grants", got, want)
			w.equal("pages", pages, (10+size-1)/size)
		})
	}
}

// Requests that the caller may not decide on leave no hole at which the list would end.
func TestAListOfWhatAwaitsMeDoesNotEndBeforeItsEnd(t *testing.T) {
	for _, size := range []int{1, 2, 5, 50} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			w := newWorld(t)
			all := w.insert(40, func(i int) grant.Subject {
				if i%10 == 3 {
					return "someone@example.com"
				}
				return bob.Subject
			})
			want := slices.DeleteFunc(all, func(id string) bool { return !strings.HasSuffix(id, "3") })
			got, pages := w.pages(bob, access.Filter{PageSize: size, AwaitingMe: true}, func() {})
			w.equal("awaiting bob", got, want)
			first, err := w.service.List(t.Context(), bob, access.Filter{PageSize: size, AwaitingMe: true})
			w.equal("code", code(err), ok)
			w.equal("the first page is full", len(first.Grants), min(size, len(want)))
			// 4 of 40 are left: pages fill up, so that there are few more of them than that takes.
			if most := 4/size + 2; pages > most {
				t.Errorf("%d pages, want at most %d", pages, most)
			}
		})
	}
}

func TestNothingAwaitsWhoHasNoGroupsOrHasApproved(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.equal("nobody", w.ids(nobody, access.Filter{AwaitingMe: true}), []string(nil))
	w.equal("carol", w.ids(carol, access.Filter{AwaitingMe: true}), []string{v.Grant.ID})
	w.approve(v)
	w.equal("carol, once it is approved", w.ids(carol, access.Filter{AwaitingMe: true}), []string(nil))
}

// A page token that is made up only starts the list elsewhere: it shows nobody what they may not see.
func TestAForeignPageTokenShowsNothingMore(t *testing.T) {
	w := newWorld(t)
	w.insert(3, someone)
	page, err := w.service.List(t.Context(), audrey, access.Filter{PageSize: 1})
	w.equal("code", code(err), ok)
	w.equal("dave", w.ids(dave, access.Filter{PageToken: page.Next}), []string(nil))
}

// sre is the vote of the base policy for prod.
var sre = []grant.Step{{AnyOf: []grant.Quorum{{Groups: []string{"sre"}, Count: 1}}}}
