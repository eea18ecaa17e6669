// Package accessguard is a Clutch middleware for what the gateway lacks: a panic becomes an error, and a call that a
// foreign web page makes with a person's cookie is refused.
//
// List it first and last, with the same configuration: the first also guards the middleware in between, the last lets
// them (audit among them) see the error of a handler that panicked.
//
// It may import Clutch and generated code.
package accessguard

// <!-- START clutchdoc -->
// description: Turns panics into errors and refuses calls of foreign web pages. List it first and last.
// <!-- END clutchdoc -->

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/lyft/clutch/backend/middleware"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"

	accessguardv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/middleware/accessguard/v1"
)

// Name is the middleware's name in the configuration.
const Name = "clutch.middleware.accessguard"

// New is the factory. Without configuration no web page may call; programs may.
func New(cfg *anypb.Any, logger *zap.Logger, scope tally.Scope) (middleware.Middleware, error) {
	config := &accessguardv1.Config{}
	if cfg != nil {
		if err := cfg.UnmarshalTo(config); err != nil {
			return nil, fmt.Errorf("read configuration of %s: %w", Name, err)
		}
	}
	origins := map[string]bool{}
	for i, o := range config.GetAllowedOrigins() {
		if err := checkOrigin(o); err != nil {
			return nil, fmt.Errorf("check configuration of %s: allowed_origins[%d]: %w", Name, i, err)
		}
		origins[o] = true
	}
	return &mid{origins: origins, logger: logger, scope: scope.SubScope("accessguard")}, nil
}

// checkOrigin wants an origin just as browsers write it, since it is compared byte by byte.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("want https://host or https://host:port")
	}
	if origin != strings.ToLower(u.Scheme+"://"+u.Host) {
		return errors.New("want scheme and host only, in lower case, without a slash at the end")
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return errors.New("leave out the default port, as browsers do")
	}
	return nil
}

type mid struct {
	origins map[string]bool
	logger  *zap.Logger
	scope   tally.Scope
}

// UnaryInterceptor refuses with PermissionDenied, with InvalidArgument where a login would lead away from this host, and
// answers Internal for a panic.
func (m *mid) UnaryInterceptor() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
		defer m.recoverPanic(info.FullMethod, &resp, &err)

		md, _ := metadata.FromIncomingContext(ctx)
		if err := m.check(readCall(info.FullMethod, req, md)); err != nil {
			m.scope.Counter("refused").Inc(1)
			m.logger.Warn("call refused", zap.String("method", info.FullMethod), zap.Error(err))
			return nil, err
		}
		return handler(ctx, req)
	}
}
