package access_test

import (
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Between the look of one gateway and its write another keeps a later login: the older token gives nothing that the later
// one lost, not even to this one call.
func TestAnOlderTokenGivesNothingWhileALaterLoginIsKept(t *testing.T) {
	w := newWorld(t)
	w.pass(time.Minute)
	other := w.elsewhere()
	w.broken.meanwhile("RememberLogin", func() {
		_, err := other.Identify(t.Context(), access.Login{Subject: alice.Subject, Groups: []string{"eng"}, At: begin.Add(time.Second)})
		w.equal("the other", code(err), ok)
	})
	c := w.identify(alice.Subject, begin, "eng", "sre")
	w.equal("groups", c.Groups, []string{"eng"})
	w.equal("as of", c.GroupsAt, begin.Add(time.Second))
}

// Two logins of one second, which is all that a token tells: nobody knows which was first, so what only one of them says
// does not count, in whatever order they come, and at whichever gateway.
func TestOfTwoLoginsOfOneMomentWhatBothSayCounts(t *testing.T) {
	for _, order := range [][][]string{
		{{"eng", "sre"}, {"eng"}, {"eng", "sre"}}, {{"eng"}, {"eng", "sre"}, {"eng"}}, {{"eng", "ops"}, {"eng", "sre"}},
	} {
		w := newWorld(t)
		here, there := w.service, w.elsewhere()
		var c access.Caller
		for i, groups := range order {
			var err error
			c, err = []*access.Service{here, there}[i%2].Identify(t.Context(), access.Login{Subject: alice.Subject, Groups: groups, At: begin})
			w.equal("identify", code(err), ok)
		}
		w.equal("groups", c.Groups, []string{"eng"})
		w.equal("who has a group more than that", w.identify(alice.Subject, begin, "eng", "sre").Groups, []string{"eng"})
	}
}

// The judge is told of a group that is lost by a login of the same moment.
func TestALossOfTheSameMomentIsAChange(t *testing.T) {
	w := newWorld(t)
	w.identify(alice.Subject, begin, "eng", "sre")
	w.identify(alice.Subject, begin, "eng")
	w.equal("changes", w.changes.Load(), int64(1))
	w.identify(alice.Subject, begin, "eng", "sre")
	w.equal("changes", w.changes.Load(), int64(1))
}

// Whatever the order in which tokens of two sessions come to two gateways at once, in the end the later one counts.
func TestTokensOfTwoSessionsRace(t *testing.T) {
	w := newWorld(t)
	w.pass(time.Hour)
	gateways := []*access.Service{w.service, w.elsewhere()}
	for n := range 20 {
		who := grant.Subject("p" + string(rune('a'+n)) + "@example.com")
		var wg sync.WaitGroup
		for i, s := range gateways {
			for _, l := range []access.Login{
				{Subject: who, Groups: []string{"eng", "sre"}, At: begin},
				{Subject: who, Groups: []string{"eng"}, At: begin.Add(time.Duration(i%2) * time.Second)},
			} {
				wg.Go(func() {
					if _, err := s.Identify(t.Context(), l); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		w.equal("groups", w.identify(who, begin, "eng", "sre").Groups, []string{"eng"})
	}
}
