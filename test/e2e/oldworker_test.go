package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// I2, I4: after a reload an old worker lives on with a frozen copy of the maps, reachable by a client that ignores GOAWAY.
// Once a revocation is reported as enforced everywhere, that worker refuses too.
func TestI2OldWorkerRefusesOnceReportedAsEnforced(t *testing.T) {
	p := start(t, map[string]string{"prod": "4s", "staging": "off"})
	leased, leasedToken := p.open(alice, "prod", "billing", 10*time.Minute)
	off, offToken := p.open(alice, "staging", "billing", 10*time.Minute)

	// Two clients, each with a stream that keeps its connection, and so the worker, alive.
	prod, staging := p.node("prod"), p.node("staging")
	a, b := p.dialH2(prod, prodBilling, leasedToken), p.dialH2(staging, stagingBilling, offToken)
	require.Equal(t, http.StatusOK, a.get("/stream?seconds=300"))
	require.Equal(t, http.StatusOK, b.get("/stream?seconds=300"))
	require.NoError(t, prod.HAProxy.Reload(t.Context()))
	require.NoError(t, staging.HAProxy.Reload(t.Context()))
	require.Equal(t, http.StatusOK, b.get("/"), "the old worker serves: without that this test shows nothing")

	p.revoke(alice, leased)
	revoked := p.revoke(alice, off)
	require.Equal(t, http.StatusOK, b.get("/"), "its copy of the map is frozen")
	enforced, _ := enforcement(revoked)
	require.Equal(t, 0, enforced, "and the grant says so")
	require.NotNil(t, revoked["enforcement"].(object)["oldWorkersUntil"])
	require.Equal(t, true, revoked["enforcement"].(object)["streamsNotCut"])

	p.awaitEnforced(leased)
	old, err := prod.HAProxy.Process().OldWorkers(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, old, "the old worker still lives: it must refuse by itself")
	require.Equal(t, http.StatusServiceUnavailable, a.get("/"), "its lease has run out")

	p.awaitEnforced(off)
	require.NotEqual(t, http.StatusOK, b.get("/"))
	old, err = staging.HAProxy.Process().OldWorkers(t.Context())
	require.NoError(t, err)
	require.Empty(t, old, "hard-stop-after has ended it")
}

func (p *place) awaitEnforced(g object) {
	p.t.Helper()
	eventually(p.t, "the end is reported as enforced", func() bool {
		enforced, total := enforcement(p.get(alice, g))
		return enforced == total
	})
}

// h2 is an HTTP/2 client that ignores GOAWAY, as a hostile one would.
type h2 struct {
	t      *testing.T
	framer *http2.Framer
	conn   net.Conn
	host   string
	token  string
	next   uint32
}

func (p *place) dialH2(n *world.Node, host, token string) *h2 {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL(), "http://"))
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(p.t, err)
	c := &h2{t: p.t, framer: http2.NewFramer(conn, conn), conn: conn, host: host, token: token, next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(p.t, c.framer.WriteSettings())
	return c
}

// get sends a request on a new stream and returns the status of its answer, whose body is left to come; 0 if the
// connection is gone.
func (c *h2) get(path string) int {
	c.t.Helper()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "GET"}, {":scheme", "http"}, {":authority", c.host}, {":path", path},
		{"authorization", "Bearer " + c.token},
	} {
		require.NoError(c.t, encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	stream := c.next
	c.next += 2
	require.NoError(c.t, c.conn.SetDeadline(time.Now().Add(hang)))
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	if err != nil {
		return 0
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return 0
		}
		headers, ok := frame.(*http2.MetaHeadersFrame)
		if !ok || headers.StreamID != stream {
			continue // data of the long stream, settings, GOAWAY
		}
		status, err := strconv.Atoi(headers.PseudoValue("status"))
		require.NoError(c.t, err)
		return status
	}
}
