package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/credential"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

func TestStoreKeysAreReadBesideTheGatewayThatHoldsTheStore(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "store.db")
	source := storeKeys(gatewayconfig.Config{Store: &storev1.Config{
		Type: &storev1.Config_Sqlite{Sqlite: &storev1.SQLite{Path: path}},
	}})
	if _, err := source(); err == nil {
		t.Error("no store: want an error")
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := source(); err == nil {
		t.Error("no key in the store: want an error")
	}
	sealer, err := credential.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	kid, _, err := credential.Init(ctx, db, sealer, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := source()
	if err != nil || len(keys) != 1 || keys[0].KID != kid {
		t.Fatalf("keys %v, %v; want %s", keys, err, kid)
	}
}
