package haproxyaccess

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// Grants are the use cases that open and close access.
type Grants interface {
	Preview(ctx context.Context, c access.Caller, environment, pool string, d time.Duration) (policy.Decision, error)
	Request(ctx context.Context, c access.Caller, ask access.Ask, key string) (access.View, error)
	Approve(ctx context.Context, c access.Caller, d access.Decision, key string) (access.View, error)
	Deny(ctx context.Context, c access.Caller, d access.Decision, key string) (access.View, error)
	Revoke(ctx context.Context, c access.Caller, r access.Revocation, key string) (access.View, error)
	IssueToken(ctx context.Context, c access.Caller, grantID string) (token string, expires time.Time, err error)
}

// Lists are the use cases that read.
type Lists interface {
	Pools(ctx context.Context, c access.Caller, environment string) []access.PoolView
	Get(ctx context.Context, c access.Caller, id string) (access.View, error)
	List(ctx context.Context, c access.Caller, f access.Filter) (access.Page, error)
}

// Fleet are the use cases about nodes and servers.
type Fleet interface {
	Nodes(ctx context.Context, c access.Caller, environment string) ([]access.NodeStatus, error)
	Servers(ctx context.Context, c access.Caller, environment, pool string) ([]access.Server, error)
	AddServer(ctx context.Context, c access.Caller, environment, pool string, s access.Server, key string) ([]access.Server, error)
	RemoveServer(ctx context.Context, c access.Caller, environment, pool, name, key string) ([]access.Server, error)
}

// UseCases is what the service offers.
type UseCases interface {
	Grants
	Lists
	Fleet
}
