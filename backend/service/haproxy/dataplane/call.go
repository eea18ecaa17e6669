package dataplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	jsonBody = "application/json"
	textBody = "text/plain"

	maxErrorBody = 8 << 10
)

// request is one call.
type request struct {
	op          string
	method      string
	target      route
	contentType string // empty where there is no body
	body        []byte
	wants       []int // the statuses that mean done
	reads       bool  // the answer's body is needed; otherwise the status says all
	// into takes the body of the answer that was wanted, in place of answer.body. It never fails.
	into io.Writer
	slow bool // bounded by Options.BulkTimeout
}

// answer is what came back with a wanted status.
type answer struct {
	dialect        *dialect // in which it came
	status         int
	date           string
	body           []byte
	sent, received time.Time
}

// do makes one call in the node's dialect, which it finds out first if need be. Where the node says that it has no such
// route, it is asked anew, and the call goes out once more if the API was replaced by one of another version.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	d, err := c.speak(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := c.send(ctx, d, r)
	if !saysUnknownRoute(err) {
		return a, err
	}
	now, failed := c.askFor(ctx, d)
	if failed != nil || now == d {
		return a, err
	}
	return c.send(ctx, now, r)
}

// send makes one call, with a deadline of its own below that of ctx. It decides by the status first; only then, and
// only if it is needed, does it read the body. Every error is an *Error without credentials.
func (c *Client) send(ctx context.Context, d *dialect, r request) (answer, error) {
	hide, authorize, err := c.credentials()
	if err != nil {
		return answer{}, &Error{Op: r.op, Reason: ErrPassword, Retryable: true, cause: err}
	}
	client, err := c.wire.client()
	if err != nil {
		return answer{}, named(r.op, err)
	}
	timeout := c.timeout
	if r.slow {
		timeout = c.bulkTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := c.newRequest(ctx, d, r)
	if err != nil {
		return answer{}, &Error{Op: r.op, Reason: ErrInvalid, Message: "request cannot be built"}
	}
	authorize(req)

	sent := c.now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, unreachable(ctx, r.op, err, hide)
	}
	defer resp.Body.Close()
	received := c.now()

	if !slices.Contains(r.wants, resp.StatusCode) {
		return answer{}, refusal(r.op, resp.StatusCode, errorBody(resp), hide)
	}
	a := answer{dialect: d, status: resp.StatusCode, date: resp.Header.Get("Date"), sent: sent, received: received}
	switch {
	case r.into != nil:
		err = c.copyBody(ctx, r, resp, hide)
	case r.reads:
		a.body, err = c.readBody(ctx, r, resp, hide)
	default:
		// Read for the connection's sake only: the status has said that it is done.
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	}
	return a, err
}

// credentials reads the password of now: how to send it, and how to hide it.
func (c *Client) credentials() (redactor, func(*http.Request), error) {
	if c.password == nil {
		return redactor{}, func(*http.Request) {}, nil
	}
	password, err := c.password.get()
	if err != nil {
		return redactor{}, nil, err
	}
	return newRedactor(c.username, password), func(r *http.Request) { r.SetBasicAuth(c.username, password) }, nil
}

// named gives an error of this package the name of what was tried.
func named(op string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Op = op
	}
	return err
}

func (c *Client) newRequest(ctx context.Context, d *dialect, r request) (*http.Request, error) {
	u, err := r.target(d).on(c.base)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.contentType != "" {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base.String(), body)
	if err != nil {
		return nil, err
	}
	req.URL = u
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	return req, nil
}

// errorBody reads the start of a refusal's body. That of a 401 is left unread, because it repeats the password.
func errorBody(resp *http.Response) []byte {
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return body
}

// maxBelieved bounds how much memory an answer gets by its word for its length alone.
const maxBelieved = 4 << 20

func (c *Client) readBody(ctx context.Context, r request, resp *http.Response, hide redactor) ([]byte, error) {
	var body bytes.Buffer
	if n := resp.ContentLength; n > 0 {
		body.Grow(int(min(n, maxBelieved)) + bytes.MinRead)
	}
	r.into = &body
	if err := c.copyBody(ctx, r, resp, hide); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}

func (c *Client) copyBody(ctx context.Context, r request, resp *http.Response, hide redactor) error {
	n, err := io.Copy(r.into, io.LimitReader(resp.Body, c.maxAnswer+1))
	if err != nil {
		return unreachable(ctx, r.op, err, hide)
	}
	if n > c.maxAnswer {
		return &Error{Op: r.op, Reason: ErrTooLarge}
	}
	return nil
}

// unreachable keeps of err a redacted line of text, and whether time ran out. The error itself is dropped: Go quotes
// the peer's bytes in some of them, and the peer may repeat our header.
func unreachable(ctx context.Context, op string, err error, hide redactor) *Error {
	e := &Error{Op: op, Reason: ErrUnreachable, Retryable: true}
	if ended := ctx.Err(); ended != nil {
		e.cause = ended
		return e
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // without the address
	}
	var dial *net.OpError
	e.unsent = errors.As(err, &dial) && dial.Op == "dial"
	e.Message = hide.line(err.Error())
	return e
}

// decode reads one JSON value and wants nothing after it. "null" and an empty body are errors, never an empty list: a
// list that is taken for empty would be taken for a proof that an entry is gone.
func decode(body []byte, into any) error {
	if text := bytes.TrimSpace(body); len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return errors.New("no value")
	}
	return json.Unmarshal(body, into)
}
