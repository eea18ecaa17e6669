package authn

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	clutchauthnv1 "github.com/lyft/clutch/backend/api/config/service/authn/v1"
	"github.com/lyft/clutch/backend/mock/service/authnmock"
	"github.com/lyft/clutch/backend/service"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"
	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/types/known/anypb"

	authnv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/authn/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

const testSecret = "0123456789abcdef0123456789abcdef"

func TestMain(m *testing.M) {
	// The OpenCensus worker starts with a library that Clutch imports.
	os.Exit(func() int {
		code := m.Run()
		http.DefaultClient.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if err := goleak.Find(goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start")); err != nil {
			println(err.Error())
			return 1
		}
		return code
	}())
}

func alice() map[string]any {
	return map[string]any{"email": "alice@example.com", "email_verified": true, "groups": []string{"dev", "oncall"}}
}

func testConfig(issuer string) *authnv1.Config {
	return &authnv1.Config{Clutch: &clutchauthnv1.Config{
		SessionSecret:              testSecret,
		EnableServiceTokenCreation: true,
		Type: &clutchauthnv1.Config_Oidc{Oidc: &clutchauthnv1.OIDC{
			Issuer: issuer, ClientId: authntest.ClientID, ClientSecret: "client-secret",
			RedirectUrl: "http://127.0.0.1/v1/authn/callback",
		}},
	}}
}

// plainAndOurs makes Clutch's provider and ours over the same session secret, identity provider and storage.
func plainAndOurs(t *testing.T, idp *authntest.Provider, storage clutchauthn.Storage) (clutchauthn.Service, *Provider, *observer.ObservedLogs) {
	t.Helper()
	config := testConfig(idp.Issuer)
	plain, err := clutchauthn.NewOIDCProvider(context.Background(), config.GetClutch(), storage)
	require.NoError(t, err)
	core, logs := observer.New(zap.DebugLevel)
	ours, err := newProvider(context.Background(), config, storage, zap.New(core))
	require.NoError(t, err)
	return plain.(clutchauthn.Service), ours, logs
}

func TestFactoryGivesClutchAnAuthnService(t *testing.T) {
	idp := authntest.Start(t, alice())
	cfg, err := anypb.New(testConfig(idp.Issuer))
	require.NoError(t, err)
	delete(service.Registry, clutchauthn.StorageName)

	svc, err := New(cfg, zap.NewNop(), tally.NoopScope)
	require.NoError(t, err)
	require.Implements(t, (*clutchauthn.Service)(nil), svc)
	require.Equal(t, "clutch.service.authn", Name)
}

func TestFactoryTakesConfiguredStorage(t *testing.T) {
	idp := authntest.Start(t, alice())
	cfg, err := anypb.New(testConfig(idp.Issuer))
	require.NoError(t, err)
	service.Registry[clutchauthn.StorageName] = authnmock.NewMockStorage()
	t.Cleanup(func() { delete(service.Registry, clutchauthn.StorageName) })

	svc, err := New(cfg, zap.NewNop(), tally.NoopScope)
	require.NoError(t, err)
	token, err := svc.(clutchauthn.Service).Exchange(context.Background(), "code")
	require.NoError(t, err)
	require.NotEmpty(t, token.RefreshToken, "refresh tokens are made only with storage")
}

func TestConfigurationErrorNamesTheFieldAndNotTheSecret(t *testing.T) {
	const short = "short-secret"
	for name, tc := range map[string]struct {
		change func(*authnv1.Config)
		want   string
	}{
		"no clutch":            {func(c *authnv1.Config) { c.Clutch = nil }, "Clutch"},
		"no oidc":              {func(c *authnv1.Config) { c.Clutch.Type = nil }, "oidc"},
		"unset secret":         {func(c *authnv1.Config) { c.Clutch.SessionSecret = "" }, "SessionSecret"},
		"short secret":         {func(c *authnv1.Config) { c.Clutch.SessionSecret = short }, "session_secret"},
		"issuer without TLS":   {func(c *authnv1.Config) { c.Clutch.GetOidc().Issuer = "http://idp.example" }, "issuer"},
		"issuer like loopback": {func(c *authnv1.Config) { c.Clutch.GetOidc().Issuer = "http://127.0.0.1.example" }, "issuer"},
		"issuer of no web":     {func(c *authnv1.Config) { c.Clutch.GetOidc().Issuer = "ldap://127.0.0.1" }, "issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig("https://idp.example")
			tc.change(config)
			cfg, err := anypb.New(config)
			require.NoError(t, err)
			_, err = New(cfg, zap.NewNop(), tally.NoopScope)
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), short)
		})
	}
}

func TestIssuerMayBePlainHTTPOnLoopbackOnly(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://idp.example": true, "http://127.0.0.1:9000": true, "http://[::1]:9000": true,
		"http://localhost": true, "http://idp.localhost:9000": true,
		"http://10.0.0.1": false, "http://localhost.example": false, "https://": false, "": false,
	} {
		require.Equal(t, ok, checkIssuer(issuer) == nil, issuer)
	}
}

func TestNoTokenInErrorsOrLogs(t *testing.T) {
	idp := authntest.Start(t, alice())
	_, ours, logs := plainAndOurs(t, idp, authnmock.NewMockStorage())
	token, err := ours.Exchange(context.Background(), "code")
	require.NoError(t, err)

	var said strings.Builder
	for _, raw := range []string{token.AccessToken + "x", token.AccessToken[:40], "sécret.token.x", token.RefreshToken} {
		_, err := ours.Verify(context.Background(), raw)
		require.Error(t, err)
		said.WriteString(err.Error() + "\n")
	}
	_, err = ours.Exchange(context.Background(), "bad")
	require.Error(t, err)
	said.WriteString(err.Error() + "\n")
	for _, e := range logs.All() {
		said.WriteString(e.Message)
		for k, v := range e.ContextMap() {
			said.WriteString(k)
			if s, ok := v.(string); ok {
				said.WriteString(s + "\n")
			}
		}
	}
	for _, secret := range []string{token.AccessToken[:20], token.RefreshToken[:20], "sécret", testSecret, "client-secret", "code bad"} {
		require.NotContains(t, said.String(), secret)
	}
}
