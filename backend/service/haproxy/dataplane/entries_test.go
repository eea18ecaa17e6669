package dataplane_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func manyEntries(n int) []dataplane.Entry {
	entries := make([]dataplane.Entry, n)
	for i := range entries {
		entries[i] = dataplane.Entry{Key: fmt.Sprintf("user%05d@example.com|staging/app", i), Value: "1900000000:g1"}
	}
	return entries
}

func memory(s *dataplanetest.Server, entries ...dataplane.Entry) {
	s.EditMemory(grants, func([]dataplane.Entry) []dataplane.Entry { return entries })
}

func TestMemoryChangesAndTheFileStays(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.EditFile(grants, "x 1\n")
		noError(t, c.AddEntry(ctx(t), grants, row))
		other := dataplane.Entry{Key: row.Key, Value: "1900000009:g2"}
		noError(t, c.SetEntry(ctx(t), grants, other))
		if diff := cmp.Diff([]dataplane.Entry{other}, s.Memory(grants)); diff != "" {
			t.Fatalf("memory after add and set (-want +got):\n%s", diff)
		}
		got, err := c.Entries(ctx(t), grants)
		noError(t, err)
		if diff := cmp.Diff([]dataplane.Entry{other}, got); diff != "" {
			t.Fatalf("entries (-want +got):\n%s", diff)
		}
		noError(t, c.DeleteEntry(ctx(t), grants, row.Key))
		if left := s.Memory(grants); len(left) != 0 {
			t.Fatalf("memory after delete: %v", left)
		}
		if s.File(grants) != "x 1\n" {
			t.Fatalf("file changed to %q", s.File(grants))
		}
	})
}

// The path of a key is written out by hand: every byte but letters, digits, dot, dash and underscore is escaped once.
func TestKeyStaysOneSegmentOfThePath(t *testing.T) {
	s, c := start(t)
	key := "a.b+c_d-e@example.com|staging/app"
	memory(s, dataplane.Entry{Key: key, Value: "1"})
	noError(t, c.DeleteEntry(ctx(t), grants, key))
	want := "/v2/services/haproxy/runtime/maps_entries/a.b%2Bc_d-e%40example.com%7Cstaging%2Fapp"
	if call := s.Calls()[0]; call.Path != want || call.Query != "map=grants.map" {
		t.Fatalf("call is %s?%s, want %s?map=grants.map", call.Path, call.Query, want)
	}
}

func TestForceSyncIsNeverAskedFor(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		for _, call := range everyCall(c) {
			_ = call(ctx(t))
		}
		if len(s.Calls()) < 20 {
			t.Fatalf("only %d calls", len(s.Calls()))
		}
		for _, call := range s.Calls() {
			if strings.Contains(call.Query+call.Body, "force_sync") {
				t.Errorf("%+v asks for it", call)
			}
		}
	})
}

func TestAddOfAKeyThatIsThereIsErrExists(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		memory(s, row)
		err := c.AddEntry(ctx(t), grants, row)
		wantIs(t, err, dataplane.ErrExists)
		if dataplane.Retryable(err) {
			t.Error("it is retryable")
		}
	})
}

func TestDoublesAreReported(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		second := dataplane.Entry{Key: row.Key, Value: "2"}
		memory(s, row, dataplane.Entry{Key: "b", Value: "1"}, second, second)
		got, err := c.Entries(ctx(t), grants)
		noError(t, err)
		if diff := cmp.Diff([]dataplane.Entry{row, {Key: "b", Value: "1"}, second, second}, got); diff != "" {
			t.Fatalf("entries (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{row.Key}, dataplane.Duplicates(got)); diff != "" {
			t.Fatalf("doubles (-want +got):\n%s", diff)
		}
	})
}

// answering is a server that gives one answer to every call.
func answering(t *testing.T, status int, contentType, body string) *dataplane.Client {
	t.Helper()
	s := httptest.NewServer(asV2(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	c, err := dataplane.New(dataplane.Options{
		URL: s.URL, Username: dataplanetest.Username, MaxAnswer: 1 << 10,
		Password: func() (string, error) { return dataplanetest.Password, nil },
	})
	noError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Only HAProxy's own words mean that an entry is gone. The texts are those of the real API, 2.9.27 with HAProxy 2.6.
func TestOnlyHAProxysWordsMeanThatAnEntryIsNotThere(t *testing.T) {
	for _, test := range []struct {
		name        string
		status      int
		contentType string
		body        string
		gone        bool
		reason      error
		retryable   bool
	}{
		{"no key to delete", 404, "application/json", `{"code":404,"message":"[3]  Key not found. [del map /m/grants.map k] not found"}`, true, dataplane.ErrNoEntry, false},
		{"no key to set", 404, "application/json", `{"code":404,"message":"[3]  entry not found. [set map /m/grants.map k x] not found"}`, true, dataplane.ErrNoEntry, false},
		{"haproxy down", 404, "application/json", `{"code":404,"message":"dial unix /run/admin.sock: connect: connection refused [del map /m/grants.map k] not found"}`, false, dataplane.ErrHAProxyDown, true},
		{"socket missing", 404, "application/json", `{"code":404,"message":"dial unix /run/admin.sock: connect: no such file or directory [del map /m/grants.map k] not found"}`, false, dataplane.ErrHAProxyDown, true},
		{"map unknown", 404, "application/json", `{"code":404,"message":"[3]  Unknown map identifier. Please use #\u003cid\u003e or \u003cfile\u003e. [del map /m/grants.map k] not found"}`, false, dataplane.ErrNoMap, false},
		{"plain not found", 404, "application/json", `{"code":404,"message":"path /v2/services was not found"}`, false, nil, true},
		{"empty body", 404, "application/json", "", false, nil, true},
		{"page of a proxy", 404, "text/html", "<html>Key not found</html>", false, nil, true},
		{"wrong status", 400, "application/json", `{"code":404,"message":"Key not found"}`, false, nil, false},
		{"method not allowed", 405, "application/json", `{"code":605,"message":"Key not found"}`, false, nil, false},
		{"server error", 500, "application/json", `{"code":500,"message":"Key not found"}`, false, nil, true},
		{"validation", 422, "application/json", `{"code":602,"message":"value in body is required"}`, false, nil, false},
		{"accepted only", 202, "application/json", `{}`, false, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := answering(t, test.status, test.contentType, test.body)
			for op, err := range map[string]error{
				"delete": c.DeleteEntry(ctx(t), grants, "k"),
				"set":    c.SetEntry(ctx(t), grants, dataplane.Entry{Key: "k", Value: "x"}),
			} {
				var e *dataplane.Error
				if !errors.As(err, &e) || e.Status != test.status {
					t.Fatalf("%s: error is %v, want one with status %d", op, err, test.status)
				}
				if errors.Is(err, dataplane.ErrNoEntry) != test.gone || !errors.Is(e.Reason, test.reason) || e.Retryable != test.retryable {
					t.Errorf("%s: reason %v, retryable %v; want %v, %v", op, e.Reason, e.Retryable, test.reason, test.retryable)
				}
			}
		})
	}
}

func TestDownHAProxyIsNeverAnAnswer(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		memory(s, row)
		s.SetDown(true)
		for name, call := range everyCall(c) {
			switch name {
			case "MapFile", "MapFileIs", "PutMapFile", "CreateMapFile", "StoredFile", "StoreFile": // the disk is there without HAProxy
				continue
			case "Discover": // the client of start knows
				continue
			case "RawConfiguration", "Backends", "validate": // nor does the configuration need it
				continue
			case "AddServer", "RemoveServer": // see TestServerIsNotGoneWhereHAProxyIsDown
				continue
			}
			err := call(ctx(t))
			wantIs(t, err, dataplane.ErrHAProxyDown)
			if !dataplane.Retryable(err) {
				t.Errorf("%s: not retryable", name)
			}
		}
	})
}

// A list that is not surely whole must not be read as one: absence from it would count as proof.
func TestUnclearListIsNoList(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "null": "null", "null with space": " null\n", "object": "{}", "string": `"x"`, "cut": `[{"key":"a","val`,
		"two values": "[][]", "no key": `[{"value":"1"}]`, "null entry": `[null]`, "html": "<html>", "nul": "\x00", "number key": `[{"key":1}]`,
	} {
		c := answering(t, http.StatusOK, "application/json", body)
		if got, err := c.Entries(ctx(t), grants); !errors.Is(err, dataplane.ErrMalformed) {
			t.Errorf("%s: entries %v, error %v, want ErrMalformed", name, got, err)
		}
	}
	long := answering(t, http.StatusOK, "application/json", "[]"+strings.Repeat(" ", 1<<10))
	_, err := long.Entries(ctx(t), grants)
	wantIs(t, err, dataplane.ErrTooLarge)
}

// The text is that of the real API, 2.9.27 and 3.2.0, for a map that HAProxy filled from a file with a line "bob|p/a".
func TestAFaultyRowIsToldFromWhateverElseKeepsAMapFromBeingListed(t *testing.T) {
	const text = `{"code":500,"message":"runtime error: index out of range [2] with length 2: /usr/local/go/src/runtime/asm_amd64.s:2129 panicBounds"}`
	for _, test := range []struct {
		status int
		body   string
		want   bool
	}{
		{500, text, true},
		{500, "runtime error: index out of range [2] with length 2\ngoroutine 1 [running]:", true},
		{500, `{"code":500,"message":"internal error"}`, false},
		{500, "", false},
		{502, text, false},
		{404, text, false},
	} {
		_, err := answering(t, test.status, "text/plain; charset=utf-8", test.body).Entries(ctx(t), grants)
		if err == nil || errors.Is(err, dataplane.ErrFaultyRow) != test.want {
			t.Errorf("%d %s: error is %v", test.status, test.body, err)
		}
	}
}

func TestAFaultyRowGoesByItsKeyOrWithTheMap(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.EditFile(grants, "x 1\n")
		bare := dataplane.Entry{Key: "bob@example.com|prod/app"}
		for name, remove := range map[string]func() error{
			"by its key":   func() error { return c.DeleteEntry(ctx(t), grants, bare.Key) },
			"with the map": func() error { return c.ClearMap(ctx(t), grants) },
		} {
			memory(s, row, bare)
			_, err := c.Entries(ctx(t), grants)
			wantIs(t, err, dataplane.ErrFaultyRow)
			noError(t, remove())
			got, err := c.Entries(ctx(t), grants)
			noError(t, err)
			if want := map[string]int{"by its key": 1}[name]; len(got) != want {
				t.Errorf("%s: %v", name, got)
			}
		}
		if s.File(grants) != "x 1\n" {
			t.Errorf("file changed to %q", s.File(grants))
		}
	})
}

func TestEmptyMapIsAnEmptyList(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		_, c := start(t)
		got, err := c.Entries(ctx(t), grants)
		noError(t, err)
		if len(got) != 0 {
			t.Fatalf("entries %v", got)
		}
	})
}

func TestEntryIsReadWithoutAllOthers(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		memory(s, row, dataplane.Entry{Key: "b", Value: "2"}, dataplane.Entry{Key: "b", Value: "3"})
		for key, want := range map[string]string{row.Key: row.Value, "b": "2", "absent": ""} {
			value, there, err := c.Entry(ctx(t), grants, key)
			if err != nil || value != want || there != (want != "") {
				t.Errorf("%s: %q, %v, %v", key, value, there, err)
			}
		}
	})
}

// I2: what is taken for gone must be gone by a HAProxy's word. Each of these answers is a 404.
func TestI2EntryIsAbsentByTheNodesWordAlone(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		fails := func(what, mapName string, want error) {
			t.Helper()
			value, there, err := c.Entry(ctx(t), mapName, "absent")
			if err == nil || there || value != "" || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %q, %v, %v", what, value, there, err)
			}
		}
		fails("a map that is not there", "hosts.map", dataplane.ErrNoMap)
		s.SetDown(true)
		fails("haproxy is down", grants, dataplane.ErrHAProxyDown)
		s.SetDown(false)
		for _, f := range dataplanetest.Faults() {
			switch f {
			case dataplanetest.Lose, dataplanetest.Pretend, dataplanetest.Half, dataplanetest.Twice, dataplanetest.Slow, dataplanetest.SlowAnswer, dataplanetest.Hang, dataplanetest.CutBody, dataplanetest.TruncateJSON:
				continue // the node's answer, or one that the client waits for
			}
			s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return f })
			fails(fmt.Sprintf("fault %d", f), grants, nil)
		}
	})
	for what, answer := range map[string]string{
		"another key":              `{"code":404,"message":"b not found"}`,
		"a longer key":             `{"code":404,"message":"the absent not found"}`,
		"the command":              `{"code":404,"message":"[3] x [get map absent] not found"}`,
		"an error before the key":  `{"code":404,"message":"/run/s.sock refused: absent not found"}`,
		"a page":                   `absent not found`,
		"the path":                 `{"code":404,"message":"path /absent was not found"}`,
		"a proxy's, with no words": ``,
	} {
		node := httptest.NewServer(asV2(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(answer))
		}))
		t.Cleanup(node.Close)
		c, err := dataplane.New(dataplane.Options{URL: node.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
		noError(t, err)
		t.Cleanup(c.Close)
		if _, there, err := c.Entry(ctx(t), grants, "absent"); err == nil || there {
			t.Errorf("%s: there %v, error %v", what, there, err)
		}
	}
}
