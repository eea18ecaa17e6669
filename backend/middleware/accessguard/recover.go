package accessguard

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errPanic says nothing of the cause: it goes to clients.
var errPanic = status.Error(codes.Internal, "internal error")

// recoverPanic is to be deferred itself, since recover works only one call deep. Clutch runs handlers in a goroutine of
// their own, where an unrecovered panic ends the process.
func (m *mid) recoverPanic(method string, resp *any, err *error) {
	value := recover()
	if value == nil {
		return
	}
	m.scope.Counter("panic").Inc(1)
	m.logger.Error("panic in handler", zap.String("method", method), zap.String("panic", describe(value)), zap.ByteString("stack", debug.Stack()))
	*resp, *err = nil, errPanic
}

// describe gives the text of what the runtime itself panics with. Any other value may quote a request or a secret, so
// only its type is told; the stack says where it was.
func describe(value any) string {
	if e, ok := value.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", value)
}
