package haproxy

import (
	"net/netip"
	"strings"
	"testing"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/discovery"
)

// nameOf is the node's name at an address of a test's server.
func nameOf(url string) string {
	return "edge-" + strings.NewReplacer("http://", "", ".", "-", ":", "-").Replace(url)
}

func TestNodesComeAndGoWithTheirRecords(t *testing.T) {
	one, two, three := dataplanetest.New(t), dataplanetest.New(t), dataplanetest.New(t)
	w := watch(t, withDiscovery(t, whole(t, one.URL), nil))
	w.answers("edge", two.URL, three.URL)
	w.loud("two nodes", "discovered edge 2")
	targets := map[string]bool{}
	for _, target := range w.targets {
		targets[target.Name] = true
	}
	if len(targets) != 3 || !targets["n1"] || !targets[nameOf(two.URL)] || !targets[nameOf(three.URL)] {
		t.Fatalf("targets %s", w.nodes())
	}
	if w.Source("n1") != "configuration" || w.Source(nameOf(two.URL)) != "edge" || w.Source("x") != "" {
		t.Error("a node's source is wrong")
	}
	// Found nodes are asked and changed like the others.
	if err := w.AddServer(t.Context(), db, added); err != nil {
		t.Error(err)
	}
	if !has(one, "s2") || !has(two, "s2") || !has(three, "s2") {
		t.Error("a node does not have the server")
	}
	changes := w.changes
	w.answers("edge", three.URL, two.URL, two.URL)
	if w.changes != changes {
		t.Error("the same answer is a change")
	}
	w.told()

	w.sources["edge"].err = errNoAnswer
	w.answers("edge")
	w.loud("a failed answer", "edge", "no answer")
	w.sources["edge"].err = nil
	w.answers("edge")
	w.loud("an empty answer", "edge", "empty")
	w.answers("edge", "10.6.6.6:5555")
	w.loud("all others", "edge", "2 of 2", "not believed")
	for range 2 {
		w.answers("edge", two.URL)
	}
	if len(w.targets) != 3 {
		t.Errorf("targets %s", w.nodes())
	}
	w.answers("edge", two.URL)
	if len(w.targets) != 2 || w.changes != changes+1 {
		t.Errorf("after three answers without it: targets %s", w.nodes())
	}
	if client := w.connections.all; len(client) != 2 {
		t.Errorf("%d connections are kept", len(client))
	}
}

// What is found and cannot be is left out by itself, and loud; the password goes nowhere.
func TestANodeThatCannotBeIsLeftOutAlone(t *testing.T) {
	one, good := dataplanetest.New(t), dataplanetest.New(t)
	for name, c := range map[string]struct {
		endpoint string
		change   func(*haproxyv1.Config, *haproxyv1.Discovery)
		words    []string
	}{
		"plain http to an address that is not loopback": {"10.0.0.7:5555", nil, []string{"node edge-10-0-0-7-5555", "plain http"}},
		"at the address of another node":                {one.URL, nil, []string{"node " + nameOf(one.URL), "node n1"}},
		"the cloud's metadata":                          {"169.254.169.254:80", nil, []string{"discovery edge", "169.254.169.254:80 is refused"}},
		"with the name of another node": {"127.0.0.9:9", func(c *haproxyv1.Config, _ *haproxyv1.Discovery) {
			c.Nodes[0].Name = "edge-127-0-0-9-9"
		}, []string{"node edge-127-0-0-9-9", "taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := whole(t, one.URL)
			config = withDiscovery(t, config, func(d *haproxyv1.Discovery) {
				if c.change != nil {
					c.change(config, d)
				}
			})
			w := watch(t, config)
			w.answers("edge", good.URL, c.endpoint)
			if len(w.targets) != 2 || w.targets[1].Name != nameOf(good.URL) {
				t.Errorf("targets %s", w.nodes())
			}
			w.loud("left out", c.words...)
			w.answers("edge", good.URL, c.endpoint, "127.0.0.9:19")
			for _, line := range w.told() {
				if strings.HasPrefix(line, "left out") {
					t.Errorf("once is enough: %s", line)
				}
			}
		})
	}
}

func TestAFoundNodeIsNamedAndReachedByItsAddress(t *testing.T) {
	for _, c := range []struct {
		srv                         bool
		at, scheme                  string
		name, url, runtime, masters string
	}{
		{true, "10.0.0.7:5555", "", "edge-10-0-0-7-5555", "https://10.0.0.7:5555", "tcp:10.0.0.7:9999", "unix:/run/m"},
		{false, "10.0.0.7:5555", "http", "edge-10-0-0-7", "http://10.0.0.7:5555", "tcp:10.0.0.7:9999", "unix:/run/m"},
		{true, "[2001:db8::7]:5555", "", "edge-2001-db8--7-5555", "https://[2001:db8::7]:5555", "tcp:[2001:db8::7]:9999", "unix:/run/m"},
	} {
		config := withDiscovery(t, whole(t), func(d *haproxyv1.Discovery) {
			d.Node.Dataplane.Scheme, d.Node.RuntimeSocket, d.Node.MasterSocket = c.scheme, "tcp:{address}:9999", "unix:/run/m"
			if !c.srv {
				d.Record, d.Port = &haproxyv1.Discovery_Host{Host: "edge.example"}, 5555
			}
		})
		d, err := newDiscoverer(config.Discovery[0])
		if err != nil {
			t.Fatal(err)
		}
		n := d.node(netip.MustParseAddrPort(c.at))
		if n.Name != c.name || n.Dataplane.Url != c.url || n.RuntimeSocket != c.runtime || n.MasterSocket != c.masters {
			t.Errorf("%s: %v", c.at, n)
		}
	}
}

func TestADiscoveryAsksWhatItIsToldToAsk(t *testing.T) {
	dns := discovery.Server{Address: netip.MustParseAddrPort("10.0.0.53:53"), Timeout: dnsTimeout}
	for want, change := range map[discovery.Source]func(*haproxyv1.Discovery){
		discovery.SRV{Name: "_dataplane._tcp.edge.example", Resolver: discovery.System{}}: func(*haproxyv1.Discovery) {},
		discovery.SRV{Name: "_dataplane._tcp.edge.example", Resolver: dns}:                func(d *haproxyv1.Discovery) { d.Resolver = "10.0.0.53:53" },
		discovery.Host{Name: "edge.example", Port: 5555, Resolver: dns}: func(d *haproxyv1.Discovery) {
			d.Record, d.Port, d.Resolver = &haproxyv1.Discovery_Host{Host: "edge.example"}, 5555, "10.0.0.53:53"
		},
	} {
		d, err := newDiscoverer(withDiscovery(t, whole(t), change).Discovery[0])
		if err != nil || d.source != want || d.interval != defaultDiscoveryInterval {
			t.Errorf("%+v, %v; want %+v", d, err, want)
		}
	}
}

func TestDiscoveryErrorsNameTheField(t *testing.T) {
	for want, change := range map[string]func(*haproxyv1.Discovery){
		"discovery[0].port: SRV records say it": func(d *haproxyv1.Discovery) { d.Port = 1 },
		"discovery[0].port: want": func(d *haproxyv1.Discovery) {
			d.Record = &haproxyv1.Discovery_Host{Host: "edge.example"}
		},
		`discovery[0].node.environments[0]: there is no environment "prodd"`: func(d *haproxyv1.Discovery) {
			d.Node.Environments = []string{"prodd"}
		},
		"discovery[0].node.environments: there is none": func(d *haproxyv1.Discovery) { d.Node.Environments = nil },
		"discovery[0].record: ":                         func(d *haproxyv1.Discovery) { d.Record = nil },
		"discovery[0].resolver: ":                       func(d *haproxyv1.Discovery) { d.Resolver = "dns.example:53" },
		"discovery[0].networks[1]: ":                    func(d *haproxyv1.Discovery) { d.Networks[1] = "10.0.0.7" },
		"discovery[0].node: its name":                   func(d *haproxyv1.Discovery) { d.Node.Name = "x" },
		"discovery[0].node: its name and":               func(d *haproxyv1.Discovery) { d.Node.Dataplane.Url = "https://x" },
		"discovery[0].name: it is taken":                func(d *haproxyv1.Discovery) { d.Name = "configuration" },
		"discovery[0].node.dataplane.password_file: ":   func(d *haproxyv1.Discovery) { d.Node.Dataplane.PasswordFile = "/nowhere" },
		"discovery[0].node.dataplane.ca_file: ":         func(d *haproxyv1.Discovery) { d.Node.Dataplane.CaFile = "/nowhere" },
		"discovery[0].node.dataplane.client_certificate_file: ": func(d *haproxyv1.Discovery) {
			d.Node.Dataplane.ClientKeyFile = "/nowhere"
		},
		"discovery[0].node.runtime_socket or master_socket: ": func(d *haproxyv1.Discovery) { d.Node.RuntimeSocket = "tcp:nowhere" },
	} {
		_, err := NewService(withDiscovery(t, whole(t, "http://127.0.0.1:1"), change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
