package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// I2, I4: where the gateway reaches no sockets, after a reload an old worker lives on with a frozen copy of the maps, reachable by a client that ignores GOAWAY.
// Once a revocation is reported as enforced everywhere, that worker refuses too.
func TestI2OldWorkerRefusesOnceReportedAsEnforced(t *testing.T) {
	p := startWith(t, world.Options{NoSockets: true, Leases: map[string]string{"prod": "4s", "staging": "off"}})
	leased, leasedToken := p.Open(alice, "prod", "billing", 10*time.Minute)
	off, offToken := p.Open(alice, "staging", "billing", 10*time.Minute)

	// Two clients, each with a stream that keeps its connection, and so the worker, alive.
	prod, staging := p.First("prod"), p.First("staging")
	a, b := p.DialH2(prod, prodBilling, leasedToken), p.DialH2(staging, stagingBilling, offToken)
	require.Equal(t, http.StatusOK, a.Get("/stream?seconds=300"))
	require.Equal(t, http.StatusOK, b.Get("/stream?seconds=300"))
	require.NoError(t, prod.HAProxy.Reload(t.Context()))
	require.NoError(t, staging.HAProxy.Reload(t.Context()))
	require.Equal(t, http.StatusOK, b.Get("/"), "the old worker serves: without that this test shows nothing")

	p.Revoke(alice, leased)
	revoked := p.Revoke(alice, off)
	require.Equal(t, http.StatusOK, b.Get("/"), "its copy of the map is frozen")
	enforced, _ := enforcement(revoked)
	require.Equal(t, 0, enforced, "and the grant says so")
	require.NotNil(t, revoked["enforcement"].(object)["oldWorkersUntil"])
	require.Equal(t, true, revoked["enforcement"].(object)["streamsNotCut"])

	p.AwaitEnforced(leased)
	old, err := prod.HAProxy.Process().OldWorkers(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, old, "the old worker still lives: it must refuse by itself")
	require.Equal(t, http.StatusServiceUnavailable, a.Get("/"), "its lease has run out")

	p.AwaitEnforced(off)
	require.NotEqual(t, http.StatusOK, b.Get("/"))
	old, err = staging.HAProxy.Process().OldWorkers(t.Context())
	require.NoError(t, err)
	require.Empty(t, old, "hard-stop-after has ended it")

	// Its streams may run in the worker of now as well, for ever; once that is an old one, for as long as it lives.
	require.Nil(t, p.Get(alice, off)["enforcement"].(object)["streamsUntil"])
	require.NoError(t, staging.HAProxy.Reload(t.Context()))
	eventually(t, "the grant says until when its streams can run", func() bool {
		return p.Get(alice, off)["enforcement"].(object)["streamsUntil"] != nil
	})
}
