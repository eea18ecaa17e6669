package dataplane

import (
	"context"
	"net/http"

	"github.com/haproxytech/client-native/v5/models"
)

const (
	ready = models.RuntimeServerAdminStateReady
	drain = models.RuntimeServerAdminStateDrain
	up    = models.RuntimeServerOperationalStateUp
)

// DrainServer lets a server of the running worker finish what it has and gives it nothing new, but for requests that
// are bound to it by a cookie. The next reload makes it ready again: the configuration stays as it is. Errors:
// ErrNoServer where the worker does not have it, ErrNotApplied, ErrInvalid.
func (c *Client) DrainServer(ctx context.Context, backend, name string) error {
	return c.setAdminState(ctx, "drain server", backend, name, drain)
}

// ReadyServer ends a server's draining or maintenance in the running worker. Errors as DrainServer's.
func (c *Client) ReadyServer(ctx context.Context, backend, name string) error {
	return c.setAdminState(ctx, "set server ready", backend, name, ready)
}

// setAdminState sets a state and looks whether it is so.
func (c *Client) setAdminState(ctx context.Context, op, backend, name, state string) error {
	if err := checkBackend(backend); err != nil {
		return err
	}
	if err := checkServerName(name); err != nil {
		return err
	}
	found, err := c.runningServer(ctx, backend, name)
	if err != nil {
		return err
	}
	if found == nil {
		return &Error{Op: op, Reason: ErrNoServer}
	}
	if found.AdminState == state {
		return nil
	}
	err = c.write(ctx, request{
		op: op, method: http.MethodPut, target: func(d *dialect) target { return d.runtimeServer(backend, name) },
		wants: []int{http.StatusOK},
	}, models.RuntimeServer{AdminState: state})
	if err != nil {
		return err
	}
	if found, err = c.runningServer(ctx, backend, name); err != nil {
		return err
	}
	if found == nil || found.AdminState != state {
		return notApplied(op, "the running worker's server is not %s", state)
	}
	return nil
}

// bringUp sets a new server ready, since one that was added without a reload comes up in maintenance, and waits until
// HAProxy holds it for up.
func (c *Client) bringUp(ctx context.Context, backend, name string) error {
	if err := c.setAdminState(ctx, "set server ready", backend, name, ready); err != nil {
		return err
	}
	for poll := range settlePolls {
		if poll > 0 {
			if err := pause(ctx, c.settlePause); err != nil {
				return err
			}
		}
		found, err := c.runningServer(ctx, backend, name)
		if err != nil {
			return err
		}
		if found != nil && found.OperationalState == up {
			return nil
		}
	}
	return &Error{Op: "add server", Reason: ErrNotUp, Retryable: true}
}
