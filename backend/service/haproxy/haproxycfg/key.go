package haproxycfg

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// OurIssuer is the name of the key space of our own tokens; an identity provider cannot have it.
	OurIssuer = "clutch"
	// Algorithm is the only one that HAProxy is told to accept. It is a literal in every rule: with the algorithm in a
	// variable HAProxy 2.6 accepts unsigned tokens.
	Algorithm = "RS256"

	shortestModulus = 2048 // bits
	pemType         = "PUBLIC KEY"
)

// PublicKey verifies tokens of one issuer.
type PublicKey struct {
	// Issuer is the name of an identity provider; OurIssuer if it is empty.
	Issuer string
	// KID is the token header's kid. For a key of ours it is the key's RFC 7638 thumbprint (SHA-256, base64url).
	KID string
	// PEM is one block "BEGIN PUBLIC KEY" with an RSA key.
	PEM []byte
	// Alg is RS256; the same if it is empty.
	Alg string
}

// NewPublicKey makes a key of ours out of its PEM text, with the KID that belongs to it.
func NewPublicKey(text []byte) (PublicKey, error) {
	key, err := parseKey(text)
	if err != nil {
		return PublicKey{}, err
	}
	kid, err := thumbprint(key)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{KID: kid, PEM: text, Alg: Algorithm}, nil
}

func (k PublicKey) issuer() string {
	if k.Issuer == "" {
		return OurIssuer
	}
	return k.Issuer
}

// fileName is the key's file in KeysDir. It has one dot, since the Data Plane API keeps a file of more under another name;
// checkKeys refuses two keys that would have the same.
func (k PublicKey) fileName() string {
	if k.issuer() == OurIssuer {
		return k.KID + ".pem"
	}
	return k.Issuer + "_" + strings.ReplaceAll(k.KID, ".", "_") + ".pem"
}

// normalPEM is the key as it is written for HAProxy: one block, nothing around it.
func (k PublicKey) normalPEM() ([]byte, error) {
	key, err := parseKey(k.PEM)
	if err != nil {
		return nil, err
	}
	if k.issuer() == OurIssuer {
		want, err := thumbprint(key)
		if err != nil {
			return nil, err
		}
		if k.KID != want {
			return nil, fmt.Errorf("the kid %q is not the key's thumbprint", k.KID)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// CheckPEM says why HAProxy could not verify RS256 tokens with a key file of this content; nil if it can.
func CheckPEM(text []byte) error {
	_, err := parseKey(text)
	return err
}

func parseKey(text []byte) (*rsa.PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New("parse public key: want a PEM block \"BEGIN PUBLIC KEY\"")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("parse public key: there is more than one PEM block")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < shortestModulus {
		return nil, fmt.Errorf("parse public key: want RSA with %d bits or more", shortestModulus)
	}
	return key, nil
}

func thumbprint(key *rsa.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: key}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("compute thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
