package authn

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

func TestClaimsOfALogin(t *testing.T) {
	idp := authntest.Start(t, nil)
	plain, ours, _ := plainAndOurs(t, idp, nil)

	idp.SetClaims(alice())
	token, err := plain.Exchange(ctx, "code")
	require.NoError(t, err)
	claims, err := plain.Verify(ctx, token.AccessToken)
	require.NoError(t, err)
	require.Equal(t, []string{""}, claims.Groups, "what Clutch delivers by itself")

	ok := func(email any, groups ...any) map[string]any {
		c := map[string]any{"email": email, "email_verified": true}
		if len(groups) > 0 {
			c["groups"] = groups[0]
		}
		return c
	}
	unverified := func(v any) map[string]any {
		return map[string]any{"email": "alice@example.com", "email_verified": v}
	}
	for name, tc := range map[string]struct {
		claims  map[string]any
		subject string // empty: refused
		groups  []string
	}{
		"list of groups":           {alice(), "alice@example.com", []string{"dev", "oncall"}},
		"one group":                {ok("alice@example.com", "dev"), "alice@example.com", []string{"dev"}},
		"no group":                 {ok("alice@example.com", []string{}), "alice@example.com", nil},
		"no claim of groups":       {ok("alice@example.com"), "alice@example.com", nil},
		"groups elsewhere":         {map[string]any{"email": "alice@example.com", "email_verified": true, "_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://idp.invalid/groups"}}}, "", nil},
		"upper case":               {ok("Alice@Example.COM"), "alice@example.com", nil},
		"groups null":              {ok("alice@example.com", nil), "", nil},
		"groups a number":          {ok("alice@example.com", 7), "", nil},
		"groups an object":         {ok("alice@example.com", map[string]any{"dev": true}), "", nil},
		"groups with a number":     {ok("alice@example.com", []any{"dev", 7}), "", nil},
		"groups with a null":       {ok("alice@example.com", []any{"dev", nil}), "", nil},
		"groups with a list":       {ok("alice@example.com", []any{[]string{"dev"}}), "", nil},
		"groups with an empty one": {ok("alice@example.com", []string{""}), "", nil},
		"group empty":              {ok("alice@example.com", ""), "", nil},
		"verified false":           {unverified(false), "", nil},
		"verified a text":          {unverified("true"), "", nil},
		"verified a number":        {unverified(1), "", nil},
		"verified null":            {unverified(nil), "", nil},
		"verified missing":         {map[string]any{"email": "alice@example.com"}, "", nil},
		"email missing":            {map[string]any{"email_verified": true}, "", nil},
		"email a list":             {ok([]string{"alice@example.com"}), "", nil},
		"email null":               {ok(nil), "", nil},
		"a service":                {ok("service:deploy-bot"), "", nil},
		"an agent":                 {ok("agent:triage"), "", nil},
		"a service with an at":     {ok("service:x@example.com"), "", nil},
		"with a bar":               {ok("alice|prod@example.com"), "", nil},
		"with a newline":           {ok("alice@example.com\n"), "", nil},
		"Kelvin sign":              {ok("\u212Aate@example.com"), "", nil},
		"too long":                 {ok(strings.Repeat("a", 120) + "@example.com"), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			idp.SetClaims(tc.claims)
			token, err := ours.Exchange(ctx, "code")
			if tc.subject == "" {
				require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
				require.NotContains(t, err.Error(), "example")
				return
			}
			require.NoError(t, err)
			claims, err := ours.Verify(ctx, token.AccessToken)
			require.NoError(t, err)
			require.Equal(t, tc.subject, claims.Subject)
			require.Equal(t, tc.groups, claims.Groups)
		})
	}
}

func TestGroupsClaimIsConfigurable(t *testing.T) {
	claims := alice()
	claims["https://clutch.example/teams"] = []string{"blue"}
	idp := authntest.Start(t, claims)
	config := testConfig(idp.Issuer)
	config.GroupsClaim = "https://clutch.example/teams"
	ours, err := newProvider(ctx, config, nil, nil)
	require.NoError(t, err)

	token, err := ours.Exchange(ctx, "code")
	require.NoError(t, err)
	got, err := ours.Verify(ctx, token.AccessToken)
	require.NoError(t, err)
	require.Equal(t, []string{"blue"}, got.Groups)
}

func TestRefusedCodeIsNoReasonToLogInAgain(t *testing.T) {
	_, ours, _ := plainAndOurs(t, authntest.Start(t, alice()), nil)
	_, err := ours.Exchange(ctx, "bad")
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.NotContains(t, err.Error(), "code bad")
}
