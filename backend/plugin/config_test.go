package plugin

import (
	"context"
	"testing"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	authzv1 "github.com/lyft/clutch/backend/api/authz/v1"
	_ "github.com/lyft/clutch/backend/api/config/service/audit/v1"
	"github.com/lyft/clutch/backend/gateway"
	"github.com/lyft/clutch/backend/service/authz"
	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
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

func TestExampleRolesLetNobodyDoMoreThanTheirWork(t *testing.T) {
	cfg := gateway.MustReadOrValidateConfig(&gateway.Flags{ConfigPath: "../../clutch-config.yaml"})
	var client authz.Client
	for _, s := range cfg.GetServices() {
		if s.GetName() == authz.Name {
			svc, err := authz.New(s.GetTypedConfig(), zap.NewNop(), tally.NoopScope)
			require.NoError(t, err)
			client = svc.(authz.Client)
		}
	}
	const access = "/haproxyaccess.v1.AccessAPI/"
	calls := []struct {
		method string
		action apiv1.ActionType
	}{
		{"/clutch.assets.v1.AssetsAPI/Fetch", apiv1.ActionType_READ},
		{access + "ListGrants", apiv1.ActionType_READ},
		{access + "RequestAccess", apiv1.ActionType_CREATE},
		{access + "ApproveAccess", apiv1.ActionType_UPDATE},
		{access + "DenyAccess", apiv1.ActionType_UPDATE},
		{access + "RevokeAccess", apiv1.ActionType_DELETE},
		{access + "IssueToken", apiv1.ActionType_CREATE},
		{access + "AddPoolServer", apiv1.ActionType_CREATE},
		{access + "RemovePoolServer", apiv1.ActionType_DELETE},
		{"/clutch.audit.v1.AuditAPI/GetEvents", apiv1.ActionType_READ},
		{"/clutch.authn.v1.AuthnAPI/CreateToken", apiv1.ActionType_CREATE},
	}
	// One letter for each call above: y is allowed.
	for group, want := range map[string]string{
		"developers":     "yyyyyyynnnn",
		"prod-approvers": "yyyyyyynnnn",
		"auditors":       "yynnnnnnnyn",
		"operators":      "yyyyyyyyyyn",
		"strangers":      "nnnnnnnnnnn",
	} {
		for i, c := range calls {
			resp, err := client.Check(context.Background(), &authzv1.CheckRequest{
				Subject: &authzv1.Subject{User: "alice@example.com", Groups: []string{group}},
				Method:  c.method, ActionType: c.action, Resource: "haproxyaccess/x",
			})
			require.NoError(t, err)
			require.Equal(t, want[i] == 'y', resp.GetDecision() == authzv1.Decision_ALLOW, "%s %s", group, c.method)
		}
	}
}
