package haproxycfg

import (
	"net/http"
	"slices"
)

// Reason is why a request is refused: what programs read, what people read, and the status.
type Reason struct {
	Code   string // the field error of the JSON
	Status int
	Words  string // one or two sentences for the page
}

// Reasons are all refusals of the rendered configuration. What HAProxy itself cannot parse has none: it answers 400 with
// a page of its own, which HAProxy 2.6 takes from nowhere else.
func Reasons() []Reason { return slices.Clone(reasons) }

// undecided stands where the reason will stand. No reason may be longer (enforcement.cfg.tmpl says why).
const undecided = "undecided_as_yet"

const (
	notRead    = "Your browser or program sent a request that is not allowed here."
	badToken   = "Your access token cannot be used."
	tokenStale = "Your access token is not valid any more."
	noGrant    = "You have no access to this service right now."
)

var reasons = []Reason{
	{"bad_host", http.StatusBadRequest, notRead + " It must name one host."},
	{"bad_method", http.StatusBadRequest, notRead + " Its method is never passed on."},
	{"bad_target", http.StatusBadRequest, notRead + " Its target must be a path, or the address of the same host."},
	{"bad_connection", http.StatusBadRequest, notRead + " Its Connection header names a field that must reach the service."},
	{"bad_upgrade", http.StatusBadRequest, notRead + " Only an upgrade to WebSocket is possible."},
	{"bad_cookie", http.StatusBadRequest, notRead + " Its cookies cannot be read without doubt."},

	{"no_token", http.StatusUnauthorized, "You are not signed in here."},
	{"not_bearer", http.StatusUnauthorized, "You are not signed in here: only an access token counts, not a password."},
	{"many_credentials", http.StatusUnauthorized, "More than one credential came with the request; exactly one is allowed."},
	{"token_too_long", http.StatusUnauthorized, badToken + " It is too long."},
	{"malformed_token", http.StatusUnauthorized, badToken + " It is not a signed token."},
	{"bad_alg", http.StatusUnauthorized, badToken + " It is not signed in the agreed way."},
	{"bad_header", http.StatusUnauthorized, badToken + " It asks for rules that are not known here."},
	{"duplicate_claim", http.StatusUnauthorized, badToken + " It says something twice."},
	{"bad_iss", http.StatusUnauthorized, badToken + " Its issuer is not trusted here."},
	{"unknown_kid", http.StatusUnauthorized, badToken + " It is signed with a key that is not known here."},
	{"bad_signature", http.StatusUnauthorized, badToken + " Its signature is wrong."},
	{"bad_typ", http.StatusUnauthorized, badToken + " It is not an access token."},
	{"bad_aud", http.StatusUnauthorized, badToken + " It was issued for something else."},
	{"bad_exp", http.StatusUnauthorized, badToken + " It does not say when it ends."},
	{"expired", http.StatusUnauthorized, tokenStale + " It has expired."},
	{"bad_nbf", http.StatusUnauthorized, badToken + " It does not say when it begins."},
	{"not_yet", http.StatusUnauthorized, badToken + " It is not valid yet."},
	{"bad_iat", http.StatusUnauthorized, badToken + " It does not say when it was issued."},
	{"issued_in_future", http.StatusUnauthorized, badToken + " It was issued in the future: a clock is wrong."},
	{"email_unverified", http.StatusUnauthorized, badToken + " Its e-mail address is not verified."},
	{"bad_sub", http.StatusUnauthorized, badToken + " It does not name a person or service in the agreed form."},
	{"bad_groups", http.StatusUnauthorized, badToken + " Its groups cannot be read."},

	{"no_grant", http.StatusForbidden, noGrant},
	{"bad_grant", http.StatusForbidden, noGrant + " What is recorded about it cannot be read."},
	{"grant_expired", http.StatusForbidden, noGrant + " Your access has ended."},
	{"other_grant", http.StatusForbidden, noGrant + " Your token belongs to access that has ended; get a new token."},
	{"refused", http.StatusForbidden, noGrant},

	{"unknown_service", http.StatusNotFound, "No service has this address."},

	{"stale", http.StatusServiceUnavailable, "This entrance has lost contact with the system that gives access, and admits nobody until it is back."},
	{"no_backend", http.StatusServiceUnavailable, "The service is not set up here yet."},
}
