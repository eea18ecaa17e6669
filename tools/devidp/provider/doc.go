// Package provider is an OpenID Connect identity provider for development: a few accounts out of a list, one client, the
// authorization code flow with a login page. It lets the demo and the tests log in through the real protocol. It is not
// for production: passwords are kept as they are, there is no session, no consent, no limit on attempts.
//
// The protocol is github.com/zitadel/oidc's; this package keeps what that library asks its user to keep. It imports
// nothing of the project, and runs inside a test as well as in the command devidp.
package provider
