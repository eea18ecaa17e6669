package haproxy

import (
	"errors"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// Who may add servers must not be able to put another pool's service, or anything else that HAProxy can reach, behind a
// pool that they have access to.
func TestAServerIsAddedOnlyWhereThePoolMayHaveOne(t *testing.T) {
	node := dataplanetest.New(t)
	config := fleet(t, node.URL)
	prod := config.Environments[1]
	prod.Pools = append(prod.Pools, &haproxyv1.Pool{Name: "web", Backend: "be_web", Hosts: []string{"web.example"}})
	s, err := NewService(config)
	if err != nil {
		t.Fatal(err)
	}
	var theirs access.Server
	for _, have := range s.Servers(t.Context(), db) {
		theirs = have
	}
	web := grant.Pool{Environment: "prod", Name: "web"}
	for name, address := range map[string]access.Server{
		"outside of the networks":        {Name: "x", Address: "10.0.0.1", Port: 80},
		"the cloud's metadata":           {Name: "x", Address: "169.254.169.254", Port: 80},
		"another family":                 {Name: "x", Address: "::1", Port: 80},
		"with a zone":                    {Name: "x", Address: "fe80::1%eth0", Port: 80},
		"a name":                         {Name: "x", Address: "localhost", Port: 80},
		"a server of another pool":       {Name: "x", Address: theirs.Address, Port: theirs.Port},
		"the same, written as IPv6":      {Name: "x", Address: "::ffff:" + theirs.Address, Port: theirs.Port},
		"a network that others may have": {Name: "x", Address: "128.0.0.1", Port: 80},
	} {
		node.ResetCalls()
		if err := s.AddServer(t.Context(), web, address); !errors.Is(err, access.ErrServerAddress) {
			t.Errorf("%s: %v", name, err)
		}
		for _, call := range node.Calls() {
			if call.Method != "GET" {
				t.Errorf("%s: %s %s", name, call.Method, call.Path)
			}
		}
	}
	// An environment without networks takes no server at all.
	prod.ServerNetworks = nil
	if s, err = NewService(config); err != nil {
		t.Fatal(err)
	}
	if err := s.AddServer(t.Context(), db, added); !errors.Is(err, access.ErrServerAddress) {
		t.Errorf("without networks: %v", err)
	}
}
