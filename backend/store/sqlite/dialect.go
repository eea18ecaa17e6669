package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// dialect: lists are JSON arrays.
var dialect = sqlstore.Dialect{
	Parameter: "?",
	Shares: func(column, parameter string) string {
		// The first term is what the partial indexes are by.
		return "(" + column + " <> '[]' AND EXISTS (SELECT 1 FROM json_each(" + column + ") AS had WHERE had.value IN (SELECT value FROM json_each(" + parameter + "))))"
	},
	List:      func(list []string) any { return jsonList(list) },
	Into:      func(list *[]string) any { return (*scannedList)(list) },
	Empty:     "'[]'",
	Duplicate: func(err error) bool { return code(err)&0xff == sqlite3.SQLITE_CONSTRAINT },
}

// jsonList is a list as a column holds it.
func jsonList(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return "[]" // not of strings
	}
	return string(raw)
}

// scannedList reads a list as a column holds it.
type scannedList []string

// Scan implements sql.Scanner. What is no list is one of what stands there, so that it is like none that was written.
func (l *scannedList) Scan(value any) error {
	text, ok := value.(string)
	if !ok || json.Unmarshal([]byte(text), (*[]string)(l)) != nil {
		*l = scannedList{fmt.Sprint(value)}
	}
	return nil
}

// refused marks the errors that say that rows are at fault: a rule of the schema, a type, a size.
func refused(err error) error {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", batch.ErrRefused, err)
	default:
		return err
	}
}

// code is SQLite's result code, or 0.
func code(err error) int {
	var e *driver.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}
