package dataplane_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func fresh(t *testing.T, s *dataplanetest.Server) *dataplane.Client {
	t.Helper()
	c := s.Client(t)
	dataplane.Hasten(c)
	return c
}

func TestDialectIsFoundOutAtTheFirstCallAndOnce(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, _ := start(t)
		c := fresh(t, s)
		if c.Dialect() != "" || len(s.Calls()) != 0 {
			t.Fatalf("dialect is %q after %d calls", c.Dialect(), len(s.Calls()))
		}
		want := map[string][]string{
			"TestDialectIsFoundOutAtTheFirstCallAndOnce/v2": {"/v3/info", "/v2/info"},
			"TestDialectIsFoundOutAtTheFirstCallAndOnce/v3": {"/v3/info"},
		}[t.Name()]
		for range 3 {
			_, err := c.Entries(ctx(t), grants)
			noError(t, err)
		}
		calls := s.Calls()
		if len(calls) != len(want)+3 {
			t.Fatalf("%d calls: %+v", len(calls), calls)
		}
		for i, path := range want {
			if calls[i].Path != path {
				t.Errorf("call %d is to %s, want %s", i, calls[i].Path, path)
			}
		}
		if c.Dialect() != t.Name()[len(t.Name())-2:] {
			t.Errorf("dialect is %q", c.Dialect())
		}
	})
}

func TestCallersAtOnceAskForTheDialectOnce(t *testing.T) {
	s, _ := start(t)
	c := fresh(t, s)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = c.Discover(ctx(t)) })
	}
	all.Wait()
	if n := len(s.Calls()); n != 2 || c.Dialect() != "v2" {
		t.Errorf("%d calls, dialect %q", n, c.Dialect())
	}
}

// What refuses, fails, or is no Data Plane API has said nothing of a dialect.
func TestNoAnswerIsNoDialect(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"401":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, dataplane.ErrUnauthorized},
		"403":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, dataplane.ErrUnauthorized},
		"404":        {http.NotFound, dataplane.ErrNoDialect},
		"500":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, nil},
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, dataplane.ErrMalformed},
		"other json": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"ok"}`)) }, dataplane.ErrMalformed},
		"401 from v2": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(map[string]int{"/v3/info": http.StatusNotFound}[r.URL.Path] + map[string]int{"/v2/info": http.StatusUnauthorized}[r.URL.Path])
		}, dataplane.ErrUnauthorized},
	} {
		s := httptest.NewServer(test.answer)
		t.Cleanup(s.Close)
		c, err := dataplane.New(dataplane.Options{URL: s.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
		noError(t, err)
		t.Cleanup(c.Close)
		for _, call := range []func() error{
			func() error { _, err := c.Discover(ctx(t)); return err },
			func() error { return c.AddEntry(ctx(t), grants, row) },
		} {
			if err := call(); err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%s: error is %v, want %v", name, err, test.want)
			}
		}
		if c.Dialect() != "" {
			t.Errorf("%s: dialect is %q", name, c.Dialect())
		}
	}
}

func TestReplacedAPIIsAskedAnewAndTheCallIsDone(t *testing.T) {
	s, c := start(t)
	for _, dialect := range []string{"v3", "v2"} {
		s.SetDialect(dialect)
		memory(s)
		noError(t, c.AddEntry(ctx(t), grants, row))
		if len(s.Memory(grants)) != 1 || c.Dialect() != dialect {
			t.Errorf("memory %v, dialect %q", s.Memory(grants), c.Dialect())
		}
	}
	noError(t, c.AddServer(ctx(t), backend, s2))
	s.SetDialect("v3")
	noError(t, c.RemoveServer(ctx(t), backend, "s2"))
	holds(t, s, []string{"s1"}, []string{"s1"})
}

// The API of before must not be forgotten for an answer that only looks as if another spoke.
func TestDialectStaysWhereTheRouteAloneIsMissing(t *testing.T) {
	asked := 0
	s := httptest.NewServer(asV2(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":404,"message":"path ` + r.URL.Path + ` was not found"}`))
	}))
	t.Cleanup(s.Close)
	c, err := dataplane.New(dataplane.Options{URL: s.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
	noError(t, err)
	t.Cleanup(c.Close)
	_, err = c.Entries(ctx(t), grants)
	var e *dataplane.Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound || c.Dialect() != "v2" || asked != 1 {
		t.Errorf("error %v, dialect %q, asked %d times", err, c.Dialect(), asked)
	}
}

func TestWhoGivesUpDoesNotWaitForAnothersQuestion(t *testing.T) {
	s, _ := start(t)
	c := fresh(t, s)
	asked := make(chan struct{})
	s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { close(asked); return dataplanetest.Hang })
	s.SetDialect("v3")
	first, cancel := context.WithCancel(ctx(t))
	done := make(chan error)
	go func() { _, err := c.Discover(first); done <- err }()
	<-asked
	second, giveUp := context.WithCancel(ctx(t))
	giveUp()
	_, err := c.Discover(second)
	wantIs(t, err, context.Canceled)
	cancel()
	wantIs(t, <-done, context.Canceled)
}
