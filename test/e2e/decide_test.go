package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An active grant is made longer while requests pass: none of them is refused, far beyond the end that it had first.
func TestExtensionHasNoGap(t *testing.T) {
	p := start(t, nil)
	g, token := p.Open(alice, "staging", "billing", 20*time.Second)
	firstEnd := p.Time(g["expireTime"])
	var current atomic.Pointer[string]
	current.Store(&token)
	stop, done := make(chan struct{}), make(chan string, 1)
	go func() {
		passed := 0
		for {
			select {
			case <-stop:
				done <- fmt.Sprintf("passed %d", passed)
				return
			default:
			}
			a, err := p.TryVisit(http.DefaultClient, stagingBilling, *current.Load())
			if err != nil || a.Status != http.StatusOK {
				done <- fmt.Sprintf("after %d requests: %d %s %v", passed, a.Status, a.Why, err)
				return
			}
			passed++
		}
	}()
	for range 3 {
		g = grantOf(p.Do(alice, "haproxyaccess/extendAccess", object{
			"grantId": g["id"], "duration": "3s", "reason": "not done yet", "idempotencyKey": newKey(),
		}))
		require.Equal(t, "ACTIVE", g["state"])
		fresh := p.Issue(alice, g)
		current.Store(&fresh)
	}
	require.Equal(t, firstEnd.Add(9*time.Second), p.Time(g["expireTime"]))
	eventually(t, "the first end is long past", func() bool { return time.Now().After(firstEnd.Add(4 * time.Second)) })
	close(stop)
	result := <-done
	require.True(t, strings.HasPrefix(result, "passed "), result)
	t.Log(result)
	// Then it ends on its last second, by HAProxy alone.
	eventually(t, "the way closes", func() bool {
		a, err := p.TryVisit(http.DefaultClient, stagingBilling, *current.Load())
		return err == nil && a.Status != http.StatusOK
	})
	require.False(t, time.Now().Before(p.Time(g["expireTime"])))
}

// A lock closes what is open for the very next request, and stops what is new; lifting it brings nothing back.
func TestLockEndsAndStopsAccess(t *testing.T) {
	p := start(t, nil)
	staging, stagingToken := p.Open(alice, "staging", "billing", 15*time.Minute)
	prod, prodToken := p.Open(alice, "prod", "billing", 15*time.Minute)
	waiting := p.Request(alice, "prod", "ops", 15*time.Minute)
	lock := object{
		"environment": "prod", "reason": "incident 12", "untilTime": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"idempotencyKey": newKey(),
	}
	status, _ := p.Call(alice, "haproxyaccess/createLock", lock)
	require.Equal(t, http.StatusForbidden, status)

	dry := object{"dryRun": true}
	for k, v := range lock {
		dry[k] = v
	}
	counted := p.Do(carol, "haproxyaccess/createLock", dry)
	require.Equal(t, object{"pending": 1.0, "approved": 0.0, "active": 1.0}, counted["covered"])
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, prodBilling, prodToken).Status)

	locked := p.Do(carol, "haproxyaccess/createLock", lock)
	require.Equal(t, counted["covered"], locked["covered"])
	p.Refused(p.Visit(http.DefaultClient, prodBilling, prodToken), http.StatusForbidden, "no_grant")
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, stagingBilling, stagingToken).Status)
	for _, g := range []object{prod, waiting} {
		ended := p.Get(alice, g)
		require.Equal(t, []any{"REVOKED", "lock"}, []any{ended["state"], ended["endCause"]})
	}
	status, refusal := p.Call(alice, "haproxyaccess/requestAccess", object{
		"environment": "prod", "pool": "ops", "duration": "900s", "reason": "ticket 4711", "idempotencyKey": newKey(),
	})
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, refusal["message"], "locked until")
	require.NotContains(t, refusal["message"], "incident 12") // why is not for those whom it covers

	id := locked["lock"].(object)["id"]
	p.Do(carol, "haproxyaccess/releaseLock", object{"lockId": id, "reason": "over", "idempotencyKey": newKey()})
	p.Refused(p.Visit(http.DefaultClient, prodBilling, prodToken), http.StatusForbidden, "no_grant")
	require.Equal(t, "REVOKED", p.Get(alice, prod)["state"])
	require.Equal(t, "PENDING", p.Request(alice, "prod", "ops", 15*time.Minute)["state"])
	require.Equal(t, "ACTIVE", p.Get(alice, staging)["state"])
}

// I4: what policy no longer allows is revoked; files that are no policy change nothing.
func TestI4PolicyChangeEndsGrants(t *testing.T) {
	p := start(t, nil)
	g, token := p.Open(alice, "staging", "billing", 15*time.Minute)
	before := p.Do(carol, "haproxyaccess/getPolicy", object{})
	require.Equal(t, "demo", before["policy"])
	require.Equal(t, before["policyHash"], g["policyHash"])

	// A test of the document fails: all of it is refused, and the answer says where.
	require.NoError(t, p.SetPolicy([]byte(otherPolicy+"\n  - name: wrong\n    subject: {name: alice@example.com, groups: [engineering]}\n"+
		"    request: {pool: staging/billing, for: 15m}\n    expect: {decision: allow}\n")))
	eventually(t, "the refusal is seen", func() bool {
		return strings.Contains(p.Do(carol, "haproxyaccess/getPolicy", object{})["error"].(string), "policy.yaml:")
	})
	require.Equal(t, before["policyHash"], p.Do(carol, "haproxyaccess/getPolicy", object{})["policyHash"])
	eventually(t, "the refusal is in Clutch's audit log, once", func() bool {
		events, text := p.audit()
		return strings.Count(strings.Join(events, "\n"), "GrantEvent.policy_refused") == 1 && strings.Contains(text, "policy.yaml:")
	})
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, stagingBilling, token).Status)

	require.NoError(t, p.SetPolicy([]byte(otherPolicy)))
	eventually(t, "the grant is revoked", func() bool { return p.Get(alice, g)["state"] == "REVOKED" })
	require.Equal(t, "policy_changed", p.Get(alice, g)["endCause"])
	eventually(t, "HAProxy refuses", func() bool {
		a, err := p.TryVisit(http.DefaultClient, stagingBilling, token)
		return err == nil && a.Why == "no_grant"
	})
	after := p.Do(carol, "haproxyaccess/getPolicy", object{})
	require.Equal(t, []any{"demo", ""}, []any{after["policy"], after["error"]})
	require.NotEqual(t, before["policyHash"], after["policyHash"])
	require.Len(t, p.Events("", "policy"), 2)
	eventually(t, "the change is in Clutch's audit log", func() bool {
		events, _ := p.audit()
		return strings.Count(strings.Join(events, "\n"), "GrantEvent.policy ") == 2
	})
}

const otherPolicy = `version: 1
name: demo
rules:
  - name: prod
    match: {environments: [prod]}
    who: {groups: [engineering]}
    limits: {max_duration: 1h}
    approve: {all_of: [{group: prod-approvers}]}
tests:
  - name: staging is closed
    subject: {name: alice@example.com, groups: [engineering]}
    request: {pool: staging/billing, for: 15m}
    expect: {decision: deny}`

// I4: a group that is lost at the identity provider takes the access with it as soon as a login shows it, and the token of
// before does not bring it back.
func TestI4LostGroupEndsAccess(t *testing.T) {
	p := start(t, nil)
	g, token := p.Open(alice, "staging", "billing", 15*time.Minute)
	old := p.Token(alice)
	require.NoError(t, p.SetGroups(t.Context(), alice, "sales"))
	// The login alone ends it: without her group, Clutch lets her call nothing.
	fresh, err := p.Login(t.Context(), alice)
	require.NoError(t, err)
	eventually(t, "the grant is revoked", func() bool { return p.Get(audrey, g)["state"] == "REVOKED" })
	ended := p.Get(audrey, g)
	require.Equal(t, "group_lost", ended["endCause"])
	require.Contains(t, ended["endComment"], "by login")
	eventually(t, "HAProxy refuses", func() bool {
		a, err := p.TryVisit(http.DefaultClient, stagingBilling, token)
		return err == nil && a.Why == "no_grant"
	})
	for _, clutchToken := range []string{old, fresh} {
		p.Tokens[alice] = clutchToken
		status, _ := p.Call(alice, "haproxyaccess/requestAccess", object{
			"environment": "staging", "pool": "billing", "duration": "900s", "reason": "once more", "idempotencyKey": newKey(),
		})
		require.Equal(t, http.StatusForbidden, status)
	}
}

// An emergency opens at once, is loud, and is reviewed by somebody else.
func TestBreakGlassIsLoudAndReviewed(t *testing.T) {
	p := start(t, nil)
	ask := object{
		"environment": "prod", "pool": "billing", "duration": "600s", "reason": "all is down", "breakGlass": true,
		"idempotencyKey": newKey(),
	}
	g := grantOf(p.Do(bob, "haproxyaccess/requestAccess", ask))
	require.Equal(t, []any{"ACTIVE", true}, []any{g["state"], g["breakGlass"]})
	require.Equal(t, []any{"prod-approvers"}, g["notify"])
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, prodBilling, p.Issue(bob, g)).Status)

	review := object{"grantId": g["id"], "etag": g["etag"], "comment": "it was needed", "idempotencyKey": newKey()}
	status, _ := p.Call(alice, "haproxyaccess/reviewAccess", review) // it is open: nobody can say yet what was done
	require.Equal(t, http.StatusConflict, status)
	g = grantOf(p.Do(bob, "haproxyaccess/revokeAccess", object{"grantId": g["id"], "reason": "it is up again", "idempotencyKey": newKey()}))
	review["etag"], review["idempotencyKey"] = g["etag"], newKey()
	status, _ = p.Call(bob, "haproxyaccess/reviewAccess", review)
	require.Equal(t, http.StatusForbidden, status)
	awaiting := p.Do(alice, "haproxyaccess/listGrants", object{"awaitingMyReview": true})
	require.Len(t, awaiting["grants"], 1)
	done := grantOf(p.Do(alice, "haproxyaccess/reviewAccess", review))
	require.Equal(t, alice, done["review"].(object)["subject"])
	events, text := p.audit()
	require.Contains(t, events, bob+" AccessAPI.RequestAccess 0")
	eventually(t, "it is in the audit log as what it is", func() bool {
		_, text = p.audit()
		return strings.Contains(text, `"breakGlass":true`) && strings.Contains(text, `"notify":["prod-approvers"]`)
	})
}
