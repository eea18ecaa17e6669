package access_test

import (
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
)

// What people read where something cannot be done: sentences about what is, to who reads them, and no words of the inside.
func TestPeopleAreToldInTheirOwnWords(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *world) error
		want string
	}{
		"revoke what was revoked": {func(w *world) error {
			v := w.request(alice, "staging", "db")
			w.end(v.Grant.ID)
			_, err := w.service.Revoke(w.t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
			return err
		}, "It has ended already: it was revoked."},
		"revoke what has expired": {func(w *world) error {
			v := w.request(alice, "staging", "db")
			w.pass(time.Hour)
			w.equal("sweep", w.service.Sweep(w.t.Context()), error(nil))
			_, err := w.service.Revoke(w.t.Context(), alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
			return err
		}, "It has ended already: its time was over."},
		"withdraw nothing": {func(w *world) error {
			v := w.request(alice, "prod", "db")
			_, err := w.service.Withdraw(w.t.Context(), bob, access.Revocation{GrantID: v.Grant.ID}, w.key())
			return err
		}, "You have given no approval that could be taken back."},
		"review one's own": {func(w *world) error {
			w.inForce(emergencyPolicy)
			erinToo := person("erin", "eng", "oncall", "security")
			v := w.requested(erinToo, urgent)
			w.end(v.Grant.ID)
			_, err := w.service.Review(w.t.Context(), erinToo, shown(w.viewOf(erinToo, v.Grant.ID)), w.key())
			return err
		}, "Nobody reviews their own access."},
		"review what is open": {func(w *world) error {
			w.inForce(emergencyPolicy)
			_, err := w.service.Review(w.t.Context(), sam, shown(w.requested(erin, urgent)), w.key())
			return err
		}, "Access in an emergency is reviewed when it has ended, and this has not."},
		"a second request for the same": {func(w *world) error {
			w.request(alice, "staging", "db")
			_, err := w.service.Request(w.t.Context(), alice, ask("staging", "db"), w.key())
			return err
		}, "grant g001 gives you this access already; give it up or let it end first"},
		"a second request that would wait": {func(w *world) error {
			w.request(alice, "prod", "db")
			_, err := w.service.Request(w.t.Context(), alice, ask("prod", "db"), w.key())
			return err
		}, "your request g001 waits for approval of this pool already; cancel it to ask for something else"},
		"approve the second of two": {func(w *world) error {
			first := w.request(alice, "prod", "db")
			second := w.twin(first)
			w.approve(first)
			_, err := w.service.Approve(w.t.Context(), bob, shown(second), w.key())
			return err
		}, "alice@example.com has this access already, by grant g001; this request can be approved when that has ended"},
		"groups of before": {func(w *world) error {
			v := w.request(alice, "prod", "db")
			w.pass(16 * time.Minute)
			_, err := w.service.Approve(w.t.Context(), bob, shown(v), w.key())
			return err
		}, "Your groups were read more than 15 minutes ago: sign in again, then try once more."},
		"a token before the window": {func(w *world) error {
			a := ask("staging", "db")
			a.StartsAt = begin.Add(10 * time.Minute)
			_, _, err := w.service.IssueToken(w.t.Context(), alice, w.requested(alice, a).Grant.ID)
			return err
		}, "the window of the grant begins at 2026-01-02T03:14:05Z; there is no token before"},
		"a token while people decide": {func(w *world) error {
			_, _, err := w.service.IssueToken(w.t.Context(), alice, w.request(alice, "prod", "db").Grant.ID)
			return err
		}, "the grant waits for approval; there is no token before"},
		"a token afterwards": {func(w *world) error {
			v := w.request(alice, "staging", "db")
			w.pass(time.Hour)
			_, _, err := w.service.IssueToken(w.t.Context(), alice, v.Grant.ID)
			return err
		}, "the grant has ended"},
	} {
		if err := c.do(newWorld(t)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v; want %s", name, err, c.want)
		}
	}
}
