package grant

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnOverdueReviewIsRecordedOnceAndChangesNothingElse(t *testing.T) {
	for _, state := range []State{Active, Expired, Revoked} {
		g := inState(state, ReviewOverdue)
		at := noon.Add(25 * time.Hour)
		n := must(t, g, Action{Verb: ReviewOverdue, Comment: "nobody looked"}, at)
		want := g.clone()
		want.Version++
		want.Review.OverdueAt = at
		if diff := cmp.Diff(want, n); diff != "" || n.Review.Done() || !g.ReviewOverdue(at) || n.ReviewOverdue(at) {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
		if _, _, err := Advance(n, Action{Verb: ReviewOverdue}, at.Add(time.Hour)); !errors.Is(err, ErrTransition) {
			t.Errorf("%s, a second time: error %v", state, err)
		}
		// It is still to be done, and can be.
		if !n.AwaitsReview() {
			t.Errorf("%s: nobody waits for the review any more", state)
		}
		done := must(t, n, Action{Verb: DoReview, Actor: audrey, Groups: []string{"security"}, Comment: "late"}, at.Add(time.Hour))
		if done.Review.By != audrey || !done.Review.OverdueAt.Equal(at) || done.AwaitsReview() {
			t.Errorf("%s: reviewed late: %+v", state, done.Review)
		}
	}
}

func TestWhatIsNotOverdue(t *testing.T) {
	tests := map[string]struct {
		change func(*Grant, *Action)
		want   error
	}{
		"no review is asked for": {func(g *Grant, _ *Action) { g.Review = Review{} }, ErrTransition},
		"it has no end":          {func(g *Grant, _ *Action) { g.Review.DueAt = time.Time{} }, ErrTransition},
		"it was done":            {func(g *Grant, _ *Action) { g.Review.By = audrey }, ErrTransition},
		"it never began":         {func(g *Grant, _ *Action) { g.ActivatedAt = time.Time{} }, ErrTransition},
		"somebody says so":       {func(_ *Grant, a *Action) { a.Actor = audrey }, ErrAction},
	}
	for name, test := range tests {
		for _, state := range []State{Active, Expired, Revoked} {
			g := inState(state, ReviewOverdue)
			a, at := fitting(ReviewOverdue)
			test.change(&g, &a)
			if _, _, err := Advance(g, a, at); !errors.Is(err, test.want) {
				t.Errorf("%s, %s: error %v, want %v", name, state, err, test.want)
			}
		}
	}
}
