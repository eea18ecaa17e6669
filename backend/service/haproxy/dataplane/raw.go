package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxRaw = 8 << 20

// RawConfiguration reads the whole of haproxy.cfg, byte for byte but for the comments at its top in which the API keeps
// its version and a checksum, and the version by which it can be replaced. Errors: ErrConflict where it changed while it
// was read, several times.
//
// The text may hold secrets of others, as passwords of a userlist: it must not be logged.
func (c *Client) RawConfiguration(ctx context.Context) (text string, version int64, err error) {
	const op = "read configuration"
	err = c.retry(ctx, func() error {
		// Neither version gives text and version together in a way that no commit comes between.
		before, err := c.configurationVersion(ctx, op)
		if err != nil {
			return err
		}
		if text, err = c.rawText(ctx, op); err != nil {
			return err
		}
		if version, err = c.configurationVersion(ctx, op); err != nil {
			return err
		}
		if before != version {
			return &Error{Op: op, Reason: ErrConflict, Retryable: true}
		}
		return nil
	})
	if err != nil {
		return "", 0, err
	}
	return text, version, nil
}

func (c *Client) rawText(ctx context.Context, op string) (string, error) {
	a, err := c.do(ctx, request{
		op: op, method: http.MethodGet, target: (*dialect).raw, wants: []int{http.StatusOK}, reads: true,
	})
	if err != nil {
		return "", err
	}
	text, err := a.dialect.text(a.body)
	if err != nil {
		return "", malformed(op, "no text")
	}
	return withoutHead(text), nil
}

// withoutHead takes off the comments that the API puts at the top, with the empty line that it puts after them.
func withoutHead(text string) string {
	rest := text
	for {
		line, after, ended := strings.Cut(rest, "\n")
		if !ended || !isMark(line) {
			break
		}
		rest = after
	}
	if len(rest) < len(text) {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return rest
}

// isMark tells whether a line is one of the comments in which the API keeps what it must know of the file.
func isMark(line string) bool {
	for _, mark := range []string{"# _version=", "# _md5hash=", "# _cluster_version="} {
		if strings.HasPrefix(line, mark) {
			return true
		}
	}
	return false
}

// PutRawConfiguration replaces the whole of haproxy.cfg by a text, if version is still that of the configuration, and
// makes HAProxy reload. HAProxy validates the text before it takes effect. The text is as RawConfiguration gives it, and
// ends with a newline. With validateOnly it is only validated, and nothing is changed or reloaded.
//
// On success the file holds the text and another worker than before runs. The API lays every text out anew when it
// writes, as it does at each change of anybody (measured with 2.9 and 3.2): it sets blanks and indents, drops empty
// lines within a section, and puts some settings of a section in an order of its own; a text that it has laid out stays
// byte for byte. So what RawConfiguration gives afterwards may differ from text in that. Errors: ErrRejected, with some of HAProxy's
// words, where it does not take the text, and nothing has changed (with validateOnly, /v2 says no more than that it is
// so); ErrConflict where the version is another; ErrReloadFailed where the reload failed and the text of before was put
// back, with ErrNotUndone beside it where that failed; ErrNotApplied where the same worker still runs; ErrInvalid.
func (c *Client) PutRawConfiguration(ctx context.Context, text string, version int64, validateOnly bool) error {
	const op = "write configuration"
	if err := checkRaw(text); err != nil {
		return err
	}
	if validateOnly {
		_, err := c.do(ctx, request{
			op: "validate configuration", method: http.MethodPost, contentType: textBody, body: []byte(text), slow: true,
			target: func(d *dialect) target { return d.raw().with("only_validate", "true") },
			wants:  []int{http.StatusAccepted},
		})
		return rejected(err)
	}
	before, now, err := c.RawConfiguration(ctx)
	if err != nil {
		return err
	}
	if now != version {
		return &Error{Op: op, Reason: ErrConflict, Retryable: true}
	}
	worker, _, err := c.Worker(ctx)
	if err != nil {
		return err // what cannot be asked now could not be asked afterwards
	}
	err = c.postRaw(ctx, op, text, version)
	if unknown := (*unknownOutcome)(nil); errors.As(err, &unknown) {
		err = c.resolveRaw(ctx, op, text, err)
	}
	if errors.Is(err, ErrReloadFailed) {
		return c.undoRaw(ctx, before, err)
	}
	if err != nil {
		return err
	}
	return c.replaced(ctx, op, worker)
}

func checkRaw(text string) error {
	switch {
	case text == "" || !strings.HasSuffix(text, "\n"):
		return &InvalidError{Field: "configuration", Why: "it does not end with a newline"}
	case len(text) > maxRaw:
		return &InvalidError{Field: "configuration", Why: fmt.Sprintf("%d bytes are more than %d", len(text), maxRaw)}
	case !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r"):
		return &InvalidError{Field: "configuration", Why: "it is not UTF-8, or has a NUL or carriage return"}
	case slices.ContainsFunc(strings.Split(text, "\n"), isMark):
		return &InvalidError{Field: "configuration", Why: "it has a comment of those that the api writes itself"}
	}
	return nil
}

func (c *Client) postRaw(ctx context.Context, op, text string, version int64) error {
	_, err := c.do(ctx, request{
		op: op, method: http.MethodPost, contentType: textBody, body: []byte(text), slow: true,
		target: func(d *dialect) target {
			return d.raw().with("version", strconv.FormatInt(version, 10), "force_reload", "true")
		},
		wants: []int{http.StatusCreated},
	})
	return conflict(outcome(rejected(err)))
}

// rejected marks HAProxy's refusal of a text.
func rejected(err error) error {
	return reason(err, ErrRejected, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && strings.Contains(e.said, "validation error")
	})
}

// resolveRaw finds out whether a write without an answer happened. If it did, its reload may not have.
func (c *Client) resolveRaw(ctx context.Context, op, text string, cause error) error {
	ctx = context.WithoutCancel(ctx)
	held, err := c.rawText(ctx, op)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("look whether it happened: %w", err))
	}
	if !sameSettings(held, text) {
		return cause
	}
	return c.reload(ctx, op)
}

// undoRaw puts the text of before back, also when ctx has ended: the API's memory still holds the other.
func (c *Client) undoRaw(ctx context.Context, before string, cause error) error {
	const op = "undo write configuration"
	ctx = context.WithoutCancel(ctx)
	changed := c.retry(ctx, func() error {
		version, err := c.configurationVersion(ctx, op)
		if err != nil {
			return err
		}
		return c.postRaw(ctx, op, before, version)
	})
	// The reload at its end may fail again, for a reason that was there before: what counts is the text. The file alone
	// proves nothing, since the API put it back itself, and not what it has in its memory.
	held, err := c.rawText(ctx, op)
	if (changed == nil || errors.Is(changed, ErrReloadFailed)) && err == nil && sameSettings(held, before) {
		return cause
	}
	return errors.Join(cause, &Error{Op: op, Reason: ErrNotUndone}, changed, err)
}

// sameSettings tells whether two texts differ in no more than how the API lays a text out.
func sameSettings(a, b string) bool {
	return slices.Equal(settings(a), settings(b))
}

func settings(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

// replaced waits until another worker runs.
func (c *Client) replaced(ctx context.Context, op string, old Worker) error {
	var err error
	for poll := range settlePolls {
		if poll > 0 {
			if waited := pause(ctx, c.settlePause); waited != nil {
				return errors.Join(err, waited)
			}
		}
		var now Worker
		if now, _, err = c.Worker(ctx); err == nil && !now.SameProcess(old) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s: look at what runs: %w", op, err)
	}
	return notApplied(op, "the worker of before still runs")
}
