package credential

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const issuerName = "https://access.example.com"

func claims() Claims {
	return Claims{
		Subject: "alice@example.com", Groups: []string{"dev", "on call"}, Pool: grant.Pool{Environment: "staging", Name: "web"},
		GrantID: "g1", NotAfter: noon.Add(15 * time.Minute),
	}
}

func issue(t *testing.T, c Claims, ttl time.Duration, now time.Time) (string, time.Time) {
	t.Helper()
	token, expires, err := NewIssuer(ring(), sealer(t, 1), issuerName, ttl).Issue(t.Context(), c, now)
	if err != nil {
		t.Fatal(err)
	}
	return token, expires
}

// object reads a part of a token without any JWT library, and refuses a name that stands there twice.
func object(t *testing.T, part string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%s: %v", raw, err)
	}
	got := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		value, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := got[name.(string)]; twice {
			t.Errorf("%v stands twice in %s", name, raw)
		}
		if _, nested := value.(json.Delim); nested {
			t.Fatalf("%v is no text and no number in %s", name, raw)
		}
		got[name.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows in %s", raw)
	}
	return got
}

// The token's bytes as the contract says: typ at+jwt, RS256, a string for aud, nbf 30 s before iat, each claim once.
func TestClaimsAreWhatHAProxyReads(t *testing.T) {
	token, expires := issue(t, claims(), 10*time.Minute, noon.Add(999*time.Millisecond))
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	header := object(t, parts[0])
	for name, want := range map[string]any{"typ": "at+jwt", "alg": "RS256", "kid": pair()[0].KID} {
		if header[name] != want {
			t.Errorf("header %s is %v, want %v", name, header[name], want)
		}
	}
	if len(header) != 3 {
		t.Errorf("header %v", header)
	}
	body := object(t, parts[1])
	want := map[string]any{
		"iss": issuerName, "sub": "alice@example.com", "aud": "staging/web", "grant_id": "g1", "groups": "dev,on call",
		"iat": json.Number("1904299200"), "nbf": json.Number("1904299170"), "exp": json.Number("1904299800"),
	}
	for name, value := range want {
		if body[name] != value {
			t.Errorf("claim %s is %#v, want %#v", name, body[name], value)
		}
	}
	jti, _ := body["jti"].(string)
	if len(body) != len(want)+1 || !regexp.MustCompile(`\A[A-Z2-7]{26,}\z`).MatchString(jti) {
		t.Errorf("claims %v", body)
	}
	if !expires.Equal(noon.Add(10 * time.Minute)) {
		t.Errorf("said to expire at %v", expires)
	}
	if strings.ContainsAny(token, "=+/ \n") {
		t.Error("not base64url")
	}
}

// I10: a credential lives no longer than its grant, nor than the ttl.
func TestI10ATokenEndsWithItsGrant(t *testing.T) {
	tests := []struct {
		name     string
		ttl      time.Duration
		now      time.Duration // after noon
		notAfter time.Duration // after noon
		want     time.Duration // after noon; 0: refused
	}{
		{"ttl first", 10 * time.Minute, 0, 15 * time.Minute, 10 * time.Minute},
		{"grant first", 10 * time.Minute, 0, 9 * time.Minute, 9 * time.Minute},
		{"both at once", 10 * time.Minute, 0, 10 * time.Minute, 10 * time.Minute},
		{"late in a second", 10 * time.Minute, 999 * time.Millisecond, 15 * time.Minute, 10 * time.Minute},
		{"the grant ends within a second", 10 * time.Minute, 0, 90*time.Second + 500*time.Millisecond, 90 * time.Second},
		{"the grant's last second", 10 * time.Minute, 14*time.Minute + 59*time.Second + 900*time.Millisecond, 15 * time.Minute, 15 * time.Minute},
		{"the grant has ended", 10 * time.Minute, 15 * time.Minute, 15 * time.Minute, 0},
		{"the grant ended before", 10 * time.Minute, time.Hour, 15 * time.Minute, 0},
		{"no ttl", 0, 0, 15 * time.Minute, 0},
		{"a negative ttl", -time.Minute, 0, 15 * time.Minute, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := claims()
			c.NotAfter = noon.Add(test.notAfter)
			token, expires, err := NewIssuer(ring(), sealer(t, 1), issuerName, test.ttl).Issue(t.Context(), c, noon.Add(test.now))
			if test.want == 0 {
				if err == nil || token != "" || !expires.IsZero() {
					t.Fatalf("%q until %v, error %v", token, expires, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			exp, err := object(t, strings.Split(token, ".")[1])["exp"].(json.Number).Int64()
			if err != nil || exp != noon.Add(test.want).Unix() || expires.Unix() != exp {
				t.Errorf("exp %d and %v, want %v", exp, expires, noon.Add(test.want))
			}
		})
	}
	c := claims()
	c.NotAfter = time.Time{}
	if token, _, err := NewIssuer(ring(), sealer(t, 1), issuerName, time.Minute).Issue(t.Context(), c, noon); err == nil || token != "" {
		t.Error("a token for a grant without an end")
	}
}

func published(t *testing.T, keys store.Keys) []*rsa.PublicKey {
	t.Helper()
	all, err := Published(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*rsa.PublicKey
	for _, k := range all {
		block, rest := pem.Decode(k.PEM)
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 || k.Alg != "RS256" {
			t.Fatalf("published %+v", k)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, public.(*rsa.PublicKey))
	}
	return parsed
}

func TestATokenVerifiesByThePublishedKey(t *testing.T) {
	keys := ring()
	token, _ := issue(t, claims(), 10*time.Minute, noon)
	key := published(t, keys)[0]
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var got jwt.Claims
	if err := parsed.Claims(key, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.ValidateWithLeeway(jwt.Expected{
		Issuer: issuerName, Subject: "alice@example.com", AnyAudience: jwt.Audience{"staging/web"}, Time: noon,
	}, 0); err != nil {
		t.Fatal(err)
	}
	// By the standard library too: RSASSA-PKCS1-v1_5 over the first two parts.
	dot := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature); err != nil {
		t.Fatal(err)
	}
	both := pair()
	if err := parsed.Claims(published(t, &memory{keys: both[1:]})[0], &got); err == nil {
		t.Fatal("it verifies by another key as well")
	}
}

func TestNoTwoTokensAreTheSame(t *testing.T) {
	seen := map[any]bool{}
	for range 20 {
		token, _ := issue(t, claims(), time.Minute, noon)
		jti := object(t, strings.Split(token, ".")[1])["jti"]
		if seen[jti] {
			t.Fatalf("jti %v twice", jti)
		}
		seen[jti] = true
	}
}

// Text that JSON has to escape stays within its claim.
func TestClaimsStayApart(t *testing.T) {
	c := claims()
	c.GrantID = `g1","grant_id":"g2`
	token, _ := issue(t, c, time.Minute, noon)
	if got := object(t, strings.Split(token, ".")[1])["grant_id"]; got != c.GrantID {
		t.Errorf("%q", got)
	}
}

func TestGroupsAreJoinedByCommas(t *testing.T) {
	tests := []struct {
		name string
		in   []string
		want string
	}{
		{"none", nil, ""},
		{"one", []string{"dev"}, "dev"},
		{"two in their order", []string{"ops", "dev"}, "ops,dev"},
		{"all that may stand in one", []string{"A.b_c:d@e/f+g h-1"}, "A.b_c:d@e/f+g h-1"},
		{"a comma would be two groups", []string{"dev,admins", "dev"}, "dev"},
		{"a newline would be a header", []string{"dev\nX-Admin: 1", "dev\r", "dev\n"}, ""},
		{"control characters", []string{"a\x00", "a\x7f", "a\tb", "\x1b[2J"}, ""},
		{"blanks around it", []string{" dev", "dev ", " "}, ""},
		{"quotes and what a shell reads", []string{`a"b`, "a'b", "a;b", "a$b", "a`b", "a|b", "a<b", `a\b`}, ""},
		{"other letters", []string{"d\u00e9v", "\u0430dmins", "admin\u200bs", "admins\xff"}, ""},
		{"empty ones", []string{"", "dev", ""}, "dev"},
		{"127 bytes", []string{strings.Repeat("a", 127)}, strings.Repeat("a", 127)},
		{"128 bytes", []string{strings.Repeat("a", 128), "dev"}, "dev"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := JoinGroups(test.in); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// HAProxy refuses a token of more than 4096 bytes: a person with very many groups still gets one that works, with some of
// them.
func TestTooManyGroupsNeverMakeATooLongToken(t *testing.T) {
	c := claims()
	c.Subject = grant.Subject(strings.Repeat("a", 116) + "@example.com")
	c.Pool = grant.Pool{Environment: strings.Repeat("e", 31), Name: strings.Repeat("p", 63)}
	c.GrantID = strings.Repeat("g", 64)
	c.Groups = nil
	for range 1000 {
		c.Groups = append(c.Groups, strings.Repeat("a", 100))
	}
	c.Groups = append(c.Groups, "z")
	token, _, err := NewIssuer(ring(), sealer(t, 1), "https://"+strings.Repeat("i", 200)+".example.com", time.Minute).Issue(t.Context(), c, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(token) > 4096 {
		t.Errorf("%d bytes", len(token))
	}
	groups := object(t, strings.Split(token, ".")[1])["groups"].(string)
	if len(groups) < 1400 || len(groups) > 1500 {
		t.Errorf("%d bytes of groups", len(groups))
	}
	for _, g := range strings.Split(groups, ",") {
		if !slices.Contains(c.Groups, g) {
			t.Errorf("%q is none of the groups", g)
		}
	}
}

func TestNoTokenWithoutACurrentKey(t *testing.T) {
	retired := pair()[0]
	retired.State = Retired
	unknown := pair()[0]
	unknown.State = "next"
	tests := map[string]*memory{
		"no keys": {}, "retired only": {keys: []store.Key{retired}}, "another state": {keys: []store.Key{unknown}},
		"the store fails": {keys: ring().keys, fail: errors.New("disk")},
	}
	for name, keys := range tests {
		token, expires, err := NewIssuer(keys, sealer(t, 1), issuerName, time.Minute).Issue(t.Context(), claims(), noon)
		if err == nil || token != "" || !expires.IsZero() {
			t.Errorf("%s: %q until %v, %v", name, token, expires, err)
		}
	}
}

// A rotation counts at once: the keys are read for each token.
func TestARotatedKeySignsNoMore(t *testing.T) {
	both := pair()
	keys := &memory{keys: both[:]}
	keys.keys[1].State = "next"
	issuer := NewIssuer(keys, sealer(t, 1), issuerName, time.Minute)
	kid := func() any {
		token, _, err := issuer.Issue(t.Context(), claims(), noon)
		if err != nil {
			t.Fatal(err)
		}
		return object(t, strings.Split(token, ".")[0])["kid"]
	}
	if got := kid(); got != pair()[0].KID {
		t.Errorf("signed by %v", got)
	}
	for i, to := range []string{Retired, Current} {
		if err := keys.SetKeyState(t.Context(), pair()[i].KID, keys.keys[i].State, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := kid(); got != pair()[1].KID {
		t.Errorf("after the rotation signed by %v", got)
	}
	if all := published(t, keys); len(all) != 1 {
		t.Errorf("%d keys are published", len(all))
	}
}
