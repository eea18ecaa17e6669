package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersion is the newest migration: a database of another version is not read.
const schemaVersion = 1

// migrateUp brings the schema to the newest version, wholly or not at all, with a connection of its own.
func migrateUp(ctx context.Context, path string) (err error) {
	pool, err := sql.Open("sqlite", dsn(path, ""))
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	source, err := iofs.New(migrations, "migrations")
	if err != nil {
		return errors.Join(fmt.Errorf("migrate store: %w", err), conn.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "sqlite", &migrator{ctx: ctx, conn: conn})
	if err != nil {
		return errors.Join(fmt.Errorf("migrate store: %w", err), source.Close(), conn.Close())
	}
	defer func() {
		sourceErr, dbErr := m.Close()
		err = errors.Join(err, sourceErr, dbErr)
	}()
	if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate store: %w", err)
	}
	return nil
}

// migrator is golang-migrate's view of the database. The library's own driver commits a mark, "dirty", before each
// migration and takes it away after: a process killed in between would leave a database that no program opens until
// somebody repairs it. Here all of it, the mark included, is one transaction: Lock begins it and Unlock ends it.
type migrator struct {
	ctx    context.Context // of migrateUp, which the migrator does not outlive: the library's interface has none
	conn   *sql.Conn
	failed bool
}

var _ database.Driver = (*migrator)(nil)

func (m *migrator) Lock() error {
	return m.exec(`BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL, dirty INTEGER NOT NULL) STRICT`)
}

func (m *migrator) Unlock() error {
	end := "COMMIT"
	if m.failed {
		end = "ROLLBACK"
	}
	if _, err := m.conn.ExecContext(context.WithoutCancel(m.ctx), end); err != nil {
		return fmt.Errorf("end migration: %w", err)
	}
	return nil
}

func (m *migrator) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		m.failed = true
		return fmt.Errorf("read migration: %w", err)
	}
	return m.exec(string(text))
}

func (m *migrator) SetVersion(version int, dirty bool) error {
	if err := m.exec("DELETE FROM schema_migrations"); err != nil || version < 0 {
		return err
	}
	return m.exec("INSERT INTO schema_migrations (version, dirty) VALUES (?, ?)", version, dirty)
}

func (m *migrator) Version() (version int, dirty bool, err error) {
	err = m.conn.QueryRowContext(m.ctx, "SELECT version, dirty FROM schema_migrations").Scan(&version, &dirty)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return database.NilVersion, false, nil
	case err != nil:
		m.failed = true
		return 0, false, fmt.Errorf("read schema version: %w", err)
	case version > schemaVersion:
		return 0, false, fmt.Errorf("the store has schema version %d, this program only knows up to %d", version, schemaVersion)
	}
	return version, dirty, nil
}

func (m *migrator) Close() error { return m.conn.Close() }

// Open is the library's way to make a driver out of a URL; there is one already.
func (m *migrator) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop would delete everything. Nothing here does.
func (m *migrator) Drop() error { return errors.ErrUnsupported }

func (m *migrator) exec(query string, args ...any) error {
	if _, err := m.conn.ExecContext(m.ctx, query, args...); err != nil {
		m.failed = true
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}
