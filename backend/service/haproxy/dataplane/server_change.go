package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

const (
	// How often to look whether the running worker shows a change, after the commit's answer: for 2.5 s.
	settlePolls = 25
)

// AddServer adds a server to a backend, in the configuration and in the running worker; only Name, Address and Port
// count. /v3 does it without a reload where HAProxy can add it at run time; else HAProxy reloads. On success the worker
// has it, ready and up. Errors: ErrExists, ErrConflict after several attempts, ErrReloadFailed where HAProxy did not
// take it and it was undone, ErrNotApplied where the worker does not have it though the API said so, and it was undone;
// ErrNotUndone beside one of the two where the configuration still has it; ErrNotUp where it is in place and HAProxy
// holds it for down; ErrInvalid. After another error read Servers to know what is there.
func (c *Client) AddServer(ctx context.Context, backend string, s Server) error {
	const op = "add server"
	if err := checkBackend(backend); err != nil {
		return err
	}
	if err := checkServer(s); err != nil {
		return err
	}
	number := int64(s.Port)
	definition, err := json.Marshal(models.Server{Name: s.Name, Address: s.Address, Port: &number})
	if err != nil {
		return &Error{Op: op, Reason: ErrInvalid, Message: "server cannot be encoded"}
	}
	d, err := c.speak(ctx)
	if err != nil {
		return err
	}
	if d.runtimeAdd {
		err = c.create(ctx, op, backend, s.Name, definition)
	} else {
		err = c.change(ctx, op, c.insert(op, backend, definition))
		if unknown := (*unknownOutcome)(nil); errors.As(err, &unknown) {
			err = c.resolve(ctx, backend, s.Name, true, err)
		}
	}
	if err == nil {
		err = c.settled(ctx, op, backend, s.Name, true)
	}
	if errors.Is(err, ErrReloadFailed) || errors.Is(err, ErrNotApplied) {
		return c.undo(ctx, backend, s.Name, false, c.remove("undo "+op, backend, s.Name), err)
	}
	if err != nil {
		return err
	}
	return c.bringUp(ctx, backend, s.Name)
}

// RemoveServer removes a server from a backend, in the configuration and, by a forced reload, in the running worker.
// On success the worker does not have it. Errors: ErrNoServer where the configuration does not have it, ErrConflict
// after several attempts, ErrReloadFailed where HAProxy did not take the rest and the server was put back, at the
// backend's end, with ErrNotUndone beside it where that failed; ErrNotApplied where the worker still has it; ErrInvalid.
func (c *Client) RemoveServer(ctx context.Context, backend, name string) error {
	const op = "remove server"
	if err := checkBackend(backend); err != nil {
		return err
	}
	if err := checkServerName(name); err != nil {
		return err
	}
	before, err := c.configuredServer(ctx, backend, name)
	if err != nil {
		return err
	}
	if before == nil {
		return &Error{Op: op, Reason: ErrNoServer}
	}
	err = c.change(ctx, op, c.remove(op, backend, name))
	if unknown := (*unknownOutcome)(nil); errors.As(err, &unknown) {
		err = c.resolve(ctx, backend, name, false, err)
	}
	if errors.Is(err, ErrReloadFailed) {
		return c.undo(ctx, backend, name, true, c.insert("undo "+op, backend, before.definition), err)
	}
	if err != nil {
		return err
	}
	return c.settled(ctx, op, backend, name, false)
}

func (c *Client) insert(op, backend string, definition json.RawMessage) func(context.Context, string) error {
	return func(ctx context.Context, transaction string) error {
		_, err := c.do(ctx, request{
			op: op, method: http.MethodPost,
			target:      func(d *dialect) target { return d.servers(backend).with("transaction_id", transaction) },
			contentType: jsonBody, body: definition, wants: []int{http.StatusCreated, http.StatusAccepted},
		})
		return conflict(err)
	}
}

func (c *Client) remove(op, backend, name string) func(context.Context, string) error {
	return func(ctx context.Context, transaction string) error {
		_, err := c.do(ctx, request{
			op: op, method: http.MethodDelete,
			target: func(d *dialect) target { return d.server(backend, name).with("transaction_id", transaction) },
			wants:  []int{http.StatusNoContent, http.StatusAccepted},
		})
		return reason(conflict(err), ErrNoServer, func(e *Error) bool {
			return e.Status == http.StatusNotFound && strings.Contains(e.said, "does not exist")
		})
	}
}

// resolve finds out whether a commit without an answer happened: it did if the configuration says so. What runs is
// checked afterwards, as after an answer.
func (c *Client) resolve(ctx context.Context, backend, name string, want bool, cause error) error {
	found, err := c.configuredServer(context.WithoutCancel(ctx), backend, name)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("look whether it happened: %w", err))
	}
	if (found != nil) == want {
		return nil
	}
	return cause
}

// settled waits until the worker has the server, or does not have it any more. The API's answer is no proof: killed
// between a commit and its reload, it forgets the reload.
func (c *Client) settled(ctx context.Context, op, backend, name string, want bool) error {
	var err error
	for poll := range settlePolls {
		if poll > 0 {
			if waited := pause(ctx, c.settlePause); waited != nil {
				return errors.Join(err, waited)
			}
		}
		var found *models.RuntimeServer
		found, err = c.runningServer(ctx, backend, name)
		if err == nil && (found != nil) == want {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: look at what runs: %w", op, err)
	}
	return notApplied(op, "the running worker's servers did not change")
}

// undo takes a change back that is in the API's memory but not in force, also when ctx has ended. The reload at its
// end may fail again, for a reason that was there before: what counts is that the configuration is as it was.
func (c *Client) undo(ctx context.Context, backend, name string, want bool, edit func(context.Context, string) error, cause error) error {
	ctx = context.WithoutCancel(ctx)
	changed := c.change(ctx, "undo", edit)
	found, err := c.configuredServer(ctx, backend, name)
	if err == nil && (found != nil) == want {
		return cause
	}
	return errors.Join(cause, &Error{Op: "undo", Reason: ErrNotUndone}, changed, err)
}
