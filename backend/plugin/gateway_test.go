package plugin

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/lyft/clutch/backend/gateway"
	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/authn/authntest"
)

// childEnv makes the test binary a gateway: "plain" is Clutch without us. A process of its own, since the holes end it
// and since Clutch's registries are global.
const childEnv = "PLUGIN_TEST_GATEWAY"

func TestMain(m *testing.M) {
	kind := os.Getenv(childEnv)
	if kind == "" {
		os.Exit(m.Run())
	}
	components := gateway.CoreComponentFactory
	if kind == "ours" {
		Register(components)
	}
	addTestComponents(components)
	page := fstest.MapFS{"index.html": {Data: []byte("the page")}}
	gateway.Run(&gateway.Flags{ConfigPath: os.Args[1]}, components, http.FS(page))
}

type child struct {
	url    string
	cmd    *exec.Cmd
	exited chan struct{}
	output *syncBuffer
}

// startGateway runs a gateway for alice, with token storage or without.
func startGateway(t *testing.T, kind string, storage bool) *child {
	t.Helper()
	idp := authntest.Start(t, map[string]any{"email": "alice@example.com", "email_verified": true, "groups": []string{"dev"}})
	port := freePort(t)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	file := filepath.Join(t.TempDir(), "clutch-config.yaml")
	require.NoError(t, os.WriteFile(file, []byte(testConfig(kind, storage, port, url, idp.Issuer)), 0o600))

	c := &child{url: url, exited: make(chan struct{}), output: &syncBuffer{}}
	c.cmd = exec.Command(os.Args[0], file)
	c.cmd.Env = append(os.Environ(), childEnv+"="+kind)
	c.cmd.Stdout, c.cmd.Stderr = c.output, c.output
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, c.cmd.Start())
	go func() { _ = c.cmd.Wait(); close(c.exited) }()
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); <-c.exited })

	require.Eventually(t, c.alive, 30*time.Second, 20*time.Millisecond, "gateway did not start: %s", c.output)
	return c
}

func testConfig(kind string, storage bool, port int, url, issuer string) string {
	guard, storageService := "", ""
	if kind == "ours" {
		guard = fmt.Sprintf(`
    - name: clutch.middleware.accessguard
      typed_config:
        "@type": types.google.com/haproxyaccess.config.middleware.accessguard.v1.Config
        allowed_origins: [ %q ]`, url)
	}
	if storage {
		storageService = "\n  - name: clutch.service.authn.storage"
	}
	login := fmt.Sprintf(`"@type": types.google.com/clutch.config.service.authn.v1.Config, %s`, clutchLogin(url, issuer))
	if kind == "ours" {
		login = fmt.Sprintf(`"@type": types.google.com/haproxyaccess.config.service.authn.v1.Config, clutch: { %s }`, clutchLogin(url, issuer))
	}
	return fmt.Sprintf(`
gateway:
  secure_cookies: false
  logger: { level: INFO }
  stats: { flush_interval: 1s }
  timeouts: { default: 15s }
  listener: { tcp: { address: 127.0.0.1, port: %d } }
  middleware:%s
    - name: clutch.middleware.authn%s
services:%s
  - name: clutch.service.authn
    typed_config: { %s }
modules:
  - name: clutch.module.assets
  - name: clutch.module.authn
  - name: clutch.module.healthcheck
  - name: clutch.module.featureflag
`, port, guard, guard, storageService, login)
}

func clutchLogin(url, issuer string) string {
	return fmt.Sprintf(`session_secret: 0123456789abcdef0123456789abcdef, enable_service_token_creation: true, oidc: { issuer: %q, client_id: %s, client_secret: s, redirect_url: %q }`,
		issuer, authntest.ClientID, url+"/v1/authn/callback")
}

func (c *child) alive() bool {
	select {
	case <-c.exited:
		return false
	default:
	}
	resp, err := http.Get(c.url + "/healthcheck")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// diesOf waits for the process to end of a panic.
func (c *child) diesOf(t *testing.T, text string) {
	t.Helper()
	select {
	case <-c.exited:
		require.Contains(t, c.output.String(), text)
	case <-time.After(30 * time.Second):
		require.Fail(t, "the gateway still runs")
	}
}

// do sends a request and returns status and body; 0 if the connection broke.
func (c *child) do(t *testing.T, method, path, body string, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// browser follows redirects, keeps cookies and asks for HTML.
func browser(t *testing.T, url string) (int, string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	resp, err := (&http.Client{Jar: jar}).Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
