package credential

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/internal/secretfile"
)

// Sealer encrypts private keys for the store, so that who reads the database alone cannot sign.
type Sealer struct{ aead cipher.AEAD }

// NewSealer takes 32 random bytes: AES-256-GCM.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("encryption key: want 32 bytes, have %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("encryption key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("encryption key: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// SealerFromFile reads the key out of a file that holds it in base64, as `openssl rand -base64 32` writes it. A file that
// others may read or write is refused (secretfile.Read says which). The error names the file and nothing of what is in it.
func SealerFromFile(path string) (*Sealer, error) {
	raw, err := secretfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read encryption key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil, fmt.Errorf("encryption key in %s: not base64", path)
	}
	return NewSealer(key)
}

// Seal encrypts plain and binds it to name: it opens under that name only.
func (s *Sealer) Seal(name string, plain []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal key: %w", err)
	}
	return s.aead.Seal(nonce, nonce, plain, []byte(name)), nil
}

// Open decrypts what Seal wrote.
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	if len(sealed) < s.aead.NonceSize() {
		return nil, errors.New("open sealed key: too short")
	}
	nonce, box := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, box, []byte(name))
	if err != nil {
		return nil, errors.New("open sealed key: another encryption key, or not what was sealed")
	}
	return plain, nil
}
