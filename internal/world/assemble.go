package world

import (
	"context"
	"path/filepath"
)

// assemble makes the parts; nothing runs yet.
func (w *World) assemble(s settings) error {
	w.Services = w.component("services", w.program("demoservice"), servicesReady(s))
	for _, p := range s.pools() {
		w.Services.argv = append(w.Services.argv, "-serve", p.Environment+"/"+p.Pool.Pool+"="+address(p.Port))
	}
	if err := w.assembleIssuer(s); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		node, err := w.assembleNode(s, n)
		if err != nil {
			return err
		}
		w.Nodes = append(w.Nodes, node)
	}
	for i, at := range s.Endpoints.Gateways {
		gateway := w.component(numbered("gateway", i), w.program("gateway"), answers(at+"/healthcheck"), "-c", w.layout.config(i))
		gateway.env = w.gatewayEnv()
		w.Gateways = append(w.Gateways, gateway)
	}
	w.Gateway = w.Gateways[0]
	return nil
}

// program is the path of one of Programs.
func (w *World) program(name string) string { return filepath.Join(w.options.BinDir, name) }

func (w *World) component(name, program string, ready func(context.Context) error, arguments ...string) *Component {
	l := w.layout
	return &Component{
		name: name, dir: l.root, log: l.log(name), pidFile: l.pid(name), ready: ready,
		argv: append([]string{program}, arguments...),
	}
}

// servicesReady asks all of them: they listen one after the other.
func servicesReady(s settings) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, p := range s.pools() {
			if _, err := get(ctx, url(p.Port), "", ""); err != nil {
				return err
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
	w.Issuer = w.component("issuer", w.program("devidp"), answers(s.Endpoints.Issuer+"/.well-known/openid-configuration"),
		"-listen", address(s.IssuerPort), "-client-id", "clutch", "-client-secret-file", l.secret(secretClient),
		"-users", l.users(), "-key-file", l.issuerKey())
	for _, gateway := range s.Endpoints.Gateways {
		w.Issuer.argv = append(w.Issuer.argv, "-redirect-uri", gateway+"/v1/authn/callback")
	}
	return nil
}
