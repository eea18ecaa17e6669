package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/batch"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlstore"
)

// dialect: lists are arrays of text.
var dialect = sqlstore.Dialect{
	Schema:    "haproxyaccess.",
	Parameter: "$",
	Shares: func(column, parameter string) string {
		// The first term is what the partial indexes are by.
		return "(" + column + " <> '{}' AND " + column + " && " + parameter + ")"
	},
	List: func(list []string) any {
		if list == nil {
			list = []string{} // not NULL
		}
		return pq.Array(list)
	},
	Into:      func(list *[]string) any { return pq.Array(list) },
	Empty:     "'{}'",
	Head:      true,
	Duplicate: func(err error) bool { return code(err) == "23505" },
}

// code is Postgres' SQLSTATE, or empty.
func code(err error) pq.ErrorCode {
	var e *pq.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// refused marks the errors that say that rows are at fault: a rule of the schema, or a value that is none.
func refused(err error) error {
	// The first two characters are the class: 22 is a value that is none, 23 a constraint.
	if c := string(code(err)); strings.HasPrefix(c, "22") || strings.HasPrefix(c, "23") {
		return fmt.Errorf("%w: %w", batch.ErrRefused, err)
	}
	return err
}
