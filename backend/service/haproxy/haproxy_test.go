package haproxy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fleet is prod, which the nodes n1, n2 ... at the addresses serve, and staging, which none does.
func fleet(t *testing.T, urls ...string) *haproxyv1.Config {
	t.Helper()
	config := &haproxyv1.Config{
		Environments: []*haproxyv1.Environment{
			{Name: "staging", Pools: []*haproxyv1.Pool{{Name: "db", Backend: "be_staging", Hosts: []string{"db.staging.example"}}}},
			{Name: "prod", ServerNetworks: []string{"127.0.0.0/8"}, Pools: []*haproxyv1.Pool{{Name: "db", Backend: "be_app", Description: "the shop's", Hosts: []string{"db.example"}}}},
		},
	}
	for i, url := range urls {
		config.Nodes = append(config.Nodes, &haproxyv1.Node{
			Name: "n" + string(rune('1'+i)), Environments: []string{"prod"},
			Dataplane: &haproxyv1.DataPlane{
				Url: url, Username: dataplanetest.Username, PasswordFile: write(t, dataplanetest.Password+"\n"),
			},
		})
	}
	return config
}

func TestConfigurationErrorsNameTheFieldAndNoSecret(t *testing.T) {
	const secret = "hunter2-marker"
	for want, spoil := range map[string]func(*haproxyv1.Config){
		"environments[1].server_networks[0]: ": func(c *haproxyv1.Config) { c.Environments[1].ServerNetworks[0] = "127.0.0.1" },
		"environments[1].pools[0].name: ":      func(c *haproxyv1.Config) { c.Environments[1].Pools[0].Name = "a|b" },
		"environments[0].pools[0].name: ":      func(c *haproxyv1.Config) { c.Environments[0].Name = "Staging" },
		"nodes[0].dataplane.password_file: ": func(c *haproxyv1.Config) {
			c.Nodes[0].Dataplane.PasswordFile = "/nowhere/password"
		},
		"nodes[1].dataplane.password_file: read password file: it is empty": func(c *haproxyv1.Config) {
			c.Nodes[1].Dataplane.PasswordFile = write(t, "")
		},
		"nodes[1].dataplane.password_file: read password file: it has more": func(c *haproxyv1.Config) {
			c.Nodes[1].Dataplane.PasswordFile = write(t, secret+"\n"+secret+"\n")
		},
		"nodes[0].dataplane.ca_file: open": func(c *haproxyv1.Config) { c.Nodes[0].Dataplane.CaFile = "/nowhere/ca.pem" },
		"nodes[0].dataplane.ca_file: read ca file: no certificate": func(c *haproxyv1.Config) {
			c.Nodes[0].Dataplane.CaFile = write(t, secret)
		},
		"nodes[1].dataplane: data plane api: url holds credentials": func(c *haproxyv1.Config) {
			c.Nodes[1].Dataplane.Url = "https://clutch:" + secret + "@10.0.0.1:5555"
		},
		"nodes[0].dataplane: data plane api: url is plain http": func(c *haproxyv1.Config) {
			c.Nodes[0].Dataplane.Url = "http://10.0.0.1:5555"
		},
		"nodes[0].dataplane: data plane api: username": func(c *haproxyv1.Config) { c.Nodes[0].Dataplane.Username = "a:b" },
		"nodes[1].clock_bound: ":                       func(c *haproxyv1.Config) { c.Nodes[1].ClockBound = durationpb.New(-time.Second) },
	} {
		config := fleet(t, "http://127.0.0.1:1", "http://127.0.0.1:2")
		spoil(config)
		_, err := NewService(config)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("I14: the error shows a secret: %v", err)
		}
	}
}

func TestAllProblemsOfAConfigurationAreNamedAtOnce(t *testing.T) {
	config := fleet(t, "http://127.0.0.1:1", "ftp://127.0.0.1:2")
	config.Environments[0].Pools[0].Name = "/"
	_, err := NewService(config)
	for _, want := range []string{"environments[0].pools[0].name", "nodes[1].dataplane"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestPoolsAreFoundByTheirFullNameAlone(t *testing.T) {
	cfg, err := anypb.New(fleet(t, "http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := New(cfg, zap.NewNop(), tally.NoopScope)
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*Service)
	pools := s.Pools()
	if len(pools) != 2 || pools[0].Name.String() != "prod/db" || pools[1].Name.String() != "staging/db" {
		t.Fatalf("pools %v", pools)
	}
	pools[0].Description = "changed by a caller"
	if p, ok := s.Pool(db); !ok || p.Description != "the shop's" || p.Hosts[0] != "db.example" {
		t.Errorf("pool %v, %t", p, ok)
	}
	if _, ok := s.Pool(grant.Pool{Environment: "prod", Name: "app"}); ok {
		t.Error("a pool that is not configured was found")
	}
	if _, err := New(&anypb.Any{TypeUrl: "x/y"}, zap.NewNop(), tally.NoopScope); err == nil {
		t.Error("a configuration of another kind was read")
	}
}
