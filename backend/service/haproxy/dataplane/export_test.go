package dataplane

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Hasten shortens a client's pauses; what it does stays the same.
func Hasten(c *Client) { c.changePause, c.settlePause = time.Millisecond, time.Millisecond }

// Dial connects as the client would to an address that a name led to.
func Dial(ctx context.Context, c *Client, address string) (net.Conn, error) {
	client, err := c.wire.client()
	if err != nil {
		return nil, err
	}
	return client.Transport.(*http.Transport).DialContext(ctx, "tcp", address)
}

// Compare tells whether the parts of an answer make the text.
func Compare(text string, parts ...string) bool {
	c := &comparer{left: []byte(text)}
	for _, part := range parts {
		_, _ = c.Write([]byte(part))
	}
	return c.same()
}
