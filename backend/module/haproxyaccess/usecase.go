package haproxyaccess

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Callers finds out who calls.
type Callers interface {
	Identify(ctx context.Context, l access.Login) (access.Caller, error)
}

// Requests are the use cases of who wants access.
type Requests interface {
	Preview(ctx context.Context, c access.Caller, ask access.Ask) (access.Preview, error)
	Request(ctx context.Context, c access.Caller, ask access.Ask, key string) (access.View, error)
	Extend(ctx context.Context, c access.Caller, l access.Longer, key string) (access.View, error)
	CancelExtension(ctx context.Context, c access.Caller, r access.Revocation, key string) (access.View, error)
	IssueToken(ctx context.Context, c access.Caller, grantID string) (token string, expires time.Time, err error)
}

// Decisions are the use cases of who decides on it.
type Decisions interface {
	Approve(ctx context.Context, c access.Caller, d access.Decision, key string) (access.View, error)
	Deny(ctx context.Context, c access.Caller, d access.Decision, key string) (access.View, error)
	Withdraw(ctx context.Context, c access.Caller, r access.Revocation, key string) (access.View, error)
	Review(ctx context.Context, c access.Caller, d access.Decision, key string) (access.View, error)
	Revoke(ctx context.Context, c access.Caller, r access.Revocation, key string) (access.View, error)
}

// Operations are the use cases of who must close many at once.
type Operations interface {
	RevokeAll(ctx context.Context, c access.Caller, b access.Bulk, key string) (access.BulkResult, error)
	Lock(ctx context.Context, c access.Caller, ask access.LockAsk, key string) (access.LockView, error)
	Unlock(ctx context.Context, c access.Caller, id, reason, key string) (access.LockView, error)
	Locks(ctx context.Context, c access.Caller, all bool) ([]grant.Lock, error)
	PolicyStatus(ctx context.Context, c access.Caller) (access.PolicyStatus, error)
}

// Lists are the use cases that read.
type Lists interface {
	Pools(ctx context.Context, c access.Caller, environment string) ([]access.PoolView, error)
	Get(ctx context.Context, c access.Caller, id string) (access.View, error)
	List(ctx context.Context, c access.Caller, f access.Filter) (access.Page, error)
	Events(ctx context.Context, c access.Caller, f access.EventFilter) (access.EventPage, error)
}

// Fleet are the use cases about nodes and servers.
type Fleet interface {
	Nodes(ctx context.Context, c access.Caller, environment string) ([]access.NodeStatus, error)
	Servers(ctx context.Context, c access.Caller, environment, pool string) ([]access.Server, error)
	AddServer(ctx context.Context, c access.Caller, environment, pool string, s access.Server, key string) ([]access.Server, error)
	RemoveServer(ctx context.Context, c access.Caller, environment, pool, name, key string) ([]access.Server, error)
	DrainServer(ctx context.Context, c access.Caller, environment, pool, name string, ready bool, key string) ([]access.Server, error)
}

// Environments are the use cases about ephemeral environments.
type Environments interface {
	RegisterEnvironment(ctx context.Context, c access.Caller, name, key string) (access.Environment, error)
	RemoveEnvironment(ctx context.Context, c access.Caller, name, key string) (access.RemovalView, error)
	ListEnvironments(ctx context.Context, c access.Caller) ([]access.Environment, error)
}

// UseCases is what the service offers.
type UseCases interface {
	Callers
	Requests
	Decisions
	Operations
	Lists
	Fleet
	Environments
}
