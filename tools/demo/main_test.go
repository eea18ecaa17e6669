package main

import (
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	env := map[string]string{"DEMO_GATEWAY_PORT": "18080", "DATAPLANE_BIN": "/opt/dataplaneapi", "DEMO_DIR": "/srv/demo"}
	options, err := fromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	if options.Ports.Gateway != 18080 || options.Ports.HAProxy != world.DefaultPorts().HAProxy ||
		options.DataPlaneBin != "/opt/dataplaneapi" || options.Dir != "/srv/demo" {
		t.Errorf("options %+v", options)
	}
	for _, name := range []string{"DEMO_GATEWAY_PORT", "DEMO_HAPROXY_PORT", "DEMO_DATAPLANE_PORT", "DEMO_ISSUER_PORT", "DEMO_SERVICE_PORT"} {
		for _, value := range []string{"0", "65536", "-1", "http"} {
			_, err := fromEnvironment(func(asked string) string {
				if asked == name {
					return value
				}
				return ""
			})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%s: %v", name, value, err)
			}
		}
	}
}

func TestWalkThroughHasTenLinesAndTheRightAddresses(t *testing.T) {
	endpoints := world.Endpoints{
		Gateway: "http://127.0.0.1:18080",
		Nodes: []world.NodeEndpoint{
			{Name: "edge-1", HAProxy: "http://127.0.0.1:18000", Environments: []string{"prod"}},
			{Name: "edge-2", HAProxy: "http://127.0.0.1:18001", Environments: []string{"prod"}},
		},
		DataPlane: []world.DataPlane{{URL: "http://127.0.0.1:15555", Version: "v2"}, {URL: "http://127.0.0.1:15556", Version: "v2"}},
		Pools: []world.Pool{
			{Environment: "staging", Pool: "billing", Host: "billing.staging.localhost", URLs: []string{"http://billing.staging.localhost:18002"}},
			{Environment: "prod", Pool: "ops", Host: "ops.prod.localhost", URLs: []string{"http://ops.prod.localhost:18000", "http://ops.prod.localhost:18001"}},
		},
	}
	text := describe(endpoints, world.Options{Dir: "/srv/demo"})
	const node = "edge-2   HAProxy http://127.0.0.1:18001  Data Plane API http://127.0.0.1:15556/v2  serves prod\n"
	if !strings.Contains(text, node) {
		t.Errorf("%q is missing in %s", node, text)
	}
	_, lines, found := strings.Cut(text, "repository's root:\n\n")
	if !found || strings.Count(lines, "\n") != 12 || !strings.HasSuffix(lines, "\n\n") {
		t.Errorf("%d lines: %s", strings.Count(lines, "\n"), lines)
	}
	for _, want := range []string{
		"http://127.0.0.1:18080/v1/haproxyaccess", "http://billing.staging.localhost:18002/;",
		"http://ops.prod.localhost:18000/ http://ops.prod.localhost:18001/ ",
		"make -s demo-token DEMO_DIR=/srv/demo USER=alice@example.com",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is missing", want)
		}
	}
}
