package world

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// The secrets of a world, each in a file of its own. They are made at the first start and kept.
const (
	secretSession   = "session"   // Clutch's session secret
	secretClient    = "client"    // the gateway's at the identity provider
	secretDataPlane = "dataplane" // the gateway's at the Data Plane API
	secretTokenKey  = "token-key" // encrypts the signing keys in the store
)

// ensureSecrets makes those that are missing: 32 random bytes in base64, which is what the token key has to be and long
// enough for the others.
func ensureSecrets(l layout) (map[string]string, error) {
	secrets := make(map[string]string)
	for _, name := range []string{secretSession, secretClient, secretDataPlane, secretTokenKey} {
		value, err := ensureSecret(l.secret(name))
		if err != nil {
			return nil, err
		}
		secrets[name] = value
	}
	return secrets, nil
}

func ensureSecret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil && len(raw) > 0 {
		return strings.TrimSpace(string(raw)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	value := base64.StdEncoding.EncodeToString(random[:])
	return value, writeFile(path, []byte(value), 0o600)
}
