package access

import (
	"errors"
	"fmt"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// maxNamed is how many rows that cannot be read one error names.
const maxNamed = 20

// unreadableError says which grants are passed over since their rows cannot be read; nil for none.
func unreadableError(rows []store.Unreadable) error {
	if len(rows) == 0 {
		return nil
	}
	var errs []error
	for _, u := range rows[:min(len(rows), maxNamed)] {
		errs = append(errs, u.Err)
	}
	return fmt.Errorf("%d grants are passed over, and in force nowhere: %w", len(rows), errors.Join(errs...))
}

// asRow is what is known of a grant whose row cannot be read.
func asRow(u store.Unreadable) grant.Grant {
	return grant.Grant{ID: u.ID, Subject: u.Subject, Owner: u.Owner, Pool: u.Pool, State: u.State}
}
