package lab

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// I1, I4: the file of the grants is missing, empty, cut short, or cannot be written, and HAProxy is made to read it.
// Nobody is admitted for it, the file is right again by itself, and who has a grant passes.
func mapFileDamaged(t *testing.T, l *lab) {
	n := l.First("staging")
	file := filepath.Join(n.MapsDir(), "grants.map")
	for _, c := range []struct {
		name   string
		damage func(t *testing.T)
		mend   func(t *testing.T)
	}{
		{"missing", func(t *testing.T) { require.NoError(t, os.Remove(file)) }, nil},
		{"empty", func(t *testing.T) { require.NoError(t, os.Truncate(file, 0)) }, nil},
		{"cut short", func(t *testing.T) {
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(file, info.Size()-10)) // within the last row's value
		}, nil},
		{"read-only", func(t *testing.T) { writable(t, file, false) }, func(t *testing.T) { writable(t, file, true) }},
	} {
		l.scenario(t, c.name, func(t *testing.T, l *lab) {
			p := l.probe()
			kept, keptToken := l.Open(stage.Bob, "staging", "billing", 10*time.Minute)
			g, token := l.Open(stage.Alice, "staging", "billing", 10*time.Minute)
			for _, one := range []string{keptToken, token} {
				p.with(stage.StagingBilling, one)
				l.admitted(stage.StagingBilling, one)
			}
			c.damage(t)
			reloadAnyway(t, n)
			enforced, _ := stage.Enforcement(l.Revoke(stage.Alice, g))
			if c.mend != nil {
				l.refusedSoon(stage.StagingBilling, token) // memory at least
				require.Equal(t, 0, enforced, "the row is in the file: a reload would bring it back")
				c.mend(t)
			}
			begin := time.Now()
			l.refusedSoon(stage.StagingBilling, token)
			l.admitted(stage.StagingBilling, keptToken)
			stage.Eventually(t, "the file is right", func() bool { return l.fileHas(file, kept, g) })
			t.Logf("the file was right %s after the damage was over", time.Since(begin).Round(time.Millisecond))
			l.AwaitEnforced(g)
			require.NoError(t, n.HAProxy.Reload(t.Context()))
			l.admitted(stage.StagingBilling, keptToken)
			p.join(reach, true)
		})
	}
}

// I1: a row without a value, as in a file that was cut right there or has random bytes, keeps the Data Plane API from
// listing the map: its own parser ends in an internal error. What was revoked goes all the same, who has a grant keeps it, and
// the node is in line by itself.
func rowWithoutValue(t *testing.T, l *lab) {
	noise := make([]byte, 4096) // some of its lines have no space
	_, err := rand.Read(noise)
	require.NoError(t, err)
	for name, garbage := range map[string][]byte{"cut within a key": []byte("carol@example.com|prod/bil"), "random bytes": noise} {
		l.scenario(t, name, func(t *testing.T, l *lab) { l.garbage(t, garbage) })
	}
}

// garbage is appended to a node's file of the grants, and HAProxy made to read it.
func (l *lab) garbage(t *testing.T, garbage []byte) {
	n := l.Node("edge-2")
	file := filepath.Join(n.MapsDir(), "grants.map")
	p := l.probe()
	_, keptToken := l.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	for _, one := range []string{keptToken, token} {
		p.with(stage.ProdBilling, one)
		l.admitted(stage.ProdBilling, one)
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(raw, garbage...), 0o600))
	require.NoError(t, n.HAProxy.Reload(t.Context()))
	l.Revoke(stage.Alice, g)
	l.refusedSoon(stage.ProdBilling, token)
	l.AwaitEnforced(g)
	l.admitted(stage.ProdBilling, keptToken)
	stage.Eventually(t, "the file is right", func() bool {
		raw, err := os.ReadFile(file)
		return err == nil && !strings.Contains(string(raw), string(garbage))
	})
	require.NoError(t, n.HAProxy.Reload(t.Context()))
	l.admitted(stage.ProdBilling, keptToken)
	p.join(reach, true)
}

// fileHas says whether the file has the one grant and not the other, and nothing that is no row.
func (l *lab) fileHas(file string, kept, gone object) bool {
	l.T.Helper()
	raw, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return false
	}
	require.NoError(l.T, err)
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) != 2 || !strings.Contains(fields[0], "|") {
			return false
		}
	}
	return strings.Contains(string(raw), kept["id"].(string)) && !strings.Contains(string(raw), gone["id"].(string))
}

// reloadAnyway makes HAProxy read its files; it may refuse them and go on with what it has.
func reloadAnyway(t *testing.T, n *world.Node) {
	t.Helper()
	if err := n.HAProxy.Reload(t.Context()); err != nil {
		t.Logf("HAProxy refused the reload, and goes on as it was: %.200v", err)
	}
}

// writable lets a file and its folder be written, or not. Root writes whatever the mode says, but not what is immutable.
func writable(t *testing.T, file string, yes bool) {
	t.Helper()
	if os.Geteuid() == 0 {
		change := map[bool]string{true: "-i", false: "+i"}[yes]
		output, err := exec.CommandContext(t.Context(), "chattr", change, file, filepath.Dir(file)).CombinedOutput()
		require.NoError(t, err, "%s", output)
		if !yes {
			t.Cleanup(func() { _ = exec.Command("chattr", "-i", file, filepath.Dir(file)).Run() })
		}
		return
	}
	mode := map[bool]os.FileMode{true: 0o700, false: 0o500}[yes]
	require.NoError(t, os.Chmod(filepath.Dir(file), mode))
	require.NoError(t, os.Chmod(file, mode&0o600))
}
