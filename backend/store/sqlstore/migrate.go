package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

// Schema is a driver's migrations.
type Schema struct {
	Files  fs.FS  // golang-migrate's, in the folder "migrations"
	Known  int    // the newest of them
	Table  string // where the version is kept, as SQL names it
	Exists string // asks whether Table is there
	Begin  string // begins a transaction that excludes other migrations, and makes Table if it is not there
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Version is what Table says.
type Version struct {
	Number int // 0 for an empty database
	Dirty  bool
}

// Check is nil if a program that knows the schema up to known can work with this one: the same, or the next, which was
// made to work with it. It cannot if it is older, newer than that, or if a migration was left half done.
func (v Version) Check(known int) error {
	switch {
	case v.Dirty:
		return fmt.Errorf("the store's schema is dirty: a migration to version %d was left half done by another tool", v.Number)
	case v.Number < known:
		return fmt.Errorf("the store has schema version %d, this program needs %d: migrate it", v.Number, known)
	case v.Number > known+1:
		return fmt.Errorf("the store has schema version %d, this program only knows up to %d", v.Number, known)
	}
	return nil
}

// ReadVersion reads Table, which must be there. Present is for a database that may be empty.
func (s Schema) ReadVersion(ctx context.Context, from querier) (v Version, err error) {
	switch err := from.QueryRowContext(ctx, "SELECT version, dirty FROM "+s.Table).Scan(&v.Number, &v.Dirty); {
	case errors.Is(err, sql.ErrNoRows):
		return Version{}, nil
	case err != nil:
		return Version{}, fmt.Errorf("read schema version: %w", err)
	}
	return v, nil
}

// Migrate brings the schema to a version, step by step, each wholly or not at all. It does nothing if that is the present
// one, and goes back never. It takes the connection over.
func (s Schema) Migrate(ctx context.Context, conn *sql.Conn, to int) (err error) {
	source, err := iofs.New(s.Files, "migrations")
	if err != nil {
		return errors.Join(fmt.Errorf("migrate store: %w", err), conn.Close())
	}
	own := &migrator{ctx: ctx, conn: conn, schema: s, to: to}
	m, err := migrate.NewWithInstance("iofs", source, "store", own)
	if err != nil {
		return errors.Join(fmt.Errorf("migrate store: %w", err), source.Close(), conn.Close())
	}
	m.LockTimeout = time.Hour // the context ends the wait
	defer func() {
		sourceErr, dbErr := m.Close()
		err = errors.Join(err, sourceErr, dbErr)
	}()
	// One at a time: where one fails the library would leave the reader of the next behind.
	for {
		at, err := s.Present(ctx, conn)
		if err != nil {
			return fmt.Errorf("migrate store: %w", err)
		}
		if at.Number == to && !at.Dirty {
			return nil
		}
		own.step = min(at.Number+1, to)
		if err := m.Migrate(uint(own.step)); err != nil && !errors.Is(err, migrate.ErrNoChange) && !errors.Is(err, errPassed) {
			return fmt.Errorf("migrate store: %w", err)
		}
	}
}

// Present is the version of a database that may be empty.
func (s Schema) Present(ctx context.Context, from querier) (v Version, err error) {
	var there bool
	if err := from.QueryRowContext(ctx, s.Exists).Scan(&there); err != nil {
		return Version{}, fmt.Errorf("look for the schema's version: %w", err)
	}
	if !there {
		return Version{}, nil
	}
	return s.ReadVersion(ctx, from)
}

// migrator is golang-migrate's view of the database. The library's own drivers commit a mark, "dirty", before each
// migration and take it away after: a process killed in between would leave a database that no program opens until
// somebody repairs it. Here all of it, the mark included, is one transaction: Lock begins it and Unlock ends it.
type migrator struct {
	ctx    context.Context // of Migrate, which the migrator does not outlive: the library's interface has none
	conn   *sql.Conn
	schema Schema
	to     int
	step   int // that is wanted next
	failed bool
	before error // of SetVersion, for Run
}

var _ database.Driver = (*migrator)(nil)

// errPassed: while we waited for the lock another program went further than the step that we want. The library would take that
// for an order to go back.
var errPassed = errors.New("the schema is further already")

func (m *migrator) Lock() error {
	m.failed = false
	return m.exec(m.schema.Begin)
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
	if err := errors.Join(m.before, err); err != nil {
		m.failed = true
		return fmt.Errorf("read migration: %w", err)
	}
	return m.exec(string(text))
}

// SetVersion keeps the error of the mark before a migration for Run: without Run the library would leave the migration's
// reader behind.
func (m *migrator) SetVersion(version int, dirty bool) error {
	err := m.setVersion(version, dirty)
	if dirty {
		m.before = err
		return nil
	}
	return err
}

func (m *migrator) setVersion(version int, dirty bool) error {
	if err := m.exec("DELETE FROM " + m.schema.Table); err != nil || version < 0 {
		return err
	}
	return m.exec(fmt.Sprintf("INSERT INTO %s (version, dirty) VALUES (%d, %t)", m.schema.Table, version, dirty))
}

func (m *migrator) Version() (version int, dirty bool, err error) {
	v, err := m.schema.ReadVersion(m.ctx, m.conn)
	switch {
	case err != nil:
	case v.Number > m.to:
		err = fmt.Errorf("the schema is at version %d already; it does not go back to %d", v.Number, m.to)
	case v.Number > m.step:
		err = errPassed
	case v.Number == 0:
		return database.NilVersion, false, nil
	}
	if err != nil {
		m.failed = true
		return 0, false, err
	}
	return v.Number, v.Dirty, nil
}

func (m *migrator) Close() error { return m.conn.Close() }

// Open is the library's way to make a driver out of a URL; there is one already.
func (m *migrator) Open(string) (database.Driver, error) { return nil, errors.ErrUnsupported }

// Drop would delete everything. Nothing here does.
func (m *migrator) Drop() error { return errors.ErrUnsupported }

func (m *migrator) exec(query string) error {
	if _, err := m.conn.ExecContext(m.ctx, query); err != nil {
		m.failed = true
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// Script is the SQL of all migrations after a version, each followed by what notes that it is done.
func (s Schema) Script(after int) (string, error) {
	source, err := iofs.New(s.Files, "migrations")
	if err != nil {
		return "", fmt.Errorf("read migrations: %w", err)
	}
	defer func() { _ = source.Close() }() // it is in memory
	script := s.Begin + ";\n"
	for version, err := source.First(); ; version, err = source.Next(version) {
		if errors.Is(err, fs.ErrNotExist) {
			return script + "COMMIT;\n", nil
		}
		if err != nil {
			return "", fmt.Errorf("read migrations: %w", err)
		}
		if int(version) <= after {
			continue
		}
		text, err := readUp(source, version)
		if err != nil {
			return "", err
		}
		script += fmt.Sprintf("\n-- Version %d.\n%s\nDELETE FROM %s;\nINSERT INTO %s (version, dirty) VALUES (%d, false);\n",
			version, text, s.Table, s.Table, version)
	}
}

func readUp(source source.Driver, version uint) (string, error) {
	r, _, err := source.ReadUp(version)
	if err != nil {
		return "", fmt.Errorf("read migration: %w", err)
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return "", fmt.Errorf("read migration: %w", err)
	}
	return string(text), nil
}
