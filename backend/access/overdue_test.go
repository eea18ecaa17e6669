package access_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

func count(verbs []grant.Verb, verb grant.Verb) int {
	n := 0
	for _, v := range verbs {
		if v == verb {
			n++
		}
	}
	return n
}

// emergency is access of erin that was taken past the approvals; sam is to look at it within a day.
func (w *world) emergency() access.View {
	w.t.Helper()
	w.inForce(emergencyPolicy)
	return w.requested(w.fresh(erin), urgent)
}

func TestAnOverdueReviewIsSaidOnce(t *testing.T) {
	w := newWorld(t)
	v := w.emergency()
	sweep := func() {
		t.Helper()
		w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	}
	w.pass(30*time.Minute + 24*time.Hour - time.Second)
	sweep()
	w.equal("before its time", count(w.verbs(), grant.ReviewOverdue), 0)
	w.pass(time.Second)
	sweep()
	sweep()
	w.pass(time.Hour)
	sweep()
	w.equal("said", count(w.verbs(), grant.ReviewOverdue), 1)
	e := w.last()
	w.equal("verb", e.Verb, grant.ReviewOverdue)
	w.equal("by", e.Actor, grant.Subject(""))
	w.equal("state", e.Grant.State, grant.Expired)
	if !strings.Contains(e.Comment, "security") || !strings.Contains(e.Comment, "2026-01-03T03:34:05Z") {
		t.Errorf("comment %q", e.Comment)
	}

	// It is shown, is waited for all the same, and can be done.
	shownTo, err := w.service.Get(t.Context(), w.fresh(sam), v.Grant.ID)
	w.equal("get", code(err), ok)
	w.equal("overdue since", shownTo.Grant.Review.OverdueAt, e.At)
	page, err := w.service.Events(t.Context(), audrey, access.EventFilter{Verbs: []grant.Verb{grant.ReviewOverdue}})
	w.equal("history", code(err), ok)
	w.equal("history", len(page.Events), 1)
	w.equal("awaits sam", w.ids(sam, access.Filter{AwaitingMyReview: true}), []string{v.Grant.ID})
	_, err = w.service.Review(t.Context(), w.fresh(sam), shown(shownTo), w.key())
	w.equal("review", code(err), ok)
	sweep()
	w.equal("said", count(w.verbs(), grant.ReviewOverdue), 1)
}

func TestAReviewInTimeIsNeverOverdue(t *testing.T) {
	w := newWorld(t)
	v := w.emergency()
	w.end(v.Grant.ID)
	v, err := w.service.Get(t.Context(), sam, v.Grant.ID)
	w.equal("get", code(err), ok)
	_, err = w.service.Review(t.Context(), w.fresh(sam), shown(v), w.key())
	w.equal("review", code(err), ok)
	w.pass(48 * time.Hour)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("said", count(w.verbs(), grant.ReviewOverdue), 0)
}

// Two gateways look at the same time: one says it, and neither fails.
func TestI6OfTwoGatewaysOneSaysThatAReviewIsOverdue(t *testing.T) {
	w := newWorld(t)
	w.emergency()
	w.pass(31 * time.Minute)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.pass(24 * time.Hour)
	other := w.elsewhere()
	// Between the look and the commit of the one the other says it.
	w.broken.meanwhile("Commit", func() { w.equal("the other", other.Sweep(t.Context()), error(nil)) })
	w.equal("the one", w.service.Sweep(t.Context()), error(nil))
	w.equal("said", count(w.verbs(), grant.ReviewOverdue), 1)

	var wg sync.WaitGroup
	for range 4 {
		for _, s := range []*access.Service{w.service, other} {
			wg.Go(func() {
				if err := s.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	w.equal("said", count(w.verbs(), grant.ReviewOverdue), 1)
}

// A store that cannot say what is overdue does not keep grants from ending, nor the other way round.
func TestOverdueAndDueDoNotHoldUpEachOther(t *testing.T) {
	for _, fails := range []string{"Due", "Overdue"} {
		w := newWorld(t)
		v := w.emergency()
		w.pass(25 * time.Hour)
		w.broken.set(fails)
		if err := w.service.Sweep(t.Context()); err == nil {
			t.Errorf("%s fails in silence", fails)
		}
		w.equal(fails+": ended", w.stored(v.Grant.ID).State == grant.Expired, fails != "Due")
		w.equal(fails+": said", count(w.verbs(), grant.ReviewOverdue) == 1, fails != "Overdue")
	}
}
