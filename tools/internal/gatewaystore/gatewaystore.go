// Package gatewaystore opens the store of a gateway out of its configuration, for tools that work beside it.
//
// It may import gatewayconfig and the drivers of the store.
package gatewaystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	postgresv1 "github.com/lyft/clutch/backend/api/config/service/db/postgres/v1"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/postgres"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
	"github.com/haproxy-access/clutch-haproxy-access/tools/internal/gatewayconfig"
)

// Store is what the tools ask of a store.
type Store interface {
	store.Grants
	store.History
	store.Logins
	store.Reader
	store.Verifiable
	store.Keys
	Close() error
}

// Mode says what a tool means to do.
type Mode int

// The modes.
const (
	Read  Mode = iota // the gateway may run
	Write             // of the embedded store: the gateway must not run
	Make              // as Write, and an embedded store is made where there is none
)

// Open opens the store that the configuration names. A store in Postgres must be migrated.
func Open(ctx context.Context, config gatewayconfig.Config, mode Mode) (Store, error) {
	if config.Store.GetPostgres() != nil {
		return openPostgres(ctx, config, mode)
	}
	path := config.Store.GetSqlite().GetPath()
	if _, err := os.Stat(path); err != nil && mode != Make {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if mode == Read {
		return sqlite.OpenReadOnly(ctx, path)
	}
	return sqlite.Open(ctx, path)
}

// inPostgres is a store whose connections are its own.
type inPostgres struct {
	*postgres.DB
	connections *sql.DB
}

func (s inPostgres) Close() error { return errors.Join(s.DB.Close(), s.connections.Close()) }

func openPostgres(ctx context.Context, config gatewayconfig.Config, mode Mode) (Store, error) {
	dsn, err := DSN(config)
	if err != nil {
		return nil, err
	}
	connections, err := postgres.Open(dsn)
	if err != nil {
		return nil, err
	}
	db, err := postgres.New(ctx, connections)
	if err != nil {
		return nil, errors.Join(err, connections.Close())
	}
	if mode == Read {
		return reading{inPostgres{db, connections}}, nil
	}
	return inPostgres{db, connections}, nil
}

// reading refuses to write, as the embedded store does that is opened for reading alone. A setting of the connection would
// not do: the driver asks for a transaction that writes.
type reading struct{ inPostgres }

var errReading = errors.New("the store was opened for reading only")

func (reading) Commit(context.Context, store.Change) (int64, error)         { return 0, errReading }
func (reading) RememberLogin(context.Context, store.Login, time.Time) error { return errReading }
func (reading) AddKey(context.Context, store.Key) error                     { return errReading }
func (reading) SetKeyState(_ context.Context, _, _, _ string) error         { return errReading }

// DSN is the connection string of the database that clutch.service.db.postgres names. It may hold a password.
func DSN(config gatewayconfig.Config) (string, error) {
	c := config.Postgres.GetConnection()
	if c == nil {
		return "", errors.New("services: clutch.service.db.postgres has no connection, and the store needs it")
	}
	dsn := fmt.Sprintf("host=%s port=%d dbname=%s user=%s", quote(c.GetHost()), c.GetPort(), quote(c.GetDbname()), quote(c.GetUser()))
	if mode := c.GetSslMode(); mode != postgresv1.Connection_UNSPECIFIED {
		dsn += " sslmode=" + quote(strings.ReplaceAll(strings.ToLower(mode.String()), "_", "-"))
	}
	if c.GetPassword() != "" {
		dsn += " password=" + quote(c.GetPassword())
	}
	return dsn, nil
}

// quote keeps a value in one piece, whatever is in it.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
