package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/tools/dataplane/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	username = "admin"
	password = "pass-7f3a"
	services = "/v2/services/haproxy"
)

// world is a real HAProxy whose frontend answers with the value that grants.map
// holds for the header X-Key, and a data plane over it.
type world struct {
	haproxy   *haproxyproc.Process
	api       *httptest.Server
	dir, file string
	mapFile   string
	port      int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "dp") // t.TempDir is too long for a socket path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports, err := haproxyproc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, port: ports[0], file: filepath.Join(dir, "haproxy.cfg"), mapFile: filepath.Join(dir, "maps", "grants.map")}
	w.writeFiles(t)
	w.haproxy, err = haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: w.file, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.haproxy.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.serve(t)
	return w
}

func (w *world) writeFiles(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(filepath.Dir(w.mapFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.mapFile, []byte("infile fromfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`# _version=1
global
  stats socket %s mode 600 level admin expose-fd listeners
  hard-stop-after 10s

defaults unnamed_defaults_1
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s

frontend f from unnamed_defaults_1
  bind 127.0.0.1:%d
  use_backend be_pool if { path /pool }
  http-request return status 200 content-type text/plain lf-string %%[req.hdr(X-Key),map_str(%s,none)] if !{ path /pool }

backend be_pool from unnamed_defaults_1
`, filepath.Join(w.dir, "s.sock"), w.port, w.mapFile)
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) serve(t *testing.T) {
	t.Helper()
	binary, err := haproxyproc.Find()
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(server.Config{
		Username: username, Password: password,
		HAProxyConfig: w.file, HAProxyBin: binary, RuntimeSocket: filepath.Join(w.dir, "s.sock"),
		MapsDir:       filepath.Dir(w.mapFile),
		ReloadCommand: fmt.Sprintf("kill -USR2 %d", w.haproxy.MasterPID()), MasterSocket: w.haproxy.MasterSocket(),
		ReloadDelay: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.api = httptest.NewServer(handler)
	t.Cleanup(func() { w.api.Close(); handler.Close() })
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

// upload is a body: a form with a file.
type upload struct{ name, text string }

func (u upload) form(t *testing.T) (body io.Reader, contentType string) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file_upload", u.name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, u.text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &form, w.FormDataContentType()
}

// call sends a request to the API; a body that is no string and no upload is sent as JSON.
func (w *world) call(t *testing.T, method, path string, body any) reply {
	t.Helper()
	var reader io.Reader
	contentType := "application/json"
	switch body := body.(type) {
	case nil:
	case string:
		reader, contentType = strings.NewReader(body), "text/plain"
	case upload:
		reader, contentType = body.form(t)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, w.api.URL+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(username, password)
	request.Header.Set("Content-Type", contentType)
	return do(t, w.api.Client(), request)
}

func do(t *testing.T, client *http.Client, request *http.Request) reply {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// want calls and requires the status and a part of the body.
func (w *world) want(t *testing.T, status int, part, method, path string, body any) reply {
	t.Helper()
	got := w.call(t, method, path, body)
	if got.status != status || !strings.Contains(got.body, part) {
		t.Fatalf("%s %s: %d %s, want %d with %q", method, path, got.status, got.body, status, part)
	}
	return got
}

// through asks HAProxy, on a connection of its own, for a key's value.
func (w *world) through(t *testing.T, key string) string {
	t.Helper()
	return w.get(t, "/", key).body
}

func (w *world) get(t *testing.T, path, key string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", w.port, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Key", key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return do(t, client, request)
}

func (w *world) reload(t *testing.T) {
	t.Helper()
	if err := w.haproxy.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

const entries = services + "/runtime/maps_entries"

func entryPath(key string) string {
	return entries + "/" + url.PathEscape(key) + "?map=grants.map"
}

func (w *world) read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
