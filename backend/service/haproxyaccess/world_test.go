package haproxyaccess

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	auditv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/audit/v1"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
	auditservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	storeservice "github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
)

var (
	alice = access.Caller{Subject: "alice@example.com", Groups: []string{"eng"}}
	bob   = access.Caller{Subject: "bob@example.com", Groups: []string{"sre"}, GroupsAt: time.Now()}
	oscar = access.Caller{Subject: "oscar@example.com", Groups: []string{"operators"}}
)

const testPolicy = `version: 1
name: test
rules:
  - name: staging
    match: {environments: [staging]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
  - name: prod
    match: {environments: [prod]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
    approve: {all_of: [{group: sre}]}
`

// encryptionKey is 32 bytes that are found again wherever they leak to.
const encryptionKey = "marker-encryption-key-0123456789"

// world is the services that Clutch would have started before this one, with one node.
type world struct {
	t      *testing.T
	node   *dataplanetest.Server
	logs   *zaptest.ObservedLogs
	logger *zap.Logger
	config *accessv1.Config
	keys   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	before := maps.Clone(service.Registry) // Clutch's own, and global
	t.Cleanup(func() { service.Registry = before })
	service.Registry = map[string]service.Service{}

	w := &world{t: t, node: dataplanetest.New(t, "grants.map", "leases.map", "hosts.map", "pools.map", "kids.map")}
	core, logs := zaptest.New(zap.DebugLevel)
	w.logs, w.logger = logs, zap.New(core)
	w.config = &accessv1.Config{
		ClutchUrl: "https://clutch.example",
		Token: &accessv1.Token{Issuer: "https://clutch.example",
			EncryptionKeyFile: w.file(base64.StdEncoding.EncodeToString([]byte(encryptionKey)))},
		Operators: []string{"operators"}, Auditors: []string{"auditors"},
		GroupsMaxAge: durationpb.New(24 * time.Hour),
	}
	w.config.Policy = &accessv1.Policy{
		Files: []string{w.file(testPolicy)}, ReloadInterval: durationpb.New(100 * time.Millisecond),
	}
	w.register(storeservice.Name, storeservice.New,
		&storev1.Config{Type: &storev1.Config_Sqlite{Sqlite: &storev1.SQLite{Path: filepath.Join(t.TempDir(), "s.db")}}})
	store := service.Registry[storeservice.Name].(*storeservice.Service)
	t.Cleanup(func() { _ = store.Close() })
	w.register(haproxy.Name, haproxy.New, w.fleet())
	w.register(auditservice.Name, auditservice.New, &auditv1.Config{})
	t.Cleanup(service.Registry[auditservice.Name].(*auditservice.Auditor).Stop)
	return w
}

func (w *world) fleet() *haproxyv1.Config {
	return &haproxyv1.Config{
		Environments: []*haproxyv1.Environment{
			{Name: "staging", Lease: "off", Pools: []*haproxyv1.Pool{{Name: "db", Backend: "be_staging", Hosts: []string{"db.staging.example"}}}},
			{Name: "prod", Lease: "30s", ServerNetworks: []string{"127.0.0.0/8"}, Pools: []*haproxyv1.Pool{{Name: "db", Backend: "be_app", Hosts: []string{"db.prod.example"}}}},
		},
		Nodes: []*haproxyv1.Node{{
			Name: "n1", Environments: []string{"staging", "prod"},
			Dataplane: &haproxyv1.DataPlane{
				Url: w.node.URL, Username: dataplanetest.Username, PasswordFile: w.file(dataplanetest.Password),
			},
		}},
		Enforcement: &haproxyv1.Enforcement{
			MapsDir: "/etc/haproxy/maps", KeysDir: "/etc/haproxy/keys", PagesDir: "/etc/haproxy/pages",
			Binds: []*haproxyv1.Bind{{Address: ":8080"}},
		},
	}
}

func (w *world) file(text string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// factory makes a service as Clutch does.
type factory func(*anypb.Any, *zap.Logger, tally.Scope) (service.Service, error)

func (w *world) register(name string, build factory, config proto.Message) {
	w.t.Helper()
	made, err := build(w.any(config), w.logger, tally.NoopScope)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	service.Registry[name] = made
}

func (w *world) any(config proto.Message) *anypb.Any {
	w.t.Helper()
	cfg, err := anypb.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// start starts the service, which stops with the test at the latest.
func (w *world) start() *Service {
	w.t.Helper()
	made, err := New(w.any(w.config), w.logger, tally.NoopScope)
	if err != nil {
		w.t.Fatal(err)
	}
	s := made.(*Service)
	w.t.Cleanup(s.Stop)
	return s
}

func (w *world) key() string {
	w.keys++
	return fmt.Sprintf("key-%06d", w.keys)
}

// request asks for 15 minutes and must get an answer.
func (w *world) request(s *Service, environment string) access.View {
	w.t.Helper()
	v, err := s.Request(w.t.Context(), alice,
		access.Ask{Environment: environment, Pool: "db", Duration: 15 * time.Minute, Reason: "to look at it"}, w.key())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) revoke(s *Service, id string) access.View {
	w.t.Helper()
	v, err := s.Revoke(w.t.Context(), oscar, access.Revocation{GrantID: id, Reason: "over"}, w.key())
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// eventually polls, since nodes are brought in line in the background.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within 30 s: %s; log:\n%s", what, w.logText())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// row is a key's value in the node's running map and in its file; empty where it is not.
func (w *world) row(name, key string) (memory, file string) {
	for _, e := range w.node.Memory(name) {
		if e.Key == key {
			memory = e.Value
		}
	}
	for line := range strings.Lines(w.node.File(name)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
			file = value
		}
	}
	return memory, file
}

// holds reports whether the node has the grant's row, and has it in both places or in neither.
func (w *world) holds(v access.View) bool {
	w.t.Helper()
	memory, file := w.row("grants.map", string(v.Grant.Subject)+"|"+v.Grant.Pool.String())
	if memory != file {
		w.t.Errorf("the running map has %q and the file %q", memory, file)
	}
	return memory == fmt.Sprintf("%d:%s", v.Grant.ExpiresAt.Unix(), v.Grant.ID)
}

// logText is all that was logged, with all fields.
func (w *world) logText() string {
	var text strings.Builder
	for _, e := range w.logs.All() {
		fmt.Fprintf(&text, "%s %s %v\n", e.Level, e.Message, e.ContextMap())
	}
	return text.String()
}
