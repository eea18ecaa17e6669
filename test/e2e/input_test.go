package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bad input answers with the right status, changes nothing, and is in the audit log.
func TestBadInputChangesNothing(t *testing.T) {
	p := start(t, nil)
	ask := func(change object) object {
		body := object{
			"environment": "staging", "pool": "reports", "duration": "900s", "reason": "ticket", "idempotencyKey": newKey(),
		}
		for k, v := range change {
			body[k] = v
		}
		return body
	}
	mine, _ := p.Open(alice, "staging", "billing", time.Minute)
	used := newKey()
	waiting := grantOf(p.Do(alice, "haproxyaccess/requestAccess", ask(object{"environment": "prod", "pool": "ops", "idempotencyKey": used})))
	for _, c := range []struct {
		name, who, path string
		body            object
		want            int
	}{
		{"unknown pool", alice, "requestAccess", ask(object{"pool": "nope"}), 404},
		{"hostile pool", alice, "requestAccess", ask(object{"pool": "a|b\n#"}), 400},
		{"zero duration", alice, "requestAccess", ask(object{"duration": "0s"}), 400},
		{"negative duration", alice, "requestAccess", ask(object{"duration": "-1s"}), 400},
		{"half a second", alice, "requestAccess", ask(object{"duration": "1.5s"}), 400},
		{"a century", alice, "requestAccess", ask(object{"duration": "3153600000s"}), 400},
		{"longer than policy allows", alice, "requestAccess", ask(object{"duration": "86400s"}), 403},
		{"no reason", alice, "requestAccess", ask(object{"reason": ""}), 400},
		{"blank reason", alice, "requestAccess", ask(object{"reason": " \t"}), 400},
		{"control character", alice, "requestAccess", ask(object{"reason": "a\u001bb"}), 400},
		{"endless reason", alice, "requestAccess", ask(object{"reason": strings.Repeat("x", 1001)}), 400},
		{"no idempotency key", alice, "requestAccess", ask(object{"idempotencyKey": ""}), 400},
		{"used key, other body", alice, "requestAccess", ask(object{"idempotencyKey": used}), 409},
		{"not in a group", audrey, "requestAccess", ask(nil), 403},
		{"live grant exists", alice, "requestAccess", ask(object{"pool": "billing"}), 409},
		{"the same is waited for", alice, "requestAccess", ask(object{"environment": "prod", "pool": "ops"}), 409},
		{"a lock of a second spelling", carol, "createLock", object{"subject": alice + ".", "reason": "gone", "dryRun": true,
			"untilTime": time.Now().Add(time.Hour).Format(time.RFC3339), "idempotencyKey": newKey()}, 400},
		{"revoking in no place", carol, "revokeGrants", object{"environment": "nope", "reason": "gone", "dryRun": true, "idempotencyKey": newKey()}, 404},
		{"bad page token", alice, "listGrants", object{"pageToken": "!"}, 400},
		{"hostile subject", alice, "listGrants", object{"subject": "a|b@example.com"}, 400},
		{"over-long subject", alice, "listGrants", object{"subject": strings.Repeat("a", 117) + "@example.com"}, 400},
		{"a grant of somebody else", bob, "getGrant", object{"grantId": mine["id"]}, 404},
		{"revoking it", bob, "revokeAccess", object{"grantId": mine["id"], "idempotencyKey": newKey()}, 404},
		{"unknown grant", alice, "getGrant", object{"grantId": "nope"}, 404},
		{"stale etag", bob, "approveAccess", object{"grantId": waiting["id"], "etag": "v7", "idempotencyKey": newKey()}, 409},
		{"nodes", alice, "getNodeStatus", object{}, 403},
		{"servers", alice, "addPoolServer", object{"environment": "prod", "pool": "ops", "name": "s9", "address": "127.0.0.1", "port": 9, "idempotencyKey": newKey()}, 403},
		{"server with a host's name", carol, "addPoolServer", object{"environment": "prod", "pool": "ops", "name": "s9", "address": "evil.example", "port": 9, "idempotencyKey": newKey()}, 400},
	} {
		status, answer := p.Call(c.who, "haproxyaccess/"+c.path, c.body)
		require.Equal(t, c.want, status, "%s: %v", c.name, answer)
		require.NotEmpty(t, answer["message"], c.name)
	}
	grants := p.Do(carol, "haproxyaccess/listGrants", object{})["grants"].([]any)
	require.Len(t, grants, 2, "only the two that succeeded")
	require.Equal(t, "PENDING", p.Get(alice, waiting)["state"])
	status, _ := p.Call("", "haproxyaccess/listPools", object{})
	require.Equal(t, http.StatusUnauthorized, status)
	got, err := http.Get(p.API + "/v1/haproxyaccess/listPools")
	require.NoError(t, err)
	require.NoError(t, got.Body.Close())
	require.Equal(t, []any{http.StatusMethodNotAllowed, "POST"}, []any{got.StatusCode, got.Header.Get("Allow")})

	// Who names no duration is given the rule's default.
	short := ask(nil)
	delete(short, "duration")
	require.Equal(t, "900s", grantOf(p.Do(alice, "haproxyaccess/requestAccess", short))["duration"])

	// The same key with the same body answers the same grant.
	again := grantOf(p.Do(alice, "haproxyaccess/requestAccess", ask(object{"environment": "prod", "pool": "ops", "idempotencyKey": used})))
	require.Equal(t, waiting["id"], again["id"])

	// A second approval.
	decision := object{"grantId": waiting["id"], "etag": waiting["etag"], "idempotencyKey": newKey()}
	p.Do(bob, "haproxyaccess/approveAccess", decision)
	decision["idempotencyKey"] = newKey()
	status, _ = p.Call(carol, "haproxyaccess/approveAccess", decision)
	require.Equal(t, http.StatusConflict, status)

	events, _ := p.audit()
	for _, e := range []string{
		alice + " AccessAPI.RequestAccess 3", alice + " AccessAPI.RequestAccess 5", alice + " AccessAPI.RequestAccess 7",
		alice + " AccessAPI.RequestAccess 10", bob + " AccessAPI.GetGrant 5", alice + " AccessAPI.ListGrants 3",
	} {
		require.Contains(t, events, e)
	}
}

// Servers of a pool come and go through the API, by a transaction on the node.
func TestPoolServersComeAndGo(t *testing.T) {
	p := start(t, nil)
	servers := func(answer object) []string {
		var names []string
		for _, s := range answer["servers"].([]any) {
			names = append(names, s.(object)["name"].(string)+" "+s.(object)["operationalState"].(string))
		}
		return names
	}
	pool := object{"environment": "staging", "pool": "reports"}
	first := p.Do(carol, "haproxyaccess/listPoolServers", pool)
	require.Len(t, servers(first), 1)
	existing := first["servers"].([]any)[0].(object)
	add := object{
		"environment": "staging", "pool": "reports", "name": "extra", "address": existing["address"], "port": existing["port"],
		"idempotencyKey": newKey(),
	}
	require.Equal(t, []string{existing["name"].(string) + " up", "extra up"}, servers(p.Do(carol, "haproxyaccess/addPoolServer", add)))
	require.Len(t, servers(p.Do(carol, "haproxyaccess/addPoolServer", add)), 2, "again with the same key")
	remove := object{"environment": "staging", "pool": "reports", "name": existing["name"], "idempotencyKey": newKey()}
	require.Equal(t, []string{"extra up"}, servers(p.Do(carol, "haproxyaccess/removePoolServer", remove)))

	// It serves, and the reloads in between have lost no grant.
	_, token := p.Open(alice, "staging", "reports", time.Minute)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, "reports.staging.localhost", token).Status)
}
