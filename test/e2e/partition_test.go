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
	g, token := p.Open(alice, "prod", "billing", 10*time.Minute)
	_, other := p.Open(alice, "prod", "ops", 10*time.Minute)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, prodBilling, token).Status)

	require.NoError(t, lines[far.Name].Swallow())
	enforced, total := enforcement(p.Revoke(alice, g))
	require.Equal(t, 2, total)
	require.Less(t, enforced, 2, "a node that hears nothing cannot have enforced")
	a, err := p.VisitAt(near, http.DefaultClient, prodBilling, token)
	require.NoError(t, err)
	p.Refused(a, http.StatusForbidden, "no_grant")
	for _, c := range []struct{ host, token string }{{prodBilling, token}, {prodOps, other}} {
		_, refusal := p.UntilRefused(far, c.host, c.token)
		p.Refused(refusal, http.StatusServiceUnavailable, "stale")
	}
	a, err = p.VisitAt(near, http.DefaultClient, prodOps, other)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.Status, "the node that is reached goes on")

	require.NoError(t, lines[far.Name].Heal())
	eventually(t, "the node is found again", func() bool {
		a, err := p.VisitAt(far, http.DefaultClient, prodOps, other)
		require.NoError(t, err)
		return a.Status == http.StatusOK
	})
	p.Refused(p.Visit(http.DefaultClient, prodBilling, token), http.StatusForbidden, "no_grant")
	p.AwaitEnforced(g)
}
