package e2e

import (
	"bytes"
	"net/http"
	"os"
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
	w, err := world.Start(t.Context(), world.Options{
		Dir: t.TempDir(), BinDir: binDir, Postgres: db, Policy: []byte(agentPolicy),
		Agents: []world.Agent{{Name: "triage", ServiceAccount: "triage-bot", Owner: alice}},
	})
	require.NoError(t, err)
	p := &place{World: w, t: t, tokens: map[string]string{}}
	t.Cleanup(func() {
		require.NoError(t, w.Stop())
		if t.Failed() {
			log, _ := os.ReadFile(w.LogFile("gateway"))
			t.Logf("the end of the gateway's log:\n%s", log[max(0, len(log)-4000):])
		}
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
	_, err = p.Login(t.Context(), alice)
	require.NoError(t, err)
	eventually(t, "the agent's grant is revoked", func() bool { return p.get(audrey, opened)["state"] == "REVOKED" })
	require.Equal(t, "group_lost", p.get(audrey, opened)["endCause"])

	events, _ := p.audit()
	require.True(t, strings.Contains(strings.Join(events, "\n"), "service:triage-bot AccessAPI.RequestAccess 0"), "%v", events)
}
