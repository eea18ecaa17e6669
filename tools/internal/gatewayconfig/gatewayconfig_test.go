package gatewayconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	storePart = `
  - name: clutch.service.haproxyaccess.store
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.store.v1.Config
      sqlite: {path: "${STORE_DIR}/store.db"}
`
	fleetPart = `
  - name: clutch.service.haproxy
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxy.v1.Config
      environments:
        - name: prod
          pools: [{name: web, backend: be_prod, description: "costs 5$$ [[each]] $${STORE_DIR}", hosts: [prod.example]}]
      nodes:
        - {name: n1, environments: [prod], dataplane: {url: "http://127.0.0.1:5555", username: admin, password_file: /x}}
      enforcement:
        maps_dir: /etc/haproxy/maps
        keys_dir: /etc/haproxy/keys
        pages_dir: /etc/haproxy/pages
        binds: [{address: "127.0.0.1:8080"}]
`
	accessPart = `
  - name: clutch.service.haproxyaccess
    typed_config:
      "@type": types.google.com/haproxyaccess.config.service.haproxyaccess.v1.Config
      token: {issuer: "https://clutch.example", encryption_key_file: relative/key}
      clutch_url: https://clutch.example
      policy: {files: [/etc/clutch/policy/*.yaml]}
`
	otherPart = `
  - name: clutch.service.other
    typed_config: {"@type": types.google.com/clutch.config.service.other.v1.Config, anything: 1}
`
	whole = "gateway: {}\nservices:\n" + otherPart + storePart + fleetPart + accessPart + "modules: []\n"
)

// write makes a folder with files and returns the path of the first.
func write(t *testing.T, files ...[2]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f[0])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0][0])
}

func TestOurPartsAreReadAsClutchReadsThem(t *testing.T) {
	t.Setenv("STORE_DIR", "/var/lib/x")
	config, err := Read(write(t, [2]string{"c.yaml", whole}))
	if err != nil {
		t.Fatal(err)
	}
	pool := config.Fleet.GetEnvironments()[0].GetPools()[0]
	for name, pair := range map[string][2]string{
		"a variable":                {config.Store.GetSqlite().GetPath(), "/var/lib/x/store.db"},
		"dollars and brackets":      {pool.GetDescription(), "costs 5$ {{each}} ${STORE_DIR}"},
		"a relative path":           {config.Access.GetToken().GetEncryptionKeyFile(), "relative/key"},
		"a field of the last part":  {config.Access.GetPolicy().GetFiles()[0], "/etc/clutch/policy/*.yaml"},
		"a field of a list's entry": {config.Fleet.GetNodes()[0].GetDataplane().GetUsername(), "admin"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %q, want %q", name, pair[0], pair[1])
		}
	}
}

func TestExtendedFilesAreReadFirstAndOnce(t *testing.T) {
	t.Setenv("STORE_DIR", "/var/lib/x")
	config, err := Read(write(t,
		[2]string{"main.yaml", "extends: [base/fleet.yaml, base/store.yaml]\nservices:" + accessPart},
		// Beside each other, and each names the other and the first: a path is from the file that names it.
		[2]string{"base/fleet.yaml", "extends: [store.yaml, ../main.yaml]\nservices:" + fleetPart},
		[2]string{"base/store.yaml", "extends: [fleet.yaml]\nservices:" + storePart},
	))
	if err != nil {
		t.Fatal(err)
	}
	if config.Store.GetSqlite().GetPath() != "/var/lib/x/store.db" || len(config.Fleet.GetNodes()) != 1 ||
		config.Access.GetClutchUrl() != "https://clutch.example" {
		t.Errorf("got %v", config)
	}
}

func TestAnErrorNamesTheFileAndTheField(t *testing.T) {
	t.Setenv("STORE_DIR", "/var/lib/x")
	cases := []struct {
		name, old, new string
		want           []string
	}{
		{"an unknown field", "sqlite: {path:", "sqlite: {pth:", []string{"services[1]", "clutch.service.haproxyaccess.store", `"pth"`}},
		{"an unknown field at the top", "clutch_url:", "clutch_uri:", []string{"services[3]", `"clutch_uri"`}},
		{"a missing field", "encryption_key_file: relative/key", "ttl: 600s", []string{"clutch.service.haproxyaccess", "EncryptionKeyFile"}},
		{"a list for a text", "maps_dir: /etc/haproxy/maps", "maps_dir: [a]", []string{"services[2]", "mapsDir"}},
		{
			"another message's type", "haproxyaccess.config.service.store.v1.Config", "haproxyaccess.config.service.haproxy.v1.Config",
			[]string{"services[1]", "@type", "haproxyaccess.config.service.store.v1.Config"},
		},
		{
			"a type that only ends alike", "types.google.com/haproxyaccess.config.service.store.v1.Config",
			"types.google.com/x.haproxyaccess.config.service.store.v1.Config", []string{"services[1]", "@type"},
		},
		{"no type", `"@type": types.google.com/haproxyaccess.config.service.store.v1.Config`, "", []string{"services[1]", "@type"}},
		{"a type that is no text", `"@type": types.google.com/haproxyaccess.config.service.store.v1.Config`, `"@type": 5`, []string{"@type"}},
		{"a missing service", storePart, "", []string{"clutch.service.haproxyaccess.store is not configured"}},
		{
			"two missing services", storePart + fleetPart, "",
			[]string{"clutch.service.haproxy is not configured", "clutch.service.haproxyaccess.store is not configured"},
		},
		{"a service without configuration", accessPart, "\n  - name: clutch.service.haproxyaccess\n", []string{"@type"}},
		{"a service with an empty configuration", "      sqlite: {path: \"${STORE_DIR}/store.db\"}\n", "", []string{"clutch.service.haproxyaccess.store", "Type"}},
		{"a service twice", storePart, storePart + storePart, []string{"services[2]", "configured twice"}},
		{"a variable that is not set", "${STORE_DIR}/store.db", "${STORE_DIR_UNSET}", []string{"clutch.service.haproxyaccess.store", "Path"}},
		{"no YAML", "gateway: {}", "gateway: {", []string{"yaml"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(whole, c.old) {
				t.Fatalf("the configuration has no %q", c.old)
			}
			path := write(t, [2]string{"c.yaml", strings.Replace(whole, c.old, c.new, 1)})
			config, err := Read(path)
			if err == nil {
				t.Fatal("it is read")
			}
			for _, want := range append(c.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %q: %v", want, err)
				}
			}
			if config != (Config{}) {
				t.Errorf("with the error comes %v", config)
			}
		})
	}
}

func TestAFaultInAnExtendedFileNamesThatFile(t *testing.T) {
	t.Setenv("STORE_DIR", "/var/lib/x")
	path := write(t,
		[2]string{"main.yaml", "extends: [base.yaml]\nservices:" + fleetPart + accessPart},
		[2]string{"base.yaml", "services:" + strings.Replace(storePart, "path:", "pth:", 1)},
	)
	_, err := Read(path)
	if want := filepath.Join(filepath.Dir(path), "base.yaml"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want one that names %s", err, want)
	}
	path = write(t, [2]string{"main.yaml", "extends: [gone.yaml]\nservices:" + fleetPart + accessPart})
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("got %v, want one that names gone.yaml", err)
	}
}

func TestOneServiceInTwoFilesIsRefused(t *testing.T) {
	t.Setenv("STORE_DIR", "/var/lib/x")
	_, err := Read(write(t,
		[2]string{"main.yaml", "extends: [base.yaml]\nservices:" + storePart + fleetPart + accessPart},
		[2]string{"base.yaml", "services:" + storePart},
	))
	if err == nil || !strings.Contains(err.Error(), "configured twice") {
		t.Errorf("got %v", err)
	}
}

// What an operator copies from must be readable by the tools too.
func TestTheExampleIsRead(t *testing.T) {
	if _, err := Read("../../../clutch-config.yaml"); err != nil {
		t.Error(err)
	}
}
