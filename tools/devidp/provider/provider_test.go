package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/haproxy-access/clutch-haproxy-access/tools/devidp/provider"
)

const (
	callback = "http://127.0.0.1:8080/v1/authn/callback"
	secret   = "a secret of the client"
)

var users = []provider.User{
	{Email: "alice@example.com", Password: "wonderland", Groups: []string{"engineering", "prod-approvers"}},
	{Email: "audrey@example.com", Password: "ledger", Groups: []string{"auditors"}},
}

// start serves a provider, and returns how a client is set up for it by discovery.
func start(t *testing.T, keyFile string) (*oidc.Provider, *oauth2.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	handler, err := provider.New(provider.Config{
		Issuer: issuer, ClientID: "clutch", ClientSecret: secret, RedirectURIs: []string{callback}, Users: users, KeyFile: keyFile,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	discovered, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	return discovered, &oauth2.Config{
		ClientID: "clutch", ClientSecret: secret, Endpoint: discovered.Endpoint(), RedirectURL: callback,
		Scopes: []string{"openid", "email", "profile", "groups"},
	}
}

var errNoLogin = errors.New("no login")

var requestField = regexp.MustCompile(`name="request" value="([A-Za-z0-9]+)"`)

// answer walks from the authorization URL through the form to the address that the browser is sent back to.
func answer(t *testing.T, authURL, email, password string) (back *url.URL, status int, page string, err error) {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "127.0.0.1:8080" {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := browser.Get(authURL)
	if err != nil {
		t.Fatal(err)
	}
	body := read(t, response)
	field := requestField.FindStringSubmatch(body)
	if field == nil {
		return back, response.StatusCode, body, errNoLogin
	}
	form := url.Values{"request": {field[1]}, "email": {email}, "password": {password}}
	response, err = browser.PostForm(response.Request.URL.Scheme+"://"+response.Request.URL.Host+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	body = read(t, response)
	if back == nil {
		return nil, response.StatusCode, body, errNoLogin
	}
	return back, response.StatusCode, body, nil
}

func read(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// code logs in and returns the authorization code.
func code(t *testing.T, client *oauth2.Config, options ...oauth2.AuthCodeOption) string {
	t.Helper()
	back, status, page, err := answer(t, client.AuthCodeURL("state-1", options...), "alice@example.com", "wonderland")
	if err != nil {
		t.Fatalf("%v: status %d: %s", err, status, page)
	}
	if got := back.Query().Get("state"); got != "state-1" {
		t.Fatalf("state %q came back", got)
	}
	return back.Query().Get("code")
}

func idToken(t *testing.T, discovered *oidc.Provider, token *oauth2.Token) *oidc.IDToken {
	t.Helper()
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		t.Fatal("there is no id_token in the answer")
	}
	verified, err := discovered.Verifier(&oidc.Config{ClientID: "clutch", SupportedSigningAlgs: []string{"RS256"}}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return verified
}

func TestIDTokenHasEmailAndGroups(t *testing.T) {
	discovered, client := start(t, "")
	token, err := client.Exchange(t.Context(), code(t, client))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Sub           string   `json:"sub"`
		Email         string   `json:"email"`
		EmailVerified bool     `json:"email_verified"`
		Groups        []string `json:"groups"`
	}
	if err := idToken(t, discovered, token).Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Sub != "alice@example.com" || claims.Email != "alice@example.com" || !claims.EmailVerified ||
		!slices.Equal(claims.Groups, []string{"engineering", "prod-approvers"}) {
		t.Errorf("claims %+v", claims)
	}
	info, err := discovered.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Email != "alice@example.com" {
		t.Errorf("userinfo %+v, %v", info, err)
	}
}

// Clutch refuses a provider that does not name the grant type that it uses.
func TestDiscoveryNamesTheCodeGrant(t *testing.T) {
	discovered, _ := start(t, "")
	var metadata struct {
		GrantTypes []string `json:"grant_types_supported"`
	}
	if err := discovered.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(metadata.GrantTypes, "authorization_code") {
		t.Errorf("grant types %q", metadata.GrantTypes)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	_, client := start(t, "")
	for _, c := range []struct{ email, password string }{
		{"alice@example.com", "Wonderland"},
		{"alice@example.com", ""},
		{"alice@example.com", "ledger"},
		{"mallory@example.com", ""},
		{"", ""},
	} {
		back, status, page, err := answer(t, client.AuthCodeURL("s"), c.email, c.password)
		if err == nil || status != http.StatusUnauthorized {
			t.Errorf("%q with %q: status %d, sent to %v", c.email, c.password, status, back)
		}
		if !strings.Contains(page, "Wrong e-mail address or password.") || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%q: the page does not say what is wrong: %s", c.email, page)
		}
	}
}

func TestClientIsChecked(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		_, client := start(t, "")
		client.Endpoint.AuthStyle = style
		if _, err := client.Exchange(t.Context(), code(t, client)); err != nil {
			t.Errorf("style %v: the right secret: %v", style, err)
		}
		client.ClientSecret = "another secret"
		if token, err := client.Exchange(t.Context(), code(t, client)); err == nil {
			t.Errorf("style %v: a wrong secret was accepted: %v", style, token.Valid())
		}
		client.ClientSecret = ""
		if token, err := client.Exchange(t.Context(), code(t, client)); err == nil {
			t.Errorf("style %v: no secret was accepted: %v", style, token.Valid())
		}
	}
}

func TestForeignRedirectURIIsRefused(t *testing.T) {
	_, client := start(t, "")
	for _, uri := range []string{
		"http://127.0.0.1:8080/v1/authn/callback/", "http://127.0.0.1:8081/v1/authn/callback", "http://evil.example/", "",
	} {
		client.RedirectURL = uri
		back, status, page, err := answer(t, client.AuthCodeURL("s"), "alice@example.com", "wonderland")
		if err == nil || status != http.StatusBadRequest {
			t.Errorf("%q: status %d, sent to %v: %s", uri, status, back, page)
		}
	}
}

func TestRedirectURIOfTheExchangeMustBeTheSame(t *testing.T) {
	_, client := start(t, "")
	c := code(t, client)
	client.RedirectURL = "http://evil.example/"
	if _, err := client.Exchange(t.Context(), c); err == nil {
		t.Error("the code was accepted with another redirect URI")
	}
}

func TestCodeWorksOnce(t *testing.T) {
	_, client := start(t, "")
	c := code(t, client)
	if _, err := client.Exchange(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Exchange(t.Context(), c); err == nil {
		t.Error("the code was accepted twice")
	}
}

func TestPKCEIsCheckedWhereItIsUsed(t *testing.T) {
	_, client := start(t, "")
	verifier := oauth2.GenerateVerifier()
	sum := sha256.Sum256([]byte(verifier))
	challenge := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256"),
	}
	if _, err := client.Exchange(t.Context(), code(t, client, challenge...), oauth2.VerifierOption(verifier)); err != nil {
		t.Error(err)
	}
	if _, err := client.Exchange(t.Context(), code(t, client, challenge...), oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
		t.Error("another verifier was accepted")
	}
	if _, err := client.Exchange(t.Context(), code(t, client, challenge...)); err == nil {
		t.Error("no verifier was accepted")
	}
}

// Only the code flow gives anything away, and only after the form.
func TestOtherFlowsAreRefused(t *testing.T) {
	_, client := start(t, "")
	implicit := client.AuthCodeURL("s", oauth2.SetAuthURLParam("response_type", "id_token"), oauth2.SetAuthURLParam("nonce", "n"))
	if back, status, page, _ := answer(t, implicit, "alice@example.com", "wonderland"); status != http.StatusBadRequest || back != nil {
		t.Errorf("implicit flow: status %d, sent to %v: %s", status, back, page)
	}
	back, _, _, _ := answer(t, client.AuthCodeURL("s", oauth2.SetAuthURLParam("prompt", "none")), "", "")
	if back == nil || back.Query().Get("error") != "login_required" {
		t.Errorf("prompt=none: sent to %v", back)
	}
	if _, err := client.PasswordCredentialsToken(t.Context(), "alice@example.com", "wonderland"); err == nil {
		t.Error("the password grant was accepted")
	}
}

// A restart with the same key file verifies what was issued before it.
func TestKeyFileKeepsTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	first, second := kids(t, file), kids(t, file)
	if !slices.Equal(first, second) {
		t.Errorf("keys %q, then %q", first, second)
	}
	if other := kids(t, ""); slices.Equal(first, other) {
		t.Error("a provider without a key file has the same key")
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.New(provider.Config{
		Issuer: "http://127.0.0.1:1", ClientID: "c", ClientSecret: "s", RedirectURIs: []string{callback}, Users: users, KeyFile: file,
	}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken key file: %v", err)
	}
}

func kids(t *testing.T, keyFile string) (ids []string) {
	t.Helper()
	discovered, _ := start(t, keyFile)
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := discovered.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(metadata.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key["d"] != "" || key["p"] != "" {
			t.Error("the private key is shown")
		}
		ids = append(ids, key["kid"])
	}
	return ids
}

func TestBadUsersFileIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`[{"email":"a@example.com","password":"p","group":["x"]}]`: `unknown field "group"`,
		`[]`:                          "no users",
		`[{"email":"a@example.com"}]`: "users[0]",
		`[{"email":"a@example.com","password":"p"},{"email":"a@example.com","password":"q"}]`: "users[1]",
	} {
		file := filepath.Join(t.TempDir(), "users.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := provider.ReadUsers(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
