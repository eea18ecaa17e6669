package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Known is the newest version of the schema that this program knows.
const Known = 4

var schema = sqlstore.Schema{
	Files:  migrations,
	Known:  Known,
	Table:  "schema_migrations",
	Exists: "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'schema_migrations'",
	Begin:  "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL, dirty INTEGER NOT NULL) STRICT",
}

// migrateUp brings the schema to the newest version, wholly or not at all, with a connection of its own. It leaves one
// alone that is newer by one.
func migrateUp(ctx context.Context, path string) (err error) {
	pool, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	v, err := schema.Present(ctx, pool)
	if err != nil {
		return err
	}
	if v.Number > Known {
		return v.Check(Known)
	}
	return migrateTo(ctx, pool, Known)
}

func migrateTo(ctx context.Context, pool *sql.DB, to int) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	return schema.Migrate(ctx, conn, to)
}

// SchemaVersion reads the version of the schema of the database at path, beside the gateway that may hold it. A file that
// is not there has version 0.
func SchemaVersion(ctx context.Context, path string) (v sqlstore.Version, err error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return v, nil
	}
	pool, err := sql.Open("sqlite", dsn(path, "mode=ro&_pragma=query_only(1)"))
	if err != nil {
		return v, fmt.Errorf("open store: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	return schema.Present(ctx, pool)
}

// Migrate brings the schema of the database at path, which it makes if need be, to a version. No gateway may hold it.
func Migrate(ctx context.Context, path string, to int) error {
	db, path, err := claim(path)
	if err != nil {
		return err
	}
	err = func() error {
		if err := makeFile(path); err != nil {
			return err
		}
		pool, err := sql.Open("sqlite", dsn(path, ""))
		if err != nil {
			return fmt.Errorf("migrate store: %w", err)
		}
		return errors.Join(migrateTo(ctx, pool, to), pool.Close())
	}()
	return errors.Join(err, db.Close())
}

// Script is the SQL of all migrations after a version, for who runs it by hand.
func Script(after int) (string, error) { return schema.Script(after) }
