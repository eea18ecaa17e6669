package plugin

import (
	"context"
	"strings"
	"testing"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	authzv1 "github.com/lyft/clutch/backend/api/authz/v1"
	_ "github.com/lyft/clutch/backend/api/config/service/audit/v1"
	"github.com/lyft/clutch/backend/gateway"
	"github.com/lyft/clutch/backend/service/authz"
	"github.com/stretchr/testify/require"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	accessguardv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/middleware/accessguard/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/audit/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	_ "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
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

// exampleRoles asks Clutch whom the example's roles let call what.
func exampleRoles(t *testing.T) authz.Client {
	t.Helper()
	cfg := gateway.MustReadOrValidateConfig(&gateway.Flags{ConfigPath: "../../clutch-config.yaml"})
	for _, s := range cfg.GetServices() {
		if s.GetName() == authz.Name {
			svc, err := authz.New(s.GetTypedConfig(), zap.NewNop(), tally.NoopScope)
			require.NoError(t, err)
			return svc.(authz.Client)
		}
	}
	t.Fatal("the example has no roles")
	return nil
}

// allowed reports whether a member of one group may make a call.
func allowed(t *testing.T, client authz.Client, group, method string, action apiv1.ActionType) bool {
	t.Helper()
	resp, err := client.Check(context.Background(), &authzv1.CheckRequest{
		Subject: &authzv1.Subject{User: "alice@example.com", Groups: []string{group}},
		Method:  method, ActionType: action, Resource: "haproxyaccess/x",
	})
	require.NoError(t, err)
	return resp.GetDecision() == authzv1.Decision_ALLOW
}

// A call that no role names is one that nobody can make, which nobody notices until they need it.
func TestEveryCallIsInTheExamplesRoles(t *testing.T) {
	const (
		everybody = "developers auditors operators" // who reads; access says what they get to see
		users     = "developers operators"
		operators = "operators"
	)
	want := map[string]string{
		"ListPools": everybody, "PreviewAccess": everybody, "GetGrant": everybody, "ListGrants": everybody, "ListLocks": everybody,
		"ListEvents": everybody, "GetPolicy": everybody, "GetNodeStatus": everybody, "ListPoolServers": everybody,
		"ListEnvironments": everybody,
		"RequestAccess":    users, "ApproveAccess": users, "DenyAccess": users, "RevokeAccess": users, "IssueToken": users,
		"ExtendAccess": users, "CancelExtension": users, "WithdrawApproval": users, "ReviewAccess": users,
		"RevokeGrants": operators, "CreateLock": operators, "ReleaseLock": operators, "AddPoolServer": operators,
		"RemovePoolServer": operators, "DrainPoolServer": operators, "RegisterEnvironment": operators, "RemoveEnvironment": operators,
	}
	client := exampleRoles(t)
	calls := haproxyaccessv1.File_api_haproxyaccess_v1_haproxyaccess_proto.Services().ByName("AccessAPI").Methods()
	require.Len(t, want, calls.Len(), "say of each call of the API whose work it is")
	for i := range calls.Len() {
		name := string(calls.Get(i).Name())
		action := proto.GetExtension(calls.Get(i).Options(), apiv1.E_Action).(*apiv1.Action).GetType()
		var may []string
		for _, group := range strings.Fields(everybody + " strangers") {
			if allowed(t, client, group, "/haproxyaccess.v1.AccessAPI/"+name, action) {
				may = append(may, group)
			}
		}
		require.Equal(t, want[name], strings.Join(may, " "), name)
	}
}

func TestExampleRolesLetNobodyDoMoreThanTheirWork(t *testing.T) {
	client := exampleRoles(t)
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
			require.Equal(t, want[i] == 'y', allowed(t, client, group, c.method, c.action), "%s %s", group, c.method)
		}
	}
}
