package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The main job, step by step, in one world.
func TestMainJob(t *testing.T) {
	p := start(t, nil)
	client := http.DefaultClient

	// Without a grant nothing passes.
	p.Refused(p.Visit(client, stagingBilling, ""), http.StatusUnauthorized, "no_token")

	// 1, 2. alice's groups reach the module; staging is open at once, on its only node.
	g, token := p.Open(alice, "staging", "billing", 15*time.Minute)
	enforced, total := enforcement(g)
	require.Equal(t, []int{1, 1}, []int{enforced, total})
	checkClaims(t, token, g)

	// The token goes to the grant's own subject only, administrators included.
	status, _ := p.Call(carol, "haproxyaccess/issueToken", object{"grantId": g["id"]})
	require.Equal(t, http.StatusForbidden, status, "carol is an operator")
	status, _ = p.Call(bob, "haproxyaccess/issueToken", object{"grantId": g["id"]})
	require.Equal(t, http.StatusNotFound, status, "bob may not even see it")

	// 3. The service sees who she is, in headers that she cannot forge.
	a := p.Visit(client, stagingBilling, token, "X-Forwarded-User", "root@example.com", "X-Clutch-Pool", "prod/billing")
	require.Equal(t, http.StatusOK, a.Status)
	require.Equal(t, "staging/billing", a.Body["service"])
	require.Equal(t, alice, a.Body["user"])
	require.Equal(t, "staging/billing", a.Body["pool"])
	require.Equal(t, g["id"], a.Body["grant"])
	require.NotContains(t, a.Body["headers"], "Authorization")

	// Another pool's host, and the same pool's name in the other environment.
	p.Refused(p.Visit(client, prodBilling, token), http.StatusUnauthorized, "bad_aud")
	p.Refused(p.Visit(client, prodOps, token), http.StatusUnauthorized, "bad_aud")
	p.Refused(p.Visit(client, "nobody.localhost", token), http.StatusNotFound, "unknown_service")

	// 4. prod waits; alice cannot approve herself though she is in the approvers' group; bob can.
	pending := p.Request(alice, "prod", "billing", 15*time.Minute)
	require.Equal(t, "PENDING", pending["state"])
	decision := object{"grantId": pending["id"], "etag": pending["etag"], "comment": "seen", "idempotencyKey": newKey()}
	status, _ = p.Call(alice, "haproxyaccess/approveAccess", decision)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = p.Call(audrey, "haproxyaccess/approveAccess", decision)
	require.Equal(t, http.StatusForbidden, status, "audrey may see it and not approve it")
	status, _ = p.Call(alice, "haproxyaccess/issueToken", object{"grantId": pending["id"]})
	require.Equal(t, http.StatusConflict, status, "nothing is open yet")
	approved := grantOf(p.Do(bob, "haproxyaccess/approveAccess", decision))
	require.Equal(t, "ACTIVE", approved["state"])
	enforced, total = enforcement(approved)
	require.Equal(t, []int{2, 2}, []int{enforced, total}, "prod has two nodes")
	prodToken := p.Do(alice, "haproxyaccess/issueToken", object{"grantId": pending["id"]})["token"].(string)
	require.Equal(t, http.StatusOK, p.Visit(client, prodBilling, prodToken).Status)
	p.Refused(p.Visit(client, stagingBilling, prodToken), http.StatusUnauthorized, "bad_aud")

	// 5. Giving up closes for the very next request, on the same connection.
	kept := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer kept.CloseIdleConnections()
	require.Equal(t, http.StatusOK, p.Visit(kept, stagingBilling, token).Status)
	require.Equal(t, "REVOKED", p.Revoke(alice, g)["state"])
	p.Refused(p.Visit(kept, stagingBilling, token), http.StatusForbidden, "no_grant")
	// An operator revokes what is not hers.
	require.Equal(t, "operator", p.Revoke(carol, approved)["endCause"])
	p.Refused(p.Visit(client, prodBilling, prodToken), http.StatusForbidden, "no_grant")

	// The token of an earlier grant is worth nothing under the next one.
	_, next := p.Open(alice, "staging", "billing", 15*time.Minute)
	p.Refused(p.Visit(client, stagingBilling, token), http.StatusForbidden, "other_grant")
	require.Equal(t, http.StatusOK, p.Visit(client, stagingBilling, next).Status)

	p.checkAudit(g, approved)
	p.checkRefusalPage()
}

// checkClaims looks at the token's bytes, not through a library: no claim may be there twice.
func checkClaims(t *testing.T, token string, g object) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	header := object{}
	require.NoError(t, json.Unmarshal(raw, &header))
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, "RS256", header["alg"])
	raw, err = base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	claims := object{}
	require.NoError(t, json.Unmarshal(raw, &claims))
	require.Equal(t, len(claims), strings.Count(string(raw), `":`), "a claim is doubled")
	require.Equal(t, alice, claims["sub"])
	require.Equal(t, "staging/billing", claims["aud"])
	require.Equal(t, g["id"], claims["grant_id"])
	require.Equal(t, "engineering,prod-approvers", claims["groups"])
	require.Equal(t, 30.0, claims["iat"].(float64)-claims["nbf"].(float64))
	require.Equal(t, 600.0, claims["exp"].(float64)-claims["iat"].(float64))
}

// checkAudit reads the log back with Clutch's own API, before and after a restart of the gateway.
func (p *place) checkAudit(revoked, approved object) {
	p.T.Helper()
	want := func(events []string) {
		p.T.Helper()
		for _, e := range []string{
			alice + " AccessAPI.RequestAccess 0", alice + " AccessAPI.IssueToken 0", alice + " AccessAPI.RevokeAccess 0",
			alice + " AccessAPI.ApproveAccess 7", bob + " AccessAPI.ApproveAccess 0", carol + " AccessAPI.IssueToken 7",
			alice + " GrantEvent.request 0", bob + " GrantEvent.complete 0", "system:haproxyaccess GrantEvent.activate 0",
			alice + " GrantEvent.revoke 0", carol + " GrantEvent.revoke 0",
		} {
			require.Contains(p.T, events, e)
		}
	}
	eventually(p.T, "the last event reaches the audit log", func() bool {
		events, _ := p.audit()
		return strings.Count(strings.Join(events, "\n"), "GrantEvent.revoke") == 2
	})
	events, text := p.audit()
	want(events)
	require.NotContains(p.T, text, "eyJ", "a token is in the audit log")
	p.Gateway.Kill()
	require.NoError(p.T, p.Gateway.Start(p.T.Context()))
	events, _ = p.audit()
	want(events)

	// Those who are no auditors cannot read it, and that is in it too.
	status, _ := p.Call(alice, "audit/getEvents", object{"since": "3600s"})
	require.Equal(p.T, http.StatusForbidden, status)
	events, _ = p.audit()
	require.Contains(p.T, events, alice+" AuditAPI.GetEvents 7")
}

// audit lists the events as "<user> <service>.<method> <status code>", and the whole answer as text.
func (p *place) audit() (events []string, text string) {
	p.T.Helper()
	answer := p.Do(audrey, "audit/getEvents", object{"since": "3600s"})
	raw, err := json.Marshal(answer)
	require.NoError(p.T, err)
	for _, entry := range answer["events"].([]any) {
		e := entry.(object)["event"].(object)
		service := e["serviceName"].(string)
		status, err := json.Marshal(e["status"].(object)["code"])
		require.NoError(p.T, err)
		events = append(events, e["username"].(string)+" "+service[strings.LastIndexByte(service, '.')+1:]+"."+
			e["methodName"].(string)+" "+string(status))
	}
	return events, string(raw)
}

// checkRefusalPage: people get a page with a link, programs JSON with the same link.
func (p *place) checkRefusalPage() {
	p.T.Helper()
	link := p.Endpoints().Gateway + "/haproxy-access/request?environment=prod&pool=ops"
	page := p.Visit(http.DefaultClient, prodOps, "", "Accept", "text/html")
	require.Equal(p.T, http.StatusUnauthorized, page.Status)
	require.Contains(p.T, page.Body["text"], strings.ReplaceAll(link, "&", "&amp;"))
	program := p.Visit(http.DefaultClient, prodOps, "")
	p.Refused(program, http.StatusUnauthorized, "no_token")
	require.Equal(p.T, link, program.Body["request_url"])
	require.Equal(p.T, "prod/ops", program.Body["pool"])
	require.NotEmpty(p.T, program.Body["request_id"])
}
