package grant

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAReviewIsRecordedOnceAndChangesNothingElse(t *testing.T) {
	for _, state := range []State{Active, Expired, Revoked} {
		g := inState(state, DoReview)
		at := noon.Add(25 * time.Minute)
		n := must(t, g, Action{Verb: DoReview, Actor: audrey, Groups: []string{"dev", "security"}, Comment: "fine"}, at)
		want := g.clone()
		want.Version++
		want.Review.By, want.Review.At, want.Review.Comment = audrey, at, "fine"
		if diff := cmp.Diff(want, n); diff != "" || !n.Review.Done() || g.Review.Done() {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
		for _, who := range []Subject{audrey, bob} {
			if _, _, err := Advance(n, Action{Verb: DoReview, Actor: who, Groups: []string{"security"}}, at); !errors.Is(err, ErrTransition) {
				t.Errorf("%s, a second time: error %v", state, err)
			}
		}
	}
}

func TestWhatIsNotReviewed(t *testing.T) {
	tests := map[string]struct {
		change func(*Grant, *Action)
		want   error
	}{
		"no review is asked for":   {func(g *Grant, _ *Action) { g.Review = Review{} }, ErrTransition},
		"it never began":           {func(g *Grant, _ *Action) { g.ActivatedAt = time.Time{} }, ErrTransition},
		"a member of other groups": {func(_ *Grant, a *Action) { a.Groups = []string{"leads"} }, ErrAction},
		"a member of none":         {func(_ *Grant, a *Action) { a.Groups = nil }, ErrAction},
		"its subject":              {func(_ *Grant, a *Action) { a.Actor = alice }, ErrAction},
	}
	for name, test := range tests {
		for _, state := range []State{Active, Expired, Revoked} {
			g := inState(state, DoReview)
			a, at := fitting(DoReview)
			test.change(&g, &a)
			if _, _, err := Advance(g, a, at); !errors.Is(err, test.want) {
				t.Errorf("%s, %s: error %v, want %v", name, state, err, test.want)
			}
		}
	}
	g := inState(Expired, DoReview)
	g.Review.Groups = []string{"sre", "security"}
	a, at := fitting(DoReview)
	must(t, g, a, at) // one of the groups is enough
}

// It is the look afterwards: nobody can say at 12:24 what will have been done by 12:25.
func TestAccessIsNotReviewedWhileItIsOpen(t *testing.T) {
	g := inState(Active, DoReview)
	a, at := fitting(DoReview)
	must(t, g, a, at)
	for _, early := range []time.Duration{time.Millisecond, 15*time.Minute - time.Millisecond} {
		_, _, err := Advance(g, a, at.Add(-early))
		if !errors.Is(err, ErrTransition) || !strings.Contains(err.Error(), "is reviewed when it has ended") {
			t.Errorf("%s before its end: error %v", early, err)
		}
	}
	must(t, inState(Revoked, DoReview), a, at.Add(-5*time.Minute)) // ended early
	g.Review.DueAt = noon.Add(11 * time.Minute)
	if g.ReviewOverdue(at.Add(-time.Millisecond)) || !g.ReviewOverdue(at) {
		t.Error("what cannot be done yet is overdue, or what could be is not")
	}
}
