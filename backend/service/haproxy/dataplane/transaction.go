package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const changeAttempts = 5

// change makes one change of the configuration: a transaction of its own, committed with a forced reload. Where
// another writer was faster it begins again with the new version, a bounded number of times. Whatever fails, its
// transaction is deleted: the API takes only twenty.
//
// ErrReloadFailed means that the commit was valid and the reload was not. The API has then put the old file back but
// keeps the change in its memory, and writes it with the next commit of anybody: the caller must undo it.
func (c *Client) change(ctx context.Context, op string, edit func(ctx context.Context, transaction string) error) error {
	return c.retry(ctx, func() error { return c.tryChange(ctx, op, edit) })
}

// reload makes HAProxy reload now, by a change that changes nothing.
func (c *Client) reload(ctx context.Context, op string) error {
	return c.change(ctx, op+": reload", func(context.Context, string) error { return nil })
}

// retry runs try again, a bounded number of times, while another writer was faster.
func (c *Client) retry(ctx context.Context, try func() error) error {
	var err error
	for attempt := range changeAttempts {
		if attempt > 0 {
			if waited := pause(ctx, c.changePause<<attempt); waited != nil {
				return errors.Join(err, waited)
			}
		}
		if err = try(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

func (c *Client) tryChange(ctx context.Context, op string, edit func(ctx context.Context, transaction string) error) error {
	version, err := c.configurationVersion(ctx, op)
	if err != nil {
		return err
	}
	id, err := c.begin(ctx, op, version)
	if err != nil {
		return err
	}
	err = edit(ctx, id)
	if err == nil {
		err = c.commit(ctx, op, id)
	}
	if err == nil || errors.Is(err, ErrReloadFailed) {
		return err // the transaction has ended
	}
	return c.abandon(ctx, op, id, err)
}

func (c *Client) configurationVersion(ctx context.Context, op string) (int64, error) {
	a, err := c.do(ctx, request{
		op: op + ": read version", method: http.MethodGet, target: (*dialect).version,
		wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return 0, err
	}
	version, err := strconv.ParseInt(strings.TrimSpace(string(a.body)), 10, 64)
	if err != nil || version < 0 {
		return 0, malformed(op+": read version", "not a number")
	}
	return version, nil
}

func (c *Client) begin(ctx context.Context, op string, version int64) (string, error) {
	op += ": begin transaction"
	a, err := c.do(ctx, request{
		op: op, method: http.MethodPost,
		target: func(d *dialect) target { return d.transactions().with("version", strconv.FormatInt(version, 10)) },
		wants:  []int{http.StatusCreated}, reads: true,
	})
	if err != nil {
		return "", conflict(err)
	}
	var begun struct {
		ID string `json:"id"`
	}
	if err := decode(a.body, &begun); err != nil || !transactionPattern.MatchString(begun.ID) {
		return "", malformed(op, "no transaction")
	}
	return begun.ID, nil
}

// commit wants 200, which says that the forced reload is done. A 202 is taken too: the reload comes later, and the
// caller looks at what runs in any case.
func (c *Client) commit(ctx context.Context, op, id string) error {
	_, err := c.do(ctx, request{
		op: op + ": commit", method: http.MethodPut, slow: true,
		target: func(d *dialect) target { return d.transaction(id).with("force_reload", "true") },
		wants:  []int{http.StatusOK, http.StatusAccepted},
	})
	return conflict(outcome(err))
}

// outcome reads the error of a write with a forced reload: whether the reload failed, or nobody knows.
func outcome(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Status == http.StatusBadRequest && strings.Contains(e.said, "Reload failed"):
		e.Reason, e.Retryable = ErrReloadFailed, false
	case e.Status == 0 && e.Reason == ErrUnreachable, e.Status >= 500:
		return &unknownOutcome{err: e}
	}
	return err
}

// unknownOutcome wraps the error of a commit that may or may not have happened.
type unknownOutcome struct{ err *Error }

func (u *unknownOutcome) Error() string { return u.err.Error() }
func (u *unknownOutcome) Unwrap() error { return u.err }

// abandon deletes a transaction after a failure, also when ctx has ended; cause is what failed.
func (c *Client) abandon(ctx context.Context, op, id string, cause error) error {
	_, err := c.do(context.WithoutCancel(ctx), request{
		op: op + ": delete transaction", method: http.MethodDelete,
		target: func(d *dialect) target { return d.transaction(id) },
		wants:  []int{http.StatusNoContent, http.StatusNotFound},
	})
	if err != nil {
		return fmt.Errorf("%w (transaction %s may be left open: %w)", cause, id, err)
	}
	return cause
}

// conflict marks what a new version may heal. A 409 that names an existing object is none.
func conflict(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Reason != nil {
		return err
	}
	switch {
	case e.Status == http.StatusConflict && strings.Contains(e.said, "already exists"):
		e.Reason, e.Retryable = ErrExists, false
	case e.Status == http.StatusConflict, e.Status == http.StatusNotAcceptable:
		e.Reason, e.Retryable = ErrConflict, true
	}
	return err
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
