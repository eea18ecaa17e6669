package runtimeapi_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

const (
	alice, bob   = "alice@example.com", "bob@example.com"
	billing, ops = "prod/billing", "prod/ops"
)

// who has a grant for what; the grant's id is made of both.
type access struct{ subject, pool string }

func (a access) key() string { return a.subject + "|" + a.pool }
func (a access) grant() string {
	return strings.NewReplacer("@", ".", "/", ".").Replace(a.subject + "." + a.pool)
}
func (a access) host() string { return strings.ReplaceAll(a.pool, "/", "-") + ".example" }

var everybody = []access{{alice, billing}, {alice, ops}, {bob, billing}}

// world is a real HAProxy with the rendered rules, and a service whose answers have no end.
type world struct {
	*haproxyproc.Process
	input   haproxycfg.Input
	keys    tokencorpus.Keys
	tls     string
	address string
	tcp     string // the runtime API by TCP
	tokens  map[access]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "rw") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports, err := haproxyproc.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	w := &world{keys: tokencorpus.NewKeys(time.Now()), address: at(0), tls: at(1), tcp: at(2), tokens: map[access]string{}}
	service := httptest.NewServer(http.HandlerFunc(endless))
	t.Cleanup(service.Close)
	w.input = haproxycfg.Input{
		Issuer: tokencorpus.ClutchIssuer, ClutchURL: "https://clutch.example",
		Environments: []haproxycfg.Environment{{Name: "prod", Lease: 30 * time.Second}},
		Keys:         []haproxycfg.PublicKey{{KID: w.keys.Clutch.KID, PEM: w.keys.Clutch.Public}},
		MapsDir:      dir + "/maps", KeysDir: dir + "/keys", PagesDir: dir + "/pages", HardStopAfter: time.Minute,
		Binds:      []haproxycfg.Bind{{Address: w.address}, {Address: w.tls, Certificate: dir + "/server.pem"}},
		Standalone: &haproxycfg.Standalone{StatsSocket: dir + "/a.sock", MaxConn: 500},
	}
	server := []haproxycfg.Server{{Name: "s1", Address: "127.0.0.1", Port: uint32(service.Listener.Addr().(*net.TCPAddr).Port)}}
	for _, pool := range []string{billing, ops} {
		a := access{pool: pool}
		_, short, _ := strings.Cut(pool, "/")
		w.input.Environments[0].Pools = append(w.input.Environments[0].Pools,
			haproxycfg.Pool{Name: short, Backend: "be_" + short, Hosts: []string{a.host()}, Servers: server})
	}
	w.write(t, dir)
	w.Process, err = haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: filepath.Join(dir, "haproxy.cfg"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// write puts the files where HAProxy reads them, with a row for everybody.
func (w *world) write(t *testing.T, dir string) {
	t.Helper()
	files, err := haproxycfg.Render(w.input)
	if err != nil {
		t.Fatal(err)
	}
	files.Maps["leases.map"] = []byte("prod 9999999999\n")
	files.Maps["grants.map"] = w.grants(everybody...).Text()
	config := bytes.Replace(files.Standalone, []byte("\nglobal\n"), fmt.Appendf(nil, "\nglobal\n  stats socket ipv4@%s level admin\n", w.tcp), 1)
	for sub, content := range map[string]map[string][]byte{
		"maps": files.Maps, "keys": files.Keys, "pages": files.Pages, ".": {"haproxy.cfg": config, "server.pem": certificate(t)},
	} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range content {
			if err := os.WriteFile(filepath.Join(dir, sub, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// grants are the rows of these; all end in the same second.
func (w *world) grants(all ...access) desired.Table {
	table := desired.Table{}
	for _, a := range all {
		table[a.key()] = "9999999999:" + a.grant()
	}
	return table
}

// keep is what is wanted where only these have a grant.
func (w *world) keep(all ...access) map[desired.Map]desired.Table {
	return map[desired.Map]desired.Table{desired.Grants: w.grants(all...), desired.KIDs: w.input.Tables()[desired.KIDs]}
}

// liveFor says which rows are there where only these have a grant.
func (w *world) liveFor(all ...access) func(string) bool {
	table := w.grants(all...)
	return func(key string) bool { _, there := table[key]; return there }
}

// bearer signs once: that is slow.
func (w *world) bearer(a access) string {
	if w.tokens[a] == "" {
		claims := tokencorpus.Ours(w.keys).With("sub", a.subject).With("aud", a.pool).With("grant_id", a.grant())
		w.tokens[a] = "Bearer " + tokencorpus.SignOurs(w.keys, claims)
	}
	return w.tokens[a]
}

// runtime sends a command as it is, as an operator would, and returns the answer.
func (w *world) runtime(t *testing.T, socket, command string) string {
	t.Helper()
	connection, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, command+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(answer))
}

// current sends to the running worker.
func (w *world) current(t *testing.T, command string) string {
	t.Helper()
	return w.runtime(t, w.input.Standalone.StatsSocket, command)
}

// revoke removes a row as the reconciler does: from the running map and from the file.
func (w *world) revoke(t *testing.T, gone access) {
	t.Helper()
	file := w.input.MapsDir + "/grants.map"
	if answer := w.current(t, "del map "+file+" "+gone.key()); answer != "" {
		t.Fatalf("del map: %s", answer)
	}
	rest := w.grants(everybody...)
	delete(rest, gone.key())
	if err := os.WriteFile(file, rest.Text(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) reload(t *testing.T) (old int) {
	t.Helper()
	old, err := w.WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return old
}

// endless answers a WebSocket's handshake or a download, and writes until the client is gone.
func endless(response http.ResponseWriter, request *http.Request) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	if request.Header.Get("Upgrade") != "" {
		connection, _, err := response.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, err = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") // of the key that open sends
		for ; err == nil; <-tick.C {
			_, err = connection.Write([]byte{0x82, 1, 'x'})
		}
		return
	}
	response.WriteHeader(http.StatusOK)
	for {
		if _, err := response.Write([]byte("x")); err != nil {
			return
		}
		if err := http.NewResponseController(response).Flush(); err != nil {
			return
		}
		select {
		case <-request.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// flow is a running stream as its client sees it.
type flow struct {
	ended chan struct{}
	read  atomic.Int64
}

func (f *flow) over(t *testing.T, what string) {
	t.Helper()
	select {
	case <-f.ended:
	case <-time.After(10 * time.Second):
		t.Errorf("%s is not ended", what)
	}
}

// runs waits for a further byte.
func (f *flow) runs(t *testing.T, what string) {
	t.Helper()
	before := f.read.Load()
	for deadline := time.Now().Add(10 * time.Second); f.read.Load() == before; time.Sleep(time.Millisecond) {
		select {
		case <-f.ended:
			t.Errorf("%s is ended", what)
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Errorf("%s stands still", what)
			return
		}
	}
}

// open begins a download or a WebSocket over HTTP/1.1 on a connection of its own.
func (w *world) open(t *testing.T, a access, webSocket bool) *flow {
	t.Helper()
	connection, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	header := "Host: " + a.host() + "\r\nAuthorization: " + w.bearer(a) + "\r\n"
	want := http.StatusOK
	if webSocket {
		header += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		want = http.StatusSwitchingProtocols
	}
	if _, err := io.WriteString(connection, "GET /x HTTP/1.1\r\n"+header+"\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%v: %+v, %v", a, response, err)
	}
	f := &flow{ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for {
			n, err := reader.Read(make([]byte, 512))
			f.read.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { connection.Close(); <-f.ended })
	return f
}

func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
}
