package dataplane_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"go.uber.org/goleak"
)

// environmentProxy is where nothing listens.
const environmentProxy = "127.0.0.1:1"

// TestMain names a proxy for the whole run: Go reads the environment once.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy"} {
		if err := os.Setenv(name, "http://"+environmentProxy); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const grants = "grants.map"

var row = dataplane.Entry{Key: "alice@example.com|staging/app", Value: "1900000000:g1"}

func start(t *testing.T) (*dataplanetest.Server, *dataplane.Client) {
	t.Helper()
	s := dataplanetest.New(t, grants)
	c := s.Client(t)
	dataplane.Hasten(c)
	return s, c
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

// always meets the calls of a method whose path has a part with one fault.
func always(f dataplanetest.Fault, method, part string) func(dataplanetest.Call) dataplanetest.Fault {
	return func(c dataplanetest.Call) dataplanetest.Fault {
		if c.Is(method, part) {
			return f
		}
		return dataplanetest.None
	}
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// everyCall is each method of the client, once, with arguments that pass the checks.
func everyCall(c *dataplane.Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Worker":      func(ctx context.Context) error { _, _, err := c.Worker(ctx); return err },
		"Entries":     func(ctx context.Context) error { _, err := c.Entries(ctx, grants); return err },
		"AddEntry":    func(ctx context.Context) error { return c.AddEntry(ctx, grants, row) },
		"SetEntry":    func(ctx context.Context) error { return c.SetEntry(ctx, grants, row) },
		"DeleteEntry": func(ctx context.Context) error { return c.DeleteEntry(ctx, grants, row.Key) },
		"MapFile":     func(ctx context.Context) error { _, err := c.MapFile(ctx, grants); return err },
		"PutMapFile":  func(ctx context.Context) error { return c.PutMapFile(ctx, grants, []byte("a 1\n")) },
		"ReplaceEntries": func(ctx context.Context) error {
			return c.ReplaceEntries(ctx, grants, manyEntries(300))
		},
		"Servers": func(ctx context.Context) error { _, err := c.Servers(ctx, "be_app"); return err },
		"AddServer": func(ctx context.Context) error {
			return c.AddServer(ctx, "be_app", dataplane.Server{Name: "s2", Address: "127.0.0.1", Port: 8082})
		},
		"RemoveServer": func(ctx context.Context) error { return c.RemoveServer(ctx, "be_app", "s1") },
	}
}
