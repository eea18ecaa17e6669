package plugin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	featureflagv1 "github.com/lyft/clutch/backend/api/featureflag/v1"
	"github.com/lyft/clutch/backend/gateway"
	"github.com/lyft/clutch/backend/mock/service/authnmock"
	"github.com/lyft/clutch/backend/module"
	"github.com/lyft/clutch/backend/service"
	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"
)

// addTestComponents gives the gateway token storage in memory, and a handler that panics in place of feature flags.
func addTestComponents(cf *gateway.ComponentFactory) {
	cf.Services["clutch.service.authn.storage"] = func(*anypb.Any, *zap.Logger, tally.Scope) (service.Service, error) {
		return authnmock.NewMockStorage(), nil
	}
	cf.Modules["clutch.module.featureflag"] = func(*anypb.Any, *zap.Logger, tally.Scope) (module.Module, error) {
		return panicking{}, nil
	}
}

type panicking struct{}

func (p panicking) Register(r module.Registrar) error {
	featureflagv1.RegisterFeatureFlagAPIServer(r.GRPCServer(), p)
	return r.RegisterJSONGateway(featureflagv1.RegisterFeatureFlagAPIHandler)
}

func (panicking) GetFlags(context.Context, *featureflagv1.GetFlagsRequest) (*featureflagv1.GetFlagsResponse, error) {
	panic("secret of a request")
}

const loggedInPath = "/v1/assets/fetch"

// loginState asks for a login as anybody can.
func loginState(t *testing.T, c *child) (state, authURL string) {
	t.Helper()
	code, body := c.do(t, http.MethodGet, "/v1/authn/login?redirect_url=/", "", nil)
	require.Equal(t, http.StatusOK, code, body)
	var answer struct{ AuthURL string }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	u, err := url.Parse(answer.AuthURL)
	require.NoError(t, err)
	return u.Query().Get("state"), answer.AuthURL
}

type tokens struct{ AccessToken, RefreshToken string }

func login(t *testing.T, c *child) tokens {
	t.Helper()
	_, authURL := loginState(t, c)
	resp, err := http.Get(authURL)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var got tokens
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&got))
	require.NotEmpty(t, got.AccessToken)
	return got
}

func asToken(token string) map[string]string {
	return map[string]string{"Authorization": "Token " + token}
}

func TestLoginStateOpensNothing(t *testing.T) {
	plain, ours := startGateway(t, "plain", false), startGateway(t, "ours", false)

	state, _ := loginState(t, plain)
	code, _ := plain.do(t, http.MethodGet, loggedInPath, "", asToken(state))
	require.Equal(t, http.StatusOK, code, "hole 1: anybody is in")

	state, _ = loginState(t, ours)
	code, body := ours.do(t, http.MethodGet, loggedInPath, "", asToken(state))
	require.Equal(t, http.StatusUnauthorized, code)
	require.NotContains(t, body, state)
	code, _ = ours.do(t, http.MethodGet, loggedInPath, "", asToken(login(t, ours).AccessToken))
	require.Equal(t, http.StatusOK, code)

	state, _ = loginState(t, plain)
	_, _ = plain.do(t, http.MethodGet, "/v1/authn/login", "", map[string]string{"Cookie": "refreshToken=" + state})
	plain.diesOf(t, "nil pointer dereference") // hole 2

	state, _ = loginState(t, ours)
	code, body = ours.do(t, http.MethodGet, "/v1/authn/login", "", map[string]string{"Cookie": "refreshToken=" + state})
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "authUrl", "an ordinary login starts")
	require.True(t, ours.alive())
	require.NotContains(t, ours.output.String(), "panic")
}

func TestRefreshTokenOpensNothing(t *testing.T) {
	plain, ours := startGateway(t, "plain", true), startGateway(t, "ours", true)

	code, _ := plain.do(t, http.MethodGet, loggedInPath, "", asToken(login(t, plain).RefreshToken))
	require.Equal(t, http.StatusOK, code, "hole 3")

	code, _ = ours.do(t, http.MethodGet, loggedInPath, "", asToken(login(t, ours).RefreshToken))
	require.Equal(t, http.StatusUnauthorized, code)
}

func TestPanickingHandlerLeavesTheGatewayRunning(t *testing.T) {
	const path = "/v1/featureflag/getFlags"
	plain, ours := startGateway(t, "plain", false), startGateway(t, "ours", false)

	_, _ = plain.do(t, http.MethodPost, path, "{}", asToken(login(t, plain).AccessToken))
	plain.diesOf(t, "panic: secret of a request") // hole 4

	code, body := ours.do(t, http.MethodPost, path, "{}", asToken(login(t, ours).AccessToken))
	require.Equal(t, http.StatusInternalServerError, code)
	require.Contains(t, body, "internal error")
	require.NotContains(t, body+ours.output.String(), "secret of a request")
	// The child's output comes through a pipe, some time after its answer.
	require.Eventually(t, func() bool { return strings.Contains(ours.output.String(), "panic in handler") },
		30*time.Second, 10*time.Millisecond, "the panic is not in the log")
	require.NotContains(t, ours.output.String(), "secret of a request")
	require.True(t, ours.alive())
}

func TestForeignPageGetsNothingWithACookie(t *testing.T) {
	const path, body = "/v1/authn/createToken", `{"subject":"bot","tokenType":"SERVICE"}`
	plain, ours := startGateway(t, "plain", true), startGateway(t, "ours", true)

	attack := func(c *child, origin, contentType string) (int, string) {
		headers := map[string]string{"Cookie": "token=" + login(t, c).AccessToken, "Content-Type": contentType}
		if origin != "" {
			headers["Origin"] = origin
		}
		return c.do(t, http.MethodPost, path, body, headers)
	}
	code, answer := attack(plain, "https://evil.example", "text/plain")
	require.Equal(t, http.StatusOK, code, "hole 5")
	require.Contains(t, answer, "accessToken", "a service token in the victim's name")

	for _, tc := range []struct {
		origin, contentType string
		want                int
	}{
		{ours.url, "application/json", http.StatusOK},
		{"https://evil.example", "text/plain", http.StatusForbidden},
		{"https://evil.example", "application/json", http.StatusForbidden},
		{"null", "application/json", http.StatusForbidden},
		{"", "text/plain", http.StatusForbidden},
		{"", "application/x-www-form-urlencoded", http.StatusForbidden},
	} {
		code, answer := attack(ours, tc.origin, tc.contentType)
		require.Equal(t, tc.want, code, "%+v: %s", tc, answer)
	}
}

// What a client forges through Grpc-Metadata-* stands beside the true value and does not replace it.
func TestForgedMetadataHidesNothing(t *testing.T) {
	ours := startGateway(t, "ours", false)
	access := login(t, ours).AccessToken
	for name, headers := range map[string]map[string]string{
		"origin":       {"Cookie": "token=" + access, "Origin": "https://evil.example", "Grpc-Metadata-Grpcgateway-Origin": ours.url},
		"content type": {"Cookie": "token=" + access, "Content-Type": "text/plain", "Grpc-Metadata-Grpcgateway-Content-Type": "application/json"},
		"cookie":       {"Cookie": "token=" + access, "Grpc-Metadata-Grpcgateway-Cookie": "token=x"},
		"credential":   {"Authorization": "Token " + access, "Grpc-Metadata-Authorization": "Token x"},
	} {
		code, body := ours.do(t, http.MethodGet, loggedInPath, "", headers)
		require.Equal(t, http.StatusForbidden, code, "%s: %s", name, body)
	}
}

func TestLoginWorksInABrowser(t *testing.T) {
	ours := startGateway(t, "ours", false)
	code, body := browser(t, ours.url+"/")
	require.Equal(t, http.StatusOK, code, body)
	require.Equal(t, "the page", body)
}
