package lab

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// addServer adds a server on every node of the pool's environment; each must say that it is up.
func (l *lab) addServer(environment, pool, name string, port int) {
	l.T.Helper()
	l.Do(stage.Carol, "haproxyaccess/addPoolServer", object{
		"environment": environment, "pool": pool, "name": name, "address": "127.0.0.1", "port": port, "idempotencyKey": stage.NewKey(),
	})
	servers := l.servers(environment, pool)
	require.Len(l.T, servers, len(l.Serving(environment)))
	for node, s := range servers {
		require.Equal(l.T, "up", s[name]["operationalState"], "%s: %v", node, s)
	}
}

func (l *lab) removeServer(environment, pool, name string) {
	l.T.Helper()
	l.Do(stage.Carol, "haproxyaccess/removePoolServer", object{
		"environment": environment, "pool": pool, "name": name, "idempotencyKey": stage.NewKey(),
	})
}

// drain gives a server nothing new, or takes that back.
func (l *lab) drain(environment, pool, name string, on bool) {
	l.T.Helper()
	l.Do(stage.Carol, "haproxyaccess/drainPoolServer", object{
		"environment": environment, "pool": pool, "name": name, "ready": !on, "idempotencyKey": stage.NewKey(),
	})
}

// servers are the names of a pool's servers by node, each with its state as HAProxy says.
func (l *lab) servers(environment, pool string) map[string]map[string]object {
	l.T.Helper()
	all := map[string]map[string]object{}
	for _, raw := range l.Do(stage.Carol, "haproxyaccess/listPoolServers", object{"environment": environment, "pool": pool})["servers"].([]any) {
		s := raw.(object)
		node := s["node"].(string)
		if all[node] == nil {
			all[node] = map[string]object{}
		}
		all[node][s["name"].(string)] = s
	}
	return all
}

// A server that is added serves on every node, one that is drained gets nothing new, and one that is removed is gone.
func serversComeAndGoOnEveryNode(t *testing.T, l *lab) {
	for _, c := range []struct{ environment, pool, host string }{
		{"prod", "ops", stage.ProdOps}, {"staging", "reports", stage.StagingReports},
	} {
		_, token := l.Open(stage.Alice, c.environment, c.pool, 10*time.Minute)
		l.admitted(c.host, token)
		// serving are the services that answer at every node, which must be one.
		serving := func() string {
			name := ""
			for _, n := range l.Serving(c.environment) {
				for range 4 { // two servers take turns
					a, err := l.VisitAt(n, http.DefaultClient, c.host, token)
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, a.Status, "%s %s", n.Name, a.Why)
					if at, _ := a.Body["service"].(string); name == "" {
						name = at
					} else if name != at {
						return "several"
					}
				}
			}
			return name
		}
		port := l.listenEcho(t, "new")
		begin := time.Now()
		l.addServer(c.environment, c.pool, "s2", port)
		t.Logf("added on %d nodes, and up, in %s", len(l.Serving(c.environment)), time.Since(begin).Round(time.Millisecond))
		require.Equal(t, "several", serving())
		l.drain(c.environment, c.pool, "s1", true)
		stage.Eventually(t, "the drained server gets nothing", func() bool { return serving() == "new" })
		for node, servers := range l.servers(c.environment, c.pool) {
			require.Equal(t, "drain", servers["s1"]["adminState"], node)
		}
		l.drain(c.environment, c.pool, "s1", false)
		stage.Eventually(t, "it is back", func() bool { return serving() == "several" })
		l.removeServer(c.environment, c.pool, "s2")
		require.Equal(t, c.environment+"/"+c.pool, serving())
		for node, servers := range l.servers(c.environment, c.pool) {
			require.NotContains(t, servers, "s2", node)
		}
	}
}
