// Package store is the Clutch service that opens the store of grants, events, keys and the embedded audit log, for the
// services that are listed after it.
//
// It may import any core package, Clutch, and generated code.
package store

// <!-- START clutchdoc -->
// description: Keeps grants, their events, signing keys and the embedded audit log.
// <!-- END clutchdoc -->

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/lyft/clutch/backend/service"
	clutchpostgres "github.com/lyft/clutch/backend/service/db/postgres"

	storev1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/store/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/postgres"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

// Name is the service's name in Clutch's configuration.
const Name = "clutch.service.haproxyaccess.store"

const openTimeout = 30 * time.Second

// Driver is what every driver of the store can do.
type Driver interface {
	store.Grants
	store.History
	store.Logins
	store.Reader
	store.Positions
	store.Keys
	store.AuditLog
	store.Reports
	store.Environments
	Close() error
}

// Service is the open store.
type Service struct {
	Driver

	writers store.Writers
	shared  bool
}

// Writers elects one gateway for each node.
func (s *Service) Writers() store.Writers { return s.writers }

// Shared reports whether several gateways may be on this store.
func (s *Service) Shared() bool { return s.shared }

// New is the factory for Clutch.
func New(cfg *anypb.Any, _ *zap.Logger, _ tally.Scope) (service.Service, error) {
	config := &storev1.Config{}
	if err := cfg.UnmarshalTo(config); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	switch config.GetType().(type) {
	case *storev1.Config_Sqlite:
		return openSQLite(config.GetSqlite().GetPath())
	case *storev1.Config_Postgres:
		return openPostgres()
	default:
		return nil, errors.New("type: name a store")
	}
}

func openSQLite(path string) (*Service, error) {
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("sqlite.path: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlite.path: %w", err)
	}
	return &Service{Driver: db, writers: sqlite.Writers{}}, nil
}

// openPostgres uses the database that Clutch's own service has opened.
func openPostgres() (*Service, error) {
	client, ok := service.Registry[clutchpostgres.Name].(clutchpostgres.Client)
	if !ok {
		return nil, fmt.Errorf("postgres: %s must be listed before %s", clutchpostgres.Name, Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	db, err := postgres.New(ctx, client.DB())
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return &Service{Driver: db, writers: postgres.NewWriters(client.DB()), shared: true}, nil
}

// checkDirectory refuses a directory where others could put a file in the database's place.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("its directory must exist: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to the directory %s: chmod go-w it", dir)
	}
	return nil
}
