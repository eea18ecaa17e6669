package bench

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
	"github.com/haproxy-access/clutch-haproxy-access/tools/dataplane/server"
)

const (
	hostName    = "billing.example"
	backendName = "be_prod_billing"
	account     = "clutch"
	password    = "bench"
	// bareMap is a map that nobody reconciles, for what a change costs by itself.
	bareMap = "bare.map"
)

func haproxyProgram(t *testing.T) string {
	t.Helper()
	program, err := haproxyproc.Find()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// settings are what a rendering is made with.
type settings struct {
	cache bool
	log   string // a syslog address; empty for none
	maps  map[string][]byte
}

// rendered is a directory with the rendered enforcement of one node, and what it was made of.
type rendered struct {
	dir, config, address string
	input                haproxycfg.Input
	keys                 tokencorpus.Keys
}

// render writes all that HAProxy needs. The service behind the pool listens on the port.
func render(t *testing.T, s settings, servicePort int) *rendered {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ports, err := haproxyproc.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	r := &rendered{dir: dir, config: dir + "/haproxy.cfg", address: fmt.Sprintf("127.0.0.1:%d", ports[0]), keys: tokencorpus.NewKeys(time.Now())}
	r.input = haproxycfg.Input{
		Issuer: tokencorpus.ClutchIssuer, ClutchURL: "https://clutch.example",
		Environments: []haproxycfg.Environment{{Name: tokencorpus.Environment, Lease: 30 * time.Second, Pools: []haproxycfg.Pool{{
			Name: tokencorpus.PoolName, Backend: backendName, Hosts: []string{hostName},
			Servers: []haproxycfg.Server{{Name: "s1", Address: "127.0.0.1", Port: uint32(servicePort)}},
		}}}},
		Nodes: []haproxycfg.Node{{Name: "n1", Environments: []string{tokencorpus.Environment}}}, NodeName: "n1",
		IdentityProviders: []haproxycfg.IdentityProvider{{
			Name: tokencorpus.IDPName, Issuer: tokencorpus.IDPIssuer, Audience: tokencorpus.IDPAudience, KIDs: []string{r.keys.IDP.KID},
		}},
		Keys:    []haproxycfg.PublicKey{{KID: r.keys.Clutch.KID, PEM: r.keys.Clutch.Public}, {Issuer: tokencorpus.IDPName, KID: r.keys.IDP.KID, PEM: r.keys.IDP.Public}},
		MapsDir: dir + "/maps", KeysDir: dir + "/keys", PagesDir: dir + "/pages", HardStopAfter: 10 * time.Second,
		Binds:          []haproxycfg.Bind{{Address: r.address}},
		SignatureCache: s.cache,
		Standalone:     &haproxycfg.Standalone{StatsSocket: dir + "/stats.sock", MaxConn: 1000, Log: s.log},
	}
	files, err := haproxycfg.Render(r.input)
	if err != nil {
		t.Fatal(err)
	}
	bare := fmt.Sprintf("\nfrontend bare\n  bind 127.0.0.1:%d\n  http-request deny if { path,map_str(%s/%s) -m found }\n", ports[1], r.input.MapsDir, bareMap)
	files.Maps[bareMap] = nil
	for name, text := range s.maps {
		files.Maps[name] = text
	}
	for sub, content := range map[string]map[string][]byte{"maps": files.Maps, "keys": files.Keys, "pages": files.Pages} {
		for name, text := range content {
			writeFile(t, filepath.Join(dir, sub, name), text)
		}
	}
	writeFile(t, r.config, append(oneThread(files.Standalone), bare...))
	return r
}

// token is one for a grant.
func (r *rendered) token(g grant.Grant) string {
	claims := tokencorpus.Ours(r.keys).With("sub", string(g.Subject)).With("grant_id", g.ID).With("exp", g.ExpiresAt.Unix())
	return tokencorpus.SignOurs(r.keys, claims)
}

// node is a real HAProxy with its Data Plane API, the one of the demo, in this process.
type node struct {
	*rendered
	process *haproxyproc.Process
	api     *httptest.Server
	client  *dataplane.Client
	config  *haproxyv1.Config
}

// startNode starts one; bare is what its map for comparison holds.
func startNode(t *testing.T, bare []byte) *node {
	t.Helper()
	service := startService(t)
	n := &node{rendered: render(t, settings{maps: map[string][]byte{bareMap: bare}}, service.port)}
	var err error
	n.process, err = haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: n.rendered.config, Dir: n.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	api, err := server.New(server.Config{
		Username: account, Password: password, HAProxyConfig: n.rendered.config, HAProxyBin: haproxyProgram(t), RuntimeSocket: n.input.Standalone.StatsSocket,
		MapsDir: n.input.MapsDir, MasterSocket: n.process.MasterSocket(), ReloadCommand: fmt.Sprintf("kill -USR2 %d", n.process.MasterPID()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	n.api = httptest.NewServer(api)
	t.Cleanup(n.api.Close)
	if n.client, err = dataplane.New(dataplane.Options{URL: n.api.URL, Username: account, Password: func() (string, error) { return password, nil }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.client.Close)
	writeFile(t, n.dir+"/password", []byte(password+"\n"))
	n.config = &haproxyv1.Config{
		Environments: []*haproxyv1.Environment{environment()},
		Nodes: []*haproxyv1.Node{{
			Name: "n1", Environments: []string{tokencorpus.Environment},
			Dataplane:     &haproxyv1.DataPlane{Url: n.api.URL, Username: account, PasswordFile: n.dir + "/password"},
			RuntimeSocket: "unix:" + n.input.Standalone.StatsSocket, MasterSocket: "unix:" + n.process.MasterSocket(),
		}},
		Enforcement: &haproxyv1.Enforcement{MapsDir: n.input.MapsDir, KeysDir: n.input.KeysDir, PagesDir: n.input.PagesDir},
	}
	return n
}
