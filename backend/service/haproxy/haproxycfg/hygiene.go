package haproxycfg

import "strings"

// Headers of clients that never reach a service. HAProxy has their names in lower case, and names with anything but
// letters, digits and hyphens are dropped by a rule of their own, so one spelling of each is enough. A family is a name
// and whatever begins with it and a hyphen.
var (
	// Who somebody is, as authenticating proxies and identity-aware front ends say it.
	identityFamilies = []string{
		"x-auth", "x-authenticated", "x-authentik", "x-amzn-oidc", "x-clutch", "x-consumer", "x-credential", "x-email",
		"x-endpoint-api", "x-goog-authenticated", "x-goog-iap", "x-group", "x-groups", "x-identity", "x-id-token", "x-jwt",
		"x-ms-client-principal", "x-ms-token", "x-oauth", "x-oidc", "x-okta", "x-pomerium", "x-preferred-username",
		"x-remote", "x-role", "x-roles", "x-saml", "x-subject", "x-user", "x-userid", "x-userinfo", "x-username", "x-vouch",
		"x-webauth", "x-authorization", "x-sso", "sso", "iv", "sm", "cf-access", "impersonate", "oidc", "remote", "saml", "shib", "tailscale", "username",
	}
	// What was done with TLS, and by which certificate.
	certificateFamilies = []string{"client-cert", "ssl", "ssl-client", "x-client-cert", "x-client-dn", "x-client-verify", "x-ssl"}
	// Where the request came from, and by which way.
	sourceFamilies = []string{
		"forwarded", "forwarded-for", "client-ip", "cf-connecting", "fastly-client", "fly-client", "true-client-ip",
		"x-client-ip", "x-cluster-client", "x-envoy", "x-forwarded", "x-host", "x-originating", "x-proxy", "x-proxyuser", "x-real",
		"x-request-id", "x-scheme",
	}
	// What the request is: a service that believes these does something else than what was logged.
	rewriteFamilies = []string{"x-http", "x-method", "x-middleware", "x-original", "x-rewrite", "x-accel", "x-sendfile"}
	// Between two hops, not for the service. "Proxy" alone becomes HTTP_PROXY in CGI.
	hopFamilies = []string{"proxy", "keep-alive", "http2-settings", "early-data"}
)

// exactNames are dropped alone: User-Agent is nobody's identity.
var exactNames = []string{"user", "user-id", "user-name", "user-email", "user-groups", "user-roles"}

// hygiene is the pattern of all names that are dropped. It is one, since each is tried on every header of every request;
// for the same reason "x-" stands before its families once.
func hygiene() string {
	var x, others []string
	for _, families := range [][]string{identityFamilies, certificateFamilies, sourceFamilies, rewriteFamilies, hopFamilies} {
		for _, family := range families {
			if after, ok := strings.CutPrefix(family, "x-"); ok {
				x = append(x, after)
			} else {
				others = append(others, family)
			}
		}
	}
	return "[^a-z0-9-]|^(?:(?:x-(?:" + strings.Join(x, "|") + ")|" + strings.Join(others, "|") + ")(?:-|$)|(?:" + strings.Join(exactNames, "|") + ")$)"
}
