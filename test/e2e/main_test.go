// Package e2e tests the whole: three nodes of real HAProxies with their data planes, an identity provider, and the Clutch
// gateway with this plugin, each a process of its own, driven through their public interfaces alone.
package e2e

import (
	"os"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

const (
	alice  = stage.Alice
	bob    = stage.Bob
	carol  = stage.Carol
	audrey = stage.Audrey

	stagingBilling = stage.StagingBilling
	prodBilling    = stage.ProdBilling
	prodOps        = stage.ProdOps
)

type object = stage.Object

var (
	eventually  = stage.Eventually
	newKey      = stage.NewKey
	grantOf     = stage.GrantOf
	enforcement = stage.Enforcement
)

func TestMain(m *testing.M) { os.Exit(stage.Main(m)) }

// place is a stage with what only these tests look at.
type place struct{ *stage.Stage }

func startWith(t *testing.T, options world.Options) *place {
	t.Helper()
	return &place{stage.Start(t, options)}
}

func start(t *testing.T, leases map[string]string) *place {
	t.Helper()
	return startWith(t, world.Options{Leases: leases})
}
