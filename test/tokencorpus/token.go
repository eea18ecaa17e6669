package tokencorpus

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Claims are a token's claims by name.
type Claims map[string]any

// Ours are the claims of a good token of our own.
func Ours(k Keys) Claims {
	now := k.Now.Unix()
	return Claims{
		"iss": ClutchIssuer, "sub": Subject, "aud": Pool, "exp": now + 600, "iat": now, "nbf": now - 30,
		"jti": JTI, "grant_id": GrantID, "groups": Groups,
	}
}

// IDP are the claims of a good ID token of the identity provider.
func IDP(k Keys) Claims {
	now := k.Now.Unix()
	return Claims{
		"iss": IDPIssuer, "sub": "00u1a2b3", "aud": IDPAudience, "exp": now + 600, "iat": now,
		"email": Subject, "email_verified": true,
	}
}

// With are the claims with one changed; nil removes it.
func (c Claims) With(name string, value any) Claims {
	changed := Claims{}
	for k, v := range c {
		changed[k] = v
	}
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	return changed
}

// Sign signs in the ordinary way, by go-jose.
func Sign(key Key, typ string, claims Claims) string {
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key.Private, KeyID: key.KID}}, options)
	must(err)
	signed, err := signer.Sign(marshal(claims))
	must(err)
	token, err := signed.CompactSerialize()
	must(err)
	return token
}

// SignOurs signs as we do.
func SignOurs(k Keys, claims Claims) string { return Sign(k.Clutch, "at+jwt", claims) }

// SignIDP signs as the identity provider does.
func SignIDP(k Keys, claims Claims) string { return Sign(k.IDP, "JWT", claims) }

// header is the text of a good header of ours with that kid.
func header(kid string) string { return fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"at+jwt"}`, kid) }

// signText signs any two texts as header and payload, valid JSON or not.
func signText(key *rsa.PrivateKey, header, payload string) string {
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	must(err)
	return input + "." + encode(signature)
}

// signOurText signs a payload's text with our key and a good header.
func signOurText(k Keys, payload string) string {
	return signText(k.Clutch.Private, header(k.Clutch.KID), payload)
}

// editOurs signs our good claims after a change of their text, for what a map cannot say.
func editOurs(k Keys, old, new string) string {
	return signOurText(k, edit(string(marshal(Ours(k))), old, new))
}

func editIDP(k Keys, old, new string) string {
	text := edit(string(marshal(IDP(k))), old, new)
	return signText(k.IDP.Private, header(k.IDP.KID), text)
}

// edit must find what it replaces: a case that changes nothing tests nothing.
func edit(text, old, new string) string {
	if strings.Count(text, old) != 1 {
		panic(fmt.Sprintf("edit token: %q is not once in %s", old, text))
	}
	return strings.Replace(text, old, new, 1)
}

// hmacToken is signed by a shared secret.
func hmacToken(header string, claims Claims, secret []byte) string {
	input := encode([]byte(header)) + "." + encode(marshal(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// rs512 is signed by our key with another hash.
func rs512(k Keys) string {
	input := encode([]byte(edit(header(k.Clutch.KID), "RS256", "RS512"))) + "." + encode(marshal(Ours(k)))
	sum := sha512.Sum512([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, k.Clutch.Private, crypto.SHA512, sum[:])
	must(err)
	return input + "." + encode(signature)
}

// unsigned has any header and signature, and our good claims.
func unsigned(k Keys, header, signature string) string {
	return encode([]byte(header)) + "." + encode(marshal(Ours(k))) + "." + signature
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(c Claims) []byte {
	text, err := json.Marshal(c)
	must(err)
	return text
}

// must panics: signing in a test fails only by a mistake in the table.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
