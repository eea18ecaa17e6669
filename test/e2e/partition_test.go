package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/faultproxy"
	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// I2, I3: of two nodes one is cut off from the gateway. The other refuses at once and alone counts as enforced; the one that
// is cut off refuses when its lease runs out, says why, and brings nothing back when it is found again.
func TestI3ACutOffNodeRefusesByItsLease(t *testing.T) {
	lines := map[string]*faultproxy.Proxy{}
	p := startWith(t, world.Options{
		Leases: map[string]string{"prod": "4s"},
		DataPlaneVia: func(node, address string) (string, error) {
			line, err := faultproxy.Start(address)
			if err != nil {
				return "", err
			}
			t.Cleanup(line.Close)
			lines[node] = line
			return line.Address(), nil
		},
	})
	near, far := p.Node("edge-1"), p.Node("edge-2")
	g, token := p.open(alice, "prod", "billing", 10*time.Minute)
	_, other := p.open(alice, "prod", "ops", 10*time.Minute)
	require.Equal(t, http.StatusOK, p.visit(http.DefaultClient, prodBilling, token).status)

	require.NoError(t, lines[far.Name].Swallow())
	enforced, total := enforcement(p.revoke(alice, g))
	require.Equal(t, 2, total)
	require.Less(t, enforced, 2, "a node that hears nothing cannot have enforced")
	a, err := p.visitAt(near, http.DefaultClient, prodBilling, token)
	require.NoError(t, err)
	p.refused(a, http.StatusForbidden, "no_grant")
	for _, c := range []struct{ host, token string }{{prodBilling, token}, {prodOps, other}} {
		_, refusal := p.untilRefused(far, c.host, c.token)
		p.refused(refusal, http.StatusServiceUnavailable, "stale")
	}
	a, err = p.visitAt(near, http.DefaultClient, prodOps, other)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.status, "the node that is reached goes on")

	require.NoError(t, lines[far.Name].Heal())
	eventually(t, "the node is found again", func() bool {
		a, err := p.visitAt(far, http.DefaultClient, prodOps, other)
		require.NoError(t, err)
		return a.status == http.StatusOK
	})
	p.refused(p.visit(http.DefaultClient, prodBilling, token), http.StatusForbidden, "no_grant")
	p.awaitEnforced(g)
}
