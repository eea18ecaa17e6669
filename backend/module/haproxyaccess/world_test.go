package haproxyaccess

import (
	"context"
	"testing"
	"time"

	"github.com/dgrijalva/jwt-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"github.com/lyft/clutch/backend/service/authn"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// fake answers every use case with what it holds, and keeps what it was asked.
type fake struct {
	err     error
	asked   []any // the method's name and its arguments, without the context
	granted access.View
	page    access.Page
	pools   []access.PoolView
	preview policy.Decision
	token   string
	expires time.Time
	nodes   []access.NodeStatus
	servers []access.Server
}

var _ UseCases = (*fake)(nil)

func (f *fake) ask(call ...any) { f.asked = append(f.asked, call...) }

func (f *fake) Preview(_ context.Context, c access.Caller, environment, pool string, d time.Duration) (policy.Decision, error) {
	f.ask("Preview", c, environment, pool, d)
	return f.preview, f.err
}

func (f *fake) Request(_ context.Context, c access.Caller, ask access.Ask, key string) (access.View, error) {
	f.ask("Request", c, ask, key)
	return f.granted, f.err
}

func (f *fake) Approve(_ context.Context, c access.Caller, d access.Decision, key string) (access.View, error) {
	f.ask("Approve", c, d, key)
	return f.granted, f.err
}

func (f *fake) Deny(_ context.Context, c access.Caller, d access.Decision, key string) (access.View, error) {
	f.ask("Deny", c, d, key)
	return f.granted, f.err
}

func (f *fake) Revoke(_ context.Context, c access.Caller, r access.Revocation, key string) (access.View, error) {
	f.ask("Revoke", c, r, key)
	return f.granted, f.err
}

func (f *fake) IssueToken(_ context.Context, c access.Caller, grantID string) (string, time.Time, error) {
	f.ask("IssueToken", c, grantID)
	return f.token, f.expires, f.err
}

func (f *fake) Pools(_ context.Context, c access.Caller, environment string) []access.PoolView {
	f.ask("Pools", c, environment)
	return f.pools
}

func (f *fake) Get(_ context.Context, c access.Caller, id string) (access.View, error) {
	f.ask("Get", c, id)
	return f.granted, f.err
}

func (f *fake) List(_ context.Context, c access.Caller, filter access.Filter) (access.Page, error) {
	f.ask("List", c, filter)
	return f.page, f.err
}

func (f *fake) Nodes(_ context.Context, c access.Caller, environment string) ([]access.NodeStatus, error) {
	f.ask("Nodes", c, environment)
	return f.nodes, f.err
}

func (f *fake) Servers(_ context.Context, c access.Caller, environment, pool string) ([]access.Server, error) {
	f.ask("Servers", c, environment, pool)
	return f.servers, f.err
}

func (f *fake) AddServer(
	_ context.Context, c access.Caller, environment, pool string, s access.Server, key string,
) ([]access.Server, error) {
	f.ask("AddServer", c, environment, pool, s, key)
	return f.servers, f.err
}

func (f *fake) RemoveServer(_ context.Context, c access.Caller, environment, pool, name, key string) ([]access.Server, error) {
	f.ask("RemoveServer", c, environment, pool, name, key)
	return f.servers, f.err
}

// alice is logged in by way of the identity provider.
var alice = access.Caller{Subject: "alice@example.com", Groups: []string{"developers", "on-call"}}

func aliceContext(t *testing.T) context.Context {
	return loggedIn(t, "https://idp.example", "alice@example.com", "developers", "on-call")
}

func loggedIn(t *testing.T, issuer, subject string, groups ...string) context.Context {
	return authn.ContextWithClaims(t.Context(), &authn.Claims{
		StandardClaims: &jwt.StandardClaims{Issuer: issuer, Subject: subject}, Groups: groups,
	})
}

// newAPI is the API as New makes it, with its log.
func newAPI(use UseCases) (*api, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return &api{use: use, caller: callerFromContext, log: zap.New(core)}, logs
}

// untyped turns a call of the API into one on messages, for tables.
func untyped[Request, Response proto.Message](
	call func(*api, context.Context, Request) (Response, error),
) func(*api, context.Context, proto.Message) (proto.Message, error) {
	return func(a *api, ctx context.Context, m proto.Message) (proto.Message, error) {
		answer, err := call(a, ctx, m.(Request))
		if err != nil {
			return nil, err
		}
		return answer, nil
	}
}
