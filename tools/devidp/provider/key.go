package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	keyBits      = 2048
	keyBlockType = "PRIVATE KEY"
)

// signingKey is the one RS256 key; its id follows from it.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) ID() string                                  { return k.id }

// publicKey is what the keys endpoint shows of it.
type publicKey struct{ signingKey }

func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Key() any                           { return &k.private.PublicKey }

var (
	_ op.SigningKey = signingKey{}
	_ op.Key        = publicKey{}
)

// loadKey reads the key of path, or makes one and writes it there. An empty path makes one and keeps it in memory only.
func loadKey(path string) (signingKey, error) {
	if path != "" {
		key, err := readKey(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return key, err
		}
	}
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return signingKey{}, fmt.Errorf("make signing key: %w", err)
	}
	if path != "" {
		if err := writeKey(path, private); err != nil {
			return signingKey{}, err
		}
	}
	return newKey(private)
}

func readKey(path string) (signingKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return signingKey{}, fmt.Errorf("read signing key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != keyBlockType {
		return signingKey{}, fmt.Errorf("read signing key: %s has no PEM block %q", path, keyBlockType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, fmt.Errorf("read signing key %s: %w", path, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return signingKey{}, fmt.Errorf("read signing key: %s is not an RSA key", path)
	}
	return newKey(private)
}

func writeKey(path string, private *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encode signing key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlockType, Bytes: der})
	// Renamed into place: a kill in between must not leave half a key.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("write signing key: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write signing key: %w", err)
	}
	return nil
}

func newKey(private *rsa.PrivateKey) (signingKey, error) {
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return signingKey{}, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return signingKey{id: base64.RawURLEncoding.EncodeToString(sum[:12]), private: private}, nil
}
