package accessguard

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	apiv1 "github.com/lyft/clutch/backend/api/api/v1"
	"github.com/lyft/clutch/backend/gateway/meta"
	"github.com/lyft/clutch/backend/middleware"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// loginMethod is the one call that sends a browser somewhere.
const loginMethod = "/clutch.authn.v1.AuthnAPI/Login"

var (
	errOrigin      = status.Error(codes.PermissionDenied, "calls of this web page's origin are not allowed")
	errCrossSite   = status.Error(codes.PermissionDenied, "calls of another site's web page are not allowed")
	errContentType = status.Error(codes.PermissionDenied, "a call with a cookie must be of content type application/json")
	errCredentials = status.Error(codes.PermissionDenied, "more than one credential of the same kind")
	errRedirect    = status.Error(codes.InvalidArgument, "redirect_url must be a path on this host")
)

// call is what the checks look at. The JSON gateway hands on a request's headers as metadata: those of its fixed list
// (Origin, Content-Type, Cookie and so on) and X-* with the prefix "grpcgateway-", and "Grpc-Metadata-Foo" as plain "foo".
// So a program can forge any of these beside the true value, which stays: every value counts, not the first. A web page
// cannot, for want of CORS. Native gRPC calls have none of them.
type call struct {
	method       string
	origins      []string
	fetchSites   []string
	contentTypes []string
	credentials  []string // Authorization headers
	cookieTokens []string // values of the cookie that Clutch logs in with
	redirect     string   // where a login wants to go
}

func readCall(method string, req any, md metadata.MD) call {
	c := call{
		method:       method,
		origins:      md.Get("grpcgateway-origin"),
		contentTypes: md.Get("grpcgateway-content-type"),
		credentials:  md.Get("authorization"),
		cookieTokens: cookieTokens(md.Get("grpcgateway-cookie")),
		// Clutch's gateway drops Sec-Fetch-Site. A proxy in front may hand it on under either of these names.
		fetchSites: slices.Concat(md.Get("sec-fetch-site"), md.Get("grpcgateway-x-sec-fetch-site"), md.Get("grpcgateway-sec-fetch-site")),
	}
	if login, ok := req.(interface{ GetRedirectUrl() string }); ok && method == loginMethod {
		c.redirect = login.GetRedirectUrl()
	}
	return c
}

// cookieTokens reads cookies as Clutch does.
func cookieTokens(headers []string) []string {
	r := http.Request{Header: http.Header{"Cookie": headers}}
	var tokens []string
	for _, c := range r.CookiesNamed("token") {
		tokens = append(tokens, c.Value)
	}
	return tokens
}

func (m *mid) check(c call) error {
	for _, o := range c.origins {
		if !m.origins[o] {
			return errOrigin
		}
	}
	if !isLocalPath(c.redirect) {
		return errRedirect
	}
	// Clutch would take the first of several, and which is first is chance where a proxy's header meets a client's
	// Grpc-Metadata-Authorization.
	if len(c.credentials) > 1 {
		return errCredentials
	}
	if isOpen(c.method) {
		return nil
	}
	// Two cookies: a neighbouring host of the same domain has planted one. Logging in anew stays possible.
	if len(c.credentials) == 0 && differ(c.cookieTokens) {
		return errCredentials
	}
	return checkCookieCall(c)
}

// checkCookieCall is for what a browser sends by itself. A page can send such a call across origins without asking only
// if its content type is not JSON; a navigation has none, and leads to reading methods alone.
func checkCookieCall(c call) error {
	reads := meta.GetAction(c.method) == apiv1.ActionType_READ
	if !reads {
		for _, site := range c.fetchSites {
			if site != "same-origin" && site != "none" {
				return errCrossSite
			}
		}
	}
	if len(c.credentials) > 0 || len(c.cookieTokens) == 0 {
		return nil
	}
	if len(c.contentTypes) == 0 && !reads {
		return errContentType
	}
	for _, t := range c.contentTypes {
		if !isJSON(t) {
			return errContentType
		}
	}
	return nil
}

// isOpen reports whether Clutch serves the method without a login. Login and callback are navigations from elsewhere.
func isOpen(method string) bool {
	return slices.ContainsFunc(clutchauthn.AlwaysAllowedMethods, func(pattern string) bool {
		return middleware.MatchMethodOrResource(pattern, method)
	})
}

func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

func differ(values []string) bool {
	return len(slices.Compact(slices.Sorted(slices.Values(values)))) > 1
}

// isLocalPath reports whether a browser that is sent to path stays on this host. To browsers "//host", "/\host" and
// "///host" are other hosts, and they drop tabs and newlines before they look.
func isLocalPath(path string) bool {
	if path == "" {
		return true
	}
	if path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || r < 0x20 || r == 0x7f })
}
