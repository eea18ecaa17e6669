package world

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// assemble makes the parts; nothing runs yet.
func (w *World) assemble(s settings) error {
	l := w.layout
	w.Services = w.component("services", "demoservice", servicesReady(s))
	for _, e := range s.Environments {
		for _, p := range e.Pools {
			w.Services.argv = append(w.Services.argv, "-serve", e.Name+"/"+p.Pool.Pool+"="+address(p.Port))
		}
	}
	if err := w.assembleIssuer(s); err != nil {
		return err
	}
	w.HAProxy = &HAProxy{
		config: haproxyproc.Config{Binary: s.HAProxyBin, ConfigFile: l.haproxyConfig(), Dir: l.sockets},
		log:    l.log("haproxy"), pidFile: l.pid("haproxy"),
	}
	if err := w.assembleDataPlane(s); err != nil {
		return err
	}
	w.Gateway = w.component("gateway", "gateway", answers(s.Endpoints.Gateway+"/healthcheck"), "-c", l.config())
	w.Gateway.env = w.gatewayEnv()
	return nil
}

func (w *World) component(name, program string, ready func(context.Context) error, arguments ...string) *Component {
	l := w.layout
	return &Component{
		name: name, dir: l.root, log: l.log(name), pidFile: l.pid(name), ready: ready,
		argv: append([]string{filepath.Join(w.options.BinDir, program)}, arguments...),
	}
}

// servicesReady asks all of them: they listen one after the other.
func servicesReady(s settings) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, e := range s.Environments {
			for _, p := range e.Pools {
				if _, err := get(ctx, url(p.Port), "", ""); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func (w *World) assembleIssuer(s settings) error {
	l := w.layout
	if err := writeJSON(l.users(), s.Endpoints.Users); err != nil {
		return err
	}
	w.Issuer = w.component("issuer", "devidp", answers(s.Endpoints.Issuer+"/.well-known/openid-configuration"),
		"-listen", address(s.Ports.Issuer), "-client-id", "clutch", "-client-secret-file", l.secret(secretClient),
		"-redirect-uri", s.Endpoints.Gateway+"/v1/authn/callback", "-users", l.users(), "-key-file", l.issuerKey())
	return nil
}

func (w *World) assembleDataPlane(s settings) error {
	l := w.layout
	ready := func(ctx context.Context) error {
		// It reaches HAProxy as well, which an answer from /info alone would not show.
		_, err := get(ctx, s.Endpoints.DataPlane[0].URL+"/v2/services/haproxy/runtime/maps", s.Username, s.Password)
		return err
	}
	if w.options.DataPlaneBin == "" {
		w.DataPlane = w.component("dataplane", "dataplane", ready,
			"-listen", address(s.Ports.DataPlane), "-username", s.Username, "-password-file", l.secret(secretDataPlane),
			"-haproxy-config", l.haproxyConfig(), "-haproxy-bin", s.HAProxyBin, "-runtime-socket", l.statsSocket(),
			"-maps-dir", l.maps(), "-reload-cmd", "sh "+l.reloadScript(), "-master-socket", l.masterSocket())
		return nil
	}
	config := filepath.Join(l.dataplane(), "dataplaneapi.yaml")
	if err := render(config, "dataplaneapi.yaml", dataplaneapiConfig, s); err != nil {
		return err
	}
	for _, name := range []string{"transactions", "ssl", "general", "storage", "spoe", "spoe-transactions"} {
		if err := os.MkdirAll(filepath.Join(l.dataplane(), name), 0o700); err != nil {
			return fmt.Errorf("make directory of the data plane: %w", err)
		}
	}
	w.DataPlane = w.component("dataplane", "dataplane", ready, "-f", config)
	w.DataPlane.argv[0] = w.options.DataPlaneBin
	return nil
}
