package dataplane_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
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

// inBoth runs a test against a node that speaks /v2 and one that speaks /v3: start makes it by the test's name.
func inBoth(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, dialect := range []string{"v2", "v3"} {
		t.Run(dialect, test)
	}
}

// start starts a node, and has the client find out its dialect, so that the calls to come are those that a test makes.
func start(t *testing.T) (*dataplanetest.Server, *dataplane.Client) {
	t.Helper()
	settings := dataplanetest.Settings{Dialect: "v2", Maps: []string{grants}}
	if strings.Contains(t.Name(), "/v3") {
		settings.Dialect = "v3"
	}
	s := dataplanetest.Start(t, settings)
	c := s.Client(t)
	dataplane.Hasten(c)
	if _, err := c.Discover(ctx(t)); err != nil {
		t.Fatal(err)
	}
	s.ResetCalls()
	return s, c
}

// asV2 answers as a node that speaks /v2 and answers every call with the handler.
func asV2(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v3/info":
			w.WriteHeader(http.StatusNotFound)
		case "/v2/info":
			_, _ = w.Write([]byte(`{"api":{"version":"v2.9"},"system":{}}`))
		default:
			answer(w, r)
		}
	})
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

// is tells whether a call has the method and a path with the part, which is written as in /v2.
func is(c dataplanetest.Call, method, part string) bool {
	if strings.HasPrefix(c.Path, "/v3/") {
		part = strings.NewReplacer(
			"configuration/servers", "configuration/backends/"+backend+"/servers",
			"runtime/servers", "runtime/backends/"+backend+"/servers",
			"maps_entries", "maps/"+grants+"/entries",
		).Replace(part)
	}
	return c.Is(method, part)
}

// always meets the calls of a method whose path has a part, written as in /v2, with one fault.
func always(f dataplanetest.Fault, method, part string) func(dataplanetest.Call) dataplanetest.Fault {
	return func(c dataplanetest.Call) dataplanetest.Fault {
		if is(c, method, part) {
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
		"Discover": func(ctx context.Context) error { _, err := c.Discover(ctx); return err },
		"Worker":   func(ctx context.Context) error { _, _, err := c.Worker(ctx); return err },
		"Entries":  func(ctx context.Context) error { _, err := c.Entries(ctx, grants); return err },
		"Entry":    func(ctx context.Context) error { _, _, err := c.Entry(ctx, grants, row.Key); return err },
		"EntriesUnless": func(ctx context.Context) error {
			_, _, err := c.EntriesUnless(ctx, grants, dataplane.Digest{})
			return err
		},
		"AddEntry":      func(ctx context.Context) error { return c.AddEntry(ctx, grants, row) },
		"SetEntry":      func(ctx context.Context) error { return c.SetEntry(ctx, grants, row) },
		"DeleteEntry":   func(ctx context.Context) error { return c.DeleteEntry(ctx, grants, row.Key) },
		"MapFile":       func(ctx context.Context) error { _, err := c.MapFile(ctx, grants); return err },
		"MapFileIs":     func(ctx context.Context) error { _, err := c.MapFileIs(ctx, grants, []byte("a 1\n")); return err },
		"PutMapFile":    func(ctx context.Context) error { return c.PutMapFile(ctx, grants, []byte("a 1\n")) },
		"ReplaceMap":    func(ctx context.Context) error { return c.ReplaceMap(ctx, grants, manyEntries(300)) },
		"ClearMap":      func(ctx context.Context) error { return c.ClearMap(ctx, grants) },
		"CreateMapFile": func(ctx context.Context) error { _, err := c.CreateMapFile(ctx, "hosts.map"); return err },
		"StoredFile": func(ctx context.Context) error {
			_, _, _, err := c.StoredFile(ctx, "403.html")
			return err
		},
		"StoreFile": func(ctx context.Context) error { return c.StoreFile(ctx, "403.html", []byte("page")) },
		"Servers":   func(ctx context.Context) error { _, err := c.Servers(ctx, "be_app"); return err },
		"AddServer": func(ctx context.Context) error {
			return c.AddServer(ctx, "be_app", dataplane.Server{Name: "s2", Address: "127.0.0.1", Port: 8082})
		},
		"RemoveServer": func(ctx context.Context) error { return c.RemoveServer(ctx, "be_app", "s1") },
		"DrainServer":  func(ctx context.Context) error { return c.DrainServer(ctx, "be_app", "s1") },
		"ReadyServer":  func(ctx context.Context) error { return c.ReadyServer(ctx, "be_app", "s1") },
		"Backends":     func(ctx context.Context) error { _, err := c.Backends(ctx); return err },
		"RawConfiguration": func(ctx context.Context) error {
			_, _, err := c.RawConfiguration(ctx)
			return err
		},
		"PutRawConfiguration": func(ctx context.Context) error {
			return c.PutRawConfiguration(ctx, "global\n  daemon\n", 1, false)
		},
		"validate": func(ctx context.Context) error { return c.PutRawConfiguration(ctx, "global\n  daemon\n", 1, true) },
	}
}
