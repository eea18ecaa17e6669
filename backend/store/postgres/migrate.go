package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Known is the newest version of the schema that this program knows.
const Known = 3

// versions is the table that Clutch's own migration tool keeps the version in, with -namespace haproxyaccess: in the first
// schema of the search path. So either tool may go on where the other has been.
const versions = "schema_migrations_haproxyaccess"

var schema = sqlstore.Schema{
	Files:  migrations,
	Known:  Known,
	Table:  versions,
	Exists: "SELECT to_regclass('" + versions + "') IS NOT NULL",
}

// SchemaVersion reads the version of the schema; 0 where there is none.
func SchemaVersion(ctx context.Context, db *sql.DB) (sqlstore.Version, error) {
	return schema.Present(ctx, db)
}

// Migrate brings the schema to a version, while gateways run or not. Others that migrate wait.
func Migrate(ctx context.Context, db *sql.DB, to int) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	s := schema
	if s.Begin, err = begin(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	return s.Migrate(ctx, conn, to)
}

// Script is the SQL of all migrations after a version, for who runs it by hand.
func Script(after int) (string, error) {
	s := schema
	s.Begin = "BEGIN;\n" + makeVersions
	return s.Script(after)
}

const makeVersions = "CREATE TABLE IF NOT EXISTS " + versions + " (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"

// begin is what begins a migration: the lock in it is the one that Clutch's tool takes too.
func begin(ctx context.Context, conn *sql.Conn) (string, error) {
	var name string
	var first sql.NullString
	if err := conn.QueryRowContext(ctx, "SELECT current_database(), current_schema()").Scan(&name, &first); err != nil {
		return "", fmt.Errorf("migrate store: %w", err)
	}
	if !first.Valid {
		return "", errors.New("migrate store: the search path has no schema for the table " + versions)
	}
	lock, err := database.GenerateAdvisoryLockId(name, first.String, versions)
	if err != nil {
		return "", fmt.Errorf("migrate store: %w", err)
	}
	return "BEGIN; " + limitStandstill + "; SELECT pg_advisory_xact_lock(" + lock + "); " + makeVersions, nil
}
