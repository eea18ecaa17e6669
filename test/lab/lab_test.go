package lab

import (
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// The scenarios of one gateway on the embedded store share a world: each leaves it whole.
func TestFleetOfThreeNodes(t *testing.T) {
	l := open(t, world.Options{})
	for _, s := range []struct {
		name string
		run  func(*testing.T, *lab)
	}{
		{"the record says what became of a grant", recordOfAGrant},
		{"servers come and go on every node", serversComeAndGoOnEveryNode},
		{"an ephemeral environment comes and goes without a reload", environmentComesAndGoes},
		{"streams end with the grant", streamsEndWithTheGrant},
		{"a reload loses no request", reloadLosesNoRequest},
		{"I4 revoked then reloaded stays refused", revokedThenReloadedStaysRefused},
		{"I2 an old worker refuses at once", oldWorkerRefusesAtOnce},
		{"I1 haproxy killed", haproxyKilled},
		{"I1 data plane killed", dataPlaneKilled},
		{"I3 I5 gateway killed", gatewayKilled},
		{"I1 map file damaged", mapFileDamaged},
		{"I1 map row without a value", rowWithoutValue},
		{"I3 lines slow and cut", linesSlowAndCut},
	} {
		l.scenario(t, s.name, s.run)
	}
}
