package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// enforceTimeout is how long the first pass over the node may take.
const enforceTimeout = 30 * time.Second

// World is a running world. Its parts may be killed and started again one by one.
type World struct {
	// Gateway is the Clutch gateway.
	Gateway *Component
	// DataPlane speaks the Data Plane API for HAProxy.
	DataPlane *Component
	// Issuer is the identity provider.
	Issuer *Component
	// Services is one process that serves every pool.
	Services *Component
	// HAProxy is the node edge-1 of both environments.
	HAProxy *HAProxy

	options   Options
	layout    layout
	endpoints Endpoints
	secrets   map[string]string
	lock      *os.File
}

// Start starts everything and waits until HAProxy enforces what the gateway says; ctx bounds the waiting only. It writes
// Dir/endpoints.json, and Dir/log/ has a log of each program. On an error nothing runs.
func Start(ctx context.Context, options Options) (*World, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	w := &World{options: options}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	return w, nil
}

func (w *World) start(ctx context.Context) error {
	if err := w.prepare(ctx); err != nil {
		return err
	}
	ports, services, err := assignPorts(w.options.Ports, len(demoPools()))
	if err != nil {
		return err
	}
	if err := checkPorts(ports, services); err != nil {
		return err
	}
	s, err := w.describe(ports, services)
	if err != nil {
		return err
	}
	w.options.Progress("writing the configuration and the signing key")
	if err := w.configure(ctx, s); err != nil {
		return err
	}
	if err := w.assemble(s); err != nil {
		return err
	}
	if err := w.startAll(ctx); err != nil {
		return err
	}
	return writeJSON(w.layout.endpoints(), w.endpoints)
}

// prepare takes the state directory over from an earlier world.
func (w *World) prepare(ctx context.Context) (err error) {
	if err := makeDirs(w.options.Dir); err != nil {
		return err
	}
	if w.lock, err = lock(ctx, filepath.Join(w.options.Dir, "lock"), w.options.Progress); err != nil {
		return err
	}
	if err := endLeftovers(ctx, layout{root: w.options.Dir}); err != nil {
		return err
	}
	if w.layout, err = newLayout(w.options.Dir); err != nil {
		return err
	}
	// Logs are those of one start; endpoints.json is there while it is true.
	old, err := filepath.Glob(w.layout.log("*"))
	for _, file := range append(old, w.layout.endpoints()) {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove old file: %w", err)
		}
	}
	if err != nil {
		return err
	}
	w.secrets, err = ensureSecrets(w.layout)
	return err
}

// describe works out where everything is.
func (w *World) describe(ports Ports, services []int) (settings, error) {
	binary, err := haproxyproc.Find()
	if err != nil {
		return settings{}, err
	}
	l := w.layout
	w.endpoints = Endpoints{
		Gateway: url(ports.Gateway), HAProxy: url(ports.HAProxy), Issuer: url(ports.Issuer),
		DataPlane: []DataPlane{{
			Node: nodeName, URL: url(ports.DataPlane), Version: "v2", Username: dataPlaneUsername, PasswordFile: l.secret(secretDataPlane),
		}},
		Users: demoUsers(), Pools: demoPools(), Store: l.store(),
	}
	return settings{
		Options: w.options, Ports: ports, Endpoints: w.endpoints,
		Environments: environments(w.options.Leases, demoPools(), services),
		Dir:          l.root, Store: l.store(), Policy: l.policy(), TokenKey: l.secret(secretTokenKey),
		HAProxyDir: l.haproxy(), HAProxyConfig: l.haproxyConfig(), StatsSocket: l.statsSocket(), HAProxyBin: binary,
		DataPlaneDir: l.dataplane(), ReloadScript: l.reloadScript(),
		Password: w.secrets[secretDataPlane], Username: dataPlaneUsername, Node: nodeName,
	}, nil
}

func (w *World) startAll(ctx context.Context) error {
	for _, part := range []struct {
		what  string
		start func(context.Context) error
	}{
		{"the demo services", w.Services.Start},
		{"the identity provider", w.Issuer.Start},
		{"HAProxy", w.HAProxy.Start},
		{"the data plane", w.DataPlane.Start},
		{"the gateway", w.Gateway.Start},
	} {
		w.options.Progress("starting " + part.what)
		if err := part.start(ctx); err != nil {
			return err
		}
	}
	w.options.Progress("waiting until HAProxy enforces")
	ctx, cancel := context.WithTimeout(ctx, enforceTimeout)
	defer cancel()
	if err := w.WaitEnforcing(ctx); err != nil {
		return fmt.Errorf("wait until HAProxy enforces: %w; the end of the gateway's log:\n%s", err, tail(w.Gateway.log))
	}
	return nil
}

// Stop ends everything. It may be called twice; the state stays for the next start.
func (w *World) Stop() error {
	for _, c := range []*Component{w.Gateway, w.DataPlane} {
		if c != nil {
			c.Stop()
		}
	}
	var err error
	if w.HAProxy != nil {
		err = w.HAProxy.Stop()
	}
	for _, c := range []*Component{w.Issuer, w.Services} {
		if c != nil {
			c.Stop()
		}
	}
	if w.lock != nil {
		if w.layout.root != "" {
			err = errors.Join(err, w.tidy())
		}
		err = errors.Join(err, w.lock.Close())
		w.lock = nil
	}
	return err
}

// tidy removes what is true only while the world runs.
func (w *World) tidy() error {
	err := os.Remove(w.layout.endpoints())
	if os.IsNotExist(err) {
		err = nil
	}
	return errors.Join(err, removeNoted(filepath.Join(w.layout.root, "run", "sockets")))
}

// Endpoints tell where everything is.
func (w *World) Endpoints() Endpoints { return w.endpoints }

// SetGroups makes the identity provider know other groups of a user from the next login on.
func (w *World) SetGroups(ctx context.Context, email string, groups ...string) error {
	for i, user := range w.endpoints.Users {
		if user.Email == email {
			w.endpoints.Users[i].Groups = groups
		}
	}
	if err := writeJSON(w.layout.users(), w.endpoints.Users); err != nil {
		return err
	}
	w.Issuer.Stop()
	return w.Issuer.Start(ctx)
}

// SetPolicy replaces the policy's document in one step.
func (w *World) SetPolicy(document []byte) error {
	return writeFile(w.layout.policy(), document, 0o600)
}

// Dir is the state directory.
func (w *World) Dir() string { return w.layout.root }

// LogFile is the path of a program's log: gateway, haproxy, dataplane, issuer or services.
func (w *World) LogFile(name string) string { return w.layout.log(name) }

// MapsDir is where HAProxy's map files are.
func (w *World) MapsDir() string { return w.layout.maps() }

// RuntimeSocket is the path of HAProxy's runtime API.
func (w *World) RuntimeSocket() string { return w.layout.statsSocket() }
