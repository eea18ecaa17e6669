// Package haproxyaccess is the Clutch module that registers the access API. It turns protos into the domain's words and
// back, claims into a caller, and errors into statuses; it decides nothing.
//
// It may import Clutch, generated code, and the interfaces of access.
package haproxyaccess

// <!-- START clutchdoc -->
// description: Asks for, approves, revokes and lists short-lived access to pools behind HAProxy.
// <!-- END clutchdoc -->

import (
	"fmt"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/module"
	"github.com/lyft/clutch/backend/service"

	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
)

// Name is the module's name in Clutch's configuration.
const Name = "clutch.module.haproxyaccess"

// serviceName is where the use cases are found in Clutch's registry.
const serviceName = "clutch.service.haproxyaccess"

// New is the factory for Clutch. The service of the use cases must be configured.
func New(_ *anypb.Any, logger *zap.Logger, _ tally.Scope) (module.Module, error) {
	svc, ok := service.Registry[serviceName]
	if !ok {
		return nil, fmt.Errorf("modules: %s needs the service %s", Name, serviceName)
	}
	use, ok := svc.(UseCases)
	if !ok {
		return nil, fmt.Errorf("modules: the service %s has another type", serviceName)
	}
	return &mod{api: &api{use: use, login: loginFromContext, log: logger}}, nil
}

type mod struct {
	api haproxyaccessv1.AccessAPIServer
}

// Register implements Clutch's module.Module.
func (m *mod) Register(r module.Registrar) error {
	haproxyaccessv1.RegisterAccessAPIServer(r.GRPCServer(), m.api)
	return r.RegisterJSONGateway(registerJSON)
}
