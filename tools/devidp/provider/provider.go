package provider

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Config describes the provider. All fields but KeyFile are required.
type Config struct {
	// Issuer is the URL under which the provider is reached, without a trailing slash: http://127.0.0.1:5556.
	Issuer string
	// ClientID, ClientSecret and RedirectURIs are those of the one client. A redirect URI must match to the letter.
	ClientID, ClientSecret string
	RedirectURIs           []string
	Users                  []User
	// KeyFile keeps the signing key over a restart; it is made with mode 0600 if it is missing. Empty makes a new key
	// that lives as long as the provider.
	KeyFile string
}

func (c Config) check() error {
	switch {
	case c.Issuer == "" || c.ClientID == "" || c.ClientSecret == "":
		return errors.New("issuer, client id and client secret are required")
	case len(c.RedirectURIs) == 0:
		return errors.New("at least one redirect URI is required")
	}
	return checkUsers(c.Users)
}

// New makes the provider's handler: discovery, authorization, token, keys and userinfo of the protocol, and /login.
func New(config Config) (http.Handler, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("check provider settings: %w", err)
	}
	key, err := loadKey(config.KeyFile)
	if err != nil {
		return nil, err
	}
	storage := newStorage(config, key)
	// Seals the opaque access tokens. A restart makes them unreadable, which costs a demo nothing.
	var seal [32]byte
	if _, err := rand.Read(seal[:]); err != nil {
		return nil, fmt.Errorf("make sealing key: %w", err)
	}
	protocol, err := op.NewProvider(
		&op.Config{
			CryptoKey:       seal,
			CryptoKeyId:     "start",
			CodeMethodS256:  true,
			AuthMethodPost:  true,
			SupportedScopes: []string{"openid", "email", "profile", groupsScope},
			SupportedClaims: []string{"iss", "sub", "aud", "exp", "iat", "email", "email_verified", groupsClaim},
		},
		storage,
		op.StaticIssuer(config.Issuer),
		op.WithAllowInsecure(), // plain http, on loopback
		op.WithCORSOptions(nil),
	)
	if err != nil {
		return nil, fmt.Errorf("make provider: %w", err)
	}
	issuer := op.NewIssuerInterceptor(protocol.IssuerFromRequest)
	login := &loginPage{storage: storage, callback: op.AuthCallbackURL(protocol)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", login.show)
	mux.HandleFunc("POST /login", issuer.HandlerFunc(login.submit))
	mux.Handle("/", protocol)
	return mux, nil
}
