// Package haproxy is the Clutch service for the fleet: the environments, pools and nodes of the configuration with those
// that are found, and what is done to nodes through their Data Plane API. It implements what reconcile asks of a node and what
// access asks of the fleet.
//
// It may import any core package, Clutch, and generated code.
package haproxy

// <!-- START clutchdoc -->
// description: The HAProxy nodes, environments and pools that access is granted to, reached by their Data Plane API.
// <!-- END clutchdoc -->

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// Name is the service's name in Clutch's configuration.
const Name = "clutch.service.haproxy"

// Service knows the fleet as it is at present: that of the configuration, and, while a Watch runs, what was found beside it.
// It is safe for concurrent use.
type Service struct {
	static      *haproxyv1.Config
	templates   []*template
	discoveries []*discoverer
	connections connections // of the Watch, once there is one
	present     atomic.Pointer[snapshot]
}

// New is the factory for Clutch.
func New(cfg *anypb.Any, _ *zap.Logger, _ tally.Scope) (service.Service, error) {
	config := &haproxyv1.Config{}
	if err := cfg.UnmarshalTo(config); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return NewService(config)
}

// NewService checks the configuration; it calls no node. The error joins all problems and names each field.
func NewService(config *haproxyv1.Config) (*Service, error) {
	s := &Service{static: config, connections: connections{config.GetEnforcement().GetMapsDir(), map[string]*connection{}}}
	first, err := newSnapshot(config, nil, s.connections.to)
	errs := []error{err}
	if s.discoveries, err = newDiscoverers(config.GetDiscovery()); err != nil {
		errs = append(errs, err)
	}
	if s.templates, err = newTemplates(config); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, checkServing(config, s.templates), checkManaged(config))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, m := range first.nodes {
		m.source = fromConfiguration
	}
	s.present.Store(first)
	return s, nil
}

// checkServing refuses a node that has nothing to serve, and a discovery of such nodes, or of environments that there are not.
func checkServing(config *haproxyv1.Config, templates []*template) error {
	var errs []error
	for i, n := range config.GetNodes() {
		served := slices.ContainsFunc(templates, func(t *template) bool { return t.has(n.GetName(), fromConfiguration) })
		if len(n.GetEnvironments()) == 0 && !served {
			errs = append(errs, fmt.Errorf("nodes[%d].environments: there is none, and no template has the node", i))
		}
	}
	for i, d := range config.GetDiscovery() {
		served := slices.ContainsFunc(templates, func(t *template) bool { return t.has("", d.GetName()) })
		if len(d.GetNode().GetEnvironments()) == 0 && !served {
			errs = append(errs, fmt.Errorf("discovery[%d].node.environments: there is none, and no template has its nodes", i))
		}
		for j, name := range d.GetNode().GetEnvironments() {
			if !slices.ContainsFunc(config.GetEnvironments(), func(e *haproxyv1.Environment) bool { return e.GetName() == name }) {
				errs = append(errs, fmt.Errorf("discovery[%d].node.environments[%d]: there is no environment %q", i, j, name))
			}
		}
	}
	return errors.Join(errs...)
}

// Config is the configuration at present, with what was found, for the parts that depend on another service's as well.
func (s *Service) Config() *haproxyv1.Config { return s.present.Load().config }

// Pools implements access.Catalog.
func (s *Service) Pools() []access.Pool { return slices.Clone(s.present.Load().pools) }

// Pool implements access.Catalog.
func (s *Service) Pool(p grant.Pool) (access.Pool, bool) {
	pools := s.present.Load().pools
	i := slices.IndexFunc(pools, func(have access.Pool) bool { return have.Name == p })
	if i < 0 {
		return access.Pool{}, false
	}
	return pools[i], true
}

// Source says where a node comes from: "configuration", or the name of a discovery. Empty if there is no such node.
func (s *Service) Source(node string) string {
	if m := s.member(node); m != nil {
		return m.source
	}
	return ""
}

// Targets are the nodes for reconcile, as they are at present. in is the whole checked configuration where there is no
// Watch, and keys reads the keys that nodes verify by: it is called in each pass.
func (s *Service) Targets(in haproxycfg.Input, keys KeySource) ([]reconcile.Target, error) {
	now := s.present.Load()
	if now.input != nil {
		in = *now.input
	}
	var targets []reconcile.Target
	for _, m := range now.nodes {
		nodeInput, ok := in.ForNode(m.name)
		if !ok {
			return nil, fmt.Errorf("node %s is not in the configuration", m.name)
		}
		t := reconcile.Target{
			Name: m.name, Dialect: m.client.Dialect(), Settings: m.settings, Node: node{m.client}, Bulk: node{m.client},
			Prober: node{m.client}, Recognizer: node{m.client},
			HardStopAfter: in.HardStopAfter, ClockBound: m.clockBound, Fixed: s.fixed(m.name, in, keys),
		}
		if m.sockets != nil {
			t.Streams = m.sockets
			if m.sockets.HasMaster() {
				t.Elders = m.sockets
			}
		}
		for _, e := range nodeInput.Environments {
			t.Environments = append(t.Environments, reconcile.Environment{Name: e.Name, Lease: e.Lease})
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// KeySource reads the keys that nodes verify by.
type KeySource func(ctx context.Context) ([]haproxycfg.PublicKey, error)

// fixed is what a node holds beside grants: by the present configuration, since pools of ephemeral environments come and go.
func (s *Service) fixed(name string, in haproxycfg.Input, keys KeySource) func(context.Context) (desired.State, error) {
	return func(ctx context.Context) (desired.State, error) {
		published, err := keys(ctx)
		if err != nil {
			return nil, err
		}
		now := in
		if present := s.present.Load().input; present != nil {
			now = *present
		}
		own, ok := now.ForNode(name)
		if !ok {
			return nil, fmt.Errorf("node %s is not known any more", name)
		}
		own.Keys = published
		return own.Tables(), nil
	}
}

// Knows reports whether there is a node of this name.
func (s *Service) Knows(node string) bool { return s.member(node) != nil }

// Dialect is the version of the API that the node speaks; empty until it was asked, or for no node.
func (s *Service) Dialect(node string) string {
	if m := s.member(node); m != nil {
		return m.client.Dialect()
	}
	return ""
}

// CredentialError says which credential of the node's connection could not be read again; the one of before is in use.
func (s *Service) CredentialError(node string) error {
	if m := s.member(node); m != nil {
		return m.client.CredentialError()
	}
	return nil
}

func (s *Service) member(name string) *member {
	nodes := s.present.Load().nodes
	if i := slices.IndexFunc(nodes, func(m *member) bool { return m.name == name }); i >= 0 {
		return nodes[i]
	}
	return nil
}
