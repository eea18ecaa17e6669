package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// block is the code of that language in docs/install.md that has a word in it. There must be one.
func block(t *testing.T, language, word string) string {
	t.Helper()
	text := read(t, filepath.Join("..", "..", "docs", "install.md"))
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if match[1] == language && strings.Contains(match[2], word) {
			found = append(found, match[2])
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/install.md has %d blocks of %s with %q", len(found), language, word)
	}
	return found[0]
}

// node is a place whose configuration and pages speak of a node's folders, which are below etc here.
func newNode(t *testing.T) (p place, etc string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p = newPlace(t, "/etc/haproxy/maps", dir+"/maps", "${KEYS_DIR}", dir+"/keys", "/etc/haproxy/pages", dir+"/pages",
		"be_staging", "staging_web", "be_prod", "prod_web")
	write(t, filepath.Join(dir, "haproxy.cfg"), strings.ReplaceAll(block(t, "haproxy", "global"), "/run/haproxy", dir))
	return p, dir
}

// install does what docs/install.md says for a node.
func (p place) install(t *testing.T, etc string) {
	t.Helper()
	if _, stderr, err := p.command("--files", filepath.Join(p.dir, "edge-1")); err != nil || stderr != "" {
		t.Fatalf("%v, %s", err, stderr)
	}
	shell := exec.Command("sh", "-euc", strings.ReplaceAll(block(t, "sh", "cp -n"), "/etc/haproxy", etc))
	shell.Dir = p.dir
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func TestANodeIsSetUpAsTheDocumentationSays(t *testing.T) {
	p, etc := newNode(t)
	config := filepath.Join(etc, "haproxy.cfg")
	if err := run([]string{"--check", config}, nil, nil); err == nil {
		t.Error("the check finds nothing before the files are there")
	}
	p.install(t, etc)
	if err := run([]string{"--check", config}, nil, nil); err != nil {
		t.Error(err)
	}
	binary, err := haproxyproc.Find()
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(binary, "-c", "-dW", "-f", config).CombinedOutput(); err != nil {
		t.Errorf("haproxy refuses it: %v: %s", err, output)
	}
	if kids := read(t, filepath.Join(etc, "maps", "kids.map")); !strings.Contains(kids, " "+etc+"/keys/") {
		t.Errorf("kids.map is %q", kids)
	}
	for name, want := range map[string]os.FileMode{"maps": 0o700, "keys": 0o700, "maps/grants.map": 0o600, "keys/idp_k1.pem": 0o600} {
		if info, err := os.Stat(filepath.Join(etc, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// What is in force on a node is the gateway's to change: an installation over it takes nothing from it.
func TestInstallingAgainKeepsTheMapsOfANode(t *testing.T) {
	p, etc := newNode(t)
	p.install(t, etc)
	const rows = "alice@example.com|prod/billing 1900000000:G1\n"
	write(t, filepath.Join(etc, "maps", "grants.map"), rows)
	write(t, filepath.Join(etc, "pages", "403.html"), "old")
	write(t, filepath.Join(etc, "haproxy.cfg"), "")
	p.install(t, etc)
	if got := read(t, filepath.Join(etc, "maps", "grants.map")); got != rows {
		t.Errorf("grants.map is %q", got)
	}
	if read(t, filepath.Join(etc, "pages", "403.html")) == "old" {
		t.Error("a page was not replaced")
	}
}

func TestFilesForANodeAreItsOwn(t *testing.T) {
	p, etc := newNode(t)
	stdout, _, err := p.command("--node", "n2", "--files", filepath.Join(p.dir, "n2"))
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(p.dir, "n2", "maps", "hosts.map")); got != "prod.example prod/billing\n" {
		t.Errorf("hosts.map is %q", got)
	}
	fragment, _, err := p.command("--node", "n2")
	if err != nil || read(t, filepath.Join(p.dir, "n2", sectionsFile)) != fragment {
		t.Errorf("access.cfg is not what is printed without --files (%v)", err)
	}
	for _, want := range []string{"maps -> " + etc + "/maps", "keys -> " + etc + "/keys", "pages -> " + etc + "/pages", sectionsFile} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not say where %q goes: %q", want, stdout)
		}
	}
}

// A setting of the Data Plane API that does not fit the gateway's configuration, or that spoils the maps, costs an evening.
func TestTheDataPlaneAPIsConfigurationFitsTheGateways(t *testing.T) {
	var api struct {
		DataPlaneAPI struct {
			Scheme    []string
			TLS       map[string]any
			Userlist  map[string]string
			Resources map[string]any
		} `yaml:"dataplaneapi"`
		HAProxy map[string]any `yaml:"haproxy"`
	}
	if err := yaml.Unmarshal([]byte(block(t, "yaml", "dataplaneapi:")), &api); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CLUTCH_SESSION_SECRET", "x")
	t.Setenv("OIDC_CLIENT_SECRET", "x")
	gateway, err := gatewayconfig.Read(filepath.Join("..", "..", "clutch-config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	node := gateway.Fleet.GetNodes()[0]
	tls := api.DataPlaneAPI.TLS
	if url := fmt.Sprintf("https://%v:%v", tls["tls_host"], tls["tls_port"]); url != node.GetDataplane().GetUrl() {
		t.Errorf("the gateway calls %s, the API listens at %s", node.GetDataplane().GetUrl(), url)
	}
	for name, pair := range map[string][2]any{
		"maps_dir":         {api.DataPlaneAPI.Resources["maps_dir"], gateway.Fleet.GetEnforcement().GetMapsDir()},
		"update_map_files": {api.DataPlaneAPI.Resources["update_map_files"], false},
		"master_runtime":   {api.HAProxy["master_runtime"], nil},
		"config_file":      {api.HAProxy["config_file"], "/etc/haproxy/haproxy.cfg"},
		"tls_ca":           {tls["tls_ca"], nil},
		"scheme":           {strings.Join(api.DataPlaneAPI.Scheme, ","), "https"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", name, pair[0], pair[1])
		}
	}
	// The list of users that is named is the one that the commands make.
	if users := api.DataPlaneAPI.Userlist; !strings.Contains(block(t, "sh", users["userlist_file"]), "userlist "+users["userlist"]+`\n  user `+node.GetDataplane().GetUsername()+" ") {
		t.Errorf("the commands do not make %v", users)
	}
}
