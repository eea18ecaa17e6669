// Package sqlite is the embedded store, for one gateway process: a driver over modernc.org/sqlite that needs no server.
// One connection writes, in immediate transactions with full sync, so what was acknowledged is on disk; others only read.
//
// It imports store, what its drivers share, and grant.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// readers is how many connections may read beside the one that writes.
const readers = 4

// DB is an open store. It implements the interfaces of package store and is safe for concurrent use.
type DB struct {
	*sqlstore.Store
	queue *batch.Queue
	write *writer // nil in a DB that only reads
	read  *sql.DB
	lock  *os.File
}

// Open opens the database at path, makes or migrates it, and holds it for this process alone: a second one gets an error.
// The file is readable for its owner only; its directory must exist.
func Open(ctx context.Context, path string) (*DB, error) {
	db, path, err := claim(path)
	if err != nil {
		return nil, err
	}
	if err := db.open(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// claim holds the database at path for this process alone, until Close, and answers its one name.
func claim(path string) (*DB, string, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, "", fmt.Errorf("open store: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, "", err
	}
	return &DB{lock: lock}, path, nil
}

// resolve is the file's one name, without links: two names would be two locks.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, nil // a new one
	}
	return real, err
}

func (db *DB) open(ctx context.Context, path string) (err error) {
	if err := makeFile(path); err != nil {
		return err
	}
	if err := migrateUp(ctx, path); err != nil {
		return err
	}
	if db.write, err = openWriter(ctx, path); err != nil {
		return err
	}
	return db.openReaders(ctx, path)
}

// makeFile makes the file if it is not there, so that it has the right mode from its first byte; SQLite gives its side
// files the same. Never through a link: one that leads nowhere was not resolved.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("open store: others may use the file %s: chmod 600 it", path)
	}
	return nil
}

// OpenReadOnly opens a database beside the gateway that holds it, for reading alone. It changes nothing: a database of
// another schema is an error.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{}
	if err := db.openReaders(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) openReaders(ctx context.Context, path string) error {
	var err error
	if db.read, err = sql.Open("sqlite", dsn(path, "mode=ro&_pragma=query_only(1)")); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	db.read.SetMaxOpenConns(readers)
	db.Store, db.queue = sqlstore.New(db.read, dialect, db), batch.NewQueue(db)
	v, err := schema.ReadVersion(ctx, db.read)
	if err != nil {
		return err
	}
	return v.Check(Known)
}

// Close lets what is being written end, and gives the database free. It may be called twice.
func (db *DB) Close() error {
	var errs []error
	if db.queue != nil {
		db.queue.Close()
	}
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	if db.write != nil {
		errs = append(errs, db.write.close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
		db.lock = nil
	}
	return errors.Join(errs...)
}

// lockFile holds an advisory lock until the process ends, however it does.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another process has %s; the embedded store is for one gateway process", path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock store: %w", err), f.Close())
	}
	return f, nil
}

// dsn is the data source's name: a file URL, so that no character of the path is read as a parameter.
func dsn(path, parameters string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + parameters +
		"&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
}
