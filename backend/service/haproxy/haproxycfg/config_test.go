package haproxycfg

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

func goodFleet() *haproxyv1.Config {
	return &haproxyv1.Config{
		Environments: []*haproxyv1.Environment{
			{Name: "staging", Lease: "off", Pools: []*haproxyv1.Pool{
				{Name: "billing", Backend: "be_a", Hosts: []string{"a.example"}},
			}},
			{Name: "prod", Pools: []*haproxyv1.Pool{
				{Name: "billing", Backend: "be_b", Hosts: []string{"b.example", "c.example"},
					Servers: []*haproxyv1.Server{{Name: "s1", Address: "127.0.0.1", Port: 80}}},
				{Name: "ops", Backend: "be_c", Hosts: []string{"d.example"}},
			}},
		},
		Nodes: []*haproxyv1.Node{{Name: "n1", Environments: []string{"prod"}}},
		Enforcement: &haproxyv1.Enforcement{
			MapsDir: "/m", KeysDir: "/k", PagesDir: "/p",
			Binds: []*haproxyv1.Bind{{Address: ":8080"}, {Address: "[::1]:8443", TlsCertificate: "/tls/x.pem"}},
			IdentityProviders: []*haproxyv1.IdentityProvider{{
				Name: "idp", Issuer: "https://idp.example/realm", Audience: "us",
				Keys: []*haproxyv1.IdentityProvider_Key{{Kid: "k1", PublicKeyFile: "x.pem"}},
			}},
			Standalone: &haproxyv1.Standalone{StatsSocket: "/run/s.sock", Log: "127.0.0.1:514"},
		},
	}
}

func goodAccess() *accessv1.Config {
	return &accessv1.Config{ClutchUrl: "https://clutch.example/", Token: &accessv1.Token{Issuer: "https://clutch.example"}}
}

func goodKeys() []PublicKey {
	return []PublicKey{{KID: "ours"}, {Issuer: "idp", KID: "k1"}}
}

func TestTablesFollowFromTheConfiguration(t *testing.T) {
	in, err := FromConfig(goodFleet(), goodAccess(), goodKeys())
	if err != nil {
		t.Fatal(err)
	}
	want := desired.State{
		desired.Hosts: {"a.example": "staging/billing", "b.example": "prod/billing", "c.example": "prod/billing", "d.example": "prod/ops"},
		desired.Pools: {"staging/billing": "be_a", "prod/billing": "be_b", "prod/ops": "be_c"},
		desired.KIDs:  {"clutch|ours": "/k/ours.pem", "idp|k1": "/k/idp_k1.pem"},
	}
	if diff := cmp.Diff(want, in.Tables()); diff != "" {
		t.Error(diff)
	}
	for name, table := range in.Tables() {
		if err := desired.NewSheet(table).Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if in.Environments[0].Lease != 0 || in.Environments[1].Lease != 30*time.Second {
		t.Errorf("leases %s and %s, want 0s and 30s", in.Environments[0].Lease, in.Environments[1].Lease)
	}
	node, ok := in.ForNode("n1")
	if !ok || len(node.Tables()[desired.Pools]) != 2 || node.Tables()[desired.Hosts]["a.example"] != "" {
		t.Errorf("node n1 has the tables %v", node.Tables())
	}
	if _, ok := in.ForNode("n2"); ok {
		t.Error("there is a node n2")
	}
}

func TestLeaseIsReadStrictly(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 30 * time.Second, "off": 0, "30s": 30 * time.Second, "1s": time.Second, "2m": 2 * time.Minute, "24h": 24 * time.Hour} {
		if got, err := ParseLease(text); err != nil || got != want {
			t.Errorf("ParseLease(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "0s", "-5s", "1.5s", "500ms", "25h", "OFF", "never", "30", " 30s", "1e9s"} {
		if got, err := ParseLease(text); err == nil {
			t.Errorf("ParseLease(%q) = %s, want an error", text, got)
		}
	}
}

// Each row breaks one thing; the error must name the field as the configuration does.
func TestConfigurationErrorsNameTheField(t *testing.T) {
	for field, spoil := range map[string]func(*haproxyv1.Config, *accessv1.Config){
		"environments[0].lease":             func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[0].Lease = "5" },
		"environments[1].name":              func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Name = "staging" },
		"environments[0].name":              func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[0].Name = "a/b" },
		"environments[0].pools":             func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[0].Pools = nil },
		"environments[1].pools[1].name":     func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[1].Name = "billing" },
		"environments[1].pools[0].name":     func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Name = "x|y" },
		"environments[1].pools[0].backend":  func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Backend = "be_a" },
		"environments[1].pools[1].backend":  func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[1].Backend = deniedName },
		"environments[1].pools[0].hosts[1]": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Hosts[1] = "a.example" },
		"environments[1].pools[0].hosts[0]": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Hosts[0] = "B.example" },
		"environments[1].pools[1].hosts":    func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[1].Hosts = nil },
		"environments[1].pools[0].servers[0].address": func(c *haproxyv1.Config, _ *accessv1.Config) {
			c.Environments[1].Pools[0].Servers[0].Address = "db.example"
		},
		"environments[1].pools[0].servers[0].port": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Servers[0].Port = 70000 },
		"environments[1].pools[0].servers[0].name": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Environments[1].Pools[0].Servers[0].Name = "a b" },
		"nodes[0].environments[0]":                 func(c *haproxyv1.Config, _ *accessv1.Config) { c.Nodes[0].Environments[0] = "dev" },
		"nodes[0].environments[1]":                 func(c *haproxyv1.Config, _ *accessv1.Config) { c.Nodes[0].Environments = []string{"prod", "prod"} },
		"nodes[1].name":                            func(c *haproxyv1.Config, _ *accessv1.Config) { c.Nodes = append(c.Nodes, c.Nodes[0]) },
		"enforcement.maps_dir":                     func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.MapsDir = "maps" },
		"enforcement.keys_dir":                     func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.KeysDir = "/a/../b" },
		"enforcement.pages_dir":                    func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.PagesDir = "/a/" },
		"enforcement.hard_stop_after":              func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.HardStopAfter = &durationpb.Duration{} },
		"enforcement.binds":                        func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Binds = nil },
		"enforcement.binds[0].address":             func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Binds[0].Address = ":0" },
		"enforcement.binds[1].address":             func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Binds[1].Address = ":8080" },
		"enforcement.binds[1].tls_certificate":     func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Binds[1].TlsCertificate = "/a b" },
		"enforcement.identity_providers[0].name":   func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.IdentityProviders[0].Name = OurIssuer },
		"enforcement.identity_providers[0].issuer": func(c *haproxyv1.Config, _ *accessv1.Config) {
			c.Enforcement.IdentityProviders[0].Issuer = "https://clutch.example"
		},
		"enforcement.identity_providers[0].audience":    func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.IdentityProviders[0].Audience = "-f x" },
		"enforcement.identity_providers[0].keys[0].kid": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.IdentityProviders[0].Keys[0].Kid = "k 2" },
		"enforcement.identity_providers[0].keys[1].kid": func(c *haproxyv1.Config, _ *accessv1.Config) {
			c.Enforcement.IdentityProviders[0].Keys = []*haproxyv1.IdentityProvider_Key{{Kid: "a.b"}, {Kid: "a_b"}} // one file
		},
		"enforcement.standalone.stats_socket": func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Standalone.StatsSocket = "x" },
		"enforcement.standalone.log":          func(c *haproxyv1.Config, _ *accessv1.Config) { c.Enforcement.Standalone.Log = "stderr" },
		"token.issuer":                        func(_ *haproxyv1.Config, a *accessv1.Config) { a.Token.Issuer = "clutch" },
		"clutch_url":                          func(_ *haproxyv1.Config, a *accessv1.Config) { a.ClutchUrl = "https://clutch.example/x" },
	} {
		t.Run(field, func(t *testing.T) {
			fleet, access := goodFleet(), goodAccess()
			spoil(fleet, access)
			_, err := FromConfig(fleet, access, goodKeys())
			if err == nil || !strings.Contains(err.Error(), field+": ") {
				t.Errorf("error %v, want one that names %s", err, field)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	fleet, access := goodFleet(), goodAccess()
	fleet.Environments[0].Lease = "x"
	fleet.Enforcement.MapsDir = "x"
	access.ClutchUrl = "x"
	_, err := FromConfig(fleet, access, goodKeys())
	for _, field := range []string{"environments[0].lease", "enforcement.maps_dir", "clutch_url"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
}

func TestEmptyConfigurationIsRefused(t *testing.T) {
	if _, err := FromConfig(nil, nil, nil); err == nil {
		t.Error("no error")
	}
}
