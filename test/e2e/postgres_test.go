package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

const agentPolicy = `version: 1
name: agents
rules:
  - name: staging
    match: {environments: [staging]}
    who: {groups: [engineering]}
    limits: {max_duration: 1h}
  - name: agents
    description: An agent of an engineer may ask for prod; people who are not its owner decide.
    match: {environments: [prod]}
    who: {agents: [triage]}
    when:
      - {condition: '"engineering" in owner.groups', message: The agent's owner must be an engineer}
    limits: {max_duration: 1h}
    approve: {all_of: [{group: prod-approvers}]}
`

// The whole on Postgres: what was acknowledged survives the gateway and the database, and an agent goes through the same
// gate as people, with somebody else's approval than its owner's.
func TestPostgresAndAnAgent(t *testing.T) {
	server, db := stage.Database(t)
	p := startWith(t, world.Options{
		Postgres: db, Policy: []byte(agentPolicy),
		Agents: []world.Agent{{Name: "triage", ServiceAccount: "triage-bot", Owner: alice}},
	})

	g, token := p.Open(alice, "staging", "billing", 15*time.Minute)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, stagingBilling, token).Status)

	// I5: kill -9 of the gateway, and a database that stops at once.
	p.Gateway.Kill()
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, p.Gateway.Start(t.Context()))
	require.Equal(t, "ACTIVE", p.Get(alice, g)["state"])
	require.NoError(t, server.Restart(t.Context()))
	eventually(t, "the gateway finds the database again", func() bool {
		status, _ := p.Call(alice, "haproxyaccess/getGrant", object{"grantId": g["id"]})
		return status == http.StatusOK
	})
	require.Equal(t, "REVOKED", p.Revoke(alice, g)["state"])
	// Who writes to a node is elected anew after the database's restart, and waits until no call of before can be under way.
	eventually(t, "the row goes", func() bool { return p.Visit(http.DefaultClient, stagingBilling, token).Why == "no_grant" })

	// An agent's service account, by Clutch's own call.
	const agent = "agent:triage"
	made := p.Do(carol, "authn/createToken", object{"subject": "triage-bot", "tokenType": "SERVICE", "expiry": "3600s"})
	p.Tokens[agent] = made["accessToken"].(string)
	asked := p.Request(agent, "prod", "billing", 10*time.Minute)
	require.Equal(t, []any{"PENDING", agent, alice}, []any{asked["state"], asked["subject"], asked["owner"]})
	decision := object{"grantId": asked["id"], "etag": asked["etag"], "idempotencyKey": newKey()}
	for _, who := range []string{alice, agent} { // alice is in the group that approves, and its owner
		status, _ := p.Call(who, "haproxyaccess/approveAccess", decision)
		require.Equal(t, http.StatusForbidden, status, who)
	}
	people := p.Get(agent, asked)["steps"].([]any)[0].(object)["people"]
	require.NotContains(t, people, alice)
	opened := grantOf(p.Do(bob, "haproxyaccess/approveAccess", decision))
	require.Equal(t, "ACTIVE", opened["state"])
	a := p.Visit(http.DefaultClient, prodBilling, p.Issue(agent, opened))
	require.Equal(t, []any{http.StatusOK, agent}, []any{a.Status, a.Body["user"]})

	// Its owner loses the group on which it rests, and so does the agent.
	require.NoError(t, p.SetGroups(t.Context(), alice, "sales"))
	_, err := p.Login(t.Context(), alice)
	require.NoError(t, err)
	eventually(t, "the agent's grant is revoked", func() bool { return p.Get(audrey, opened)["state"] == "REVOKED" })
	require.Equal(t, "group_lost", p.Get(audrey, opened)["endCause"])

	events, _ := p.audit()
	require.True(t, strings.Contains(strings.Join(events, "\n"), "service:triage-bot AccessAPI.RequestAccess 0"), "%v", events)
}

// Two gateways share a store: what one of them commits the other knows, and each goes on without the other.
func TestTwoGatewaysShareAStore(t *testing.T) {
	_, db := stage.Database(t)
	p := startWith(t, world.Options{Postgres: db, Gateways: 2})
	first, second := p.At(0), p.At(1)
	require.NotEqual(t, first.API, second.API)

	g, token := first.Open(alice, "prod", "billing", 15*time.Minute)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, prodBilling, token).Status)
	require.Equal(t, "ACTIVE", second.Get(alice, g)["state"])

	// The first one is killed. The second takes a login, and ends what the first has opened.
	p.Gateways[0].Kill()
	clear(second.Tokens)
	require.Equal(t, "REVOKED", second.Revoke(alice, g)["state"])
	refused := func() bool {
		a, err := p.TryVisit(http.DefaultClient, prodBilling, token)
		return err == nil && a.Status == http.StatusForbidden && a.Why == "no_grant"
	}
	eventually(t, "both nodes refuse", refused)

	// It comes back while the other stands still, and brings nothing back.
	require.NoError(t, p.Gateways[1].Suspend(t.Context()))
	require.NoError(t, p.Gateways[0].Start(t.Context()))
	require.Equal(t, "REVOKED", first.Get(alice, g)["state"])
	other, otherToken := first.Open(alice, "prod", "billing", 15*time.Minute)
	eventually(t, "the first one writes", func() bool {
		a, err := p.TryVisit(http.DefaultClient, prodBilling, otherToken)
		return err == nil && a.Status == http.StatusOK
	})
	p.Gateways[1].Resume()
	require.Equal(t, "ACTIVE", second.Get(alice, other)["state"])
	a := p.Visit(http.DefaultClient, prodBilling, token)
	p.Refused(a, http.StatusForbidden, "other_grant")
}
