package dataplane_test

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

// clean fails if an error, or any error inside it, holds the password in any form or would break a log line.
func clean(t *testing.T, where string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := fmt.Sprintf("%v|%+v|%#v", err, err, err)
	var walk func(error)
	walk = func(err error) {
		text += "|" + err.Error()
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			if inner := u.Unwrap(); inner != nil {
				walk(inner)
			}
		case interface{ Unwrap() []error }:
			for _, inner := range u.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	for _, secret := range []string{
		dataplanetest.Password, url.QueryEscape(dataplanetest.Password), url.PathEscape(dataplanetest.Password), "P4ss",
		base64.StdEncoding.EncodeToString([]byte(dataplanetest.Username + ":" + dataplanetest.Password)),
	} {
		if contains(text, secret) {
			t.Errorf("%s: %q in the error: %s", where, secret, text)
		}
	}
	var e *dataplane.Error
	if errors.As(err, &e) {
		if len([]rune(e.Message)) > 410 || strings.ContainsFunc(e.Message, unicode.IsControl) {
			t.Errorf("%s: message is long or has control characters: %q", where, e.Message)
		}
	}
}

func TestPasswordIsInNoErrorWhateverGoesWrong(t *testing.T) {
	failures := 0
	for _, fault := range append(dataplanetest.Faults(), dataplanetest.None) {
		s := dataplanetest.New(t, grants)
		o := s.Options()
		o.Timeout = 200 * time.Millisecond
		c, err := dataplane.New(o)
		noError(t, err)
		t.Cleanup(c.Close)
		dataplane.Hasten(c)
		for name, call := range everyCall(c) {
			s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return fault })
			err := call(ctx(t))
			if err != nil {
				failures++
			}
			clean(t, fmt.Sprintf("fault %d, %s", fault, name), err)
		}
	}
	if failures < 100 {
		t.Errorf("only %d calls failed", failures)
	}
}

func TestRefusedCredentialsAreSaidWithoutTheBody(t *testing.T) {
	s, c := start(t)
	s.SetPasswords("another")
	for name, call := range everyCall(c) {
		if name == "Discover" { // the client of start knows
			continue
		}
		err := call(ctx(t))
		wantIs(t, err, dataplane.ErrUnauthorized)
		clean(t, name, err)
		var e *dataplane.Error
		if errors.As(err, &e) && (e.Message != "" || e.Retryable || e.Status != http.StatusUnauthorized) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// A peer that speaks no HTTP and repeats what it was sent: Go quotes it in its error.
func TestPasswordIsInNoErrorOfABrokenPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				_, password, _ := req.BasicAuth()
				_, _ = fmt.Fprintf(conn, "%s %s\r\n\r\n", req.Header.Get("Authorization"), password)
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	c, err := dataplane.New(dataplane.Options{
		URL: "http://" + l.Addr().String(), Username: dataplanetest.Username,
		Password: func() (string, error) { return dataplanetest.Password, nil },
	})
	noError(t, err)
	t.Cleanup(c.Close)
	for name, call := range everyCall(c) {
		err := call(ctx(t))
		wantIs(t, err, dataplane.ErrUnreachable)
		clean(t, name, err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	reached := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.URL.Path }))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/stolen", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	c, err := dataplane.New(dataplane.Options{URL: s.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
	noError(t, err)
	t.Cleanup(c.Close)
	for name, call := range everyCall(c) {
		if err := call(ctx(t)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if len(reached) > 0 {
		t.Errorf("the redirect was followed: %s", <-reached)
	}
}

// 192.0.2.1 is an address of documentation, where nothing answers. (Go uses no proxy for loopback in any case.)
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	c, err := dataplane.New(dataplane.Options{
		URL: "http://192.0.2.1:5555", Username: "u", AllowPlaintext: true, Timeout: 100 * time.Millisecond,
		Password: func() (string, error) { return "p", nil },
	})
	noError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Entries(ctx(t), grants)
	wantIs(t, err, dataplane.ErrUnreachable)
	if contains(err.Error(), environmentProxy) {
		t.Errorf("the proxy was asked: %v", err)
	}
}

func TestHungNodeEndsAtTheCallsDeadline(t *testing.T) {
	s, _ := start(t)
	o := s.Options()
	o.Timeout = 50 * time.Millisecond
	c, err := dataplane.New(o)
	noError(t, err)
	t.Cleanup(c.Close)
	s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.Hang })
	err = c.DeleteEntry(ctx(t), grants, "a")
	wantIs(t, err, dataplane.ErrUnreachable)
	wantIs(t, err, errDeadline)
	if !dataplane.Retryable(err) {
		t.Error("not retryable")
	}
}

// A write is done when its status says so, though its body is cut; a read is not.
func TestCutBodySpoilsReadsOnly(t *testing.T) {
	s, c := start(t)
	s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.CutBody })
	noError(t, c.AddEntry(ctx(t), grants, row))
	_, err := c.Entries(ctx(t), grants)
	wantIs(t, err, dataplane.ErrUnreachable)
	s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return dataplanetest.TruncateJSON })
	_, err = c.Entries(ctx(t), grants)
	wantIs(t, err, dataplane.ErrMalformed)
}
