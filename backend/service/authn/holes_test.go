package authn

import (
	"context"
	"testing"
	"time"

	clutchauthnapiv1 "github.com/lyft/clutch/backend/api/authn/v1"
	"github.com/lyft/clutch/backend/mock/service/authnmock"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

var ctx = context.Background()

func TestLoginStateIsNoAccessToken(t *testing.T) {
	plain, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), nil)
	state, err := plain.GetStateNonce("/")
	require.NoError(t, err)

	_, err = plain.Verify(ctx, state)
	require.NoError(t, err, "the hole: Clutch takes what it hands to anybody as an access token")

	_, err = ours.Verify(ctx, state)
	require.ErrorIs(t, err, errNotAccess)
}

func TestLoginStateAsRefreshTokenIsAnErrorWithoutStorage(t *testing.T) {
	plain, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), nil)
	state, err := plain.GetStateNonce("/")
	require.NoError(t, err)

	require.Panics(t, func() { _, _ = plain.RefreshToken(ctx, &oauth2.Token{RefreshToken: state}) }, "the hole")

	_, err = ours.RefreshToken(ctx, &oauth2.Token{RefreshToken: state})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
}

func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	plain, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), authnmock.NewMockStorage())
	token, err := ours.Exchange(ctx, "code")
	require.NoError(t, err)

	_, err = plain.Verify(ctx, token.RefreshToken)
	require.NoError(t, err, "the hole: Clutch takes a refresh token of 12 hours as an access token")

	_, err = ours.Verify(ctx, token.RefreshToken)
	require.ErrorIs(t, err, errNotAccess)
	_, err = ours.Verify(ctx, token.AccessToken)
	require.NoError(t, err)
}

func TestAccessTokenIsNoLoginStateAndNoRefreshToken(t *testing.T) {
	plain, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), authnmock.NewMockStorage())
	token, err := ours.Exchange(ctx, "code")
	require.NoError(t, err)

	_, err = plain.ValidateStateNonce(token.AccessToken)
	require.NoError(t, err, "the hole: Clutch takes an access token as a login state")

	_, err = ours.ValidateStateNonce(token.AccessToken)
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = ours.RefreshToken(ctx, &oauth2.Token{RefreshToken: token.AccessToken})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}

func TestLoginStateRoundTrip(t *testing.T) {
	_, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), nil)
	state, err := ours.GetStateNonce("/haproxy-access/request?pool=web")
	require.NoError(t, err)
	path, err := ours.ValidateStateNonce(state)
	require.NoError(t, err)
	require.Equal(t, "/haproxy-access/request?pool=web", path)

	_, err = ours.GetStateNonce("https://evil.example/")
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestRefreshReadsGroupsAnew(t *testing.T) {
	storage := authnmock.NewMockStorage()
	idp := authntest.Start(t, alice())
	_, ours, _ := plainAndOurs(t, idp, storage)
	token, err := ours.Exchange(ctx, "code")
	require.NoError(t, err)

	// The identity provider's own token ends, so that a new one is fetched.
	for _, byUser := range storage.Tokens {
		if stored := byUser["alice@example.com"]; stored.AccessToken == "provider-access" {
			stored.Expiry = time.Now().Add(-time.Minute)
		}
	}
	idp.SetClaims(map[string]any{"email": "alice@example.com", "email_verified": true, "groups": []string{"dev"}})
	fresh, err := ours.RefreshToken(ctx, token)
	require.NoError(t, err)
	claims, err := ours.Verify(ctx, fresh.AccessToken)
	require.NoError(t, err)
	require.Equal(t, []string{"dev"}, claims.Groups)
}

func TestServiceTokens(t *testing.T) {
	idp := authntest.Start(t, alice())
	storage := authnmock.NewMockStorage()
	_, ours, _ := plainAndOurs(t, idp, storage)

	token, err := ours.CreateToken(ctx, "deploy-bot", clutchauthnapiv1.CreateTokenRequest_SERVICE, nil)
	require.NoError(t, err)
	claims, err := ours.Verify(ctx, token.AccessToken)
	require.NoError(t, err)
	require.Equal(t, "service:deploy-bot", claims.Subject)

	_, without, _ := plainAndOurs(t, idp, nil)
	_, err = without.Verify(ctx, token.AccessToken)
	require.ErrorIs(t, err, errNotAccess, "without storage nobody could take it back")

	delete(storage.Tokens["clutch"], "service:deploy-bot")
	_, err = ours.Verify(ctx, token.AccessToken)
	require.ErrorIs(t, err, errUnknownToken)

	for _, name := range []string{"", "Deploy", "a|b", "a/b", "a b", "x@example.com", "agent:x"} {
		_, err := ours.CreateToken(ctx, name, clutchauthnapiv1.CreateTokenRequest_SERVICE, nil)
		require.Equal(t, codes.InvalidArgument, status.Code(err), name)
	}
}
