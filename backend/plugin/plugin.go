// Package plugin registers everything of this plugin in a Clutch gateway, for this repository's gateway and for a team's
// own. It imports Clutch and all of our components, and has no logic.
package plugin

import (
	"github.com/lyft/clutch/backend/gateway"

	"github.com/haproxy-access/clutch-haproxy-access/backend/middleware/accessguard"
	haproxyaccessmod "github.com/haproxy-access/clutch-haproxy-access/backend/module/haproxyaccess"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/audit"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxyaccess"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/store"
)

// Register adds our factories to cf, whose maps must not be nil. It replaces two of Clutch's own: clutch.service.authn
// and clutch.service.audit; a gateway that wants Clutch's puts it back after this call. The configuration decides which
// components run.
func Register(cf *gateway.ComponentFactory) {
	cf.Services[store.Name] = store.New
	cf.Services[audit.Name] = audit.New
	cf.Services[authn.Name] = authn.New
	cf.Services[haproxy.Name] = haproxy.New
	cf.Services[haproxyaccess.Name] = haproxyaccess.New

	cf.Modules[haproxyaccessmod.Name] = haproxyaccessmod.New

	cf.Middleware[accessguard.Name] = accessguard.New
}
