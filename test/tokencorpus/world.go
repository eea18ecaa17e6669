package tokencorpus

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What the tokens say, where nothing is wrong with them.
const (
	ClutchIssuer = "https://clutch.example"
	IDPIssuer    = "https://idp.example/realm"
	IDPName      = "idp"
	IDPAudience  = "haproxy-access"

	Environment      = "prod"
	OtherEnvironment = "staging" // has a pool of the same name
	PoolName         = "billing"
	Pool             = Environment + "/" + PoolName

	Subject = "alice@example.com"
	GrantID = "01J0000000000000000000GRANT"
	// OldGrantID is an earlier grant of the same subject for the same pool.
	OldGrantID = "01J00000000000000000REVOKED"
	JTI        = "01J000000000000000000000JTI"
	Groups     = "engineering,on call"
)

// Key is a signing key and how verifiers know it.
type Key struct {
	KID     string
	Private *rsa.PrivateKey
	// Public is one PEM block "BEGIN PUBLIC KEY".
	Public []byte
}

// Keys are the keys of the world: two of ours, the identity provider's, and one that nobody trusts.
type Keys struct {
	Clutch, ClutchNext, IDP, Stranger Key
	// Now is the time that the tokens are made for.
	Now time.Time
	// ClutchFile is the path under which a verifier reads Clutch's public key, where it has one: a classic mistake is to
	// take this text for an HMAC secret.
	ClutchFile string
}

// The private keys are made once a process, since that is slow.
var generated = sync.OnceValue(func() [4]Key {
	var keys [4]Key
	for i := range keys {
		keys[i] = newKey()
	}
	keys[2].KID = "idp.2024-01"
	return keys
})

// NewKeys are keys with now as their time. ClutchFile is left to the caller.
func NewKeys(now time.Time) Keys {
	k := generated()
	return Keys{Clutch: k[0], ClutchNext: k[1], IDP: k[2], Stranger: k[3], Now: now}
}

// newKey panics: only a machine without randomness fails here.
func newKey() Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Errorf("generate key: %w", err))
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		panic(fmt.Errorf("encode key: %w", err))
	}
	jwk := jose.JSONWebKey{Key: &private.PublicKey}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(fmt.Errorf("compute thumbprint: %w", err))
	}
	return Key{
		KID:     base64.RawURLEncoding.EncodeToString(sum),
		Private: private,
		Public:  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	}
}
