package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
)

// Dialect is how a database differs. In queries a table's name stands after an @, and the n-th parameter is ?n.
type Dialect struct {
	Schema    string // what stands for the @, "haproxyaccess." say
	Parameter string // what stands for the ? of a parameter: "?" or "$"
	// Shares is the condition that a column that holds a list has an element in common with a parameter, which List makes.
	Shares func(column, parameter string) string
	List   func([]string) any
	Into   func(*[]string) any // what a column that holds a list is scanned into
	Empty  string              // a list without elements, as a literal
	Head   bool                // whether a row of its own, in the table head, names the log's end
	// Duplicate tells the error of a unique index.
	Duplicate func(error) bool
}

// sql is a query in the dialect.
func (d Dialect) sql(query string) string {
	return strings.NewReplacer("@", d.Schema, "?", d.Parameter).Replace(query)
}

// Writer is a driver's way to write.
type Writer interface {
	// Transact runs do in a transaction of its own: all of it is on disk when it returns nil, and nothing otherwise.
	Transact(ctx context.Context, do func(*sql.Tx) error) error
}

// Store implements all interfaces of package store but for Grants' Commit. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	dialect Dialect
	writer  Writer
}

// New makes a store that reads from db and writes through w.
func New(db *sql.DB, d Dialect, w Writer) *Store { return &Store{db: db, dialect: d, writer: w} }

// exec runs one statement in a transaction of its own and returns how many rows it changed. A single statement outside of
// a transaction might report a cancelled context after it took effect.
func (s *Store) exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = s.writer.Transact(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.dialect.sql(query), args...)
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

func (s *Store) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.db.QueryContext(ctx, s.dialect.sql(query), args...)
}

func (s *Store) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return s.db.QueryRowContext(ctx, s.dialect.sql(query), args...)
}

// where collects conditions and their parameters.
type where struct {
	terms []string
	args  []any
}

// arg adds a parameter and returns its name.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "?" + strconv.Itoa(len(w.args))
}

func (w *where) add(term string) { w.terms = append(w.terms, term) }

func (w *where) equal(column, value string) {
	if value != "" {
		w.add(column + " = " + w.arg(value))
	}
}

// oneOf is the condition that a column has one of the values: none, where there is no value.
func oneOf[T ~string](w *where, column string, values []T) {
	if len(values) == 0 {
		w.add("1 = 0")
		return
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = w.arg(string(v))
	}
	w.add(column + " IN (" + strings.Join(names, ", ") + ")")
}

// among is the condition that one of several holds: none, where there is no condition. Each is asked for by itself, so that
// each finds its index: with an OR, or a UNION that takes doubles out in the order of ids, all grants would be looked at.
func (w *where) among(conditions ...string) {
	if len(conditions) == 0 {
		w.add("1 = 0")
		return
	}
	const of = "SELECT id FROM @grants WHERE "
	w.add("id IN (" + of + strings.Join(conditions, " UNION ALL "+of) + ")")
}

func (w *where) sql() string {
	if len(w.terms) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.terms, " AND ")
}

// checkLimit holds the bounds of a page.
func checkLimit(limit int) error {
	if limit < 1 || limit > 1000 {
		return fmt.Errorf("a limit of %d; want 1 to 1000", limit)
	}
	return nil
}
