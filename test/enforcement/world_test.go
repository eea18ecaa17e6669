package enforcement

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

const (
	host        = "billing.example" // of tokencorpus.Pool
	opsHost     = "ops.example"     // another pool of the same environment
	stagingHost = "billing.staging.example"
	serviceHost = "bot.example" // the pool that service:deploy-bot has a grant for
	clutchURL   = "https://clutch.example"
	nodeName    = "edge-1"
)

// set is a rendered configuration on disk and the service behind it. Several HAProxys can be started with it, one after
// the other.
type set struct {
	dir      string
	config   []byte
	input    haproxycfg.Input
	upstream *upstream
	keys     tokencorpus.Keys
	log      *buffer
	// addresses of the frontend, plain and TLS
	address, tlsAddress string
}

// world is a running HAProxy over a set.
type world struct {
	*set
	process *haproxyproc.Process
}

// eachMode runs f with each of the renderings: with signatures that are computed at every request, and with a cache of
// them. Whatever is hostile must be refused in both.
func eachMode(t *testing.T, f func(t *testing.T, s *set)) {
	for name, cache := range map[string]bool{"without cache": false, "signature cache": true} {
		t.Run(name, func(t *testing.T) { f(t, newSetOf(t, cache)) })
	}
}

func newSet(t *testing.T) *set { return newSetOf(t, false) }

func newSetOf(t *testing.T, signatureCache bool) *set {
	t.Helper()
	// t.TempDir has the test's name in it, too long for a socket.
	dir, err := os.MkdirTemp("", "hx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports, err := haproxyproc.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &set{
		dir: dir, upstream: startUpstream(t), keys: tokencorpus.NewKeys(time.Now()), log: &buffer{},
		address: fmt.Sprintf("127.0.0.1:%d", ports[0]), tlsAddress: fmt.Sprintf("127.0.0.1:%d", ports[1]),
	}
	s.input = s.newInput()
	s.input.SignatureCache = signatureCache
	s.keys.ClutchFile = filepath.Join(s.input.KeysDir, s.keys.Clutch.KID+".pem")
	s.write(t)
	return s
}

func (s *set) newInput() haproxycfg.Input {
	server := []haproxycfg.Server{{Name: "s1", Address: "127.0.0.1", Port: uint32(s.upstream.port)}}
	pool := func(name, backend string, hosts ...string) haproxycfg.Pool {
		return haproxycfg.Pool{Name: name, Backend: backend, Hosts: hosts, Servers: server}
	}
	return haproxycfg.Input{
		Issuer: tokencorpus.ClutchIssuer, ClutchURL: clutchURL, NodeName: nodeName,
		Environments: []haproxycfg.Environment{
			{Name: tokencorpus.Environment, Lease: 30 * time.Second, Pools: []haproxycfg.Pool{
				pool(tokencorpus.PoolName, "be_prod_billing", host), pool("ops", "be_prod_ops", opsHost), pool("bot", "be_prod_bot", serviceHost),
			}},
			{Name: tokencorpus.OtherEnvironment, Pools: []haproxycfg.Pool{pool(tokencorpus.PoolName, "be_staging_billing", stagingHost)}},
		},
		IdentityProviders: []haproxycfg.IdentityProvider{{
			Name: tokencorpus.IDPName, Issuer: tokencorpus.IDPIssuer, Audience: tokencorpus.IDPAudience, KIDs: []string{s.keys.IDP.KID},
		}},
		Keys: []haproxycfg.PublicKey{
			{KID: s.keys.Clutch.KID, PEM: s.keys.Clutch.Public}, {KID: s.keys.ClutchNext.KID, PEM: s.keys.ClutchNext.Public},
			{Issuer: tokencorpus.IDPName, KID: s.keys.IDP.KID, PEM: s.keys.IDP.Public},
		},
		MapsDir: s.dir + "/maps", KeysDir: s.dir + "/keys", PagesDir: s.dir + "/pages", HardStopAfter: 10 * time.Second,
		Binds:      []haproxycfg.Bind{{Address: s.address}, {Address: s.tlsAddress, Certificate: s.dir + "/server.pem"}},
		Standalone: &haproxycfg.Standalone{StatsSocket: s.dir + "/a.sock", Log: "stdout", MaxConn: 200},
	}
}

func (s *set) write(t *testing.T) {
	t.Helper()
	files, err := haproxycfg.Render(s.input)
	if err != nil {
		t.Fatal(err)
	}
	s.config = files.Standalone
	// What the reconciler would write.
	hour := time.Now().Add(time.Hour).Unix()
	row := func(subject, pool, id string) string { return fmt.Sprintf("%s|%s %d:%s\n", subject, pool, hour, id) }
	files.Maps["grants.map"] = []byte(row(tokencorpus.Subject, tokencorpus.Pool, tokencorpus.GrantID) +
		row(tokencorpus.Subject, "staging/billing", "STAGING") + row("service:deploy-bot", "prod/bot", "BOT"))
	files.Maps["leases.map"] = fmt.Appendf(nil, "prod %d\nstaging 9999999999\n", hour)
	for dir, content := range map[string]map[string][]byte{"maps": files.Maps, "keys": files.Keys, "pages": files.Pages, ".": {"server.pem": certificate(t)}} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range content {
			if err := os.WriteFile(filepath.Join(s.dir, dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// start runs HAProxy with the text, which is the set's configuration or a change of it.
func (s *set) start(ctx context.Context, config []byte) (*world, error) {
	file := filepath.Join(s.dir, "haproxy.cfg")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	process, err := haproxyproc.Start(ctx, haproxyproc.Config{ConfigFile: file, Dir: s.dir, Log: s.log})
	if err != nil {
		return nil, err
	}
	return &world{set: s, process: process}, nil
}

func newWorld(t *testing.T) *world { return newSet(t).run(t) }

// run starts HAProxy with the set's own configuration until the test's end.
func (s *set) run(t *testing.T) *world {
	t.Helper()
	w, err := s.start(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.process.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// token makes the token of a case; those of a set are made anew when they get old.
func (s *set) token(c tokencorpus.Case) string { return tokens.get(s.keys, c) }

// good is a good token of ours.
func (s *set) good() string { return s.token(tokencorpus.Cases()[0]) }

// tokens saves the signing of the same tokens for every mutant of the configuration.
var tokens cache

type cache struct {
	mu   sync.Mutex
	made map[string]string
	file string
	at   time.Time
}

func (c *cache) get(keys tokencorpus.Keys, one tokencorpus.Case) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.Fresh {
		keys.Now = time.Now()
		return one.Token(keys)
	}
	if c.made == nil || c.file != keys.ClutchFile || time.Since(c.at) > 20*time.Second {
		c.made, c.file, c.at = map[string]string{}, keys.ClutchFile, time.Now()
	}
	token, there := c.made[one.Name]
	if !there {
		keys.Now = c.at
		token = one.Token(keys)
		c.made[one.Name] = token
	}
	return token
}

// runtime sends a command to HAProxy's runtime API and returns the answer.
func (w *world) runtime(command string) (string, error) {
	connection, err := net.Dial("unix", w.input.Standalone.StatsSocket)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(connection, "%s\n", command); err != nil {
		return "", err
	}
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(connection); err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(answer.Bytes())), nil
}

// buffer is HAProxy's output.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
