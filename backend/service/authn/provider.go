package authn

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	clutchauthnapiv1 "github.com/lyft/clutch/backend/api/authn/v1"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"
	"go.uber.org/zap"
	"golang.org/x/oauth2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Provider is Clutch's provider behind checks of our own. No method hands out an error that holds a token.
type Provider struct {
	// Not embedded: what Clutch adds to its interface must not pass by unseen.
	clutch  *clutchauthn.OIDCProvider
	storage clutchauthn.Storage // nil if none is configured
	tokens  tokenReader
	logger  *zap.Logger

	listener atomic.Pointer[LoginListener]
}

var _ clutchauthn.Service = (*Provider)(nil)

// OnLogin has f told of every login and refresh from now on, in place of whoever was told before. Somebody who has lost
// their groups may get no further than the login: what rests on them must end all the same.
func (p *Provider) OnLogin(f LoginListener) { p.listener.Store(&f) }

func (p *Provider) tell(ctx context.Context, subject grant.Subject, groups []string, at time.Time) {
	if f := p.listener.Load(); f != nil {
		(*f)(ctx, subject, groups, at)
	}
}

// Verify returns the claims of an access token. Refresh tokens and login states are refused, and so is a service token
// where there is no token storage, since nobody could take it back. Clutch answers 401 with the error's text.
func (p *Provider) Verify(ctx context.Context, rawToken string) (*clutchauthn.Claims, error) {
	token, err := p.tokens.read(rawToken)
	if err != nil {
		return nil, err
	}
	switch {
	case p.tokens.isPersonAccess(token):
	case p.tokens.isServiceAccess(token) && p.storage != nil:
	default:
		return nil, errNotAccess
	}
	claims, err := p.clutch.Verify(ctx, rawToken)
	if err != nil {
		p.logger.Warn("could not look up access token", zap.String("subject", token.Subject), zap.Error(err))
		return nil, errUnknownToken
	}
	return claims, nil
}

// RefreshToken trades a refresh token for a new pair and reads the person's groups anew. Without token storage it is
// FailedPrecondition; a token of another kind is Unauthenticated. Clutch then starts an ordinary login.
func (p *Provider) RefreshToken(ctx context.Context, t *oauth2.Token) (*oauth2.Token, error) {
	if p.storage == nil {
		return nil, status.Error(codes.FailedPrecondition, "tokens are not refreshed: there is no token storage")
	}
	token, err := p.tokens.read(t.RefreshToken)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if !p.tokens.isRefresh(token) {
		return nil, status.Error(codes.Unauthenticated, errNotRefresh.Error())
	}
	fresh, err := p.clutch.RefreshToken(ctx, t)
	if err != nil {
		return nil, p.loginError("refresh token", err)
	}
	return fresh, nil
}

// GetStateNonce returns the state that a login starts with. It proves nothing about who holds it.
func (p *Provider) GetStateNonce(redirectURL string) (string, error) {
	state, err := p.clutch.GetStateNonce(redirectURL)
	if err != nil {
		return "", status.Error(codes.InvalidArgument, "redirect_url must be a path on this host")
	}
	return state, nil
}

// ValidateStateNonce returns the path that a login started with. Anything but a login state is InvalidArgument.
func (p *Provider) ValidateStateNonce(state string) (string, error) {
	token, err := p.tokens.read(state)
	if err != nil {
		return "", status.Error(codes.InvalidArgument, "log in again: "+err.Error())
	}
	if !p.tokens.isState(token) {
		return "", status.Error(codes.InvalidArgument, errNotState.Error())
	}
	return *token.Redirect, nil
}

// GetAuthCodeURL returns where the browser is sent to log in.
func (p *Provider) GetAuthCodeURL(ctx context.Context, state string) (string, error) {
	return p.clutch.GetAuthCodeURL(ctx, state)
}

// Exchange ends a login. PermissionDenied says which claim of the person is not acceptable, or that the identity
// provider refused the code; Unavailable, that something broke. Never Unauthenticated: Clutch would send a browser to
// log in again, without end.
func (p *Provider) Exchange(ctx context.Context, code string) (*oauth2.Token, error) {
	token, err := p.clutch.Exchange(ctx, code)
	if err != nil {
		return nil, p.loginError("exchange code", err)
	}
	return token, nil
}

// CreateToken makes a service token. The name must be canonical without the prefix that Clutch adds, else it is
// InvalidArgument. Who may call it is a matter of Clutch's authorization.
func (p *Provider) CreateToken(ctx context.Context, name string, tokenType clutchauthnapiv1.CreateTokenRequest_TokenType, expiry *time.Duration) (*oauth2.Token, error) {
	if subject, err := grant.Service(name); err != nil || string(subject) != "service:"+name {
		return nil, status.Error(codes.InvalidArgument, "subject must be 1 to 120 of a-z, 0-9 and . _ -")
	}
	return p.clutch.CreateToken(ctx, name, tokenType, expiry)
}

// Read returns a person's token for the identity provider, for services that act in the person's name.
func (p *Provider) Read(ctx context.Context, userID, provider string) (*oauth2.Token, error) {
	token, err := p.clutch.Read(ctx, userID, provider)
	if err != nil {
		return nil, p.loginError("read provider token", err)
	}
	return token, nil
}

// loginError keeps the cause for the log and gives the client what it may know. An answer of the identity provider may
// quote what it was sent, so not even the log has it whole.
func (p *Provider) loginError(operation string, err error) error {
	if errors.Is(err, errLoginRefused) {
		p.logger.Info("login refused", zap.String("operation", operation), zap.Error(err))
		return status.Error(codes.PermissionDenied, err.Error())
	}
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) {
		p.logger.Warn("identity provider refused", zap.String("operation", operation), zap.String("code", answer.ErrorCode))
		return status.Error(codes.PermissionDenied, "the identity provider refused the login")
	}
	p.logger.Warn("login failed", zap.String("operation", operation), zap.Error(err))
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(codes.Unavailable, "the login could not be completed")
}
