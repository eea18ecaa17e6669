package access

import (
	"errors"
	"fmt"
)

// Code is the kind of an error, which the transport turns into its own status in one place.
type Code string

// The codes.
const (
	Invalid   Code = "invalid"   // malformed: the same call can never succeed
	Forbidden Code = "forbidden" // policy or a role does not allow it
	NotFound  Code = "not_found" // there is none, or the caller may not see it
	Conflict  Code = "conflict"  // the state is not what the caller thinks, or a race was lost
	Internal  Code = "internal"  // our fault; Message says nothing of the inside
	TooMany   Code = "too_many"  // it was refused too often of late; the same call may be judged later
	// Unavailable: a node did not do it; the same call may succeed later.
	Unavailable Code = "unavailable"
)

// Error is the one kind of error that this package returns. Message is for the caller to read; the cause is for the log.
type Error struct {
	Code    Code
	Message string
	// GrantID names the grant that is in the way, where there is one.
	GrantID string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the inner cause. It may hold what a caller must not read.
func (e *Error) Unwrap() error { return e.cause }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func internal(cause error) *Error {
	return &Error{Code: Internal, Message: "the access store failed; nothing is known to have changed", cause: cause}
}

func noSuchGrant() *Error { return errorf(NotFound, "no such grant") }

// ErrServerExists is what a Fleet answers where a server of that name is there with another address.
var ErrServerExists = errors.New("a server of this name has another address")

// ErrServerAddress is what a Fleet answers where no server of the pool may have that address.
var ErrServerAddress = errors.New("no server of this pool may have this address")

// ErrNoServer is what a Fleet answers where a node does not run the server.
var ErrNoServer = errors.New("no server of this name")

// serverError is the caller's error for a failure of the Fleet. Its text names nodes and causes and holds no secret.
func serverError(err error) error {
	if errors.Is(err, ErrServerExists) {
		return &Error{Code: Conflict, Message: err.Error(), cause: err}
	}
	if errors.Is(err, ErrNoServer) {
		return &Error{Code: NotFound, Message: err.Error(), cause: err}
	}
	if errors.Is(err, ErrServerAddress) {
		return &Error{Code: Forbidden, Message: err.Error(), cause: err}
	}
	return &Error{Code: Unavailable, Message: err.Error(), cause: err}
}
