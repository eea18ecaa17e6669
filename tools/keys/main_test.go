package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

const configText = `
services:
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      sqlite: {path: "%[1]s/store.db"}
  - name: clutch.service.haproxy
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxy.v1.Config
      environments: [{name: prod, pools: [{name: web, backend: be_prod, hosts: [prod.example]}]}]
      nodes:
        - {name: n1, environments: [prod], dataplane: {url: "http://127.0.0.1:5555", username: admin, password_file: /x}}
      enforcement: {maps_dir: /m, keys_dir: /k, pages_dir: /p, binds: [{address: "127.0.0.1:8080"}]}
  - name: clutch.service.haproxyaccess
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxyaccess.v1.Config
      token: {issuer: "https://clutch.example", encryption_key_file: "%[1]s/token-key"}
      clutch_url: https://clutch.example
      policy: {files: [/etc/clutch/policy/*.yaml]}
`

// place is a folder with a configuration and an encryption key.
type place struct{ dir, config, keyFile, key string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	p := place{dir, filepath.Join(dir, "clutch-config.yaml"), filepath.Join(dir, "token-key"), encryptionKey('k')}
	write(t, p.config, fmt.Sprintf(configText, dir))
	write(t, p.keyFile, p.key+"\n")
	return p
}

func encryptionKey(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do runs a command that must succeed and returns what it prints.
func (p place) do(t *testing.T, command string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), p.config, command, &out); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return out.String()
}

var made = regexp.MustCompile(`\Asigning key ([A-Za-z0-9_-]{43}) was made\n\z`)

// init makes the first key and returns its kid.
func (p place) init(t *testing.T) string {
	t.Helper()
	out := p.do(t, "init")
	match := made.FindStringSubmatch(out)
	if match == nil {
		t.Fatalf("init prints %q", out)
	}
	return match[1]
}

func TestInitMakesOneKeyHoweverOftenItRuns(t *testing.T) {
	p := newPlace(t)
	kid := p.init(t)
	for range 2 {
		if got, want := p.do(t, "init"), "signing key "+kid+" is there\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := strings.Count(p.do(t, "list"), "\n"); got != 1 {
		t.Errorf("%d keys are listed", got)
	}
}

func TestListSaysWhatThereIs(t *testing.T) {
	p := newPlace(t)
	kid := p.init(t)
	fields := strings.Fields(p.do(t, "list"))
	if len(fields) != 4 || fields[0] != kid || fields[1] != "RS256" || fields[2] != "current" {
		t.Fatalf("got %q", fields)
	}
	if _, err := time.Parse(time.RFC3339, fields[3]); err != nil {
		t.Error(err)
	}
}

func TestAStoreWithoutKeysListsNone(t *testing.T) {
	p := newPlace(t)
	db, err := sqlite.Open(t.Context(), filepath.Join(p.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := p.do(t, "list") + p.do(t, "public"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestI14NothingPrivateIsPrinted(t *testing.T) {
	p := newPlace(t)
	all := p.do(t, "init") + p.do(t, "list")
	public := p.do(t, "public")

	block, rest := pem.Decode([]byte(public))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		t.Fatalf("public prints %q", public)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := parsed.(*rsa.PublicKey); !ok || key.N.BitLen() < 2048 {
		t.Errorf("public prints a %T", parsed)
	}
	if strings.Contains(all, "BEGIN") || strings.Contains(all+public, "PRIVATE") || strings.Contains(all+public, p.key) {
		t.Errorf("printed: %s%s", all, public)
	}
	db, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(p.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	keys, err := db.Keys(t.Context())
	if err != nil || len(keys) != 1 || len(keys[0].Sealed) == 0 {
		t.Fatalf("%v, %v", keys, err)
	}
	if strings.Contains(all+public, string(keys[0].Sealed)) ||
		strings.Contains(all+public, base64.StdEncoding.EncodeToString(keys[0].Sealed)) {
		t.Error("the sealed key is printed")
	}
}

// The gateway holds the store while it runs.
func TestOnlyInitNeedsTheStoreForItself(t *testing.T) {
	p := newPlace(t)
	kid := p.init(t)
	db, err := sqlite.Open(t.Context(), filepath.Join(p.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if got := p.do(t, "list"); !strings.Contains(got, kid) {
		t.Errorf("list: %q", got)
	}
	if got := p.do(t, "public"); !strings.Contains(got, "BEGIN PUBLIC KEY") {
		t.Errorf("public: %q", got)
	}
	if err := run(t.Context(), p.config, "init", new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("init: %v", err)
	}
}

func TestReadingMakesNoStore(t *testing.T) {
	p := newPlace(t)
	for _, command := range []string{"list", "public", "rotate", ""} {
		if err := run(t.Context(), p.config, command, new(bytes.Buffer)); err == nil {
			t.Errorf("%q succeeds without a store", command)
		}
	}
	var names []string
	err := fs.WalkDir(os.DirFS(p.dir), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil || len(names) != 3 { // the folder itself, the configuration and the encryption key
		t.Errorf("there are now %q, %v", names, err)
	}
}

func TestACommandThatThereIsNotIsNamed(t *testing.T) {
	p := newPlace(t)
	kid := p.init(t)
	var out bytes.Buffer
	if err := run(t.Context(), p.config, "burn", &out); err == nil || !strings.Contains(err.Error(), `"burn"`) {
		t.Errorf("got %v", err)
	}
	if out.Len() > 0 || !strings.HasPrefix(p.do(t, "list"), kid) {
		t.Errorf("it did something: %q", out.String())
	}
}

func TestAnEncryptionKeyThatDoesNotFitIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"another key":   {encryptionKey('x'), "another encryption key"},
		"too short":     {base64.StdEncoding.EncodeToString([]byte("marker-hunter2")), "want 32 bytes"},
		"not base64":    {"marker-hunter2 is no base64", "not base64"},
		"an empty file": {"", "want 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			kid := p.init(t)
			write(t, p.keyFile, c.text)
			err := run(t.Context(), p.config, "init", new(bytes.Buffer))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.text != "" && strings.Contains(err.Error(), strings.TrimSpace(c.text)) || strings.Contains(err.Error(), "marker") {
				t.Errorf("the error shows the key: %v", err)
			}
			if got := p.do(t, "list"); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, kid) {
				t.Errorf("the keys changed: %q", got)
			}
		})
	}
	p := newPlace(t)
	if err := os.Remove(p.keyFile); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), p.config, "init", new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), p.keyFile) {
		t.Errorf("without the file: %v", err)
	}
}

func TestAConfigurationThatCannotBeReadIsNamed(t *testing.T) {
	p := newPlace(t)
	write(t, p.config, "services: []\n")
	if err := run(t.Context(), p.config, "list", new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), p.config) {
		t.Errorf("got %v", err)
	}
}
