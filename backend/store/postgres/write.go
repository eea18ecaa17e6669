package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
)

// commitLimit bounds a transaction from BEGIN to the answer to COMMIT where the server hangs, and settleLimit how long it
// is asked afterwards what has become of a COMMIT that was not answered.
const (
	commitLimit = time.Minute
	settleLimit = 30 * time.Second
)

// standstill is after how many milliseconds Postgres ends a transaction whose client does not go on: a gateway that is
// stopped, or cut off, within one holds up nobody for longer, the lock of the log included. Nothing of it is written, and the
// gateway is told so when it goes on. It is set within each transaction, since the connections are Clutch's, and others use
// them too.
const standstill = "4000"

const limitStandstill = "SET LOCAL idle_in_transaction_session_timeout = " + standstill

// Commit implements store.Grants.
func (db *DB) Commit(ctx context.Context, c store.Change) (int64, error) {
	return db.queue.Commit(ctx, c)
}

// Transact implements sqlstore.Writer. The context ends the wait for a connection and do's statements, but not COMMIT: a
// cancelled COMMIT could report a failure for what is on disk.
func (db *DB) Transact(ctx context.Context, do func(*sql.Tx) error) error {
	commit, err := db.transaction(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, limitStandstill); err != nil {
			return fmt.Errorf("begin transaction: %w", err)
		}
		return do(tx)
	})
	if err != nil {
		return err
	}
	return commit()
}

// transaction runs do in a transaction and returns what commits it.
func (db *DB) transaction(ctx context.Context, do func(*sql.Tx) error) (commit func() error, err error) {
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	tx, release, err := db.begin(ctx, lasting)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	end := func() {
		release()
		cancel()
	}
	if err = do(tx); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = tx.Rollback() // where it fails the connection is gone, and the server rolls back
		end()
		return nil, err
	}
	return func() error {
		defer end()
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}, nil
}

// begin waits for a connection as long as ctx lasts and begins a transaction that lasts as long as lasting. Connections of
// the pool that have ended unnoticed, by a restart of the server say, are dropped.
func (db *DB) begin(ctx, lasting context.Context) (*sql.Tx, func(), error) {
	for {
		conn, err := db.db.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		release := func() { _ = conn.Close() } // gives it back to its pool
		tx, err := conn.BeginTx(lasting, &sql.TxOptions{Isolation: db.isolation})
		if err == nil {
			return tx, release, nil
		}
		release()
		if !errors.Is(err, driver.ErrBadConn) || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// Write implements batch.Database. do must ask for the head first, which limits how long it may stand still.
func (db *DB) Write(ctx context.Context, do func(batch.Tx) error) error {
	t := &tx{ctx: ctx, db: db}
	_, _ = rand.Read(t.id[:]) // never fails
	commit, err := db.transaction(ctx, func(sqlTx *sql.Tx) error {
		t.tx = sqlTx
		return do(t)
	})
	if err != nil {
		return refused(err)
	}
	err = commit()
	if err == nil || code(err) != "" {
		return refused(err) // the server itself has said what became of it
	}
	return db.settle(t, err)
}

// settle finds out what became of a COMMIT whose answer was lost.
func (db *DB) settle(t *tx, lost error) error {
	if !t.wrote {
		return lost
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleLimit)
	defer cancel()
	for {
		written, err := db.written(ctx, t)
		switch {
		case err == nil && written:
			return nil
		case err == nil:
			return lost
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; it is not known whether it was written: %w", lost, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// written reports whether a transaction was committed. It takes the lock first, and so waits for its end: afterwards the
// answer is for good.
func (db *DB) written(ctx context.Context, t *tx) (written bool, err error) {
	err = db.Transact(ctx, func(sqlTx *sql.Tx) error {
		check := &tx{ctx: ctx, db: db, tx: sqlTx}
		if _, err := check.Head(); err != nil {
			return err
		}
		return check.stmt(readBatch).QueryRowContext(ctx, t.id[:], t.first).Scan(&written)
	})
	return written, err
}
