package dataplane

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

const opDialect = "find out the api's version"

// Dialect names the version of the API that the node was found to speak, "v2" or "v3"; empty until it is known. See
// Discover.
func (c *Client) Dialect() string {
	if d := c.dialect.Load(); d != nil {
		return d.name
	}
	return ""
}

// Discover asks the node which version of the API it speaks, unless that is known, and answers as Dialect does. No
// caller must: every call does it first. Errors: ErrNoDialect, where it speaks neither; ErrUnauthorized, since a node
// that refuses the credentials has said nothing of its version.
func (c *Client) Discover(ctx context.Context) (string, error) {
	d, err := c.speak(ctx)
	if err != nil {
		return "", err
	}
	return d.name, nil
}

func (c *Client) speak(ctx context.Context) (*dialect, error) {
	if d := c.dialect.Load(); d != nil {
		return d, nil
	}
	return c.askFor(ctx, nil)
}

// askFor asks the node and remembers the answer. Of several callers that know only the dialect old, one asks and the
// others take its answer.
func (c *Client) askFor(ctx context.Context, old *dialect) (*dialect, error) {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, &Error{Op: opDialect, Reason: ErrUnreachable, Retryable: true, cause: ctx.Err()}
	}
	if now := c.dialect.Load(); now != old {
		return now, nil
	}
	for _, d := range dialects() {
		spoken, err := c.speaks(ctx, d)
		if err != nil {
			return nil, err
		}
		if !spoken {
			continue
		}
		if old != nil && old.name == d.name {
			return old, nil
		}
		c.dialect.Store(d)
		return d, nil
	}
	return nil, &Error{Op: opDialect, Status: http.StatusNotFound, Reason: ErrNoDialect, Retryable: true}
}

// speaks tells whether the node answers in a dialect. Only a 404 means that it does not.
func (c *Client) speaks(ctx context.Context, d *dialect) (bool, error) {
	a, err := c.send(ctx, d, request{
		op: opDialect, method: http.MethodGet, target: (*dialect).about, wants: []int{http.StatusOK}, reads: true,
	})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var about struct {
		API *struct{} `json:"api"`
	}
	if decode(a.body, &about) != nil || about.API == nil {
		return false, malformed(opDialect, "not the information of a data plane api")
	}
	return true, nil
}

// saysUnknownRoute reads a 404 that came from a router and from nothing behind it, as from an API of another version
// than at the call before. Nothing has happened then. The words are those of go-openapi and of Go's own routers.
func saysUnknownRoute(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound || e.Reason != nil {
		return false
	}
	return strings.HasPrefix(e.said, "path /") && strings.HasSuffix(e.said, " was not found") ||
		e.said == "" && e.Message == "404 page not found"
}
