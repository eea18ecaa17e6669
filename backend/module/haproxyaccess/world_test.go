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
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// fake answers every use case with what it holds, and keeps what it was asked.
type fake struct {
	err     error
	asked   []any // the method's name and its arguments, without the context
	granted access.View
	page    access.Page
	pools   []access.PoolView
	preview access.Preview
	bulk    access.BulkResult
	lock    access.LockView
	locks   []grant.Lock
	events  access.EventPage
	policy  access.PolicyStatus
	token   string
	expires time.Time
	nodes   []access.NodeStatus
	servers []access.Server

	environment access.Environment
}

var _ UseCases = (*fake)(nil)

func (f *fake) ask(call ...any) { f.asked = append(f.asked, call...) }

// Identify believes the login.
func (f *fake) Identify(_ context.Context, l access.Login) (access.Caller, error) {
	return access.Caller{Subject: l.Subject, Groups: l.Groups, GroupsAt: l.At}, nil
}

func (f *fake) Preview(_ context.Context, c access.Caller, ask access.Ask) (access.Preview, error) {
	f.ask("Preview", c, ask)
	return f.preview, f.err
}

func (f *fake) Extend(_ context.Context, c access.Caller, l access.Longer, key string) (access.View, error) {
	f.ask("Extend", c, l, key)
	return f.granted, f.err
}

func (f *fake) CancelExtension(_ context.Context, c access.Caller, r access.Revocation, key string) (access.View, error) {
	f.ask("CancelExtension", c, r, key)
	return f.granted, f.err
}

func (f *fake) Withdraw(_ context.Context, c access.Caller, r access.Revocation, key string) (access.View, error) {
	f.ask("Withdraw", c, r, key)
	return f.granted, f.err
}

func (f *fake) Review(_ context.Context, c access.Caller, d access.Decision, key string) (access.View, error) {
	f.ask("Review", c, d, key)
	return f.granted, f.err
}

func (f *fake) RevokeAll(_ context.Context, c access.Caller, b access.Bulk, key string) (access.BulkResult, error) {
	f.ask("RevokeAll", c, b, key)
	return f.bulk, f.err
}

func (f *fake) Lock(_ context.Context, c access.Caller, ask access.LockAsk, key string) (access.LockView, error) {
	f.ask("Lock", c, ask, key)
	return f.lock, f.err
}

func (f *fake) Unlock(_ context.Context, c access.Caller, id, reason, key string) (access.LockView, error) {
	f.ask("Unlock", c, id, reason, key)
	return f.lock, f.err
}

func (f *fake) Locks(_ context.Context, c access.Caller, all bool) ([]grant.Lock, error) {
	f.ask("Locks", c, all)
	return f.locks, f.err
}

func (f *fake) Events(_ context.Context, c access.Caller, filter access.EventFilter) (access.EventPage, error) {
	f.ask("Events", c, filter)
	return f.events, f.err
}

func (f *fake) PolicyStatus(_ context.Context, c access.Caller) (access.PolicyStatus, error) {
	f.ask("PolicyStatus", c)
	return f.policy, f.err
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

func (f *fake) Pools(_ context.Context, c access.Caller, environment string) ([]access.PoolView, error) {
	f.ask("Pools", c, environment)
	return f.pools, f.err
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

func (f *fake) DrainServer(
	_ context.Context, c access.Caller, environment, pool, name string, ready bool, key string,
) ([]access.Server, error) {
	f.ask("DrainServer", c, environment, pool, name, ready, key)
	return f.servers, f.err
}

func (f *fake) RegisterEnvironment(_ context.Context, c access.Caller, name, key string) (access.Environment, error) {
	f.ask("RegisterEnvironment", c, name, key)
	return f.environment, f.err
}

func (f *fake) RemoveEnvironment(_ context.Context, c access.Caller, name, key string) (access.RemovalView, error) {
	f.ask("RemoveEnvironment", c, name, key)
	return access.RemovalView{Open: f.lock.Open, Failed: f.lock.Failed}, f.err
}

func (f *fake) ListEnvironments(_ context.Context, c access.Caller) ([]access.Environment, error) {
	f.ask("ListEnvironments", c)
	return []access.Environment{f.environment}, f.err
}

// alice is logged in by way of the identity provider.
var alice = access.Caller{Subject: "alice@example.com", Groups: []string{"developers", "on-call"}, GroupsAt: at(60)}

func aliceContext(t *testing.T) context.Context {
	return loggedIn(t, "https://idp.example", "alice@example.com", "developers", "on-call")
}

func loggedIn(t *testing.T, issuer, subject string, groups ...string) context.Context {
	return authn.ContextWithClaims(t.Context(), &authn.Claims{
		StandardClaims: &jwt.StandardClaims{Issuer: issuer, Subject: subject, IssuedAt: at(60).Unix()}, Groups: groups,
	})
}

// newAPI is the API as New makes it, with its log.
func newAPI(use UseCases) (*api, *observer.ObservedLogs) {
	core, logs := observer.New(zap.DebugLevel)
	return &api{use: use, login: loginFromContext, log: zap.New(core)}, logs
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
