package lab

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// lease is prodLease, which bounds what a node does that nobody reaches; a part of it may have run when it was given.
const lease = 4 * time.Second

// I1: kill -9 of one node's HAProxy, with a revocation while it is down: it comes back with what its files had, and admits
// nobody by them beyond X.
func haproxyKilled(t *testing.T, l *lab) {
	p := l.probe()
	_, keptToken := l.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	for _, one := range []string{keptToken, token} {
		p.with(stage.ProdBilling, one)
		l.admitted(stage.ProdBilling, one)
	}
	n := l.First("prod")
	require.NoError(t, n.HAProxy.Kill())
	l.Revoke(stage.Alice, g)
	require.NoError(t, n.HAProxy.Start(t.Context()))
	begin := time.Now()
	l.admitted(stage.ProdBilling, keptToken)
	t.Logf("the node admitted again %s after its start", time.Since(begin).Round(time.Millisecond))
	l.refusedSoon(stage.ProdBilling, token)
	l.AwaitEnforced(g)
	p.join(lease+reach, false)
}

// I1, I3: kill -9 of one node's data plane: what was revoked meanwhile ends there with the lease, is not reported as enforced
// before, and stays gone when the data plane is back.
func dataPlaneKilled(t *testing.T, l *lab) {
	p := l.probe()
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	p.with(stage.ProdBilling, token)
	l.admitted(stage.ProdBilling, token)
	n := l.First("prod")
	n.DataPlane.Kill()
	begin := time.Now()
	enforced, total := stage.Enforcement(l.Revoke(stage.Alice, g))
	require.Equal(t, 2, total)
	require.Less(t, enforced, 2, "a node without its data plane cannot have been told")
	last, refusal := l.UntilRefused(n, stage.ProdBilling, token)
	l.Refused(refusal, http.StatusServiceUnavailable, "stale")
	t.Logf("the node admitted last %s after the revocation, with a lease of %s", last.Sub(begin).Round(time.Millisecond), lease)
	require.NoError(t, n.DataPlane.Start(t.Context()))
	l.refusedSoon(stage.ProdBilling, token)
	l.AwaitEnforced(g)
	p.join(lease+reach, false)
}

// I3, I5: kill -9 of the gateway: where there is a lease every node refuses when it has run out, and after the gateway's
// return what was open is open, and what was revoked is not.
func gatewayKilled(t *testing.T, l *lab) {
	p := l.probe()
	kept, keptToken := l.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	off, offToken := l.Open(stage.Alice, "staging", "billing", 10*time.Minute)
	for _, one := range []struct{ host, token string }{{stage.ProdBilling, keptToken}, {stage.ProdBilling, token}, {stage.StagingBilling, offToken}} {
		p.with(one.host, one.token)
		l.admitted(one.host, one.token)
	}
	l.Revoke(stage.Alice, g)
	l.Gateway.Kill()
	killed := time.Now()
	for _, n := range l.Serving("prod") {
		last, refusal := l.UntilRefused(n, stage.ProdBilling, keptToken)
		l.Refused(refusal, http.StatusServiceUnavailable, "stale")
		if !last.IsZero() { // the second may have ended while the first was looked at
			require.Less(t, last.Sub(killed), lease, "admitted after the lease, on %s", n.Name)
			t.Logf("%s admitted last %s after the kill", n.Name, last.Sub(killed).Round(time.Millisecond))
		}
	}
	l.admitted(stage.StagingBilling, offToken) // without a lease a grant works to its own end
	require.NoError(t, l.Gateway.Start(t.Context()))
	begin := time.Now()
	l.admitted(stage.ProdBilling, keptToken)
	t.Logf("both nodes admitted again %s after the gateway was ready", time.Since(begin).Round(time.Millisecond))
	l.refusedSoon(stage.ProdBilling, token)
	for _, one := range []object{kept, off} {
		l.Revoke(stage.Carol, one)
		l.AwaitEnforced(one)
	}
	p.join(reach, false)
}
