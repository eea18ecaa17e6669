// Package authntest is an OIDC identity provider for tests: it lets everybody in, with the claims that the test says. It
// imports no Clutch.
package authntest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ClientID is the only client that tokens are made for.
const ClientID = "clutch"

const keyID = "test"

// Provider answers on loopback until the test ends.
type Provider struct {
	// Issuer is its URL.
	Issuer string

	key    *rsa.PrivateKey
	mu     sync.Mutex
	claims map[string]any
}

// Start starts a provider for a person with these claims. What it gives itself (iss, aud, sub, iat, exp) they replace; a
// claim of nil is sent as null.
func Start(t *testing.T, claims map[string]any) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	p := &Provider{key: key, claims: claims}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.Issuer = server.URL
	return p
}

// SetClaims replaces the person's claims for the next token.
func (p *Provider) SetClaims(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = claims
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize",
		"token_endpoint": p.Issuer + "/token", "jwks_uri": p.Issuer + "/keys",
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"}}})
}

// authorize sends the browser straight back.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	back := r.FormValue("redirect_uri") + "?" + url.Values{"code": {"code"}, "state": {r.FormValue("state")}}.Encode()
	http.Redirect(w, r, back, http.StatusFound)
}

// token refuses the code "bad" and quotes it, as some providers do.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("code") == "bad" {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]any{"error": "invalid_grant", "error_description": "code bad is unknown"})
		return
	}
	idToken, err := p.idToken()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, map[string]any{
		"token_type": "Bearer", "access_token": "provider-access", "refresh_token": "provider-refresh",
		"expires_in": 3600, "id_token": idToken,
	})
}

func (p *Provider) idToken() (string, error) {
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: p.key, KeyID: keyID}}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims := map[string]any{
		"iss": p.Issuer, "aud": ClientID, "sub": "1234", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	p.mu.Lock()
	maps.Copy(claims, p.claims)
	p.mu.Unlock()
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The other end is the test: if it hangs up, it fails by itself.
	_ = json.NewEncoder(w).Encode(v)
}
