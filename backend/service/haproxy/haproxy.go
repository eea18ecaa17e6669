// Package haproxy is the Clutch service for the fleet: the environments, pools and nodes of the configuration, and what
// is done to nodes through their Data Plane API. It implements what reconcile asks of a node and what access asks of the
// fleet.
//
// It may import any core package, Clutch, and generated code.
package haproxy

// <!-- START clutchdoc -->
// description: The HAProxy nodes, environments and pools that access is granted to, reached by their Data Plane API.
// <!-- END clutchdoc -->

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/service"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// Name is the service's name in Clutch's configuration.
const Name = "clutch.service.haproxy"

// callTimeout bounds each call to a node.
const callTimeout = 5 * time.Second

// defaultClockBound is how far a node's clock may be off where the configuration says nothing.
const defaultClockBound = 2 * time.Second

// Service knows the fleet. It is safe for concurrent use.
type Service struct {
	config *haproxyv1.Config
	pools  []access.Pool
	// backends are the pools' names in haproxy.cfg.
	backends map[grant.Pool]string
	// networks are those in which an environment's servers may be.
	networks map[string][]netip.Prefix
	nodes    []*member
}

// member is a node of the configuration.
type member struct {
	name         string
	environments []string
	client       *dataplane.Client
	clockBound   time.Duration
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
	s := &Service{config: config, backends: map[grant.Pool]string{}, networks: map[string][]netip.Prefix{}}
	var errs []error
	for i, e := range config.GetEnvironments() {
		for j, text := range e.GetServerNetworks() {
			network, err := netip.ParsePrefix(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("environments[%d].server_networks[%d]: want a network such as 10.0.0.0/16", i, j))
				continue
			}
			s.networks[e.GetName()] = append(s.networks[e.GetName()], network)
		}
		for j, p := range e.GetPools() {
			name, err := grant.NewPool(e.GetName(), p.GetName())
			if err != nil {
				errs = append(errs, fmt.Errorf("environments[%d].pools[%d].name: %w", i, j, err))
				continue
			}
			s.backends[name] = p.GetBackend()
			tags := slices.Concat(e.GetTags(), p.GetTags())
			slices.Sort(tags)
			s.pools = append(s.pools, access.Pool{
				Name: name, Description: p.GetDescription(), Hosts: p.GetHosts(), Tags: slices.Compact(tags),
			})
		}
	}
	slices.SortFunc(s.pools, func(a, b access.Pool) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	for i, n := range config.GetNodes() {
		m, err := newMember(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("nodes[%d].%w", i, err))
			continue
		}
		s.nodes = append(s.nodes, m)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

func newMember(n *haproxyv1.Node) (*member, error) {
	d := n.GetDataplane()
	options := dataplane.Options{
		URL: d.GetUrl(), Username: d.GetUsername(), Password: dataplane.FilePassword(d.GetPasswordFile()),
		AllowPlaintext: d.GetAllowPlaintext(), Timeout: callTimeout,
	}
	// A missing password file must stop the start, not only the first pass.
	if _, err := options.Password(); err != nil {
		return nil, fmt.Errorf("dataplane.password_file: %w", err)
	}
	if d.GetCaFile() != "" {
		raw, err := os.ReadFile(d.GetCaFile())
		if err != nil {
			return nil, fmt.Errorf("dataplane.ca_file: %w", err)
		}
		options.RootCAs = x509.NewCertPool()
		if !options.RootCAs.AppendCertsFromPEM(raw) {
			return nil, errors.New("dataplane.ca_file: no certificate in it")
		}
	}
	client, err := dataplane.New(options)
	if err != nil {
		return nil, fmt.Errorf("dataplane: %w", err)
	}
	m := &member{name: n.GetName(), environments: n.GetEnvironments(), client: client, clockBound: defaultClockBound}
	if n.GetClockBound() != nil {
		m.clockBound = n.GetClockBound().AsDuration()
	}
	if m.clockBound <= 0 {
		return nil, errors.New("clock_bound: want a positive duration")
	}
	return m, nil
}

// Config is the configuration that the service was made with, for the parts that depend on another service's as well.
func (s *Service) Config() *haproxyv1.Config { return s.config }

// Pools implements access.Catalog.
func (s *Service) Pools() []access.Pool { return slices.Clone(s.pools) }

// Pool implements access.Catalog.
func (s *Service) Pool(p grant.Pool) (access.Pool, bool) {
	i := slices.IndexFunc(s.pools, func(have access.Pool) bool { return have.Name == p })
	if i < 0 {
		return access.Pool{}, false
	}
	return s.pools[i], true
}

// Targets are the nodes for reconcile. in is the whole checked configuration, and keys reads the keys that nodes verify
// by: it is called in each pass.
func (s *Service) Targets(in haproxycfg.Input, keys KeySource) ([]reconcile.Target, error) {
	var targets []reconcile.Target
	for _, m := range s.nodes {
		nodeInput, ok := in.ForNode(m.name)
		if !ok {
			return nil, fmt.Errorf("node %s is not in the configuration", m.name)
		}
		t := reconcile.Target{
			Name: m.name, Dialect: m.client.Dialect(), Node: node{m.client},
			HardStopAfter: in.HardStopAfter, ClockBound: m.clockBound, Fixed: fixed(nodeInput, keys),
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

func fixed(in haproxycfg.Input, keys KeySource) func(context.Context) (desired.State, error) {
	return func(ctx context.Context) (desired.State, error) {
		published, err := keys(ctx)
		if err != nil {
			return nil, err
		}
		in := in
		in.Keys = published
		return in.Tables(), nil
	}
}
