package lab

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// ended waits until a stream is cut and returns when it was.
func ended(t *testing.T, what string, advance func() error) time.Time {
	t.Helper()
	over := make(chan time.Time, 1)
	go func() {
		for advance() == nil {
		}
		over <- time.Now()
	}()
	select {
	case at := <-over:
		return at
	case <-time.After(stage.Hang):
		t.Fatalf("%s goes on", what)
		return time.Time{}
	}
}

// A download and a WebSocket of a grant that ends are cut, by revocation and by the clock; somebody else's go on, and the
// grant does not say that something may still run.
func streamsEndWithTheGrant(t *testing.T, l *lab) {
	defer l.addEcho(t, "staging", "reports")()
	n := l.First("staging")
	_, bobs := l.Open(stage.Bob, "staging", "reports", 10*time.Minute)
	l.admitted(stage.StagingReports, bobs)
	bob, bobSocket := l.stream(n, stage.StagingReports, bobs), l.webSocket(n, stage.StagingReports, bobs)

	g, token := l.Open(stage.Alice, "staging", "reports", 10*time.Minute)
	l.admitted(stage.StagingReports, token)
	download, socket := l.stream(n, stage.StagingReports, token), l.webSocket(n, stage.StagingReports, token)
	require.NoError(t, socket.advance())
	begin := time.Now()
	l.Revoke(stage.Alice, g)
	at := ended(t, "the download", download.advance)
	t.Logf("the download was cut %s after the revocation was asked for", at.Sub(begin).Round(time.Millisecond))
	at = ended(t, "the WebSocket", socket.advance)
	t.Logf("the WebSocket was cut %s after the revocation was asked for", at.Sub(begin).Round(time.Millisecond))
	stage.Eventually(t, "the grant says that nothing runs", func() bool {
		return l.Get(stage.Alice, g)["enforcement"].(object)["streamsNotCut"] != true
	})

	short, token := l.Open(stage.Alice, "staging", "reports", 6*time.Second)
	l.admitted(stage.StagingReports, token)
	download, socket = l.stream(n, stage.StagingReports, token), l.webSocket(n, stage.StagingReports, token)
	expires := l.Time(short["expireTime"])
	at = ended(t, "the download", download.advance)
	require.False(t, at.Before(expires), "it was cut before the grant's end")
	t.Logf("the download was cut %s after the grant's end", at.Sub(expires).Round(time.Millisecond))
	ended(t, "the WebSocket", socket.advance)
	stage.Eventually(t, "the grant says that nothing runs", func() bool {
		got := l.Get(stage.Alice, short)
		return got["state"] == "EXPIRED" && got["enforcement"].(object)["streamsNotCut"] != true
	})

	require.NoError(t, bob.advance(), "somebody else's download was cut")
	require.NoError(t, bobSocket.advance(), "somebody else's WebSocket was cut")
}

// webSocket is a connection that was upgraded, to a service that sends back what it gets.
type webSocket struct {
	net.Conn
	reader *bufio.Reader
}

func (l *lab) webSocket(n *world.Node, host, token string) *webSocket {
	l.T.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL(), "http://"))
	require.NoError(l.T, err)
	l.T.Cleanup(func() { _ = conn.Close() })
	request, err := http.NewRequestWithContext(l.T.Context(), http.MethodGet, "http://"+host+"/socket", nil)
	require.NoError(l.T, err)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		"Authorization": "Bearer " + token,
	} {
		request.Header.Set(name, value)
	}
	require.NoError(l.T, request.Write(conn))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	require.NoError(l.T, err)
	require.Equal(l.T, http.StatusSwitchingProtocols, response.StatusCode)
	return &webSocket{conn, reader}
}

// advance sends a byte and reads it back.
func (w *webSocket) advance() error {
	if _, err := w.Write([]byte{'.'}); err != nil {
		return err
	}
	_, err := w.reader.ReadByte()
	return err
}

// addEcho makes a server of the test's own the only one of a pool: of /socket it makes a WebSocket, everything else it
// answers as the demo's service does. What it returns brings the pool's own server back.
func (l *lab) addEcho(t *testing.T, environment, pool string) (undo func()) {
	t.Helper()
	echo := l.listenEcho(t, environment+"/"+pool)
	l.addServer(environment, pool, "echo", echo)
	l.drain(environment, pool, "s1", true)
	return func() {
		l.drain(environment, pool, "s1", false)
		l.removeServer(environment, pool, "echo")
	}
}

// listenEcho serves on a free port of loopback and returns it.
func (l *lab) listenEcho(t *testing.T, name string) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: echo(name)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return listener.Addr().(*net.TCPAddr).Port
}

func echo(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, buffered) // until one of both ends goes
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			if _, err := io.WriteString(w, "."); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-ticker.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"service":"`+name+`","user":"`+r.Header.Get("X-Forwarded-User")+`","grant":"`+r.Header.Get("X-Clutch-Grant")+
			`","pool":"`+r.Header.Get("X-Clutch-Pool")+`"}`)
	})
	return mux
}
