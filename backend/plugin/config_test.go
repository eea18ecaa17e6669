package plugin

import (
	"testing"

	_ "github.com/lyft/clutch/backend/api/config/service/audit/v1"
	_ "github.com/lyft/clutch/backend/api/config/service/authz/v1"
	"github.com/lyft/clutch/backend/gateway"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	accessguardv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/middleware/accessguard/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/audit/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
)

// The gateway checks values only when it starts a component; this checks them all.
func TestExampleConfigurationIsValid(t *testing.T) {
	t.Setenv("CLUTCH_SESSION_SECRET", "0123456789abcdef0123456789abcdef")
	t.Setenv("OIDC_CLIENT_SECRET", "secret")
	cfg := gateway.MustReadOrValidateConfig(&gateway.Flags{ConfigPath: "../../clutch-config.yaml"})

	check := func(name string, a *anypb.Any) {
		if a == nil {
			return
		}
		m, err := a.UnmarshalNew()
		require.NoError(t, err, name)
		require.NoError(t, m.(interface{ ValidateAll() error }).ValidateAll(), name)
	}
	for _, s := range cfg.GetServices() {
		check(s.GetName(), s.GetTypedConfig())
	}
	for _, m := range cfg.GetModules() {
		check(m.GetName(), m.GetTypedConfig())
	}
	for _, m := range cfg.GetGateway().GetMiddleware() {
		check(m.GetName(), m.GetTypedConfig())
	}
}

func TestExampleConfigurationOrdersMiddleware(t *testing.T) {
	cfg := gateway.MustReadOrValidateConfig(&gateway.Flags{ConfigPath: "../../clutch-config.yaml"})
	var names []string
	for _, m := range cfg.GetGateway().GetMiddleware() {
		names = append(names, m.GetName())
		if m.GetName() == "clutch.middleware.accessguard" {
			guard := &accessguardv1.Config{}
			require.NoError(t, m.GetTypedConfig().UnmarshalTo(guard))
			require.Equal(t, []string{"https://clutch.example"}, guard.GetAllowedOrigins())
		}
	}
	require.Equal(t, []string{
		"clutch.middleware.accessguard", "clutch.middleware.stats", "clutch.middleware.authn", "clutch.middleware.audit",
		"clutch.middleware.authz", "clutch.middleware.validate", "clutch.middleware.accessguard",
	}, names)
}
