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
	Templates []struct {
		Pattern string
		Nodes   []string
	} `yaml:"environment_templates"`
	Enforcement struct{ Binds []struct{ Address string } }
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
		issuer: 1, gateways: []int{2}, haproxy: []int{11, 12, 13}, dataPlanes: []int{21, 22, 23}, services: []int{31, 32, 33, 34, 35, 36},
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
	if len(got.Templates) != 0 || len(got.Enforcement.Binds) != 1 || got.Enforcement.Binds[0].Address != "127.0.0.1:11" {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsSwitchedOnIsConfigured(t *testing.T) {
	got := written(t, Options{ManagedNode: "edge-2", EphemeralEnvironments: true})
	for _, n := range got.Nodes {
		if n.Managed != (n.Name == "edge-2") {
			t.Errorf("%s is managed: %v", n.Name, n.Managed)
		}
	}
	if got.Enforcement.Binds[0].Address != "127.0.0.1:12" {
		t.Errorf("what is put on edge-2 binds %s", got.Enforcement.Binds[0].Address)
	}
	if len(got.Templates) != 1 || got.Templates[0].Pattern != "pr-*" || !cmp.Equal(got.Templates[0].Nodes, []string{"edge-3"}) {
		t.Errorf("templates %+v", got.Templates)
	}
}
