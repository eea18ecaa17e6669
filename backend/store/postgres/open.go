// Package postgres is the store for several gateways at once, over the *sql.DB that Clutch's clutch.service.db.postgres
// gives, whose driver is lib/pq. Everything is in a schema of its own, haproxyaccess, and named in full, so the search path
// does not matter. Who writes to the log holds one row from the beginning of a transaction to its end, so that revisions
// come in the order of commits, whichever process writes.
//
// It imports store, what its drivers share, and grant.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/lib/pq" // the driver "postgres"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// DB is a store in a Postgres database. It implements the interfaces of package store and is safe for concurrent use.
type DB struct {
	*sqlstore.Store
	queue    *batch.Queue
	db       *sql.DB
	prepared map[string]*sql.Stmt
	// Each statement sees what was committed before it began, so what is read after the lock was taken is the present. To
	// ask for it costs a round trip where it is not the default.
	isolation sql.IsolationLevel
}

// New makes a store out of a database that is migrated already, which it checks: it never migrates, so that several
// gateways may start in whatever order. The database must be one that keeps what it has acknowledged. db stays its
// caller's, who closes it after the store.
func New(ctx context.Context, db *sql.DB) (*DB, error) {
	v, err := SchemaVersion(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := v.Check(Known); err != nil {
		return nil, err
	}
	store := &DB{db: db, prepared: map[string]*sql.Stmt{}}
	if err := store.readSettings(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	store.Store, store.queue = sqlstore.New(db, dialect, store), batch.NewQueue(store)
	for _, query := range statements {
		if store.prepared[query], err = db.PrepareContext(ctx, query); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: prepare: %w", err), store.Close())
		}
	}
	return store, nil
}

// Open connects to a database by a connection string of lib/pq, for tools and tests: a gateway has a connection already.
func Open(dsn string) (*sql.DB, error) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, errors.New("open store: the connection string cannot be read") // it may hold a password
	}
	return db, nil
}

// readSettings refuses settings by which a server loses what it has acknowledged (I5).
func (db *DB) readSettings(ctx context.Context) error {
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if value, err := db.setting(ctx, name); err != nil {
			return err
		} else if value == "off" {
			return fmt.Errorf("Postgres is set to lose what it has acknowledged: turn %s on", name)
		}
	}
	isolation, err := db.setting(ctx, "default_transaction_isolation")
	if err != nil {
		return err
	}
	if isolation != "read committed" {
		db.isolation = sql.LevelReadCommitted
	}
	return nil
}

func (db *DB) setting(ctx context.Context, name string) (value string, err error) {
	if err := db.db.QueryRowContext(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	return value, nil
}

// Close lets what is being written end, and leaves the connections to their owner. It may be called twice.
func (db *DB) Close() error {
	db.queue.Close()
	var errs []error
	for query, s := range db.prepared {
		if s != nil {
			errs = append(errs, s.Close())
		}
		delete(db.prepared, query)
	}
	return errors.Join(errs...)
}
