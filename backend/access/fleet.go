package access

import (
	"context"
	"errors"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// Lease is until when a node may trust its rows of an environment.
type Lease struct {
	Environment string
	Off         bool
	Until       time.Time // zero: not given
}

// NodeStatus is what is known of a node.
type NodeStatus struct {
	Node           string
	Environments   []string
	Healthy        bool
	Error          string // of the last pass, without secrets
	Dialect        string
	LastPass       time.Time
	LastSuccess    time.Time
	Revision       int64
	Leases         []Lease
	ClockOffset    time.Duration
	DriftRepaired  int64
	WorkerStarted  time.Time
	HAProxyVersion string
	// Rows is how many rows of grants it has.
	Rows int
	// Source is where it comes from: "configuration", or the name of a discovery.
	Source string
	// Writer is the name of the gateway that writes to it.
	Writer string
	// LastDrift names rows or files of the last drift, some of them where there were many.
	LastDrift   []string
	LastDriftAt time.Time
	// PendingRemovals is how many rows must go and are not confirmed to be gone.
	PendingRemovals int
	// CutsStreams: running streams can be ended; ReachesOldWorkers: so can rows in older workers.
	CutsStreams       bool
	ReachesOldWorkers bool
	// ConfigManaged: the enforcement part of its haproxy.cfg is kept as rendered; ConfigError says why it is not.
	ConfigManaged bool
	ConfigError   string
}

// Server is a server of a pool's backend on one node.
type Server struct {
	Node             string
	Name             string
	Address          string
	Port             int
	OperationalState string
	AdminState       string
	Error            string // why the node has no answer
}

// Fleet is what is asked of and done to the nodes beside grants.
type Fleet interface {
	// Nodes lists the status of the nodes that serve the environment, of all if it is empty.
	Nodes(environment string) []NodeStatus
	// Servers lists the servers of the pool's backend on every node; a node that does not answer has an Error.
	Servers(ctx context.Context, p grant.Pool) []Server
	// AddServer adds a server on every node. Adding one that is there with the same address succeeds; with another address
	// it is ErrServerExists. One outside of the environment's networks, or at the address of another pool's server, is
	// ErrServerAddress. An error names the nodes that failed; the others have it.
	AddServer(ctx context.Context, p grant.Pool, s Server) error
	// RemoveServer removes a server on every node. Removing one that is not there succeeds.
	RemoveServer(ctx context.Context, p grant.Pool, name string) error
	// DrainServer gives a server nothing new on every node, or takes that back where ready is set. ErrNoServer where a node
	// does not run it.
	DrainServer(ctx context.Context, p grant.Pool, name string, ready bool) error
}

// Nodes lists the nodes' status. Error: Forbidden, for all but auditors and operators.
func (s *Service) Nodes(_ context.Context, c Caller, environment string) ([]NodeStatus, error) {
	if err := s.mayReadFleet(c); err != nil {
		return nil, err
	}
	return s.Fleet.Nodes(environment), nil
}

// Servers lists a pool's servers. Errors: Forbidden, Invalid, NotFound.
func (s *Service) Servers(ctx context.Context, c Caller, environment, pool string) ([]Server, error) {
	if err := s.mayReadFleet(c); err != nil && !s.isRegistrar(c, environment) {
		return nil, err
	}
	p, err := s.pool(environment, pool)
	if err != nil {
		return nil, err
	}
	return s.Fleet.Servers(ctx, p.Name), nil
}

// AddServer adds a server to a pool's backend. For operators, and for registrars of the template that the environment is of; so
// are the two below. Errors: Forbidden, Invalid, NotFound, Conflict, Unavailable.
func (s *Service) AddServer(ctx context.Context, c Caller, environment, pool string, server Server, key string) ([]Server, error) {
	return s.changeServers(ctx, c, environment, pool, "AddPoolServer", key, server, func(p grant.Pool) error {
		return s.Fleet.AddServer(ctx, p, server)
	})
}

// RemoveServer removes a server from a pool's backend. Errors: Forbidden, Invalid, NotFound, Unavailable.
func (s *Service) RemoveServer(ctx context.Context, c Caller, environment, pool, name, key string) ([]Server, error) {
	return s.changeServers(ctx, c, environment, pool, "RemovePoolServer", key, Server{Name: name}, func(p grant.Pool) error {
		return s.Fleet.RemoveServer(ctx, p, name)
	})
}

// DrainServer lets a server of a pool's backend finish what it has and gives it nothing new, or, where ready is set, takes that
// back. It holds until HAProxy's next reload. Errors: Forbidden, Invalid, NotFound, Unavailable.
func (s *Service) DrainServer(ctx context.Context, c Caller, environment, pool, name string, ready bool, key string) ([]Server, error) {
	server := Server{Name: name}
	if ready {
		server.AdminState = "ready" // so that a key does not stand for both
	}
	return s.changeServers(ctx, c, environment, pool, "DrainPoolServer", key, server, func(p grant.Pool) error {
		return s.Fleet.DrainServer(ctx, p, name, ready)
	})
}

// changeServers carries out one change. It can be repeated, so a key that was used before does it again: what counts is
// that the same key never stands for another change.
func (s *Service) changeServers(
	ctx context.Context, c Caller, environment, pool, method, key string, server Server, change func(grant.Pool) error,
) ([]Server, error) {
	if !s.isOperator(c) && !s.isRegistrar(c, environment) {
		return nil, errorf(Forbidden, "only an operator, or a registrar of an ephemeral environment, changes the servers of a pool")
	}
	p, err := s.pool(environment, pool)
	if err != nil {
		return nil, err
	}
	if err := s.checkEnvironment(ctx, environment); err != nil {
		return nil, err
	}
	call, err := newCall(c, method, key, []any{p.Name, server})
	if err != nil {
		return nil, err
	}
	if err := s.claim(ctx, call); err != nil {
		return nil, err
	}
	if err := change(p.Name); err != nil {
		return nil, serverError(err)
	}
	return s.Fleet.Servers(ctx, p.Name), nil
}

// claim makes the key stand for this call alone.
func (s *Service) claim(ctx context.Context, c call) error {
	if _, found, err := s.find(ctx, c); err != nil || found {
		return err
	}
	_, err := s.Grants.Commit(ctx, store.Change{Replay: c.replay("", s.Now())})
	switch {
	case errors.Is(err, store.ErrReplay): // by another call between our look-up and our commit: the same one, or not?
		_, _, err = s.find(ctx, c)
		return err
	case err != nil:
		return internal(err)
	}
	return nil
}

func (s *Service) mayReadFleet(c Caller) error {
	if !s.isAuditor(c) && !s.isOperator(c) {
		return errorf(Forbidden, "only auditors and operators see the nodes")
	}
	return nil
}
