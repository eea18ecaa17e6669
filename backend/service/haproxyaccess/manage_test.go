package haproxyaccess

import (
	"strings"
	"testing"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// manage makes the node one of which the gateway keeps the configuration; it has nothing of ours yet.
func (w *world) manage() {
	config := w.fleet()
	config.Nodes[0].ManageConfig = true
	config.Enforcement.KeysDir, config.Enforcement.PagesDir = dataplanetest.GeneralDir, dataplanetest.GeneralDir
	w.register(haproxy.Name, haproxy.New, config)
	for _, name := range []string{"grants.map", "leases.map", "hosts.map", "pools.map", "kids.map"} {
		w.node.RemoveMap(name)
	}
}

// A node that has nothing of ours gets the sections, by them its maps, and at once its rows.
func TestAManagedNodeIsSetUpAndThenEnforces(t *testing.T) {
	w := newWorld(t)
	w.manage()
	s := w.start()
	w.eventually("the node is set up and in line", func() bool {
		nodes, err := s.Nodes(t.Context(), oscar, "")
		return err == nil && nodes[0].ConfigManaged && nodes[0].ConfigError == "" && nodes[0].Healthy
	})
	if text := w.node.Configuration(); !strings.Contains(text, "frontend fe_haproxyaccess\n") || !strings.Contains(text, "backend be_app\n") {
		t.Errorf("haproxy.cfg is\n%.300s", text)
	}
	v := w.request(s, "staging")
	w.eventually("the grant is on the node", func() bool { return w.holds(v) })
	if !strings.Contains(w.logText(), "was brought in line") {
		t.Error("the change was not told")
	}
}

// What cannot be kept is loud, in the log and in the node's status, and nothing of HAProxy changes.
func TestAManagedNodeThatRefusesIsLoud(t *testing.T) {
	w := newWorld(t)
	w.manage()
	w.node.RefuseConfigurations(func(string) string { return "unknown keyword" })
	before := w.node.Configuration()
	s := w.start()
	w.eventually("the refusal shows", func() bool {
		nodes, err := s.Nodes(t.Context(), oscar, "")
		return err == nil && !nodes[0].ConfigManaged && strings.Contains(nodes[0].ConfigError, "let haproxy check")
	})
	if w.node.Configuration() != before || !strings.Contains(w.logText(), "could not be brought in line; HAProxy goes on") {
		t.Errorf("log:\n%s", w.logText())
	}
}

// An identity provider's key stands in a file of the gateway's, of which a node that is not managed needs the name only.
func TestTheKeysOfIdentityProvidersAreReadForManagedNodes(t *testing.T) {
	w := newWorld(t)
	w.manage()
	w.spoilFleet(func(c *haproxyv1.Config) {
		c.Nodes[0].ManageConfig = true
		c.Enforcement.KeysDir, c.Enforcement.PagesDir = dataplanetest.GeneralDir, dataplanetest.GeneralDir
		c.Enforcement.IdentityProviders = []*haproxyv1.IdentityProvider{{
			Name: "idp", Issuer: "https://idp.example", Audience: "us",
			Keys: []*haproxyv1.IdentityProvider_Key{{Kid: "k.1", PublicKeyFile: "/nowhere/k.pem"}},
		}}
	})
	s := w.start()
	w.eventually("the missing key shows", func() bool {
		nodes, err := s.Nodes(t.Context(), oscar, "")
		return err == nil && strings.Contains(nodes[0].ConfigError, "key k.1 of identity provider idp")
	})
}
