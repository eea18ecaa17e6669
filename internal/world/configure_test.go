package world

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// fleetConfig is what of the gateway's configuration is looked at here, by the configuration's own names.
type fleetConfig struct {
	Nodes []struct {
		Name         string
		Environments []string
		Dataplane    struct{ URL string }
		Runtime      string `yaml:"runtime_socket"`
		Master       string `yaml:"master_socket"`
		Managed      bool   `yaml:"manage_config"`
	}
	Receiver  *struct{ Listen string } `yaml:"log_receiver"`
	Discovery []struct {
		SRV, Resolver string
		Node          struct{ Environments []string }
	}
	Templates []struct {
		Pattern string
		Nodes   []string
	} `yaml:"environment_templates"`
	Enforcement struct {
		Binds      []struct{ Address string }
		Standalone struct{ Log string }
	}
}

// written is what the gateway is told with these options.
func written(t *testing.T, options Options) fleetConfig {
	t.Helper()
	options.Dir, options.BinDir = t.TempDir(), t.TempDir()
	options, err := options.complete()
	if err != nil {
		t.Fatal(err)
	}
	w := &World{options: options, layout: layout{root: "/r", sockets: "/r/run"}, dialect: "v2"}
	ports := assigned{
		issuer: 1, log: 3, gateways: []int{2}, haproxy: []int{11, 12, 13}, dataPlanes: []int{21, 22, 23}, services: []int{31, 32, 33, 34, 35, 36},
	}
	w.endpoints = w.describe(ports)
	s, err := w.settings(ports)
	if err != nil {
		t.Fatal(err)
	}
	s.Node = w.boundNode(s)
	path := filepath.Join(options.Dir, "config.yaml")
	if err := render(path, "clutch-config.yaml", clutchConfig, s); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Services []struct {
			Name   string
			Config fleetConfig `yaml:"typed_config"`
		}
	}
	if err := yaml.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	for _, service := range whole.Services {
		if service.Name == "clutch.service.haproxy" {
			return service.Config
		}
	}
	t.Fatal("the gateway has no fleet")
	return fleetConfig{}
}

func TestTheGatewayIsToldOfEachNode(t *testing.T) {
	got := written(t, Options{DataPlaneVia: func(node, address string) (string, error) {
		if node == "edge-2" {
			return "127.0.0.1:99", nil
		}
		return address, nil
	}})
	want := [][]any{
		{"edge-1", []string{"prod"}, "http://127.0.0.1:21", "unix:/r/run/edge-1/admin.sock", "unix:/r/run/edge-1/master.sock", false},
		{"edge-2", []string{"prod"}, "http://127.0.0.1:99", "unix:/r/run/edge-2/admin.sock", "unix:/r/run/edge-2/master.sock", false},
		{"edge-3", []string{"staging"}, "http://127.0.0.1:23", "unix:/r/run/edge-3/admin.sock", "unix:/r/run/edge-3/master.sock", false},
	}
	var nodes [][]any
	for _, n := range got.Nodes {
		nodes = append(nodes, []any{n.Name, n.Environments, n.Dataplane.URL, n.Runtime, n.Master, n.Managed})
	}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Error(diff)
	}
	if got.Receiver == nil || got.Receiver.Listen != "udp:127.0.0.1:3" || got.Enforcement.Standalone.Log != "127.0.0.1:3" {
		t.Errorf("log %+v, received %+v", got.Enforcement.Standalone.Log, got.Receiver)
	}
	if len(got.Discovery) != 0 || len(got.Enforcement.Binds) != 1 || got.Enforcement.Binds[0].Address != "127.0.0.1:11" {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsSwitchedOnIsConfigured(t *testing.T) {
	got := written(t, Options{ManagedNode: "edge-2", NoSockets: true})
	for _, n := range got.Nodes {
		if n.Managed != (n.Name == "edge-2") {
			t.Errorf("%s is managed: %v", n.Name, n.Managed)
		}
		if n.Runtime != "" || n.Master != "" {
			t.Errorf("the gateway is told of %s's sockets %q and %q", n.Name, n.Runtime, n.Master)
		}
	}
	if got.Enforcement.Binds[0].Address != "127.0.0.1:12" {
		t.Errorf("what is put on edge-2 binds %s", got.Enforcement.Binds[0].Address)
	}
	if len(got.Templates) != 1 || got.Templates[0].Pattern != "pr-*" || !cmp.Equal(got.Templates[0].Nodes, []string{"edge-3"}) {
		t.Errorf("templates %+v", got.Templates)
	}
}

// Nodes that are found are listed nowhere.
func TestNodesOfADiscoveryAreNotListed(t *testing.T) {
	got := written(t, Options{Discovery: &Discovery{SRV: "_dataplane._tcp.edge.test", Resolver: "127.0.0.1:53"}})
	if len(got.Nodes) != 1 || got.Nodes[0].Name != "edge-3" {
		t.Errorf("listed are %+v", got.Nodes)
	}
	if len(got.Discovery) != 1 || got.Discovery[0].SRV != "_dataplane._tcp.edge.test" || got.Discovery[0].Resolver != "127.0.0.1:53" ||
		!cmp.Equal(got.Discovery[0].Node.Environments, []string{"prod"}) {
		t.Errorf("discovery %+v", got.Discovery)
	}
}
