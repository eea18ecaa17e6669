package lab

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// I3: the line to one node's data plane is slow, thin, cut in the middle of answers, down, or swallows everything. The other
// node goes on; the broken one does what it is told or refuses by its lease, and is brought in line when the line is whole.
func linesSlowAndCut(t *testing.T, l *lab) {
	near, far := l.Node("edge-1"), l.Node("edge-2")
	line := l.lines[far.Name]
	for _, c := range []struct {
		name string
		put  func() error
		// parted says that the node cannot be told anything.
		parted bool
	}{
		{"300 ms slower", func() error { return line.Delay(300 * time.Millisecond) }, false},
		{"16 kB a second", func() error { return line.Throttle(16) }, false},
		{"cut after 2 kB of answers", func() error { return line.CutAnswersAfter(2048) }, false},
		{"down", func() error { line.Cut(); return nil }, true},
		{"swallows everything", line.Swallow, true},
	} {
		l.scenario(t, c.name, func(t *testing.T, l *lab) {
			p := l.probe()
			_, keptToken := l.Open(stage.Bob, "prod", "ops", 10*time.Minute)
			g, token := l.Open(stage.Alice, "prod", "ops", 10*time.Minute)
			for _, one := range []string{keptToken, token} {
				p.with(stage.ProdOps, one)
				l.admitted(stage.ProdOps, one)
			}
			require.NoError(t, c.put())
			begin := time.Now()
			enforced, _ := stage.Enforcement(l.Revoke(stage.Alice, g))
			a, err := l.VisitAt(near, http.DefaultClient, stage.ProdOps, keptToken)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, a.Status, "the node that is reached goes on")
			if c.parted {
				require.Less(t, enforced, 2, "a node that hears nothing cannot have enforced")
				_, refusal := l.UntilRefused(far, stage.ProdOps, keptToken) // everybody, when its lease is over
				l.Refused(refusal, http.StatusServiceUnavailable, "stale")
			}
			last, _ := l.UntilRefused(far, stage.ProdOps, token)
			if !last.IsZero() {
				t.Logf("the broken node admitted last %s after the revocation", last.Sub(begin).Round(time.Millisecond))
			}
			require.NoError(t, line.Heal())
			healed := time.Now()
			l.admitted(stage.ProdOps, keptToken)
			l.refusedSoon(stage.ProdOps, token)
			l.AwaitEnforced(g)
			t.Logf("in line %s after the line was whole", time.Since(healed).Round(time.Millisecond))
			p.join(lease+reach, false)
		})
	}
}
