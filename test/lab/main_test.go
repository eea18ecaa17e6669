package lab

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/faultproxy"
	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

func TestMain(m *testing.M) { os.Exit(stage.Main(m)) }

type object = stage.Object

// nightly says that there is time for the long variants.
var nightly = os.Getenv("NIGHTLY") != ""

// times is how often something is tried: ten times as often where there is time.
func times(n int) int {
	if nightly {
		return 10 * n
	}
	return n
}

// prodLease is short, so that it runs out within a test.
const prodLease = "4s"

// lab is a stage whose gateways reach the data planes by lines that can be broken.
type lab struct {
	*stage.Stage
	lines map[string]*faultproxy.Proxy // by node
}

// open starts a lab that ends with the test.
func open(t *testing.T, options world.Options) *lab {
	t.Helper()
	l := &lab{lines: map[string]*faultproxy.Proxy{}}
	options.Leases = map[string]string{"prod": prodLease, "staging": "off"}
	if options.DataPlaneVia == nil {
		options.DataPlaneVia = func(node, address string) (string, error) {
			line, err := faultproxy.Start(address)
			if err != nil {
				return "", err
			}
			t.Cleanup(line.Close)
			l.lines[node] = line
			return line.Address(), nil
		}
	}
	l.Stage = stage.Start(t, options)
	return l
}

// scenario runs a part of a test on a lab that several share. It must leave the lab as it found it, whole; all grants are
// ended after it.
func (l *lab) scenario(t *testing.T, name string, run func(t *testing.T, l *lab)) {
	t.Run(name, func(t *testing.T) {
		l := &lab{Stage: l.For(t), lines: l.lines}
		defer func() { // also where it fails: the next one asks for the same
			l.Do(stage.Carol, "haproxyaccess/revokeGrants", object{"everything": true, "reason": "the scenario is over", "idempotencyKey": stage.NewKey()})
		}()
		run(t, l)
	})
}

// admitted requires that every node of the host admits the token, or will: a grant opens on a node at its next pass.
func (l *lab) admitted(host, token string) {
	l.T.Helper()
	stage.Eventually(l.T, "every node admits", func() bool {
		a, err := l.TryVisit(http.DefaultClient, host, token)
		return err == nil && a.Status == http.StatusOK
	})
}

// refusedSoon requires that every node refuses the token at some time from now on, for the grant's sake.
func (l *lab) refusedSoon(host, token string) {
	l.T.Helper()
	stage.Eventually(l.T, "every node refuses", func() bool {
		a, err := l.TryVisit(http.DefaultClient, host, token)
		return err == nil && a.Status == http.StatusForbidden
	})
}

// worker is the pid of a node's worker.
func (l *lab) worker(n *world.Node) int {
	l.T.Helper()
	pid, err := n.HAProxy.Process().WorkerPID(l.T.Context())
	require.NoError(l.T, err)
	return pid
}

// nodeReports is what GetGrant says of each node, by its name.
func (l *lab) nodeReports(grant object) map[string]object {
	l.T.Helper()
	all := map[string]object{}
	nodes, _ := l.Get(stage.Audrey, grant)["enforcement"].(object)["nodes"].([]any)
	for _, n := range nodes {
		all[n.(object)["node"].(string)] = n.(object)
	}
	return all
}

// nodeStatuses is GetNodeStatus's answer, by the node's name.
func (l *lab) nodeStatuses() map[string]object {
	l.T.Helper()
	all := map[string]object{}
	for _, n := range l.Do(stage.Carol, "haproxyaccess/getNodeStatus", object{})["nodes"].([]any) {
		all[n.(object)["node"].(string)] = n.(object)
	}
	return all
}
