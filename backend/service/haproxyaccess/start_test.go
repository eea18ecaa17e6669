package haproxyaccess

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/uber-go/tally/v4"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/service"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	storeservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
)

// fails starts the service and wants an error with the text in it, and without secrets.
func (w *world) fails(want string) {
	w.t.Helper()
	made, err := New(w.any(w.config), w.logger, tally.NoopScope)
	if err == nil {
		made.(*Service).Stop()
		w.t.Errorf("started; want an error with %q", want)
		return
	}
	if !strings.Contains(err.Error(), want) {
		w.t.Errorf("error %v, want %q in it", err, want)
	}
	if strings.Contains(err.Error(), "marker") {
		w.t.Errorf("I14: the error shows a secret: %v", err)
	}
	if calls := w.node.Calls(); len(calls) != 0 {
		w.t.Errorf("the node was called: %v", calls)
	}
}

// What is listed after this service is not registered yet when it starts: that is how a wrong order looks.
func TestAMissingServiceOrAWrongOrderStopsTheStart(t *testing.T) {
	for name, want := range map[string]string{
		storeservice.Name: "services: clutch.service.haproxyaccess.store must be listed before clutch.service.haproxyaccess",
		haproxy.Name:      "services: clutch.service.haproxy must be listed before clutch.service.haproxyaccess",
		auditservice.Name: "services: clutch.service.audit must be listed before clutch.service.haproxyaccess",
	} {
		w := newWorld(t)
		have := service.Registry[name]
		delete(service.Registry, name)
		w.fails(want)
		service.Registry[name] = "another kind of service"
		w.fails(want)
		service.Registry[name] = have
	}
}

func TestABadConfigurationStopsTheStartAndNamesTheField(t *testing.T) {
	for want, spoil := range map[string]func(*world){
		"policy.files: ": func(w *world) { w.config.Policy.Files = []string{"/nowhere/*.yaml"} },
		"file:5:": func(w *world) {
			w.config.Policy.Files = []string{w.file(strings.Replace(testPolicy, "environments", "enviroments", 1))}
		},
		"agents[0].owner": func(w *world) {
			w.config.Agents = []*accessv1.Agent{{Name: "triage", ServiceAccount: "bot", Owner: "service:bot"}}
		},
		"agents[1]: its name": func(w *world) {
			w.config.Agents = []*accessv1.Agent{
				{Name: "triage", ServiceAccount: "bot", Owner: "alice@example.com"},
				{Name: "other", ServiceAccount: "bot", Owner: "bob@example.com"},
			}
		},
		"token.encryption_key_file: read": func(w *world) {
			w.config.Token.EncryptionKeyFile = "/nowhere/key"
		},
		"token.encryption_key_file: encryption key in ": func(w *world) {
			w.config.Token.EncryptionKeyFile = w.file("marker: not base64")
		},
		"token.encryption_key_file: encryption key: want 32 bytes": func(w *world) {
			w.config.Token.EncryptionKeyFile = w.file(base64.StdEncoding.EncodeToString([]byte("marker")))
		},
		"auditors": func(w *world) { w.config.Auditors = []string{""} },
		"environments[1].lease": func(w *world) {
			w.spoilFleet(func(c *haproxyv1.Config) { c.Environments[1].Lease = "soon" })
		},
		"environments[1].pools[0].hosts[0]": func(w *world) {
			w.spoilFleet(func(c *haproxyv1.Config) {
				c.Environments[1].Pools[0].Hosts = c.Environments[0].Pools[0].Hosts
			})
		},
	} {
		w := newWorld(t)
		spoil(w)
		w.fails(want)
	}
	w := newWorld(t)
	if _, err := New(&anypb.Any{TypeUrl: "x/y"}, w.logger, tally.NoopScope); err == nil {
		t.Error("a configuration of another kind was read")
	}
}

func (w *world) spoilFleet(spoil func(*haproxyv1.Config)) {
	config := w.fleet()
	spoil(config)
	w.register(haproxy.Name, haproxy.New, config)
}

// The store has a signing key that was sealed with the first key: another one must stop the start, and not each token.
func TestAnotherEncryptionKeyStopsTheStart(t *testing.T) {
	w := newWorld(t)
	w.start().Stop()
	w.node.ResetCalls()
	first := w.config.Token.EncryptionKeyFile
	w.config.Token.EncryptionKeyFile = w.file(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32))))
	w.fails("token.encryption_key_file: ")
	w.config.Token.EncryptionKeyFile = first
	w.start()
}

func TestStopMayBeCalledTwice(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	// A pass that is cut short may have a call under way that arrives later.
	w.eventually("the node is in line", func() bool {
		nodes, err := s.Nodes(t.Context(), oscar, "")
		return err == nil && nodes[0].Healthy
	})
	s.Stop()
	s.Stop()
	w.node.ResetCalls()
	v := w.request(s, "staging") // the use cases go on; nobody tells the node
	if v.Enforcement.NodesEnforced != 0 || v.Enforcement.NodesTotal != 1 {
		t.Errorf("enforcement %+v", v.Enforcement)
	}
	if calls := w.node.Calls(); len(calls) != 0 {
		t.Errorf("the node was called after Stop: %v", calls)
	}
}
