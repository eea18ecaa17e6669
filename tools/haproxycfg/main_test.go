package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var publicKey = sync.OnceValue(func() []byte {
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

const configText = `
gateway: {}
services:
  - name: clutch.service.other
    typed_config: {"@type": "types.google.com/clutch.config.service.other.v1.Config", anything: 1}
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      sqlite: {path: /var/lib/x/store.db}
  - name: clutch.service.haproxy
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxy.v1.Config
      environments:
        - name: staging
          lease: "off"
          pools: [{name: billing, backend: be_staging, hosts: [staging.example]}]
        - name: prod
          pools: [{name: billing, backend: be_prod, hosts: [prod.example], servers: [{name: s1, address: 127.0.0.1, port: 8081}]}]
      nodes:
        - {name: n1, environments: [staging, prod], dataplane: {url: "http://127.0.0.1:5555", username: admin, password_file: /x}}
        - {name: n2, environments: [prod], dataplane: {url: "http://127.0.0.1:5556", username: admin, password_file: /x}}
      enforcement:
        maps_dir: /etc/haproxy/maps
        keys_dir: ${KEYS_DIR}
        pages_dir: /etc/haproxy/pages
        binds: [{address: "127.0.0.1:8080"}]
        identity_providers: [{name: idp, issuer: "https://idp.example", audience: us, keys: [{kid: k1, public_key_file: ${IDP_KEY}}]}]
  - name: clutch.service.haproxyaccess
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxyaccess.v1.Config
      token: {issuer: "https://clutch.example", encryption_key_file: /x}
      clutch_url: https://clutch.example
      policy: {files: [/etc/clutch/policy/*.yaml]}
`

// place is a directory with a configuration and keys.
type place struct{ dir, config, key string }

func newPlace(t *testing.T, change ...string) place {
	t.Helper()
	dir, err := os.MkdirTemp("", "hx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := place{dir, filepath.Join(dir, "clutch-config.yaml"), filepath.Join(dir, "ours.pem")}
	t.Setenv("KEYS_DIR", filepath.Join(dir, "set", "keys"))
	t.Setenv("IDP_KEY", p.key)
	text := configText
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(text, change[i]) {
			t.Fatalf("the configuration has no %q", change[i])
		}
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	write(t, p.config, text)
	write(t, p.key, string(publicKey()))
	return p
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// command runs the program and returns what it printed.
func (p place) command(args ...string) (stdout, stderr string, err error) {
	var out, problems bytes.Buffer
	err = run(append([]string{"-c", p.config, "--public-key", p.key}, args...), &out, &problems)
	return out.String(), problems.String(), err
}

func (p place) set() string { return filepath.Join(p.dir, "set") }

func (p place) standalone(t *testing.T, args ...string) string {
	t.Helper()
	_, stderr, err := p.command(append([]string{"--standalone", p.set()}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return stderr
}

func TestFragmentIsPrintedWithTheConfigurationsPaths(t *testing.T) {
	p := newPlace(t)
	stdout, stderr, err := p.command()
	if err != nil || stderr != "" {
		t.Fatalf("%v, %s", err, stderr)
	}
	for _, want := range []string{"frontend fe_haproxyaccess", "/etc/haproxy/maps/grants.map", p.set() + "/keys/", "'https://idp.example'"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the fragment lacks %q", want)
		}
	}
	for _, section := range []string{"\nglobal", "\ndefaults", "be_prod\n"} {
		if strings.Contains(stdout, section) {
			t.Errorf("the fragment has %q", section)
		}
	}
}

func TestStandaloneSetIsComplete(t *testing.T) {
	p := newPlace(t)
	if stderr := p.standalone(t); stderr != "" {
		t.Errorf("warnings: %s", stderr)
	}
	for file, want := range map[string]string{
		"maps/hosts.map": "prod.example prod/billing\nstaging.example staging/billing\n",
		"maps/pools.map": "prod/billing be_prod\nstaging/billing be_staging\n", "maps/grants.map": "", "maps/leases.map": "",
	} {
		if got := read(t, filepath.Join(p.set(), file)); got != want {
			t.Errorf("%s is %q instead of %q", file, got, want)
		}
	}
	for _, pattern := range []string{"keys/idp_k1.pem", "keys/*.pem", "pages/401.html", "pages/503.html", "haproxy.cfg"} {
		if files, err := filepath.Glob(filepath.Join(p.set(), pattern)); err != nil || len(files) == 0 {
			t.Errorf("there is no %s", pattern)
		}
	}
	if err := run([]string{"--check", filepath.Join(p.set(), "haproxy.cfg")}, nil, nil); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.set(), "*", ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

func TestNodeGetsItsOwnEnvironmentsOnly(t *testing.T) {
	p := newPlace(t)
	p.standalone(t, "--node", "n2")
	if got := read(t, filepath.Join(p.set(), "maps/hosts.map")); got != "prod.example prod/billing\n" {
		t.Errorf("hosts.map is %q", got)
	}
	if _, _, err := p.command("--node", "n3"); err == nil || !strings.Contains(err.Error(), `"n3"`) {
		t.Errorf("error %v for a node that is not there", err)
	}
}

func TestRenderingAgainKeepsGrantsAndLeases(t *testing.T) {
	p := newPlace(t)
	p.standalone(t)
	grants, hosts := filepath.Join(p.set(), "maps/grants.map"), filepath.Join(p.set(), "maps/hosts.map")
	const rows = "alice@example.com|prod/billing 1900000000:G1\n"
	write(t, grants, rows)
	write(t, hosts, "evil.example prod/billing\n")
	p.standalone(t)
	if got := read(t, grants); got != rows {
		t.Errorf("grants.map is %q", got)
	}
	if strings.Contains(read(t, hosts), "evil") {
		t.Error("hosts.map was not written anew")
	}
	p.standalone(t, "--force")
	if got := read(t, grants); got != "" {
		t.Errorf("grants.map is %q after --force", got)
	}
}

func TestWarnsWhenTheGatewayWouldPointToOtherKeys(t *testing.T) {
	p := newPlace(t, "${KEYS_DIR}", "/etc/haproxy/keys")
	if stderr := p.standalone(t); !strings.Contains(stderr, "enforcement.keys_dir is /etc/haproxy/keys") {
		t.Errorf("stderr is %q", stderr)
	}
}

// A configuration error stops the command and names the field.
func TestConfigurationErrorsAreNamed(t *testing.T) {
	for want, change := range map[string][]string{
		"maps_dri":                     {"maps_dir:", "maps_dri:"},
		"environments[1].lease":        {"- name: prod", "- name: prod\n          lease: soon"},
		"environments[1].pools[0]":     {"be_prod", "be_staging"},
		"nodes[1].environments[0]":     {"{name: n2, environments: [prod]", "{name: n2, environments: [dev]"},
		"public_key_file":              {"${IDP_KEY}", "/no/such/file"},
		"typed_config":                 {"haproxyaccess.config.service.haproxy.v1.Config", "haproxyaccess.config.service.haproxi.v1.Config"},
		"clutch.service.haproxyaccess": {"name: clutch.service.haproxyaccess\n", "name: clutch.service.elsewhere\n"},
	} {
		t.Run(want, func(t *testing.T) {
			p := newPlace(t, change...)
			if stdout, _, err := p.command(); err == nil || !strings.Contains(err.Error(), want) || stdout != "" {
				t.Errorf("error %v, want one that names %s", err, want)
			}
		})
	}
}

func TestBadCommandLines(t *testing.T) {
	p := newPlace(t)
	for want, args := range map[string][]string{
		"unexpected argument":       {"-c", p.config, "x"},
		"--force":                   {"-c", p.config, "--public-key", p.key, "--force"},
		"--check":                   {"--check", "x", "--standalone", "y"},
		"--check goes":              {"--check", "x", "--files", "y"},
		"two kinds of nodes":        {"-c", p.config, "--files", "x", "--standalone", "y"},
		"no-such-flag":              {"--no-such-flag"},
		"no such file":              {"-c", filepath.Join(p.dir, "nothing.yaml")},
		"read public key":           {"-c", p.config, "--public-key", filepath.Join(p.dir, "nothing.pem")},
		"BEGIN PUBLIC KEY":          {"-c", p.config, "--public-key", p.config},
		"enforcement.maps_dir":      {"-c", p.config, "--public-key", p.key, "--standalone", filepath.Join(p.dir, "a b")},
		"no map, key or page":       {"--check", p.key},
		"read configuration: open ": {"--check", filepath.Join(p.dir, "nothing.cfg")},
	} {
		var out, problems bytes.Buffer
		if err := run(args, &out, &problems); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", args, err, want)
		}
	}
}

func TestCheckFindsEveryFaultThatHAProxyIsSilentAbout(t *testing.T) {
	ours := func(p place) string {
		files, _ := filepath.Glob(filepath.Join(p.set(), "keys", "*.pem"))
		for _, file := range files {
			if !strings.Contains(file, "idp.") {
				return file
			}
		}
		return ""
	}
	in := func(name string) func(place) string {
		return func(p place) string { return filepath.Join(p.set(), name) }
	}
	for name, c := range map[string]struct {
		file func(place) string
		text string // "-" removes the file
		want string
	}{
		"missing key":           {ours, "-", "no such file"},
		"empty key":             {ours, "", "BEGIN PUBLIC KEY"},
		"certificate as key":    {ours, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BEGIN PUBLIC KEY"},
		"missing provider key":  {in("keys/idp_k1.pem"), "-", "no such file"},
		"missing map":           {in("maps/leases.map"), "-", "no such file"},
		"cut map":               {in("maps/leases.map"), "prod 19000", "no end"},
		"key twice":             {in("maps/leases.map"), "prod 1900000000\nprod 1900000001\n", "twice"},
		"key without value":     {in("maps/leases.map"), "prod\n", "cannot be put into a map"},
		"comment behind a row":  {in("maps/leases.map"), "prod 1900000000 # x\n", "cannot be put into a map"},
		"kid without a key":     {in("maps/kids.map"), "clutch|x /no/such.pem\n", "/no/such.pem is not loaded"},
		"missing page":          {in("pages/403.html"), "-", "no such file"},
		"empty page":            {in("pages/403.html"), "\n", "empty"},
		"page beyond the limit": {in("pages/403.html"), strings.Repeat("x", largestPage+1), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.standalone(t)
			file := c.file(p)
			if c.text == "-" {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, file, c.text)
			}
			err := run([]string{"--check", filepath.Join(p.set(), "haproxy.cfg")}, nil, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("error %v, want one with %q and %s", err, c.want, file)
			}
		})
	}
}

func TestCheckReadsCertificates(t *testing.T) {
	p := newPlace(t, `{address: "127.0.0.1:8080"}`, fmt.Sprintf(`{address: "127.0.0.1:8443", tls_certificate: %s}`, "/no/such/cert.pem"))
	if _, _, err := p.command("--standalone", p.set()); err == nil || !strings.Contains(err.Error(), "/no/such/cert.pem") {
		t.Errorf("error %v, want one that names the certificate", err)
	}
}

func TestWithoutAPublicKeyTheErrorSaysHowToGiveOne(t *testing.T) {
	p := newPlace(t)
	if err := run([]string{"-c", p.config}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--public-key") {
		t.Errorf("error %v", err)
	}
}
