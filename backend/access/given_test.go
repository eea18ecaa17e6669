package access_test

import (
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
)

// Once people have decided nobody is told any more who must, and how long that waits.
func TestAGrantSaysByWhatItWasGiven(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	w.equal("while it waits", v.Explanation, v.Grant.Explanation)
	const approved = "It was given by the approval of bob@example.com, by the rule prod."
	v = w.approve(v)
	w.equal("active", v.Explanation, approved)
	v = w.extended(alice, v, 60e9)
	w.equal("while an extension waits", v.Explanation, approved)
	v = w.approvedBy(carol, v)
	w.equal("extended", v.Explanation, "It was given by the approval of carol@example.com, by the rule prod.")
	w.end(v.Grant.ID)
	w.equal("ended", w.viewOf(alice, v.Grant.ID).Explanation, "It was given by the approval of carol@example.com, by the rule prod.")

	v = w.request(alice, "prod", "db")
	_, err := w.service.Deny(t.Context(), bob, shown(v), w.key())
	w.equal("deny", code(err), ok)
	w.equal("denied", w.viewOf(alice, v.Grant.ID).Explanation, "It was not given: not all have approved whom policy asks.")

	v = w.request(alice, "staging", "db")
	w.equal("where nobody is asked", v.Explanation, v.Grant.Explanation)
	page, err := w.service.List(t.Context(), alice, access.Filter{Pool: "db", Environment: "staging"})
	w.equal("list", code(err), ok)
	w.equal("in a list", page.Grants[0].Explanation, v.Explanation)
}
