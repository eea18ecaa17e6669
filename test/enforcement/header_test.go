package enforcement

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"
)

// forged are names of headers that a client must not be able to send to a service. The list is written apart from the
// code's, from the manuals of proxies and services.
var forged = []string{
	// ours
	"X-Forwarded-User", "X-Forwarded-Groups", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X-Clutch-Grant", "X-Clutch-Pool", "X-Clutch-Anything", "X-Request-Id",
	// other authenticating proxies and identity-aware front ends
	"X-Auth-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Token", "X-Auth-Username", "X-Authenticated-User", "X-Authenticated-Userid",
	"X-Authentik-Username", "X-Remote-User", "X-Remote-Group", "X-Remote-Extra-Scopes", "X-User", "X-User-Id", "X-User-Email", "X-UserId", "X-Userinfo", "X-Username",
	"X-Email", "X-Groups", "X-Group", "X-Roles", "X-Role", "X-Webauth-User", "X-Webauth-Role", "X-Authorization", "X-Sso-User", "Sso-User", "Iv-User", "Iv-Groups", "Sm-User", "Sm_User", "X-Identity", "X-Jwt-Assertion", "X-Id-Token",
	"X-Pomerium-Jwt-Assertion", "X-Pomerium-Claim-Email", "X-Goog-Authenticated-User-Email", "X-Goog-Iap-Jwt-Assertion", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data",
	"X-Ms-Client-Principal", "X-Ms-Client-Principal-Name", "X-Ms-Token-Aad-Id-Token", "X-Vouch-User", "X-Okta-User", "X-Oauth-Scopes", "X-Consumer-Username",
	"X-Credential-Identifier", "X-Endpoint-Api-Userinfo", "X-Preferred-Username", "X-Subject", "X-Saml-User", "X-Oidc-Sub",
	"Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email", "Tailscale-User-Login", "Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name",
	"Impersonate-User", "Impersonate-Group", "Impersonate-Extra-Scopes", "Oidc-Claim-Sub", "Shib-Session-Id", "Saml-Subject", "User", "User-Id", "Username",
	// certificates
	"X-Client-Cert", "X-Client-Dn", "X-Client-Verify", "Client-Cert", "Client-Cert-Chain", "Ssl-Client-Cert", "Ssl-Client-S-Dn", "X-Ssl-Client-Verify", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert",
	// source and way
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Uri",
	"X-Forwarded-Method", "X-Forwarded", "Forwarded", "Forwarded-For", "X-Real-Ip", "X-Client-Ip", "Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip",
	"X-Cluster-Client-Ip", "X-Originating-Ip", "X-Envoy-External-Address", "X-Envoy-Internal", "X-Proxyuser-Ip", "X-Host", "X-Scheme", "X-Proxy-User",
	// what the request is
	"X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Original-Method", "X-Original-Forwarded-For", "X-Rewrite-Url", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	"X-Http-Host-Override", "X-Envoy-Original-Path", "X-Middleware-Subrequest", "X-Accel-Mapping", "X-Sendfile-Type",
	// between hops
	"Proxy", "Proxy-Authorization", "Proxy-Connection", "Proxy-Authenticate", "Keep-Alive", "Http2-Settings", "Early-Data",
}

const forgedValue = "forged-by-the-client"

// headerProbes send each forged name in all its spellings beside a good token.
func headerProbes() []probe {
	var all []probe
	for _, name := range forged {
		all = append(all, probe{"header: " + name, func(w *world) error {
			for _, spelling := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
				if err := w.dropped(spelling); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	for _, name := range []string{
		"X_Forwarded_User", "X-Forwarded_User", "x_forwarded-user", "REMOTE_USER", "X_Clutch_Grant", "HTTP_X_FORWARDED_USER", "X.Forwarded.User",
		"X~Forwarded~User", "X!Remote-User", "Remote+User", "X|User", "X'User", "Content_Length", "Transfer_Encoding", "_", "X-User_", "OIDC_CLAIM_sub", "a.b",
	} {
		all = append(all, probe{"header: " + name, func(w *world) error { return w.dropped(name) }})
	}
	return append(all, probe{"header: a forged one under HTTP/1.0", func(w *world) error {
		s, _, err := w.admitted("GET / HTTP/1.0\r\nHost: " + host + "\r\n" + bearer(w.good()) + "\r\nX-Forwarded-User: " + forgedValue + "\r\n\r\n")
		return errors.Join(err, s.without(forgedValue))
	}}, probe{"header: the same one many times", func(w *world) error {
		s, _, err := w.admitted(get(host, bearer(w.good()), strings.TrimSuffix(strings.Repeat("X-Forwarded-User: "+forgedValue+"\r\n", 20), "\r\n")))
		return errors.Join(err, s.without(forgedValue))
	}})
}

func (w *world) dropped(name string) error {
	s, _, err := w.admitted(get(host, bearer(w.good()), name+": "+forgedValue))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, there := s.Header[textproto.CanonicalMIMEHeaderKey(name)]; there && strings.ContainsAny(name, "_.~!+|'") {
		return fmt.Errorf("the service saw a header %s", name)
	}
	return s.without(forgedValue)
}

// without expects that no header of the service's request holds the text.
func (s seen) without(text string) error {
	for name, values := range s.Header {
		for _, value := range values {
			if strings.Contains(value, text) {
				return fmt.Errorf("the service saw %s: %s", name, value)
			}
		}
	}
	return nil
}
