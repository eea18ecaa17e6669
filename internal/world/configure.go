package world

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
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
	Ports        Ports
	Endpoints    Endpoints
	Environments []environment
	// Paths.
	Dir, Store, Policy, TokenKey, HAProxyDir, HAProxyConfig, StatsSocket, DataPlaneDir, ReloadScript, HAProxyBin string
	// Password is the data plane's.
	Password, Username, Node string
}

type environment struct {
	Name, Lease string
	Pools       []pool
}

type pool struct {
	Pool
	Port int
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

// configure writes all configuration: the gateway's, the signing key, and by them HAProxy's.
func (w *World) configure(ctx context.Context, s settings) error {
	if err := render(w.layout.config(), "clutch-config.yaml", clutchConfig, s); err != nil {
		return err
	}
	policy := demoPolicy
	if w.options.Policy != nil {
		policy = w.options.Policy
	}
	if err := writeFile(w.layout.policy(), policy, 0o600); err != nil {
		return err
	}
	script := fmt.Sprintf("# Makes HAProxy read its configuration again.\nkill -USR2 \"$(cat %s)\"\n", w.layout.haproxyPID())
	if err := writeFile(w.layout.reloadScript(), []byte(script), 0o600); err != nil {
		return err
	}
	if w.options.Postgres != nil { // the embedded store migrates itself
		if err := w.tool(ctx, "migrate", "-c", w.layout.config(), "up"); err != nil {
			return err
		}
	}
	if err := w.tool(ctx, "keys", "-c", w.layout.config(), "init"); err != nil {
		return err
	}
	return w.tool(ctx, "haproxycfg", "-c", w.layout.config(), "--standalone", w.layout.haproxy())
}

// tool runs a program to its end.
func (w *World) tool(ctx context.Context, name string, arguments ...string) error {
	command := exec.CommandContext(ctx, filepath.Join(w.options.BinDir, name), arguments...)
	command.Dir, command.Env = w.layout.root, append(os.Environ(), w.gatewayEnv()...)
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
