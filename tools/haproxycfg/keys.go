package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/credential"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewaystore"
)

// KeySource reads the public keys of our own tokens.
type KeySource func() ([]haproxycfg.PublicKey, error)

// storeKeys reads the keys that the gateway signs with out of its store.
func storeKeys(config gatewayconfig.Config) KeySource {
	return func() (keys []haproxycfg.PublicKey, err error) {
		ctx := context.Background()
		db, err := gatewaystore.Open(ctx, config, gatewaystore.Read)
		if err != nil {
			return nil, fmt.Errorf("read keys (or give one with --public-key): %w", err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		published, err := credential.Published(ctx, db)
		if err != nil {
			return nil, err
		}
		if len(published) == 0 {
			return nil, errors.New("the store has no signing key: start the gateway once, or run tools/keys init")
		}
		for _, k := range published {
			keys = append(keys, haproxycfg.PublicKey{KID: k.KID, PEM: k.PEM, Alg: k.Alg})
		}
		return keys, nil
	}
}

// fileKey reads one key out of a PEM file.
func fileKey(file string) KeySource {
	return func() ([]haproxycfg.PublicKey, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		key, err := haproxycfg.NewPublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return []haproxycfg.PublicKey{key}, nil
	}
}

// providerKeys reads the keys of the identity providers out of the files that the configuration names.
func providerKeys(fleet *haproxyv1.Config) ([]haproxycfg.PublicKey, error) {
	var keys []haproxycfg.PublicKey
	for i, provider := range fleet.GetEnforcement().GetIdentityProviders() {
		for j, key := range provider.GetKeys() {
			text, err := os.ReadFile(key.GetPublicKeyFile())
			if err == nil {
				err = haproxycfg.CheckPEM(text)
			}
			if err != nil {
				return nil, fmt.Errorf("enforcement.identity_providers[%d].keys[%d].public_key_file: %w", i, j, err)
			}
			keys = append(keys, haproxycfg.PublicKey{Issuer: provider.GetName(), KID: key.GetKid(), PEM: text})
		}
	}
	return keys, nil
}
