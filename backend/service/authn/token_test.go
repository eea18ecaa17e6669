package authn

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/lyft/clutch/backend/mock/service/authnmock"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return raw
}

// Every row but the first of each kind differs from a good token in one thing.
func TestVerifyTakesAccessTokensOnly(t *testing.T) {
	idp := authntest.Start(t, alice())
	storage := authnmock.NewMockStorage()
	_, ours, _ := plainAndOurs(t, idp, storage)
	for _, subject := range []string{"alice@example.com", "Alice@example.com", "service:bot", "agent:bot", "system:anonymous"} {
		require.NoError(t, storage.Store(ctx, subject, "clutch", &oauth2.Token{AccessToken: "x"}))
	}
	now := time.Now().Unix()
	person := func(change func(map[string]any)) map[string]any {
		c := map[string]any{"iss": idp.Issuer, "sub": "alice@example.com", "iat": now, "exp": now + 600}
		change(c)
		return c
	}
	bot := func(change func(map[string]any)) map[string]any {
		return person(func(c map[string]any) { c["iss"], c["sub"] = "clutch", "service:bot"; change(c) })
	}
	set := func(k string, v any) func(map[string]any) { return func(c map[string]any) { c[k] = v } }
	without := func(k string) func(map[string]any) { return func(c map[string]any) { delete(c, k) } }
	same := func(map[string]any) {}

	for _, tc := range []struct {
		name   string
		claims map[string]any
		ok     bool
	}{
		{"person", person(same), true},
		{"person without iat", person(without("iat")), false},
		{"person without exp", person(without("exp")), false},
		{"person without iss", person(without("iss")), false},
		{"person without sub", person(without("sub")), false},
		{"person of another issuer", person(set("iss", "https://other.example")), false},
		{"person of clutch's issuer", person(set("iss", "clutch")), false},
		{"person, expired", person(set("exp", now-60)), false},
		{"person, issued in the future", person(set("iat", now+600)), false},
		{"person, not canonical", person(set("sub", "Alice@example.com")), false},
		{"person with a redirect", person(set("redirect", "/")), false},
		{"person's issuer with a service", person(set("sub", "service:bot")), false},
		{"person's issuer with an agent", person(set("sub", "agent:bot")), false},
		{"person's issuer with the anonymous", person(set("sub", "system:anonymous")), false},
		{"service", bot(same), true},
		{"service without exp", bot(without("exp")), true},
		{"service without iat", bot(without("iat")), false},
		{"service, expired", bot(set("exp", now-60)), false},
		{"service that is an agent", bot(set("sub", "agent:bot")), false},
		{"service that is not stored", bot(set("sub", "service:other")), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			claims, err := ours.Verify(ctx, sign(t, jose.HS256, []byte(testSecret), tc.claims))
			require.Equal(t, tc.ok, err == nil, "%v", err)
			if tc.ok {
				require.Equal(t, tc.claims["sub"], claims.Subject)
			}
		})
	}
}

func TestVerifyTakesHS256Only(t *testing.T) {
	idp := authntest.Start(t, alice())
	// Long enough for every HMAC algorithm.
	secret := []byte(testSecret + testSecret)
	config := testConfig(idp.Issuer)
	config.Clutch.SessionSecret = string(secret)
	plain, err := clutchauthn.NewOIDCProvider(ctx, config.GetClutch(), nil)
	require.NoError(t, err)
	ours, err := newProvider(ctx, config, nil, zap.NewNop())
	require.NoError(t, err)
	now := time.Now().Unix()
	claims := map[string]any{"iss": idp.Issuer, "sub": "alice@example.com", "iat": now, "exp": now + 600}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good := sign(t, jose.HS256, secret, claims)
	parts := strings.Split(good, ".")

	_, err = ours.Verify(ctx, good)
	require.NoError(t, err)
	for name, raw := range map[string]string{
		"other secret":  sign(t, jose.HS256, []byte(strings.Repeat("x", 64)), claims),
		"HS512":         sign(t, jose.HS512, secret, claims),
		"RS256":         sign(t, jose.RS256, key, claims),
		"none":          "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"no signature":  parts[0] + "." + parts[1] + ".",
		"two parts":     parts[0] + "." + parts[1],
		"trailing part": good + ".x",
		"padding":       good + "=",
		"empty":         "",
		"JSON":          `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		_, err := ours.Verify(ctx, raw)
		require.ErrorIs(t, err, errToken, name)
	}
	_, err = plain.Verify(ctx, sign(t, jose.HS512, secret, claims))
	require.NoError(t, err, "Clutch takes every algorithm that fits the key")
}
