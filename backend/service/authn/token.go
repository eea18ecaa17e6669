package authn

import (
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// clutchIssuer is what Clutch writes as iss into the service tokens that it makes itself.
const clutchIssuer = "clutch"

// These reach clients: Clutch puts their text into its answer. They say what is wrong and hold nothing of the token.
var (
	errToken        = errors.New("the token is malformed, or was not signed by this gateway")
	errTokenTime    = errors.New("the token has expired, or is not valid yet")
	errNotAccess    = errors.New("the token is not an access token")
	errNotRefresh   = errors.New("the token is not a refresh token")
	errNotState     = errors.New("the state is not that of a login")
	errUnknownToken = errors.New("the token is no longer known")
)

// sessionToken is what tells Clutch's tokens from each other.
//
//	            iss              iat   exp                       redirect
//	access      issuer | clutch  yes   yes; a service may have none
//	refresh     issuer           no    yes
//	state       none             yes   yes                       yes
type sessionToken struct {
	jwt.Claims
	Redirect *string `json:"redirect"`
}

// tokenReader reads what the session secret has signed.
type tokenReader struct {
	secret []byte
	issuer string
	now    func() time.Time
}

// read verifies signature and times. HS256 is what Clutch signs with and the only algorithm taken: Clutch takes any that
// its library knows for the key.
func (r tokenReader) read(raw string) (sessionToken, error) {
	var token sessionToken
	parsed, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return sessionToken{}, errToken
	}
	if err := parsed.Claims(r.secret, &token); err != nil {
		return sessionToken{}, errToken
	}
	if err := token.ValidateWithLeeway(jwt.Expected{Time: r.now()}, 0); err != nil {
		return sessionToken{}, errTokenTime
	}
	return token, nil
}

// isPersonAccess reports whether t was made at the end of a person's login.
func (r tokenReader) isPersonAccess(t sessionToken) bool {
	return t.Issuer == r.issuer && t.IssuedAt != nil && t.Expiry != nil && t.Redirect == nil && isPerson(t.Subject)
}

// isServiceAccess reports whether t was made by CreateToken. Without an expiry it is good until it is deleted from the
// token storage.
func (r tokenReader) isServiceAccess(t sessionToken) bool {
	return t.Issuer == clutchIssuer && t.IssuedAt != nil && t.Redirect == nil && isService(t.Subject)
}

func (r tokenReader) isRefresh(t sessionToken) bool {
	return t.Issuer == r.issuer && t.IssuedAt == nil && t.Expiry != nil && t.Redirect == nil && isPerson(t.Subject)
}

func (r tokenReader) isState(t sessionToken) bool {
	return t.Issuer == "" && t.IssuedAt != nil && t.Expiry != nil && t.Redirect != nil
}

// The subject must be canonical in the token already: nothing here changes a name.
func isPerson(name string) bool {
	s, err := grant.ParseSubject(name)
	return err == nil && s.IsPerson()
}

func isService(name string) bool {
	s, err := grant.ParseSubject(name)
	return err == nil && s.IsService()
}
