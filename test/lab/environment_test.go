package lab

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// An ephemeral environment is registered, used and removed without a reload, and its removal ends its grants; registered
// again it gives none of them back.
func environmentComesAndGoes(t *testing.T, l *lab) {
	const name, host = "pr-1", "web.pr-1.localhost"
	n := l.Node("edge-3")
	before := l.worker(n)
	visit := func(token string) stage.Answer {
		a, err := l.VisitAt(n, http.DefaultClient, host, token)
		require.NoError(t, err)
		return a
	}
	register := func() {
		l.Do(stage.Carol, "haproxyaccess/registerEnvironment", object{"environment": name, "idempotencyKey": stage.NewKey()})
	}
	l.Refused(visit(""), http.StatusNotFound, "unknown_service")
	status, _ := l.Call(stage.Alice, "haproxyaccess/registerEnvironment", object{"environment": name, "idempotencyKey": stage.NewKey()})
	require.Equal(t, http.StatusForbidden, status)

	begin := time.Now()
	register()
	stage.Eventually(t, "it is there on its node", func() bool { return visit("").Why == "no_token" })
	t.Logf("registered and known to HAProxy in %s", time.Since(begin).Round(time.Millisecond))
	g, token := l.Open(stage.Alice, name, "web", 10*time.Minute)
	stage.Eventually(t, "its pool is open", func() bool { return visit(token).Status == http.StatusOK })
	require.Equal(t, "pr-1/web", visit(token).Body["service"])

	removed := l.Do(stage.Carol, "haproxyaccess/removeEnvironment", object{"environment": name, "idempotencyKey": stage.NewKey()})
	require.EqualValues(t, 1, removed["covered"].(object)["active"])
	begin = time.Now()
	stage.Eventually(t, "its grant admits nobody", func() bool { return visit(token).Status != http.StatusOK })
	t.Logf("its grant admitted nobody %s after the answer", time.Since(begin).Round(time.Millisecond))
	status, _ = l.Call(stage.Alice, "haproxyaccess/requestAccess", object{
		"environment": name, "pool": "web", "duration": "60s", "reason": "again", "idempotencyKey": stage.NewKey(),
	})
	require.Equal(t, http.StatusNotFound, status, "nobody can ask for what is gone")
	if nightly { // its name stays with HAProxy for a while
		stage.Eventually(t, "it is gone", func() bool { return visit(token).Why == "unknown_service" })
		t.Logf("gone from HAProxy %s after the answer", time.Since(begin).Round(time.Millisecond))
	}
	require.Equal(t, "REVOKED", l.Get(stage.Audrey, g)["state"])
	register()
	stage.Eventually(t, "it is there again", func() bool { return visit("").Why == "no_token" })
	stage.Eventually(t, "its old grant admits nobody", func() bool { return visit(token).Why == "no_grant" })
	l.Do(stage.Carol, "haproxyaccess/removeEnvironment", object{"environment": name, "idempotencyKey": stage.NewKey()})
	require.Equal(t, before, l.worker(n), "HAProxy was reloaded")
}
