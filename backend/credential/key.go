package credential

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// The states of a key.
const (
	Current = "current" // signs; exactly one
	Retired = "retired" // nothing verifies by it any more
)

// keyBits is the size of a new RSA key: what NIST SP 800-57 asks for beyond 2030 is 3072, but a verification costs HAProxy
// twice the time there; 2048 is what RFC 7518 asks for, and a key lives for months.
const keyBits = 2048

// PublicKey is a key that nodes verify by. Its file on a node is named by FileName.
type PublicKey struct {
	KID string // RFC 7638 thumbprint, so a kid never stands for two keys
	Alg string // "RS256"
	PEM []byte // "PUBLIC KEY"
}

// FileName is the name of the key's file: never used again for another key.
func (k PublicKey) FileName() string { return k.KID + ".pem" }

// NewKey makes a signing key for the store.
func NewKey(s *Sealer, now time.Time) (store.Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return store.Key{}, fmt.Errorf("generate key: %w", err)
	}
	kid, err := Thumbprint(&private.PublicKey)
	if err != nil {
		return store.Key{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return store.Key{}, fmt.Errorf("encode public key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return store.Key{}, fmt.Errorf("encode private key: %w", err)
	}
	sealed, err := s.Seal(kid, der)
	if err != nil {
		return store.Key{}, err
	}
	return store.Key{
		KID: kid, Alg: string(jose.RS256), State: Current, Created: now, Sealed: sealed,
		Public: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	}, nil
}

// Thumbprint is the RFC 7638 thumbprint of a public key, SHA-256, in base64url.
func Thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// Init makes the first signing key if there is none. It answers the current key's KID and whether it was made. Of several
// gateways that start at once on a new store, one makes it: the store has room for one current key.
func Init(ctx context.Context, keys store.Keys, s *Sealer, now time.Time) (kid string, made bool, err error) {
	if kid, err = current(ctx, keys, s); kid != "" || err != nil {
		return kid, false, err
	}
	k, err := NewKey(s, now)
	if err != nil {
		return "", false, err
	}
	err = keys.AddKey(ctx, k)
	if errors.Is(err, store.ErrConflict) {
		if kid, err = current(ctx, keys, s); kid != "" || err != nil {
			return kid, false, err
		}
		err = store.ErrConflict
	}
	if err != nil {
		return "", false, fmt.Errorf("add key: %w", err)
	}
	return k.KID, true, nil
}

// current is the current key's KID; empty if there is none. A key that cannot be opened must be seen now, not when the
// first token is asked for.
func current(ctx context.Context, keys store.Keys, s *Sealer) (string, error) {
	have, err := keys.Keys(ctx)
	if err != nil {
		return "", fmt.Errorf("read keys: %w", err)
	}
	for _, k := range have {
		if k.State == Current {
			if _, err := open(s, k); err != nil {
				return "", err
			}
			return k.KID, nil
		}
	}
	return "", nil
}

// Published are the public keys that the nodes must verify by. It fails if one of them is not the key that its KID names:
// nodes would verify by another key, or, since HAProxy does not report a broken key file, by none.
func Published(ctx context.Context, keys store.Keys) ([]PublicKey, error) {
	have, err := keys.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var published []PublicKey
	for _, k := range have {
		if k.State == Current {
			if err := checkPublic(k); err != nil {
				return nil, err
			}
			published = append(published, PublicKey{KID: k.KID, Alg: k.Alg, PEM: k.Public})
		}
	}
	return published, nil
}

// open decrypts a key and checks that it is the one that its KID names.
func open(s *Sealer, k store.Key) (*rsa.PrivateKey, error) {
	der, err := s.Open(k.KID, k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.KID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key %s: not a private key", k.KID)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %s: not an RSA key", k.KID)
	}
	if kid, err := Thumbprint(&private.PublicKey); err != nil || kid != k.KID {
		return nil, fmt.Errorf("key %s: it is another key", k.KID)
	}
	return private, nil
}

// checkPublic checks that the public half is one PEM block with the key that the KID names.
func checkPublic(k store.Key) error {
	block, rest := pem.Decode(k.Public)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		return fmt.Errorf("key %s: its public half is not one PEM block of a public key", k.KID)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("key %s: its public half is not a public key", k.KID)
	}
	if kid, err := Thumbprint(public); err != nil || kid != k.KID {
		return fmt.Errorf("key %s: its public half is another key's", k.KID)
	}
	return nil
}

var errNoKey = errors.New("there is no current signing key")
