package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
)

var errReadOnly = errors.New("the store was opened for reading only")

// writer is the one connection that writes, and what it does for each grant, prepared.
type writer struct {
	*sql.DB
	prepared map[string]*sql.Stmt
}

func openWriter(ctx context.Context, path string) (_ *writer, err error) {
	db, err := sql.Open("sqlite", dsn(path, "_txlock=immediate&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(10000)"))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db.SetMaxOpenConns(1)
	w := &writer{DB: db, prepared: map[string]*sql.Stmt{}}
	for _, query := range statements {
		if w.prepared[query], err = db.PrepareContext(ctx, query); err != nil {
			return nil, errors.Join(fmt.Errorf("open store: prepare: %w", err), w.close())
		}
	}
	return w, nil
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.prepared {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, w.DB.Close())...)
}

// Commit implements store.Grants.
func (db *DB) Commit(ctx context.Context, c store.Change) (int64, error) {
	if db.write == nil {
		return 0, errReadOnly
	}
	return db.queue.Commit(ctx, c)
}

// Transact implements sqlstore.Writer: it runs do in an immediate transaction. The context ends the wait for the
// connection and do's statements, but not COMMIT: a cancelled COMMIT could report a failure for what is on disk.
func (db *DB) Transact(ctx context.Context, do func(*sql.Tx) error) error {
	if db.write == nil {
		return errReadOnly
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for the writing connection: %w", err)
	}
	defer func() { _ = conn.Close() }() // gives it back to its pool
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err = do(tx); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		// A rollback that fails leaves the connection to database/sql, which drops it: nothing was committed.
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Write implements batch.Database.
func (db *DB) Write(ctx context.Context, do func(batch.Tx) error) error {
	err := db.Transact(ctx, func(sqlTx *sql.Tx) error { return do(&tx{tx: sqlTx, prepared: db.write.prepared}) })
	return refused(err)
}

// tx implements batch.Tx. Its statements have no context: each ends by itself, on a file of this machine, and to watch a
// context costs more than most of them.
type tx struct {
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
}

func (t *tx) stmt(query string) *sql.Stmt {
	return t.tx.StmtContext(context.Background(), t.prepared[query])
}

func (t *tx) exec(query string, args ...any) error {
	if _, err := t.stmt(query).ExecContext(context.Background(), args...); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// row reads one row, and says whether there is one.
func (t *tx) row(query string, args []any, into ...any) (bool, error) {
	err := t.stmt(query).QueryRowContext(context.Background(), args...).Scan(into...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read: %w", err)
	}
	return true, nil
}
