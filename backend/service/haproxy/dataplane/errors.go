package dataplane

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// What a failed call can mean. Use errors.Is.
var (
	ErrInvalid      = errors.New("invalid argument")                           // refused before any call
	ErrPassword     = errors.New("no password")                                // Options.Password never gave one
	ErrCertificate  = errors.New("no client certificate")                      // Options.ClientCertificate never gave one
	ErrRoots        = errors.New("no certificate authorities")                 // Options.Roots never gave any
	ErrNoDialect    = errors.New("neither /v2 nor /v3 of the data plane api")  // what answers is something else
	ErrUnreachable  = errors.New("no answer from the data plane api")          // or only a part of one
	ErrUnauthorized = errors.New("credentials refused by the data plane api")  // 401, 403
	ErrHAProxyDown  = errors.New("haproxy does not answer the data plane api") // the API runs, HAProxy does not
	ErrMalformed    = errors.New("malformed answer")                           // not what the status promised
	ErrTooLarge     = errors.New("answer too large")                           // beyond Options.MaxAnswer
	ErrExists       = errors.New("already exists")                             // entry or server
	ErrNoEntry      = errors.New("no such map entry")
	ErrNoMap        = errors.New("no such map")
	ErrFaultyRow    = errors.New("a row without a value keeps the map from being listed")
	ErrNoServer     = errors.New("no such server")
	ErrTooSmall     = errors.New("payload too small for an atomic replace")
	ErrRejected     = errors.New("configuration refused by haproxy")        // before it took effect
	ErrConflict     = errors.New("configuration changed by another writer") // after all attempts
	ErrReloadFailed = errors.New("haproxy refused to reload")               // the change was undone, unless ErrNotUndone
	ErrNotUndone    = errors.New("failed change left in the configuration") // a person must look
	ErrNotApplied   = errors.New("answered as done, but not in force")
	ErrNotUp        = errors.New("server is in place, but not up") // its health check fails, or the first has not come yet
)

// Error is what every failed call returns, except for a refused argument (*InvalidError). Its text is one line of
// bounded length without credentials.
type Error struct {
	Op        string // what was tried, as "add map entry"
	Status    int    // HTTP status; 0 where there was no complete answer
	Message   string // what the node said, made safe for a log line; may be empty
	Reason    error  // one of the Err... values, or nil
	Retryable bool   // the same call may succeed later without a person's help
	cause     error  // context.Canceled or context.DeadlineExceeded, or another error of this package
	said      string // the message of a JSON answer without credentials, to decide by
	unsent    bool   // no connection was made: nothing of the call has left
}

func (e *Error) Error() string {
	parts := []string{e.Op}
	if e.Status != 0 {
		parts = append(parts, "status "+strconv.Itoa(e.Status))
	}
	if e.Reason != nil {
		parts = append(parts, e.Reason.Error())
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the reason and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Reason, e.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Retryable tells whether the same call may succeed later without a person's help.
func Retryable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable
}

// Unsettled tells whether a call that failed may still be carried out, though its caller has given up: it may have been
// sent, and no complete answer of the API came. A connection that was refused is none of that.
func Unsettled(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout: // a proxy on the way gave up
		return true
	}
	return e.Status == 0 && errors.Is(e.Reason, ErrUnreachable) && !e.unsent
}

// refusal turns an answer whose status is not the wanted one into an Error. body may be empty or anything.
func refusal(op string, status int, body []byte, hide redactor) *Error {
	e := &Error{Op: op, Status: status, Retryable: retryableStatus(status)}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		e.Reason = ErrUnauthorized
		return e
	}
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) == nil {
		e.said = hide.remove(answer.Message)
		e.Message = hide.line(answer.Message)
	} else {
		e.Message = hide.line(string(body))
	}
	switch {
	case saysHAProxyDown(e.said):
		e.Reason, e.Retryable = ErrHAProxyDown, true
	case strings.Contains(e.said, "Unknown map identifier"):
		e.Reason, e.Retryable = ErrNoMap, false
	}
	return e
}

// retryableStatus includes 404: unless its message names what is missing, nobody knows why it came.
func retryableStatus(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusNotAcceptable, http.StatusConflict,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func saysHAProxyDown(message string) bool {
	return strings.Contains(message, "dial unix") || strings.Contains(message, "no valid runtimes found")
}

// redactor removes one call's credentials from a text, in the forms in which a server or Go's HTTP client repeats them.
type redactor struct{ secrets []string }

func newRedactor(username, password string) redactor {
	pair := username + ":" + password
	forms := []string{
		pair, password, url.QueryEscape(password), url.PathEscape(password), url.UserPassword("", password).String(),
		base64.StdEncoding.EncodeToString([]byte(pair)), base64.StdEncoding.EncodeToString([]byte(password)),
		strings.Trim(strconv.Quote(password), `"`),
	}
	if quoted, err := json.Marshal(password); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	var r redactor
	for _, form := range forms {
		if form != "" {
			r.secrets = append(r.secrets, form)
		}
	}
	return r
}

func (r redactor) remove(text string) string {
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}

const maxMessage = 400

// line makes a text from a node fit for a log: one line, printable, short, and without the credentials.
func (r redactor) line(text string) string {
	text = strings.Join(strings.FieldsFunc(r.remove(text), func(c rune) bool {
		return unicode.IsSpace(c) || !unicode.IsPrint(c) || c == unicode.ReplacementChar
	}), " ")
	if letters := []rune(text); len(letters) > maxMessage {
		text = string(letters[:maxMessage]) + "..."
	}
	return text
}

func malformed(op, what string) *Error {
	return &Error{Op: op, Reason: ErrMalformed, Message: what, Retryable: true}
}

func notApplied(op, format string, args ...any) *Error {
	return &Error{Op: op, Reason: ErrNotApplied, Message: fmt.Sprintf(format, args...), Retryable: true}
}
