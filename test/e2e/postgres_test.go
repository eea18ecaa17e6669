package e2e

import (
	"bytes"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
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

// database starts a Postgres with one database, and the table of it in which Clutch keeps tokens.
func database(t *testing.T) (*pgproc.Server, *world.Postgres) {
	t.Helper()
	server, err := pgproc.StartTCP(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	psql := func(database string, arguments ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "psql", append([]string{"-v", "ON_ERROR_STOP=1", "-q", server.DSN(database)}, arguments...)...)
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
	psql("postgres", "-c", "CREATE DATABASE clutch")
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/lyft/clutch/backend").Output()
	require.NoError(t, err)
	tokens := filepath.Join(string(bytes.TrimSpace(dir)), "cmd/migrate/migrations/000007_authn_tokens_create.up.sql")
	require.FileExists(t, tokens)
	psql("clutch", "-f", tokens)
	host, port, password := server.TCP()
	return server, &world.Postgres{Host: host, Port: port, User: pgproc.User, Password: password, Database: "clutch"}
}

// The whole on Postgres: what was acknowledged survives the gateway and the database, and an agent goes through the same
// gate as people, with somebody else's approval than its owner's.
func TestPostgresAndAnAgent(t *testing.T) {
	server, db := database(t)
	p := startWith(t, world.Options{
		Postgres: db, Policy: []byte(agentPolicy),
		Agents: []world.Agent{{Name: "triage", ServiceAccount: "triage-bot", Owner: alice}},
	})

	g, token := p.open(alice, "staging", "billing", 15*time.Minute)
	require.Equal(t, http.StatusOK, p.visit(http.DefaultClient, stagingBilling, token).status)

	// I5: kill -9 of the gateway, and a database that stops at once.
	p.Gateway.Kill()
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, p.Gateway.Start(t.Context()))
	require.Equal(t, "ACTIVE", p.get(alice, g)["state"])
	require.NoError(t, server.Restart(t.Context()))
	eventually(t, "the gateway finds the database again", func() bool {
		status, _ := p.call(alice, "haproxyaccess/getGrant", object{"grantId": g["id"]})
		return status == http.StatusOK
	})
	require.Equal(t, "REVOKED", p.revoke(alice, g)["state"])
	p.refused(p.visit(http.DefaultClient, stagingBilling, token), http.StatusForbidden, "no_grant")

	// An agent's service account, by Clutch's own call.
	const agent = "agent:triage"
	made := p.do(carol, "authn/createToken", object{"subject": "triage-bot", "tokenType": "SERVICE", "expiry": "3600s"})
	p.tokens[agent] = made["accessToken"].(string)
	asked := p.request(agent, "prod", "billing", 10*time.Minute)
	require.Equal(t, []any{"PENDING", agent, alice}, []any{asked["state"], asked["subject"], asked["owner"]})
	decision := object{"grantId": asked["id"], "etag": asked["etag"], "idempotencyKey": newKey()}
	for _, who := range []string{alice, agent} { // alice is in the group that approves, and its owner
		status, _ := p.call(who, "haproxyaccess/approveAccess", decision)
		require.Equal(t, http.StatusForbidden, status, who)
	}
	people := p.get(agent, asked)["steps"].([]any)[0].(object)["people"]
	require.NotContains(t, people, alice)
	opened := grantOf(p.do(bob, "haproxyaccess/approveAccess", decision))
	require.Equal(t, "ACTIVE", opened["state"])
	a := p.visit(http.DefaultClient, prodBilling, p.issue(agent, opened))
	require.Equal(t, []any{http.StatusOK, agent}, []any{a.status, a.body["user"]})

	// Its owner loses the group on which it rests, and so does the agent.
	require.NoError(t, p.SetGroups(t.Context(), alice, "sales"))
	_, err := p.Login(t.Context(), alice)
	require.NoError(t, err)
	eventually(t, "the agent's grant is revoked", func() bool { return p.get(audrey, opened)["state"] == "REVOKED" })
	require.Equal(t, "group_lost", p.get(audrey, opened)["endCause"])

	events, _ := p.audit()
	require.True(t, strings.Contains(strings.Join(events, "\n"), "service:triage-bot AccessAPI.RequestAccess 0"), "%v", events)
}

// Two gateways share a store: what one of them commits the other knows, and each goes on without the other.
func TestTwoGatewaysShareAStore(t *testing.T) {
	_, db := database(t)
	p := startWith(t, world.Options{Postgres: db, Gateways: 2})
	first, second := *p, *p
	second.gateway = p.Endpoints().Gateways[1]
	require.NotEqual(t, first.gateway, second.gateway)

	g, token := first.open(alice, "prod", "billing", 15*time.Minute)
	require.Equal(t, http.StatusOK, p.visit(http.DefaultClient, prodBilling, token).status)
	require.Equal(t, "ACTIVE", second.get(alice, g)["state"])

	// The first one is killed. The second takes a login, and ends what the first has opened.
	p.Gateways[0].Kill()
	second.tokens = map[string]string{}
	require.Equal(t, "REVOKED", second.revoke(alice, g)["state"])
	refused := func() bool {
		a, err := p.tryVisit(http.DefaultClient, prodBilling, token)
		return err == nil && a.status == http.StatusForbidden && a.why == "no_grant"
	}
	eventually(t, "both nodes refuse", refused)

	// It comes back while the other stands still, and brings nothing back.
	require.NoError(t, p.Gateways[1].Suspend(t.Context()))
	require.NoError(t, p.Gateways[0].Start(t.Context()))
	require.Equal(t, "REVOKED", first.get(alice, g)["state"])
	other, otherToken := first.open(alice, "prod", "billing", 15*time.Minute)
	eventually(t, "the first one writes", func() bool {
		a, err := p.tryVisit(http.DefaultClient, prodBilling, otherToken)
		return err == nil && a.status == http.StatusOK
	})
	p.Gateways[1].Resume()
	require.Equal(t, "ACTIVE", second.get(alice, other)["state"])
	a := p.visit(http.DefaultClient, prodBilling, token)
	p.refused(a, http.StatusForbidden, "other_grant")
}
