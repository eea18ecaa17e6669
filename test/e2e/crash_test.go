package e2e

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// I3 and the other half of it: with the gateway gone, an environment without a lease admits to the grant's last second,
// and one with a lease refuses once that has run out. Nobody else is needed for either.
func TestI3GatewayKilledLeaseDecides(t *testing.T) {
	p := start(t, nil)
	const life = 12 * time.Second
	off, offToken := p.open(alice, "staging", "billing", life)
	_, leaseToken := p.open(alice, "prod", "billing", 10*time.Minute)
	expires, err := time.Parse(time.RFC3339, off["expireTime"].(string))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, p.visit(http.DefaultClient, stagingBilling, offToken).status)
	require.Equal(t, http.StatusOK, p.visit(http.DefaultClient, prodBilling, leaseToken).status)

	p.Gateway.Kill()
	killed := time.Now()

	last, refusal := p.untilRefused(p.node("staging"), stagingBilling, offToken)
	p.refused(refusal, http.StatusForbidden, "grant_expired")
	require.Less(t, last, expires, "admitted after its end")
	require.Greater(t, last, expires.Add(-2*time.Second), "refused before its last second")

	for _, n := range p.Serving("prod") {
		last, refusal = p.untilRefused(n, prodBilling, leaseToken)
		p.refused(refusal, http.StatusServiceUnavailable, "stale")
		require.NotEmpty(t, refusal.header.Get("Retry-After"))
		require.Less(t, last.Sub(killed), 30*time.Second, "admitted after the lease, on %s", n.Name)
	}

	// The gateway comes back: prod opens again, the expired grant does not, and the log has its expiry.
	require.NoError(t, p.Gateway.Start(t.Context()))
	eventually(t, "the lease is given again", func() bool {
		a, err := p.tryVisit(http.DefaultClient, prodBilling, leaseToken)
		return err == nil && a.status == http.StatusOK
	})
	require.NotEqual(t, http.StatusOK, p.visit(http.DefaultClient, stagingBilling, offToken).status)
	eventually(t, "the clock's expiry is in Clutch's audit log", func() bool {
		events, _ := p.audit()
		for _, e := range events {
			if e == "system:haproxyaccess GrantEvent.expire 0" {
				return true
			}
		}
		return false
	})
	require.Equal(t, "EXPIRED", p.get(alice, off)["state"])
}

// untilRefused visits at a node until it is refused, and returns when it was admitted last.
func (p *place) untilRefused(n *world.Node, host, token string) (last time.Time, refusal answer) {
	p.t.Helper()
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		at := time.Now()
		a, err := p.visitAt(n, http.DefaultClient, host, token)
		require.NoError(p.t, err)
		if a.status != http.StatusOK {
			return last, a
		}
		last = at
	}
	require.Fail(p.t, "it is never refused")
	return last, answer{}
}

// I4, I5: a process that is killed between its commit and the node loses nothing, in either direction.
func TestI5KilledBetweenCommitAndApplyConverges(t *testing.T) {
	p := start(t, nil)
	held, heldToken := p.open(alice, "staging", "billing", 10*time.Minute)

	// The node cannot be written to: both calls commit, and say that nothing is enforced.
	p.node("staging").DataPlane.Kill()
	enforced, total := enforcement(p.revoke(alice, held))
	require.Equal(t, []int{0, 1}, []int{enforced, total}, "nothing is claimed")
	asked := p.request(alice, "staging", "reports", 10*time.Minute)
	require.Equal(t, "ACTIVE", asked["state"], "a node that cannot be reached is no error")
	enforced, total = enforcement(asked)
	require.Equal(t, []int{0, 1}, []int{enforced, total})
	askedToken := p.do(alice, "haproxyaccess/issueToken", object{"grantId": asked["id"]})["token"].(string)
	p.refused(p.visit(http.DefaultClient, "reports.staging.localhost", askedToken), http.StatusForbidden, "no_grant")
	p.Gateway.Kill()

	require.NoError(t, p.node("staging").DataPlane.Start(t.Context()))
	require.NoError(t, p.Gateway.Start(t.Context()))
	eventually(t, "HAProxy converges", func() bool {
		return p.visit(http.DefaultClient, stagingBilling, heldToken).status == http.StatusForbidden &&
			p.visit(http.DefaultClient, "reports.staging.localhost", askedToken).status == http.StatusOK
	})
	p.refused(p.visit(http.DefaultClient, stagingBilling, heldToken), http.StatusForbidden, "no_grant")
	eventually(t, "the new grant is reported as enforced", func() bool {
		enforced, _ := enforcement(p.get(alice, asked))
		return enforced == 1
	})
}

// I4: a revoked grant stays refused whatever HAProxy reads again: a reload at once, and a restart with the file as it was
// while the grant lived.
func TestI4RevokedGrantStaysRefused(t *testing.T) {
	p := start(t, nil)
	g, token := p.open(alice, "staging", "billing", 10*time.Minute)
	n := p.node("staging")
	file := n.MapsDir() + "/grants.map"
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(before), g["id"].(string))

	p.revoke(alice, g)
	require.NoError(t, n.HAProxy.Reload(t.Context()))
	for range 50 {
		p.refused(p.visit(http.DefaultClient, stagingBilling, token), http.StatusForbidden, "no_grant")
	}

	// Somebody puts an old copy of the file back and restarts: repaired within a pass, and named as drift.
	require.NoError(t, n.HAProxy.Stop())
	require.NoError(t, os.WriteFile(file, before, 0o600))
	require.NoError(t, n.HAProxy.Start(t.Context()))
	eventually(t, "the old row goes", func() bool {
		a, err := p.tryVisit(http.DefaultClient, stagingBilling, token)
		return err == nil && a.why == "no_grant"
	})
	for range 20 {
		p.refused(p.visit(http.DefaultClient, stagingBilling, token), http.StatusForbidden, "no_grant")
	}
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(after), g["id"].(string))
}
