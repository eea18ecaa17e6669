package authn

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

// Who lost all groups may be let do nothing after the login: the login itself is what shows it.
func TestALoginIsToldOnceItIsLetIn(t *testing.T) {
	idp := authntest.Start(t, alice())
	_, ours, _ := plainAndOurs(t, idp, nil)
	type login struct {
		subject grant.Subject
		groups  []string
	}
	var told []login
	var at time.Time
	listener := func(_ context.Context, s grant.Subject, groups []string, when time.Time) {
		told, at = append(told, login{s, groups}), when
	}
	_, err := ours.Exchange(t.Context(), "code")
	require.NoError(t, err, "nobody listens yet")

	ours.OnLogin(listener)
	before := time.Now()
	_, err = ours.Exchange(t.Context(), "code")
	require.NoError(t, err)
	require.Equal(t, []login{{"alice@example.com", []string{"dev", "oncall"}}}, told)
	require.False(t, at.Before(before), "a login is later than what was known before, to less than a second")

	idp.SetClaims(map[string]any{"email": "alice@example.com", "email_verified": false, "groups": []string{"root"}})
	_, err = ours.Exchange(t.Context(), "code")
	require.Error(t, err)
	require.Len(t, told, 1, "who is not let in is not told of")
}
