package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// enforceTimeout is how long the first pass over the nodes may take.
const enforceTimeout = 30 * time.Second

// World is a running world. Its parts may be killed and started again one by one.
type World struct {
	// Nodes are edge-1 and edge-2, which serve prod, and edge-3, which serves staging.
	Nodes []*Node
	// Gateways are Clutch gateways that share a store, and Gateway the first of them.
	Gateways []*Component
	Gateway  *Component
	// Issuer is the identity provider.
	Issuer *Component
	// Services is one process that serves every pool.
	Services *Component

	options   Options
	layout    layout
	endpoints Endpoints
	secrets   map[string]string
	// dialect is the API that the data planes speak: v2 or v3.
	dialect string
	lock    *os.File
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
	ports, err := assignPorts(w.options.Ports, w.options.Gateways, len(demoNodes()), len(demoPools())+len(ephemeralPools()))
	if err != nil {
		return err
	}
	if err := ports.check(); err != nil {
		return err
	}
	w.endpoints = w.describe(ports)
	s, err := w.settings(ports)
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
	if w.secrets, err = ensureSecrets(w.layout); err != nil {
		return err
	}
	w.dialect = "v2" // the built-in data plane's
	if w.options.DataPlaneBin != "" {
		w.dialect, err = dialect(ctx, w.options.DataPlaneBin)
	}
	return err
}

func (w *World) startAll(ctx context.Context) error {
	for _, part := range []struct {
		what  string
		start func(context.Context) error
	}{
		{"the demo services", w.Services.Start},
		{"the identity provider", w.Issuer.Start},
		{"three nodes of HAProxy, each with its data plane", w.startNodes},
		{"the gateway", w.startGateways},
	} {
		w.options.Progress("starting " + part.what)
		if err := part.start(ctx); err != nil {
			return err
		}
	}
	w.options.Progress("waiting until every HAProxy enforces")
	ctx, cancel := context.WithTimeout(ctx, enforceTimeout)
	defer cancel()
	if err := w.WaitEnforcing(ctx); err != nil {
		return fmt.Errorf("wait until HAProxy enforces: %w; the end of the gateway's log:\n%s", err, tail(w.Gateway.log))
	}
	return nil
}

// startGateways starts one after the other: the first makes what is missing in the store.
func (w *World) startGateways(ctx context.Context) error {
	for _, gateway := range w.Gateways {
		if err := gateway.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends everything. It may be called twice; the state stays for the next start.
func (w *World) Stop() error {
	for _, gateway := range w.Gateways {
		gateway.Stop()
	}
	errs := make(chan error, len(w.Nodes))
	for _, n := range w.Nodes {
		go func() { errs <- n.stop() }()
	}
	var err error
	for range w.Nodes {
		err = errors.Join(err, <-errs)
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

// LogFile is the path of a program's log: gateway, haproxy-<node>, dataplane-<node>, issuer or services.
func (w *World) LogFile(name string) string { return w.layout.log(name) }

// Components are all programs but HAProxy.
func (w *World) Components() []*Component {
	all := append([]*Component{w.Issuer, w.Services}, w.Gateways...)
	for _, n := range w.Nodes {
		all = append(all, n.DataPlane)
	}
	return all
}
