package stage

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// The people of a world and the hosts of its pools.
const (
	Alice  = "alice@example.com"
	Bob    = "bob@example.com"
	Carol  = "carol@example.com"
	Audrey = "audrey@example.com"

	StagingBilling = "billing.staging.localhost"
	StagingReports = "reports.staging.localhost"
	ProdBilling    = "billing.prod.localhost"
	ProdOps        = "ops.prod.localhost"
)

const (
	// Hang is when something that should have happened is taken never to happen.
	Hang = 90 * time.Second
	// pollInterval is how often something is looked at that is waited for.
	pollInterval = 20 * time.Millisecond
	// logTail is how much of a gateway's log a failed test shows, in bytes.
	logTail = 4000
)

// binDir has the programs of a world.
var binDir string

// Main builds the programs of a world and runs a package's tests; it is for TestMain and returns the process's exit code.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stage-bin-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = world.Build(context.Background(), dir, world.Programs...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binDir = dir
	return m.Run()
}

// Stage is a running world with people who are logged in. It belongs to one test, and to one goroutine but where a method
// says otherwise.
type Stage struct {
	*world.World
	T testing.TB
	// API is the URL of the gateway that is called, and Tokens are Clutch's, by who has them.
	API    string
	Tokens map[string]string
}

// Start starts a world that ends with the test, and shows the gateways' logs if that fails. A real Data Plane API is used
// where DATAPLANE_BIN names one.
func Start(t testing.TB, options world.Options) *Stage {
	t.Helper()
	options.BinDir, options.DataPlaneBin = binDir, os.Getenv("DATAPLANE_BIN")
	w, err := start(t, options)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
		for _, gateway := range w.Gateways {
			if t.Failed() {
				log, _ := os.ReadFile(w.LogFile(gateway.Name()))
				t.Logf("the end of the log of %s:\n%s", gateway.Name(), log[max(0, len(log)-logTail):])
			}
		}
	})
	return &Stage{World: w, T: t, Tokens: map[string]string{}, API: w.Endpoints().Gateway}
}

// start tries again where somebody took a port that had been found free: nothing reserves it before HAProxy binds it.
func start(t testing.TB, options world.Options) (w *world.World, err error) {
	for range 3 {
		options.Dir = t.TempDir()
		w, err = world.Start(t.Context(), options)
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
		t.Logf("a port was taken: %v", err)
	}
	return w, err
}

// For is the same stage for another test, such as one of several that share it.
func (s *Stage) For(t testing.TB) *Stage {
	return &Stage{World: s.World, T: t, API: s.API, Tokens: s.Tokens}
}

// At is the same stage with calls going to the nth gateway, from 0.
func (s *Stage) At(gateway int) *Stage {
	return &Stage{World: s.World, T: s.T, API: s.Endpoints().Gateways[gateway], Tokens: s.Tokens}
}

// First is the first of the nodes that serve an environment.
func (s *Stage) First(environment string) *world.Node { return s.Serving(environment)[0] }

// ServingHost are the nodes of the pool of a host; all nodes for a host that is none of a pool.
func (s *Stage) ServingHost(host string) []*world.Node {
	for _, pool := range s.Endpoints().Pools {
		if pool.Host == host {
			return s.Serving(pool.Environment)
		}
	}
	return s.Nodes
}

// Eventually polls until ok, or until it must be a hang. It polls on the test's own goroutine.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for deadline := time.Now().Add(Hang); !ok(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}
