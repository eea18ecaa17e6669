package server_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// client is that of the product, over the API of the world.
func (w *world) client(t *testing.T) *dataplane.Client {
	t.Helper()
	c, err := dataplane.New(dataplane.Options{
		URL: w.api.URL, Username: username, Password: func() (string, error) { return password, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// lines makes n entries of lines of a length, blank and newline included.
func lines(n, length int) []dataplane.Entry {
	all := make([]dataplane.Entry, n)
	for i := range all {
		all[i] = dataplane.Entry{Key: fmt.Sprintf("k%05d", i), Value: strings.Repeat("v", length-8)}
	}
	return all
}

// These are lengths at which client-native loses, doubles or merely adds lines: see blanks in package dataplane, which
// rests on HAProxy's dropping of the blanks that it puts before a value.
func TestTheClientsBulkArrivesWholeInARealHAProxy(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	for _, shape := range [][2]int{{300, 48}, {33, 256}, {63, 256}, {64, 256}, {65, 256}, {123, 67}, {244, 67}, {245, 67}, {129, 64}, {256, 64}, {5000, 61}} {
		want := lines(shape[0], shape[1])
		if err := c.ReplaceMap(t.Context(), "grants.map", want); err != nil {
			t.Fatal(err)
		}
		// The API would hide a blank at a value's beginning; what HAProxy answers with does not.
		for _, i := range []int{0, len(want) - 2, len(want) - 1} {
			if got := w.through(t, want[i].Key); got != want[i].Value {
				t.Errorf("%d lines of %d: HAProxy holds %q for line %d", shape[0], shape[1], got, i)
			}
		}
		got, err := c.Entries(t.Context(), "grants.map")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lines of %d: the map holds %d, error %v", shape[0], shape[1], len(got), err)
		}
	}
}

// A file that was cut within a key leaves a row that keeps the whole map from being listed. It goes by its key, as long as
// that is known, or with all rows; what is in the file then is of no account to a running worker.
func TestTheClientGetsRidOfARowWithoutAValueInARealHAProxy(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	text := "alice@example.com|prod/app 1:a\nbob@example.com|pr"
	for _, remove := range []func() error{
		func() error { return c.DeleteEntry(t.Context(), "grants.map", "bob@example.com|pr") },
		func() error { return c.ClearMap(t.Context(), "grants.map") },
		func() error { return c.ReplaceMap(t.Context(), "grants.map", lines(300, 48)) },
	} {
		if err := os.WriteFile(w.mapFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w.reload(t)
		if _, err := c.Entries(t.Context(), "grants.map"); !errors.Is(err, dataplane.ErrFaultyRow) {
			t.Fatalf("error is %v", err)
		}
		if got := w.through(t, "alice@example.com|prod/app"); got != "1:a" {
			t.Fatalf("HAProxy holds %q", got)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Entries(t.Context(), "grants.map"); err != nil {
			t.Error(err)
		}
		if got := w.read(t, w.mapFile); got != text {
			t.Errorf("file: %q", got)
		}
	}
}

func TestTheClientsServerIsUpAndDrains(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("reached")) }))
	t.Cleanup(s.Close)
	port := s.Listener.Addr().(*net.TCPAddr).Port
	if err := c.AddServer(t.Context(), "be_pool", dataplane.Server{Name: "s1", Address: "127.0.0.1", Port: port}); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t, "/pool", ""); got.body != "reached" {
		t.Errorf("ready: %d %s", got.status, got.body)
	}
	if err := c.DrainServer(t.Context(), "be_pool", "s1"); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t, "/pool", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("draining: %d %s", got.status, got.body)
	}
	if err := c.ReadyServer(t.Context(), "be_pool", "s1"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveServer(t.Context(), "be_pool", "s1"); err != nil {
		t.Fatal(err)
	}
	if backends, err := c.Backends(t.Context()); err != nil || !slices.Equal(backends, []string{"be_pool"}) {
		t.Errorf("backends are %v, error %v", backends, err)
	}
}

func TestTheClientReplacesTheConfigurationAndARealHAProxyRunsIt(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	text, version, err := c.RawConfiguration(t.Context())
	if err != nil || !strings.HasPrefix(text, "global\n") {
		t.Fatalf("text %.40q, error %v", text, err)
	}
	wrong := text + "  nonsense\n"
	for _, validateOnly := range []bool{true, false} {
		if err := c.PutRawConfiguration(t.Context(), wrong, version, validateOnly); !errors.Is(err, dataplane.ErrRejected) {
			t.Errorf("refused text, only validated %v: error is %v", validateOnly, err)
		}
	}
	if got := w.read(t, w.file); !strings.HasSuffix(got, text) {
		t.Errorf("the file changed to %q", got)
	}
	next := text + "  http-request return status 200 content-type text/plain string ours\n"
	if err := c.PutRawConfiguration(t.Context(), next, version, true); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t, "/pool", ""); got.body == "ours" {
		t.Error("a dry run took effect")
	}
	if err := c.PutRawConfiguration(t.Context(), next, version, false); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t, "/pool", ""); got.body != "ours" {
		t.Errorf("pool answers %d %s", got.status, got.body)
	}
	now, after, err := c.RawConfiguration(t.Context())
	if err != nil || !slices.Equal(sorted(now), sorted(next)) || after != version+1 {
		t.Errorf("version %d then %d, error %v, text\n%s", version, after, err, now)
	}
	if err := c.PutRawConfiguration(t.Context(), text, version, false); !errors.Is(err, dataplane.ErrConflict) {
		t.Errorf("old version: error is %v", err)
	}
}

// sorted are the lines of a text: the API puts the settings of a section in an order of its own.
func sorted(text string) []string { return slices.Sorted(strings.Lines(text)) }

// What the API has laid out once stays byte for byte, with others' comments.
func TestOthersConfigurationStaysAsTheAPILaidItOut(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	odd := strings.Replace(strings.TrimPrefix(w.read(t, w.file), "# _version=1\n"), "  mode http\n", "\tmode   http # theirs\n  # more\n", 1)
	if err := c.PutRawConfiguration(t.Context(), odd, 1, false); err != nil {
		t.Fatal(err)
	}
	laid, version, err := c.RawConfiguration(t.Context())
	if err != nil || !strings.Contains(laid, "  mode http # theirs\n  # more\n") {
		t.Fatalf("error %v, text\n%s", err, laid)
	}
	if err := c.PutRawConfiguration(t.Context(), laid, version, false); err != nil {
		t.Fatal(err)
	}
	if err := c.AddServer(t.Context(), "be_pool", dataplane.Server{Name: "s1", Address: "127.0.0.1", Port: 1}); err != nil {
		t.Fatal(err)
	}
	now, _, err := c.RawConfiguration(t.Context())
	if err != nil || strings.Replace(now, "  server s1 127.0.0.1:1\n", "", 1) != laid {
		t.Errorf("error %v, text\n%s", err, now)
	}
}

func TestConfigurationThatCannotBeReloadedIsTakenBack(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	text, version, err := c.RawConfiguration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0") // what only a start finds out
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	blocked := strings.Replace(text, "frontend f from", fmt.Sprintf("listen blocked from unnamed_defaults_1\n  bind %s\n\nfrontend f from", taken.Addr()), 1)
	err = c.PutRawConfiguration(t.Context(), blocked, version, false)
	if !errors.Is(err, dataplane.ErrReloadFailed) || errors.Is(err, dataplane.ErrNotUndone) {
		t.Fatalf("error is %v", err)
	}
	if err := c.AddServer(t.Context(), "be_pool", dataplane.Server{Name: "s1", Address: "127.0.0.1", Port: 1}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(w.file)
	if err != nil || strings.Contains(string(raw), "blocked") {
		t.Errorf("error %v, the file after the next commit is\n%s", err, raw)
	}
}
