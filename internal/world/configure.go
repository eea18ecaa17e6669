package world

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/template"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

//go:embed clutch-config.yaml.tmpl
var clutchConfig string

//go:embed policy.yaml
var demoPolicy []byte

//go:embed dataplaneapi.yaml.tmpl
var dataplaneapiConfig string

// settings is what the templates are filled with.
type settings struct {
	Options      Options
	Endpoints    Endpoints
	Environments []environment
	Nodes        []nodeSettings
	Gateways     []gatewaySettings
	// Gateway is the one whose configuration is written.
	Gateway gatewaySettings
	// Node is the one whose binds and sockets stand in what is written, since there is one setting for all nodes.
	Node nodeSettings
	// Ephemeral are the pools whose backends are there before their environments.
	Ephemeral []pool
	// NodeDir is a node's directory by the name that it has on every node.
	NodeDir string
	// Paths.
	Store, Policy, TokenKey, PasswordFile, HAProxyBin string
	// Password is that of the data planes, and Dialect the API that they speak.
	Password, Username, Dialect string
	IssuerPort                  int
	// LogAddress is where the first gateway receives HAProxy's access log.
	LogAddress string
}

// Receives says whether the gateway whose configuration is written takes HAProxy's log: one does, so that nothing counts twice.
func (s settings) Receives() bool { return s.Gateway == s.Gateways[0] }

// Listed are the nodes that the configuration names one by one.
func (s settings) Listed() []nodeSettings {
	if s.Options.Discovery == nil {
		return s.Nodes
	}
	return slices.DeleteFunc(slices.Clone(s.Nodes), func(n nodeSettings) bool { return slices.Contains(n.Environments, "prod") })
}

type gatewaySettings struct {
	Port int
	URL  string
}

type nodeSettings struct {
	demoNode
	nodeFiles
	Port, DataPlanePort int
	// DataPlaneURL is what the gateways are told.
	DataPlaneURL string
}

type environment struct {
	Name, Lease string
	Pools       []pool
}

type pool struct {
	Pool
	Port int
}

// settings works out what everything is configured with.
func (w *World) settings(a assigned) (settings, error) {
	binary := w.options.HAProxyBin
	if binary == "" {
		var err error
		if binary, err = haproxyproc.Find(); err != nil {
			return settings{}, err
		}
	}
	l := w.layout
	s := settings{
		Options: w.options, Endpoints: w.endpoints, Environments: environments(w.options.Leases, demoPools(), a.services),
		NodeDir: nodeDir, Store: l.store(), Policy: l.policy(), TokenKey: l.secret(secretTokenKey),
		PasswordFile: l.secret(secretDataPlane), HAProxyBin: binary, IssuerPort: a.issuer,
		Password: w.secrets[secretDataPlane], Username: dataPlaneUsername, Dialect: w.dialect,
		LogAddress: address(a.log),
	}
	for _, port := range a.gateways {
		s.Gateways = append(s.Gateways, gatewaySettings{Port: port, URL: url(port)})
	}
	s.Gateway = s.Gateways[0]
	for i, p := range ephemeralPools() {
		s.Ephemeral = append(s.Ephemeral, pool{p, a.services[len(demoPools())+i]})
	}
	for i, n := range demoNodes() {
		node := nodeSettings{
			demoNode: n, nodeFiles: l.node(n.Name), Port: a.haproxy[i], DataPlanePort: a.dataPlanes[i],
			DataPlaneURL: url(a.dataPlanes[i]),
		}
		if via := w.options.DataPlaneVia; via != nil {
			at, err := via(n.Name, address(a.dataPlanes[i]))
			if err != nil {
				return settings{}, fmt.Errorf("go to the data plane of %s by another way: %w", n.Name, err)
			}
			node.DataPlaneURL = "http://" + at
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s, nil
}

// environments groups the pools, and gives each its service's port.
func environments(leases map[string]string, pools []Pool, ports []int) (all []environment) {
	for i, p := range pools {
		if len(all) == 0 || all[len(all)-1].Name != p.Environment {
			all = append(all, environment{Name: p.Environment, Lease: leases[p.Environment]})
		}
		last := &all[len(all)-1]
		last.Pools = append(last.Pools, pool{p, ports[i]})
	}
	return all
}

// pools are all that a service stands behind.
func (s settings) pools() (all []pool) {
	for _, e := range s.Environments {
		all = append(all, e.Pools...)
	}
	return append(all, s.Ephemeral...)
}

func render(path, name, text string, s settings) error {
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, s); err != nil {
		return fmt.Errorf("fill template: %w", err)
	}
	return writeFile(path, out.Bytes(), 0o600)
}

// configure writes all configuration: the gateways', the signing key, and by them HAProxy's.
func (w *World) configure(ctx context.Context, s settings) error {
	policy := demoPolicy
	if w.options.Policy != nil {
		policy = w.options.Policy
	}
	if err := writeFile(w.layout.policy(), policy, 0o600); err != nil {
		return err
	}
	s.Node = w.boundNode(s)
	for i, gateway := range s.Gateways {
		s.Gateway = gateway
		if err := render(w.layout.config(i), "clutch-config.yaml", clutchConfig, s); err != nil {
			return err
		}
	}
	if w.options.Postgres != nil { // the embedded store migrates itself
		if err := w.tool(ctx, w.layout.root, "migrate", "-c", w.layout.config(0), "up"); err != nil {
			return err
		}
	}
	if err := w.tool(ctx, w.layout.root, "keys", "-c", w.layout.config(0), "init"); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if err := w.configureNode(ctx, s, n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
	return nil
}

// boundNode is the node whose binds stand in the gateways' configuration: the one that they write them to.
func (w *World) boundNode(s settings) nodeSettings {
	for _, n := range s.Nodes {
		if n.Name == w.options.ManagedNode {
			return n
		}
	}
	return s.Nodes[0]
}

// configureNode writes a node's set of files, by a configuration that has its own binds and sockets.
func (w *World) configureNode(ctx context.Context, s settings, n nodeSettings) error {
	for _, dir := range []string{n.dir, n.DataPlane(), n.sockets} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	// By name whatever finds it: what is rendered for a node is looked up by that.
	s.Node, s.Options.Discovery = n, nil
	if err := render(n.Rendered(), "clutch-config.yaml", clutchConfig, s); err != nil {
		return err
	}
	script := fmt.Sprintf("# Makes HAProxy read its configuration again.\nkill -USR2 \"$(cat %s)\"\n", n.MasterPID())
	if err := writeFile(n.ReloadScript(), []byte(script), 0o600); err != nil {
		return err
	}
	// The leases of an earlier start are no word of this one's gateway. Without the file an empty one is made.
	if err := os.Remove(filepath.Join(n.dir, "maps", "leases.map")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old leases: %w", err)
	}
	if err := w.tool(ctx, n.dir, "haproxycfg", "-c", n.Rendered(), "--node", n.Name, "--standalone", nodeDir); err != nil {
		return err
	}
	if !n.Template {
		return nil
	}
	return appendBackends(n.Config(), s.Ephemeral)
}

// appendBackends adds backends to a haproxy.cfg as a team has them there: no environment of the configuration names them.
func appendBackends(config string, pools []pool) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return fmt.Errorf("add backends: %w", err)
	}
	for _, p := range pools {
		text = fmt.Appendf(text, "\nbackend %s_%s\n  mode http\n  server s1 %s\n", p.Environment, p.Pool.Pool, address(p.Port))
	}
	return writeFile(config, text, 0o600)
}

// tool runs a program to its end, in a directory.
func (w *World) tool(ctx context.Context, dir, name string, arguments ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(w.options.BinDir, name), arguments...)
	command.Dir, command.Env = dir, append(os.Environ(), w.gatewayEnv()...)
	if w.options.HAProxyBin != "" { // what is rendered is checked by the HAProxy that is to run it
		command.Env = append(command.Env, "PATH="+filepath.Dir(w.options.HAProxyBin)+":"+os.Getenv("PATH"))
	}
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w\n%s", name, err, bytes.TrimSpace(output))
	}
	return nil
}

// gatewayEnv is what the gateway's configuration takes from its environment.
func (w *World) gatewayEnv() []string {
	return []string{
		"CLUTCH_SESSION_SECRET=" + w.secrets[secretSession],
		"OIDC_CLIENT_SECRET=" + w.secrets[secretClient],
	}
}
