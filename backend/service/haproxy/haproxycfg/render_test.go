package haproxycfg

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// testKey is made once: RSA keys are slow to make.
var testKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
})

// goodInput uses every field.
func goodInput(t testing.TB) Input {
	t.Helper()
	ours, err := NewPublicKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	return Input{
		Issuer: "https://clutch.example", ClutchURL: "https://clutch.example",
		Environments: []Environment{
			{Name: "staging", Pools: []Pool{{Name: "billing", Backend: "be_staging", Hosts: []string{"billing.staging.example", "b.example"}}}},
			{Name: "prod", Lease: 30 * time.Second, Pools: []Pool{{
				Name: "billing", Backend: "be_prod", Hosts: []string{"billing.example"},
				Servers: []Server{{Name: "s1", Address: "127.0.0.1", Port: 8081}, {Name: "s2", Address: "::1", Port: 8082}},
			}}},
		},
		Nodes: []Node{{Name: "n1", Environments: []string{"staging", "prod"}}, {Name: "n2", Environments: []string{"prod"}}},
		IdentityProviders: []IdentityProvider{
			{Name: "idp", Issuer: "https://idp.example", Audience: "haproxy-access", KIDs: []string{"k.1"}},
		},
		Keys:    []PublicKey{ours, {Issuer: "idp", KID: "k.1", PEM: testKey()}},
		MapsDir: "/etc/haproxy/maps", KeysDir: "/etc/haproxy/keys", PagesDir: "/etc/haproxy/pages",
		HardStopAfter: 30 * time.Second,
		Binds:         []Bind{{Address: "127.0.0.1:8080"}},
		NodeName:      "n1", SignatureCache: true,
		Standalone: &Standalone{StatsSocket: "/run/haproxy.sock", Log: "stdout", MaxConn: 100},
	}
}

// install writes the files as a node has them and returns haproxy.cfg.
func install(t *testing.T, in Input, config []byte, files Files) string {
	t.Helper()
	for dir, content := range map[string]map[string][]byte{in.MapsDir: files.Maps, in.KeysDir: files.Keys, in.PagesDir: files.Pages} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range content {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func checkWithHAProxy(t *testing.T, file string) {
	t.Helper()
	binary, err := haproxyproc.Find()
	if err != nil {
		t.Fatal(err)
	}
	// -dW makes warnings errors: an unreadable key is only a warning.
	if text, err := exec.Command(binary, "-c", "-dW", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("haproxy refuses the configuration: %v\n%s", err, text)
	}
}

func tempInput(t *testing.T) Input {
	in := goodInput(t)
	dir, err := os.MkdirTemp("", "hx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in.MapsDir, in.KeysDir, in.PagesDir = dir+"/maps", dir+"/keys", dir+"/pages"
	in.Standalone.StatsSocket = dir + "/s.sock"
	return in
}

func TestStandaloneIsAcceptedByHAProxyWithoutWarning(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"whole":                     func(*Input) {},
		"without node":              func(in *Input) { in.NodeName = "" },
		"without a signature cache": func(in *Input) { in.SignatureCache = false },
		"log to a unix socket":      func(in *Input) { in.Standalone.Log = "unix:/run/log.sock" },
		"log to a syslog server":    func(in *Input) { in.Standalone.Log = "127.0.0.1:514" },
	} {
		t.Run(name, func(t *testing.T) {
			in := tempInput(t)
			change(&in)
			files, err := Render(in)
			if err != nil {
				t.Fatal(err)
			}
			checkWithHAProxy(t, install(t, in, files.Standalone, files))
		})
	}
}

// A node's own rendering names it in the log; one for all nodes names none.
func TestForNodeNamesTheNodeInTheLog(t *testing.T) {
	in := goodInput(t)
	in.NodeName = ""
	all, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	one, ok := in.ForNode("n2")
	if !ok {
		t.Fatal("there is no n2")
	}
	files, err := Render(one)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(all.Enforcement, []byte(`"node":`)) || !bytes.Contains(files.Enforcement, []byte(`"node":"n2"`)) {
		t.Error("the log line is not as it should be")
	}
}

// A team's file has a defaults section of its own, other frontends, and the pools' backends.
func TestEnforcementStandsInATeamsOwnFile(t *testing.T) {
	in := tempInput(t)
	in.Standalone = nil
	files, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	if files.Standalone != nil {
		t.Error("there is a standalone configuration though none was asked for")
	}
	own := `global
  log 127.0.0.1:514 len 8192 local0
  hard-stop-after 30s
defaults
  mode tcp
  option accept-invalid-http-request
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend main
  mode http
  bind 127.0.0.1:8079
  acl failed path /x
  default_backend be_staging
backend be_staging
  mode http
backend be_prod
  mode http
`
	checkWithHAProxy(t, install(t, in, []byte(own+string(files.Enforcement)), files))
	checkWithHAProxy(t, install(t, in, []byte(strings.Replace(own, "frontend main", string(files.Enforcement)+"\nfrontend main", 1)), files))
}
