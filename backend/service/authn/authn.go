// Package authn is Clutch's OIDC login with its holes closed: clutch.service.authn delivers a person's groups, takes a
// name only in its canonical form, and accepts as an access token nothing that is not one.
//
// Clutch signs three kinds of token with one session secret: access tokens, refresh tokens, and the state that a login
// starts with, which it hands to anybody who asks. Clutch itself accepts each of them as an access token.
//
// It may import Clutch, generated code and package grant. It uses only what Clutch of 2022 and of 2025 both have.
package authn

// <!-- START clutchdoc -->
// description: Clutch's OIDC login with groups, canonical subjects and strict access tokens.
// <!-- END clutchdoc -->

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	clutchauthnv1 "github.com/lyft/clutch/backend/api/config/service/authn/v1"
	"github.com/lyft/clutch/backend/service"
	clutchauthn "github.com/lyft/clutch/backend/service/authn"
	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"golang.org/x/oauth2"
	"google.golang.org/protobuf/types/known/anypb"

	authnv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/authn/v1"
)

// Name is that of Clutch's own service: Clutch's modules and middleware look for it.
const Name = clutchauthn.Name

const (
	defaultGroupsClaim = "groups"

	// minSessionSecret is in bytes. A login state is a MAC under the secret and is handed to anybody, so a short secret
	// can be guessed at leisure, and whoever has it is everybody.
	minSessionSecret = 32

	// providerTimeout bounds each call to the identity provider. Clutch's client has no bound: one call for the keys that
	// hangs would keep every later login waiting.
	providerTimeout = 10 * time.Second
)

// New is the factory. It reads the identity provider's discovery document, so the provider must be reachable at start.
// Token storage is used if clutch.service.authn.storage was configured before this service.
func New(cfg *anypb.Any, logger *zap.Logger, _ tally.Scope) (service.Service, error) {
	config := &authnv1.Config{}
	if err := cfg.UnmarshalTo(config); err != nil {
		return nil, fmt.Errorf("read configuration of %s: %w", Name, err)
	}
	if err := checkConfig(config); err != nil {
		return nil, fmt.Errorf("check configuration of %s: %w", Name, err)
	}
	storage, _ := service.Registry[clutchauthn.StorageName].(clutchauthn.Storage)
	return newProvider(context.Background(), config, storage, logger)
}

func newProvider(ctx context.Context, config *authnv1.Config, storage clutchauthn.Storage, logger *zap.Logger) (*Provider, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Timeout: providerTimeout})
	plain, err := clutchauthn.NewOIDCProvider(ctx, config.GetClutch(), storage)
	if err != nil {
		return nil, fmt.Errorf("reach identity provider: %w", err)
	}
	oidcProvider, ok := plain.(*clutchauthn.OIDCProvider)
	if !ok {
		return nil, fmt.Errorf("wrap identity provider: Clutch made a %T", plain)
	}
	groups := config.GetGroupsClaim()
	if groups == "" {
		groups = defaultGroupsClaim
	}
	issuer := config.GetClutch().GetOidc().GetIssuer()
	p := &Provider{
		storage: storage,
		tokens:  tokenReader{secret: []byte(config.GetClutch().GetSessionSecret()), issuer: issuer, now: time.Now},
		logger:  logger,
	}
	reader := claimsReader{issuer: issuer, groupsClaim: groups, now: time.Now, told: p.tell}
	p.clutch = clutchauthn.WithClaimsFromOIDCTokenFunc(oidcProvider, reader.claims)
	return p, nil
}

// checkConfig names the field that is wrong and never its value.
func checkConfig(config *authnv1.Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	clutch := config.GetClutch()
	if _, ok := clutch.GetType().(*clutchauthnv1.Config_Oidc); !ok {
		return errors.New("clutch.oidc is required")
	}
	if len(clutch.GetSessionSecret()) < minSessionSecret {
		return fmt.Errorf("clutch.session_secret must have %d bytes or more", minSessionSecret)
	}
	return checkIssuer(clutch.GetOidc().GetIssuer())
}

// checkIssuer wants TLS: over plain HTTP whoever is in between chooses the keys that prove who a person is.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return errors.New("clutch.oidc.issuer must be a URL")
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return errors.New("clutch.oidc.issuer must be https, or http on a loopback address")
}

func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
