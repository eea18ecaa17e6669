package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// A store that fails gives nobody access, shows nothing, and its error stays inside.
func TestAStoreThatFailsNeverGivesAccess(t *testing.T) {
	w := newWorld(t)
	pending := w.request(alice, "prod", "db")
	active := w.request(alice, "staging", "db")
	told, events := w.enforcer.told(), w.verbs()
	decision := access.Decision{GrantID: pending.Grant.ID, Etag: pending.Etag}
	for name, c := range map[string]struct {
		fails []string
		call  func() error
	}{
		"request": {[]string{"Replayed", "Live", "Commit"}, func() error {
			_, err := w.service.Request(t.Context(), dave, ask("staging", "db"), w.key())
			return err
		}},
		"refused request": {[]string{"Commit"}, func() error {
			_, err := w.service.Request(t.Context(), nobody, ask("staging", "db"), w.key())
			return err
		}},
		"approve": {[]string{"Replayed", "Grant", "Commit"}, func() error {
			_, err := w.service.Approve(t.Context(), bob, decision, w.key())
			return err
		}},
		"deny": {[]string{"Replayed", "Grant", "Commit"}, func() error {
			_, err := w.service.Deny(t.Context(), bob, decision, w.key())
			return err
		}},
		"revoke": {[]string{"Replayed", "Grant", "Commit"}, func() error {
			_, err := w.service.Revoke(t.Context(), oscar, access.Revocation{GrantID: active.Grant.ID}, w.key())
			return err
		}},
		"get":   {[]string{"Grant"}, func() error { _, err := w.service.Get(t.Context(), alice, active.Grant.ID); return err }},
		"token": {[]string{"Grant"}, func() error { _, _, err := w.service.IssueToken(t.Context(), alice, active.Grant.ID); return err }},
		"list":  {[]string{"List"}, func() error { _, err := w.service.List(t.Context(), alice, access.Filter{}); return err }},
		"add a server": {[]string{"Replayed", "Commit"}, func() error {
			_, err := w.service.AddServer(t.Context(), oscar, "prod", "db", access.Server{Name: "s2"}, w.key())
			return err
		}},
	} {
		for _, method := range c.fails {
			t.Run(name+" without "+method, func(t *testing.T) {
				w.broken.set(method)
				defer w.broken.set("")
				err := c.call()
				w.equal("code", code(err), access.Internal)
				if err != nil && strings.Contains(err.Error(), marker) {
					t.Errorf("the message holds the store's: %s", err)
				}
				if !errors.Is(err, errBroken) {
					t.Error("the cause is lost to the log")
				}
			})
		}
	}
	w.equal("events", w.verbs(), events)
	w.equal("told", w.enforcer.told(), told)
	w.equal("tokens", len(w.tokens.claims), 0)
	w.equal("servers", len(w.fleet.calls), 0)
}

func TestANodeThatDoesNotChangeItsServersIsToBeTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.fleet.err = errors.New("node n1: no answer")
	_, err := w.service.AddServer(t.Context(), oscar, "prod", "db", access.Server{Name: "s2"}, "key-server")
	w.equal("code", code(err), access.Unavailable)
	w.equal("message", err.Error(), "node n1: no answer")
	w.fleet.err = nil
	_, err = w.service.AddServer(t.Context(), oscar, "prod", "db", access.Server{Name: "s2"}, "key-server")
	w.equal("the same again", code(err), ok)
	w.fleet.err = access.ErrServerExists
	_, err = w.service.AddServer(t.Context(), oscar, "prod", "db", access.Server{Name: "s2", Port: 1}, w.key())
	w.equal("another address", code(err), access.Conflict)
}

// A call waits for the nodes no longer than it is told to, and no longer than its caller does; then it answers with what
// is in force as of now.
func TestACallWaitsForTheNodesABoundedTime(t *testing.T) {
	w := newWorld(t)
	w.enforcer.hang, w.enforcer.enforced = true, 0
	start := time.Now()
	v := w.request(alice, "staging", "db")
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("waited only %s", took)
	}
	w.equal("state", v.Grant.State, grant.Active)
	w.equal("enforcement", v.Enforcement, access.Enforcement{NodesTotal: 1})

	patient := w.build(func(c *access.Config) { c.Wait = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	w.broken.Grants = commitThen{w.db, cancel}
	v, err := patient.Revoke(ctx, alice, access.Revocation{GrantID: v.Grant.ID}, w.key())
	w.equal("code", code(err), ok)
	w.equal("state", v.Grant.State, grant.Revoked)
	w.equal("enforcement", v.Enforcement, access.Enforcement{NodesTotal: 1})
	w.equal("waited for", []int64{w.enforcer.awaited[0].Revision, w.enforcer.awaited[1].Revision}, []int64{3, 4})
}

// The nodes are told after each commit, and never before.
func TestTheNodesAreToldAfterEachCommitAndNeverBefore(t *testing.T) {
	w := newWorld(t)
	w.approve(w.request(alice, "prod", "db"))
	v := w.request(alice, "staging", "db")
	w.end(v.Grant.ID)
	w.pass(3 * time.Hour)
	w.equal("sweep", w.service.Sweep(t.Context()), error(nil))
	w.equal("told", w.enforcer.told(), []int64{1, 3, 6, 7, 8})
	w.equal("too early", w.enforcer.early, []string(nil))
}
