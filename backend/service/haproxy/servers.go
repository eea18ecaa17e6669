package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// Servers lists the servers of the pool's backend on every node of its environment.
func (s *Service) Servers(ctx context.Context, p grant.Pool) []access.Server {
	var all []access.Server
	now := s.present.Load()
	for _, m := range now.serving(p.Environment) {
		servers, err := m.client.Servers(ctx, now.backends[p])
		if err != nil {
			all = append(all, access.Server{Node: m.name, OperationalState: "unknown", Error: err.Error()})
			continue
		}
		for _, server := range servers {
			all = append(all, shown(m.name, server))
		}
	}
	return all
}

func shown(node string, s dataplane.Server) access.Server {
	a := access.Server{
		Node: node, Name: s.Name, Address: s.Address, Port: s.Port,
		OperationalState: s.OperationalState, AdminState: s.AdminState,
	}
	switch {
	case !s.Running:
		a.OperationalState, a.Error = "unknown", "the running worker does not have it"
	case !s.Configured:
		a.Error = "the configuration does not have it: it is gone after the next reload"
	}
	return a
}

// AddServer adds a server on every node of the pool's environment. See access.Fleet.
func (s *Service) AddServer(ctx context.Context, p grant.Pool, add access.Server) error {
	now := s.present.Load()
	if err := now.checkNetwork(p, add); err != nil {
		return err
	}
	return now.onEach(p, func(m *member, backend string) error {
		if err := now.checkOtherPools(ctx, m, p, add); err != nil {
			return err
		}
		err := m.client.AddServer(ctx, backend, dataplane.Server{Name: add.Name, Address: add.Address, Port: add.Port})
		if !errors.Is(err, dataplane.ErrExists) {
			return err
		}
		servers, err := m.client.Servers(ctx, backend)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(servers, func(have dataplane.Server) bool {
			return have.Name == add.Name && have.Address == add.Address && have.Port == add.Port && have.Running
		}) {
			return nil
		}
		return access.ErrServerExists
	})
}

// checkNetwork refuses an address outside of the environment's networks.
func (s *snapshot) checkNetwork(p grant.Pool, add access.Server) error {
	address, err := netip.ParseAddr(add.Address)
	if err != nil || address.Zone() != "" {
		return fmt.Errorf("%w: want an IP address", access.ErrServerAddress)
	}
	if !slices.ContainsFunc(s.networks[p.Environment], func(n netip.Prefix) bool { return n.Contains(address.Unmap()) }) {
		return fmt.Errorf("%w: it is in none of the server_networks of %s", access.ErrServerAddress, p.Environment)
	}
	return nil
}

// checkOtherPools refuses the address and port of a server of another pool on the node: requests of one pool's grants
// would reach the other's service.
func (s *snapshot) checkOtherPools(ctx context.Context, m *member, p grant.Pool, add access.Server) error {
	wanted, err := netip.ParseAddr(add.Address)
	if err != nil {
		return fmt.Errorf("%w: want an IP address", access.ErrServerAddress)
	}
	for other, backend := range s.backends {
		if backend == s.backends[p] || !slices.Contains(m.environments, other.Environment) {
			continue
		}
		servers, err := m.client.Servers(ctx, backend)
		if err != nil {
			return err
		}
		for _, have := range servers {
			address, err := netip.ParseAddr(have.Address)
			if err == nil && address.Unmap() == wanted.Unmap() && have.Port == add.Port {
				return fmt.Errorf("%w: it is that of a server of %s", access.ErrServerAddress, other)
			}
		}
	}
	return nil
}

// RemoveServer removes a server on every node of the pool's environment. See access.Fleet.
func (s *Service) RemoveServer(ctx context.Context, p grant.Pool, name string) error {
	return s.present.Load().onEach(p, func(m *member, backend string) error {
		if err := m.client.RemoveServer(ctx, backend, name); !errors.Is(err, dataplane.ErrNoServer) {
			return err
		}
		return nil
	})
}

// DrainServer drains a server on every node of the pool's environment, or makes it ready again. See access.Fleet.
func (s *Service) DrainServer(ctx context.Context, p grant.Pool, name string, ready bool) error {
	return s.present.Load().onEach(p, func(m *member, backend string) error {
		set := m.client.DrainServer
		if ready {
			set = m.client.ReadyServer
		}
		if err := set(ctx, backend, name); !errors.Is(err, dataplane.ErrNoServer) {
			return err
		}
		return access.ErrNoServer
	})
}

// onEach does something to the pool's backend on every node that serves it. A node that fails does not keep the others
// from it; the error names each that did.
func (s *snapshot) onEach(p grant.Pool, do func(m *member, backend string) error) error {
	nodes := s.serving(p.Environment)
	if len(nodes) == 0 {
		return fmt.Errorf("no node serves %s", p.Environment)
	}
	var errs []error
	for _, m := range nodes {
		if err := do(m, s.backends[p]); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", m.name, err))
		}
	}
	return errors.Join(errs...)
}
