package world_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// The gateway puts the enforcement part into the haproxy.cfg of the node that it manages, and leaves the others alone. What
// the node enforces goes on.
func TestTheGatewayKeepsTheConfigurationOfTheManagedNode(t *testing.T) {
	managedOn(t, world.Options{Dir: t.TempDir(), BinDir: binDir, ManagedNode: "edge-2", DataPlaneBin: os.Getenv("DATAPLANE_BIN")})
}

func managedOn(t *testing.T, options world.Options) {
	t.Helper()
	w, err := world.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	token, err := w.Login(t.Context(), "carol@example.com")
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Node          string
		Healthy       bool
		ConfigManaged bool
		ConfigError   string
	}
	var answer struct{ Nodes []node }
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		code, body := post(t, w, token, "getNodeStatus", "{}")
		answer.Nodes = nil
		if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
			t.Fatalf("status %d, %v: %s", code, err, body)
		}
		good := 0
		for _, n := range answer.Nodes {
			if n.Healthy && n.ConfigManaged == (n.Node == "edge-2") {
				good++
			}
		}
		if good == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", body)
		}
	}
	for _, n := range w.Nodes {
		text, err := os.ReadFile(n.ConfigFile())
		if err != nil {
			t.Fatal(err)
		}
		if kept := strings.Contains(string(text), "Kept by the gateway"); kept != (n.Name == "edge-2") {
			t.Errorf("%s: kept %v", n.Name, kept)
		}
	}
	edge := w.Node("edge-2")
	if got := status(t, edge.URL(), "billing.prod.localhost"); got != http.StatusUnauthorized {
		t.Errorf("without a token: status %d", got)
	}
	if _, err := os.Stat(edge.KeysDir() + "/401.html"); err != nil {
		t.Error("the pages are not in the general storage: ", err)
	}
}
