package accessguard

import (
	"context"
	"errors"
	"testing"

	authnapiv1 "github.com/lyft/clutch/backend/api/authn/v1"
	featureflagv1 "github.com/lyft/clutch/backend/api/featureflag/v1"
	"github.com/lyft/clutch/backend/gateway/meta"
	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	accessguardv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/middleware/accessguard/v1"
)

const (
	mutation = "/clutch.authn.v1.AuthnAPI/CreateToken"
	reading  = "/clutch.featureflag.v1.FeatureFlagAPI/GetFlags"
	callback = "/clutch.authn.v1.AuthnAPI/Callback"
	unknown  = "/not.annotated.v1.API/Do"

	page = "https://clutch.example"
)

// TestMain makes the annotations of the two services known, as the gateway does at start.
func TestMain(m *testing.M) {
	server := grpc.NewServer()
	authnapiv1.RegisterAuthnAPIServer(server, nil)
	featureflagv1.RegisterFeatureFlagAPIServer(server, nil)
	if err := meta.GenerateGRPCMetadata(server); err != nil {
		panic(err)
	}
	m.Run()
}

func newGuard(t *testing.T, scope tally.Scope, logger *zap.Logger, origins ...string) grpc.UnaryServerInterceptor {
	t.Helper()
	cfg, err := anypb.New(&accessguardv1.Config{AllowedOrigins: origins})
	require.NoError(t, err)
	m, err := New(cfg, logger, scope)
	require.NoError(t, err)
	return m.UnaryInterceptor()
}

func serve(guard grpc.UnaryServerInterceptor, method string, req any, pairs ...string) error {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(pairs...))
	_, err := guard(ctx, req, &grpc.UnaryServerInfo{FullMethod: method}, func(context.Context, any) (any, error) { return "served", nil })
	return err
}

func TestForeignPagesAreRefused(t *testing.T) {
	const (
		origin  = "grpcgateway-origin"
		content = "grpcgateway-content-type"
		cookie  = "grpcgateway-cookie"
		auth    = "authorization"
		json    = "application/json"
		token   = "token=abc"
	)
	guard := newGuard(t, tally.NoopScope, zap.NewNop(), page, "http://localhost:3000")
	for _, tc := range []struct {
		name   string
		method string
		md     []string
		ok     bool
	}{
		{"native gRPC", mutation, []string{auth, "Token x"}, true},
		{"script with header", mutation, []string{auth, "Token x", content, "text/plain", "grpcgateway-authorization", "Token x"}, true},
		{"script without anything", mutation, nil, true},
		{"own page", mutation, []string{origin, page, cookie, token, content, json}, true},
		{"own page with charset", mutation, []string{origin, page, cookie, token, content, "Application/JSON; charset=utf-8"}, true},
		{"second own page", mutation, []string{origin, "http://localhost:3000", cookie, token, content, json}, true},

		{"foreign page", mutation, []string{origin, "https://evil.example", cookie, token, content, json}, false},
		{"foreign page reads", reading, []string{origin, "https://evil.example", cookie, token, content, json}, false},
		{"foreign page without cookie", mutation, []string{origin, "https://evil.example", content, json}, false},
		{"foreign page calls back", callback, []string{origin, "https://evil.example"}, false},
		{"null", mutation, []string{origin, "null", cookie, token, content, json}, false},
		{"empty", mutation, []string{origin, "", cookie, token, content, json}, false},
		{"other scheme", mutation, []string{origin, "http://clutch.example", cookie, token, content, json}, false},
		{"other port", mutation, []string{origin, page + ":8443", cookie, token, content, json}, false},
		{"other case", mutation, []string{origin, "https://CLUTCH.example", cookie, token, content, json}, false},
		{"longer", mutation, []string{origin, page + ".evil.example", cookie, token, content, json}, false},
		{"subdomain", mutation, []string{origin, "https://x.clutch.example", cookie, token, content, json}, false},
		{"list of origins", mutation, []string{origin, page + " https://evil.example", cookie, token, content, json}, false},
		{"forged beside the true one", mutation, []string{origin, page, origin, "https://evil.example", cookie, token, content, json}, false},
		{"true one beside a forged", mutation, []string{origin, "https://evil.example", origin, page, cookie, token, content, json}, false},

		{"text", mutation, []string{cookie, token, content, "text/plain"}, false},
		{"form", mutation, []string{cookie, token, content, "application/x-www-form-urlencoded"}, false},
		{"multipart", mutation, []string{cookie, token, content, "multipart/form-data; boundary=x"}, false},
		{"no content type", mutation, []string{cookie, token}, false},
		{"empty content type", mutation, []string{cookie, token, content, ""}, false},
		{"json in a parameter", mutation, []string{cookie, token, content, "text/plain; application/json"}, false},
		{"json-like", mutation, []string{cookie, token, content, "application/jsonx"}, false},
		{"two content types", mutation, []string{cookie, token, content, json, content, "text/plain"}, false},
		{"text among cookies", mutation, []string{cookie, "a=b; token=abc; c=d", content, "text/plain"}, false},
		{"text in second cookie header", mutation, []string{cookie, "a=b", cookie, token, content, "text/plain"}, false},
		{"text on a method without annotation", unknown, []string{cookie, token, content, "text/plain"}, false},
		{"text reads", reading, []string{cookie, token, content, "text/plain"}, false},
		{"text with another cookie", mutation, []string{cookie, "mytoken=abc", content, "text/plain"}, true},

		{"navigation reads", reading, []string{cookie, token}, true},
		{"navigation calls back", callback, []string{cookie, token}, true},
		{"navigation from the identity provider", callback, []string{cookie, token, "sec-fetch-site", "cross-site"}, true},
		{"link from elsewhere", reading, []string{cookie, token, "sec-fetch-site", "cross-site"}, true},
		{"cross-site mutation", mutation, []string{cookie, token, content, json, "sec-fetch-site", "cross-site"}, false},
		{"same-site mutation", mutation, []string{cookie, token, content, json, "grpcgateway-x-sec-fetch-site", "same-site"}, false},
		{"same-origin mutation", mutation, []string{cookie, token, content, json, "sec-fetch-site", "same-origin"}, true},
		{"forged same-origin", mutation, []string{cookie, token, content, json, "sec-fetch-site", "same-origin", "sec-fetch-site", "cross-site"}, false},

		{"two headers", mutation, []string{auth, "Token x", auth, "Token y"}, false},
		{"two headers at login", callback, []string{auth, "Token x", auth, "Token y"}, false},
		{"two cookies", reading, []string{cookie, "token=a; token=b"}, false},
		{"two cookies that are equal", reading, []string{cookie, "token=a; token=a"}, true},
		{"two cookies at login", callback, []string{cookie, "token=a; token=b"}, true},
		{"header and cookie", mutation, []string{auth, "Token x", cookie, token}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := serve(guard, tc.method, nil, tc.md...)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, codes.PermissionDenied, status.Code(err))
		})
	}
}

func TestWithoutConfigurationNoPageMayCall(t *testing.T) {
	m, err := New(nil, zap.NewNop(), tally.NoopScope)
	require.NoError(t, err)
	require.Equal(t, codes.PermissionDenied, status.Code(serve(m.UnaryInterceptor(), reading, nil, "grpcgateway-origin", page)))
	require.NoError(t, serve(m.UnaryInterceptor(), reading, nil, "authorization", "Token x"))
}

func TestLoginLeadsNowhereElse(t *testing.T) {
	guard := newGuard(t, tally.NoopScope, zap.NewNop())
	for redirect, ok := range map[string]bool{
		"": true, "/": true, "/haproxy-access/request?environment=prod&pool=web": true, "/a//b": true, "/a?u=https://x.example/": true,
		"https://evil.example": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false,
		`\\evil.example`: false, "/\t/evil.example": false, "/\n/evil.example": false, "evil": false, "javascript:alert(1)": false,
	} {
		err := serve(guard, loginMethod, &authnapiv1.LoginRequest{RedirectUrl: redirect})
		if ok {
			require.NoError(t, err, "%q", redirect)
			continue
		}
		require.Equal(t, codes.InvalidArgument, status.Code(err), "%q", redirect)
	}
}

func TestOriginsAreConfiguredAsBrowsersWriteThem(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://clutch.example": true, "https://clutch.example:8443": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true,
		"https://clutch.example/": false, "https://Clutch.example": false, "https://clutch.example:443": false, "http://clutch.example:80": false,
		"https://user@clutch.example": false, "https://clutch.example?x": false, "clutch.example": false, "null": false, "*": false, "": false,
		"file://clutch.example": false,
	} {
		require.Equal(t, ok, checkOrigin(origin) == nil, "%q", origin)
	}
	cfg, err := anypb.New(&accessguardv1.Config{AllowedOrigins: []string{page, "https://clutch.example/"}})
	require.NoError(t, err)
	_, err = New(cfg, zap.NewNop(), tally.NoopScope)
	require.ErrorContains(t, err, "allowed_origins[1]")
}

func TestPanicIsAnErrorThatTellsTheLogOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		panics func()
		logged string
	}{
		"text":    {func() { panic("secret token") }, "string"},
		"error":   {func() { panic(errors.New("secret token")) }, "*errors.errorString"},
		"runtime": {func() { var p *int; *p = 1 }, "runtime error: invalid memory address or nil pointer dereference"},
	} {
		t.Run(name, func(t *testing.T) {
			scope := tally.NewTestScope("", nil)
			core, logs := observer.New(zap.ErrorLevel)
			guard := newGuard(t, scope, zap.New(core))
			resp, err := guard(context.Background(), nil, &grpc.UnaryServerInfo{FullMethod: reading}, func(context.Context, any) (any, error) {
				tc.panics()
				return "served", nil
			})

			require.Nil(t, resp)
			require.Equal(t, codes.Internal, status.Code(err))
			require.Equal(t, "internal error", status.Convert(err).Message())
			require.Equal(t, 1, logs.Len())
			entry := logs.All()[0].ContextMap()
			require.Equal(t, tc.logged, entry["panic"])
			require.Contains(t, entry["stack"], "TestPanicIsAnErrorThatTellsTheLogOnly")
			require.NotContains(t, entry["stack"], "secret token")
			require.EqualValues(t, 1, scope.Snapshot().Counters()["accessguard.panic+"].Value())
		})
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	scope := tally.NewTestScope("", nil)
	_ = serve(newGuard(t, scope, zap.NewNop()), reading, nil, "grpcgateway-origin", "null")
	require.EqualValues(t, 1, scope.Snapshot().Counters()["accessguard.refused+"].Value())
}
