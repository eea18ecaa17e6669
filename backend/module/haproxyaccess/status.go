package haproxyaccess

import (
	"errors"

	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
)

// codeOf is the one place where the domain's kinds of errors become statuses. The gateway turns them into HTTP's 400,
// 403, 404, 409, 429, 500 and 503.
var codeOf = map[access.Code]codes.Code{
	access.Invalid:     codes.InvalidArgument,
	access.Forbidden:   codes.PermissionDenied,
	access.NotFound:    codes.NotFound,
	access.Conflict:    codes.Aborted,
	access.TooMany:     codes.ResourceExhausted,
	access.Internal:    codes.Internal,
	access.Unavailable: codes.Unavailable,
}

// statusError is the error that a caller sees. What must not be seen goes to the log.
func (a *api) statusError(err error) error {
	var e *access.Error
	if !errors.As(err, &e) {
		a.log.Error("a call failed", zap.Error(err))
		return status.Error(codes.Internal, "the call failed")
	}
	code, known := codeOf[e.Code]
	if !known {
		code = codes.Internal
	}
	if cause := errors.Unwrap(e); cause != nil && (code == codes.Internal || code == codes.Unavailable) {
		a.log.Error("a call failed", zap.String("message", e.Message), zap.NamedError("cause", cause))
	}
	st := status.New(code, e.Message)
	if e.GrantID != "" {
		// The grant that is in the way, for programs.
		if with, err := st.WithDetails(&errdetails.ResourceInfo{ResourceType: "haproxyaccess.v1.Grant", ResourceName: e.GrantID}); err == nil {
			st = with
		}
	}
	return st.Err()
}
