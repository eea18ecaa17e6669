package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var body = strings.Repeat("0123456789", 400)

// ask asks through the proxy, on a connection of its own.
func ask(t *testing.T, p *faultproxy.Proxy, patience time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func TestEachFaultIsSeenAndHealed(t *testing.T) {
	const long, short = 30 * time.Second, 300 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	defer server.Close()
	p, err := faultproxy.Start(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	address := p.Address()
	for _, c := range []struct {
		name     string
		fault    func() error
		patience time.Duration
		want     error
	}{
		{"none", func() error { return nil }, long, nil},
		{"cut", func() error { p.Cut(); return nil }, long, syscall.ECONNREFUSED},
		{"swallow", p.Swallow, short, context.DeadlineExceeded},
		{"delay", func() error { return p.Delay(time.Hour) }, short, context.DeadlineExceeded},
		{"cut in the middle", func() error { return p.CutAnswersAfter(2000) }, long, io.ErrUnexpectedEOF},
		{"cut at once", func() error { return p.CutAnswersAfter(0) }, long, io.EOF},
	} {
		if err := c.fault(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, err := ask(t, p, c.patience)
		if !errors.Is(err, c.want) || err == nil && got != body {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if err := p.Heal(); err != nil {
			t.Fatalf("heal after %s: %v", c.name, err)
		}
		if got, err := ask(t, p, long); err != nil || got != body || p.Address() != address {
			t.Errorf("healed after %s: %q, %v", c.name, got, err)
		}
	}
	p.Close()
	p.Close()
}

func TestAnUpstreamThatIsNotThereYetIsTriedAgain(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	address := server.Listener.Addr().String()
	p, err := faultproxy.Start(address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	server.Start()
	defer server.Close()
	if got, err := ask(t, p, 30*time.Second); err != nil || got != body {
		t.Errorf("%q, %v", got, err)
	}
}
