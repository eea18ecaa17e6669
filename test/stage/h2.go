package stage

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// H2 is an HTTP/2 client on one connection that ignores GOAWAY, as a hostile one would.
type H2 struct {
	t      testing.TB
	framer *http2.Framer
	conn   net.Conn
	host   string
	token  string
	next   uint32
}

// DialH2 connects to a node; requests are for the host and carry the token.
func (s *Stage) DialH2(n *world.Node, host, token string) *H2 {
	s.T.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL(), "http://"))
	require.NoError(s.T, err)
	s.T.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(s.T, err)
	c := &H2{t: s.T, framer: http2.NewFramer(conn, conn), conn: conn, host: host, token: token, next: 1}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(s.T, c.framer.WriteSettings())
	return c
}

// Get sends a request on a new stream and returns the status of its answer, whose body is left to come; 0 if the
// connection is gone.
func (c *H2) Get(path string) int {
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
	require.NoError(c.t, c.conn.SetDeadline(time.Now().Add(Hang)))
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
