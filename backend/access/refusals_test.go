package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Thirty refusals of a caller within a minute are judged and recorded; of those beyond the first is in the log, and nothing
// is judged until the minute is over.
func TestWhoIsRefusedTooOftenIsNeitherJudgedNorRecorded(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	tries := func(c access.Caller, a access.Ask) access.Code {
		_, err := w.service.Request(t.Context(), c, a, w.key())
		return code(err)
	}
	beyond := ask("prod", "db")
	beyond.Duration = 5 * time.Hour
	for range 30 {
		w.equal("refused", tries(erin, beyond), access.Forbidden)
		w.pass(time.Second)
	}
	w.equal("events", len(w.events()), 30)
	w.equal("beyond", tries(erin, beyond), access.TooMany)
	w.equal("what policy would give", tries(erin, ask("prod", "db")), access.TooMany)
	w.equal("events", len(w.events()), 31)
	w.equal("the log says that it is cut", strings.Contains(w.last().Grant.Explanation, "neither judges nor records"), true)
	w.equal("of whom", w.last().Actor, erin.Subject)
	w.equal("others", tries(alice, ask("prod", "db")), ok)
	v := w.requested(w.fresh(erin), urgent) // an emergency has its own budget
	w.end(v.Grant.ID)
	w.pass(30*time.Second - time.Millisecond)
	w.equal("a moment before the minute is over", tries(erin, beyond), access.TooMany)
	w.pass(time.Millisecond)
	w.equal("afterwards", tries(erin, beyond), access.Forbidden)
}

// An emergency is bounded likewise, by itself, and so is what makes a grant longer.
func TestEmergenciesAndExtensionsAreBoundedToo(t *testing.T) {
	w := newWorld(t)
	w.inForce(emergencyPolicy)
	v := w.approve(w.request(alice, "prod", "db"))
	tooLong := urgent
	tooLong.Duration = time.Hour
	for range 30 {
		_, err := w.service.Extend(t.Context(), alice, longer(v, 5*time.Hour), w.key())
		w.equal("extension", code(err), access.Forbidden)
		_, err = w.service.Request(t.Context(), w.fresh(erin), tooLong, w.key())
		w.equal("emergency", code(err), access.Forbidden)
	}
	_, err := w.service.Extend(t.Context(), alice, longer(v, time.Minute), w.key())
	w.equal("extension", code(err), access.TooMany)
	w.equal("of the grant", w.last().Grant.ID, v.Grant.ID)
	_, err = w.service.Request(t.Context(), w.fresh(erin), urgent, w.key())
	w.equal("emergency", code(err), access.TooMany)
	w.equal("in an emergency", w.last().Grant.BreakGlass, true)
	w.equal("ordinary access", w.requested(erin, ask("prod", "db")).Grant.State, grant.Pending)
}
