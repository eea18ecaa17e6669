package gatewaystore

import (
	"context"
	"database/sql"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/postgres"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// Schema is that of a store, which need not be migrated, nor be there yet.
type Schema interface {
	Version(ctx context.Context) (sqlstore.Version, error)
	// Known is the newest version that this program knows.
	Known() int
	// Migrate brings it to a version, wholly or not at all.
	Migrate(ctx context.Context, to int) error
	// Script is what Migrate to the newest would run on a store of the version after.
	Script(after int) (string, error)
	Close() error
}

// OpenSchema opens the schema of the store that the configuration names.
func OpenSchema(config gatewayconfig.Config) (Schema, error) {
	if config.Store.GetPostgres() == nil {
		return embedded{config.Store.GetSqlite().GetPath()}, nil
	}
	dsn, err := DSN(config)
	if err != nil {
		return nil, err
	}
	connections, err := postgres.Open(dsn)
	if err != nil {
		return nil, err
	}
	return served{connections}, nil
}

type embedded struct{ path string }

func (e embedded) Version(ctx context.Context) (sqlstore.Version, error) {
	return sqlite.SchemaVersion(ctx, e.path)
}
func (embedded) Known() int                                  { return sqlite.Known }
func (e embedded) Migrate(ctx context.Context, to int) error { return sqlite.Migrate(ctx, e.path, to) }
func (embedded) Script(after int) (string, error)            { return sqlite.Script(after) }
func (embedded) Close() error                                { return nil }

type served struct{ connections *sql.DB }

func (s served) Version(ctx context.Context) (sqlstore.Version, error) {
	return postgres.SchemaVersion(ctx, s.connections)
}
func (served) Known() int { return postgres.Known }
func (s served) Migrate(ctx context.Context, to int) error {
	return postgres.Migrate(ctx, s.connections, to)
}
func (served) Script(after int) (string, error) { return postgres.Script(after) }
func (s served) Close() error                   { return s.connections.Close() }
