package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// create adds a server by one call that names the configuration's version. The API writes it into the configuration and
// then asks the worker to take it: 201 if it did, without a reload. 202 promises a reload at some time; create makes
// HAProxy reload at once in its place, since only then it can be said what became of it.
func (c *Client) create(ctx context.Context, op, backend, name string, definition json.RawMessage) error {
	before, err := c.configuredServer(ctx, backend, name)
	if err != nil {
		return err
	}
	if before != nil {
		return &Error{Op: op, Reason: ErrExists}
	}
	added := false
	err = c.retry(ctx, func() (err error) {
		added, err = c.tryCreate(ctx, op, backend, definition)
		return err
	})
	if unknown := (*unknownOutcome)(nil); errors.As(err, &unknown) {
		err = c.resolve(ctx, backend, name, true, err)
	}
	if err != nil || added {
		return err
	}
	return c.reload(ctx, op)
}

// tryCreate tells whether the worker has the server already.
func (c *Client) tryCreate(ctx context.Context, op, backend string, definition json.RawMessage) (added bool, err error) {
	version, err := c.configurationVersion(ctx, op)
	if err != nil {
		return false, err
	}
	a, err := c.do(ctx, request{
		op: op, method: http.MethodPost, contentType: jsonBody, body: definition, slow: true,
		target: func(d *dialect) target { return d.servers(backend).with("version", strconv.FormatInt(version, 10)) },
		wants:  []int{http.StatusCreated, http.StatusAccepted},
	})
	err = conflict(err)
	var e *Error
	if errors.As(err, &e) && (e.Status == 0 || e.Status == http.StatusNotFound || e.Status >= 500) {
		// The API looks at other sections after it has written the server, and may stumble over them.
		err = &unknownOutcome{err: e}
	}
	return a.status == http.StatusCreated, err
}
