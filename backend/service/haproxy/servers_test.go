package haproxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

var (
	db     = grant.Pool{Environment: "prod", Name: "db"}
	added  = access.Server{Name: "s2", Address: "127.0.0.1", Port: 8082}
	broken = func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.Echo500 }
)

// two are the nodes of prod.
func two(t *testing.T) (*Service, *dataplanetest.Server, *dataplanetest.Server) {
	t.Helper()
	one, other := dataplanetest.New(t), dataplanetest.New(t)
	config := fleet(t, one.URL, other.URL)
	s, err := NewService(config)
	if err != nil {
		t.Fatal(err)
	}
	return s, one, other
}

func has(s *dataplanetest.Server, name string) bool {
	_, configured := s.ConfiguredServers("be_app")[name]
	for _, running := range s.RunningServers("be_app") {
		if running.Name == name {
			return configured
		}
	}
	return false
}

func TestAServerIsAddedAndRemovedOnEveryNodeAndMayBeAgain(t *testing.T) {
	s, one, other := two(t)
	for range 2 {
		if err := s.AddServer(t.Context(), db, added); err != nil {
			t.Fatal(err)
		}
	}
	if !has(one, "s2") || !has(other, "s2") {
		t.Error("a node does not have the server")
	}
	var names []string
	for _, server := range s.Servers(t.Context(), db) {
		if server.Error != "" {
			t.Errorf("%+v", server)
		}
		names = append(names, server.Node+" "+server.Name)
	}
	if got := strings.Join(names, ", "); got != "n1 s1, n1 s2, n2 s1, n2 s2" {
		t.Errorf("servers %s", got)
	}
	for range 2 {
		if err := s.RemoveServer(t.Context(), db, "s2"); err != nil {
			t.Fatal(err)
		}
	}
	if has(one, "s2") || has(other, "s2") {
		t.Error("a node still has the server")
	}
	if !has(one, "s1") || !has(other, "s1") {
		t.Error("I13: a server that is not ours is gone")
	}
}

func TestAServerOfThatNameWithAnotherAddressIsAnError(t *testing.T) {
	s, one, _ := two(t)
	if err := s.AddServer(t.Context(), db, added); err != nil {
		t.Fatal(err)
	}
	for _, odd := range []access.Server{
		{Name: "s2", Address: "127.0.0.2", Port: 8082}, {Name: "s2", Address: "127.0.0.1", Port: 8083},
	} {
		err := s.AddServer(t.Context(), db, odd)
		if !errors.Is(err, access.ErrServerExists) || !strings.Contains(err.Error(), "node n1: ") {
			t.Errorf("%+v: %v", odd, err)
		}
	}
	if text := one.ConfiguredServers("be_app")["s2"]; !strings.Contains(text, "8082") || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("I13: the server is %s", text)
	}
}

// One node that fails does not keep the other from it; the error names it, and shows nothing that it echoed (I14).
func TestI14ANodeThatFailsIsNamedAndTheOtherHasIt(t *testing.T) {
	s, one, other := two(t)
	one.SetFault(broken)
	check := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "node n1: ") || strings.Contains(err.Error(), "n2") {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), dataplanetest.Password) {
			t.Errorf("%s shows the password: %v", what, err)
		}
	}
	check("add", s.AddServer(t.Context(), db, added))
	if has(one, "s2") || !has(other, "s2") {
		t.Error("after adding: want it on n2 alone")
	}
	for _, server := range s.Servers(t.Context(), db) {
		if failed := server.Node == "n1"; failed != (server.Error != "") || failed != (server.OperationalState == "unknown") {
			t.Errorf("%+v", server)
		}
		if strings.Contains(server.Error, dataplanetest.Password) {
			t.Errorf("the list shows the password: %s", server.Error)
		}
	}
	check("remove", s.RemoveServer(t.Context(), db, "s2"))
	if has(other, "s2") {
		t.Error("after removing: n2 still has it")
	}
	one.SetFault(nil)
	if err := s.AddServer(t.Context(), db, added); err != nil {
		t.Errorf("after the fault: %v", err)
	}
}

func TestAPoolThatNoNodeServesIsAnError(t *testing.T) {
	s, one, _ := two(t)
	for _, p := range []grant.Pool{{Environment: "staging", Name: "db"}, {Environment: "none", Name: "db"}} {
		if err := s.AddServer(t.Context(), p, added); err == nil {
			t.Errorf("%s: added nowhere, and no error", p)
		}
		if err := s.RemoveServer(t.Context(), p, "s1"); err == nil {
			t.Errorf("%s: removed nowhere, and no error", p)
		}
	}
	if calls := one.Calls(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}
