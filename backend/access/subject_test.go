package access_test

import (
	"context"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// A caller whose name is not in its one form changes nothing, whatever their groups: HAProxy and I11 compare byte by byte.
func TestI11AHostileSubjectChangesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.request(alice, "prod", "db")
	before := w.verbs()
	for name, subject := range map[string]grant.Subject{
		"none": "", "upper case": "Alice@example.com", "a bar": "x@example.com|prod/db", "a slash": "x/y@example.com",
		"a newline": "x@example.com\nroot@example.com", "a hash": "x#@example.com", "a space": "x @example.com",
		"NUL": "x\x00@example.com", "an escape": "\x1b[2Jx@example.com", "not UTF-8": "x\xff@example.com",
		"the Kelvin sign": "\u212a@example.com", "over-long": grant.Subject(strings.Repeat("a", 128) + "@example.com"),
		"no address": "alice", "another kind": "robot:x",
	} {
		t.Run(name, func(t *testing.T) {
			c := access.Caller{Subject: subject, Groups: []string{"eng", "sre", "operators"}, GroupsAt: begin}
			_, err := w.service.Request(t.Context(), c, ask("staging", "db"), w.key())
			w.equal("request", code(err), access.Invalid)
			_, err = w.service.Request(t.Context(), c, ask("test", "db"), w.key()) // which policy would refuse, with an event
			w.equal("refused request", code(err), access.Invalid)
			for verb, decide := range w.decisions() {
				_, err := decide(c, access.Decision{GrantID: v.Grant.ID, Etag: v.Etag})
				w.equal(verb, code(err), access.Invalid)
			}
			_, err = w.service.Revoke(t.Context(), c, access.Revocation{GrantID: v.Grant.ID}, w.key())
			w.equal("revoke", code(err), access.Invalid)
			_, err = w.service.AddServer(t.Context(), c, "prod", "db", access.Server{Name: "s2"}, w.key())
			w.equal("add a server", code(err), access.Invalid)
		})
	}
	w.equal("events", w.verbs(), before)
	w.equal("state", w.stored(v.Grant.ID).State, grant.Pending)
	w.equal("servers", len(w.fleet.calls), 0)
}

// mute is a policy that has no answer.
type mute struct{ policy.Engine }

func (mute) Evaluate(context.Context, policy.Request) policy.Decision { return policy.Decision{} }

// I12: no answer of policy means no.
func TestI12APolicyWithoutAnAnswerMeansNo(t *testing.T) {
	w := newWorld(t)
	w.service = w.build(func(c *access.Config) { c.Policy = mute{c.Policy} })
	_, err := w.service.Request(t.Context(), alice, ask("staging", "db"), w.key())
	w.equal("code", code(err), access.Forbidden)
	w.equal("events", w.verbs(), []grant.Verb{grant.Refuse})
	w.equal("grants", w.ids(audrey, access.Filter{}), []string(nil))
}
