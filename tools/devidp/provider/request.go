package provider

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authRequest is one login that is under way. The library gets copies, so nothing changes under its hands.
type authRequest struct {
	id      string
	asked   oidc.AuthRequest
	expires time.Time
	// email and authTime are set by the login page.
	email    string
	authTime time.Time
}

var _ op.AuthRequest = authRequest{}

func (r authRequest) GetID() string                      { return r.id }
func (r authRequest) GetACR() string                     { return "" }
func (r authRequest) GetAMR() []string                   { return []string{"pwd"} }
func (r authRequest) GetAudience() []string              { return []string{r.asked.ClientID} }
func (r authRequest) GetAuthTime() time.Time             { return r.authTime }
func (r authRequest) GetClientID() string                { return r.asked.ClientID }
func (r authRequest) GetNonce() string                   { return r.asked.Nonce }
func (r authRequest) GetRedirectURI() string             { return r.asked.RedirectURI }
func (r authRequest) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }
func (r authRequest) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }
func (r authRequest) GetScopes() []string                { return r.asked.Scopes }
func (r authRequest) GetState() string                   { return r.asked.State }
func (r authRequest) GetSubject() string                 { return r.email }
func (r authRequest) Done() bool                         { return r.email != "" }

// GetCodeChallenge is nil where the client does not use PKCE.
func (r authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}
