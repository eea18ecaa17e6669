package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
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
	off, offToken := p.Open(alice, "staging", "billing", life)
	_, leaseToken := p.Open(alice, "prod", "billing", 10*time.Minute)
	expires, err := time.Parse(time.RFC3339, off["expireTime"].(string))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, stagingBilling, offToken).Status)
	require.Equal(t, http.StatusOK, p.Visit(http.DefaultClient, prodBilling, leaseToken).Status)

	p.Gateway.Kill()
	killed := time.Now()

	last, refusal := p.UntilRefused(p.First("staging"), stagingBilling, offToken)
	p.Refused(refusal, http.StatusForbidden, "grant_expired")
	require.Less(t, last, expires, "admitted after its end")
	require.Greater(t, last, expires.Add(-2*time.Second), "refused before its last second")

	for _, n := range p.Serving("prod") {
		last, refusal = p.UntilRefused(n, prodBilling, leaseToken)
		p.Refused(refusal, http.StatusServiceUnavailable, "stale")
		require.NotEmpty(t, refusal.Header.Get("Retry-After"))
		require.Less(t, last.Sub(killed), 30*time.Second, "admitted after the lease, on %s", n.Name)
	}

	// The gateway comes back: prod opens again, the expired grant does not, and the log has its expiry.
	require.NoError(t, p.Gateway.Start(t.Context()))
	eventually(t, "the lease is given again", func() bool {
		a, err := p.TryVisit(http.DefaultClient, prodBilling, leaseToken)
		return err == nil && a.Status == http.StatusOK
	})
	require.NotEqual(t, http.StatusOK, p.Visit(http.DefaultClient, stagingBilling, offToken).Status)
	eventually(t, "the clock's expiry is in Clutch's audit log", func() bool {
		events, _ := p.audit()
		for _, e := range events {
			if e == "system:haproxyaccess GrantEvent.expire 0" {
				return true
			}
		}
		return false
	})
	require.Equal(t, "EXPIRED", p.Get(alice, off)["state"])
}

// I4, I5: a process that is killed between its commit and the node loses nothing, in either direction.
func TestI5KilledBetweenCommitAndApplyConverges(t *testing.T) {
	p := start(t, nil)
	held, heldToken := p.Open(alice, "staging", "billing", 10*time.Minute)

	// The node cannot be written to: both calls commit, and say that nothing is enforced.
	p.First("staging").DataPlane.Kill()
	enforced, total := enforcement(p.Revoke(alice, held))
	require.Equal(t, []int{0, 1}, []int{enforced, total}, "nothing is claimed")
	asked := p.Request(alice, "staging", "reports", 10*time.Minute)
	require.Equal(t, "ACTIVE", asked["state"], "a node that cannot be reached is no error")
	enforced, total = enforcement(asked)
	require.Equal(t, []int{0, 1}, []int{enforced, total})
	askedToken := p.Do(alice, "haproxyaccess/issueToken", object{"grantId": asked["id"]})["token"].(string)
	p.Refused(p.Visit(http.DefaultClient, "reports.staging.localhost", askedToken), http.StatusForbidden, "no_grant")
	p.Gateway.Kill()

	require.NoError(t, p.First("staging").DataPlane.Start(t.Context()))
	require.NoError(t, p.Gateway.Start(t.Context()))
	eventually(t, "HAProxy converges", func() bool {
		return p.Visit(http.DefaultClient, stagingBilling, heldToken).Status == http.StatusForbidden &&
			p.Visit(http.DefaultClient, "reports.staging.localhost", askedToken).Status == http.StatusOK
	})
	p.Refused(p.Visit(http.DefaultClient, stagingBilling, heldToken), http.StatusForbidden, "no_grant")
	eventually(t, "the new grant is reported as enforced", func() bool {
		enforced, _ := enforcement(p.Get(alice, asked))
		return enforced == 1
	})
}

// I4: a revoked grant stays refused whatever HAProxy reads again: a reload at once, and a restart with the file as it was
// while the grant lived.
func TestI4RevokedGrantStaysRefused(t *testing.T) {
	p := start(t, nil)
	g, token := p.Open(alice, "staging", "billing", 10*time.Minute)
	n := p.First("staging")
	file := n.MapsDir() + "/grants.map"
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(before), g["id"].(string))

	p.Revoke(alice, g)
	require.NoError(t, n.HAProxy.Reload(t.Context()))
	for range 50 {
		p.Refused(p.Visit(http.DefaultClient, stagingBilling, token), http.StatusForbidden, "no_grant")
	}

	// Somebody puts an old copy of the file back and restarts: repaired within a pass, and named as drift.
	require.NoError(t, n.HAProxy.Stop())
	require.NoError(t, os.WriteFile(file, before, 0o600))
	require.NoError(t, n.HAProxy.Start(t.Context()))
	eventually(t, "the old row goes", func() bool {
		a, err := p.TryVisit(http.DefaultClient, stagingBilling, token)
		return err == nil && a.Why == "no_grant"
	})
	for range 20 {
		p.Refused(p.Visit(http.DefaultClient, stagingBilling, token), http.StatusForbidden, "no_grant")
	}
	eventually(t, "it goes from the file as well", func() bool {
		after, err := os.ReadFile(file)
		require.NoError(t, err)
		return !strings.Contains(string(after), g["id"].(string))
	})
}

// A row put into a running HAProxy by hand goes, and Clutch's audit log names it.
func TestDriftOnARealHAProxyIsInTheAuditLog(t *testing.T) {
	p := start(t, nil)
	p.Open(alice, "staging", "billing", 10*time.Minute) // the node is right
	n := p.First("staging")
	const row = "mallory@example.com|staging/billing"
	maps := regexp.MustCompile(`(?m)^(\d+) \(\S*grants\.map\)`).FindStringSubmatch(runtime(t, n, "show map"))
	require.NotNil(t, maps)
	require.Empty(t, strings.TrimSpace(runtime(t, n, fmt.Sprintf("add map #%s %s 9999999999:g9", maps[1], row))))
	require.Contains(t, runtime(t, n, "show map #"+maps[1]), row)
	eventually(t, "the drift is in the log of events", func() bool { return len(p.Events("", "drift")) > 0 })
	events := p.Events("", "drift")
	require.Len(t, events, 1)
	drift := events[0]["drift"].(object)
	require.Equal(t, []any{n.Name, "1", []any{"grants.map: foreign " + row}}, []any{drift["node"], drift["foreignRows"], drift["rows"]})
	require.NotContains(t, runtime(t, n, "show map #"+maps[1]), "mallory")
	eventually(t, "it is in Clutch's audit log", func() bool {
		events, text := p.audit()
		return strings.Count(strings.Join(events, "\n"), "GrantEvent.drift") == 1 && strings.Contains(text, row)
	})
}

// runtime is what HAProxy answers to a command by hand.
func runtime(t *testing.T, n *world.Node, command string) string {
	t.Helper()
	connection, err := net.Dial("unix", n.RuntimeSocket())
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(connection, command+"\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(connection)
	require.NoError(t, err)
	return string(answer)
}
