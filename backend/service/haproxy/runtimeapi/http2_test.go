package runtimeapi_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is an HTTP/2 client that ignores GOAWAY, as a hostile one would: it stays with the worker that it came to.
type h2 struct {
	w      *world
	framer *http2.Framer
	next   uint32

	mu    sync.Mutex
	flows map[uint32]*h2Flow
}

type h2Flow struct {
	flow
	status chan string
}

func (w *world) dialHTTP2(t *testing.T) *h2 {
	t.Helper()
	connection, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", w.tls,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &h2{w: w, framer: http2.NewFramer(connection, connection), next: 1, flows: map[uint32]*h2Flow{}}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if err := c.framer.WriteWindowUpdate(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); c.read() }()
	t.Cleanup(func() { connection.Close(); <-done })
	return c
}

// read tells each stream what comes for it, until the connection ends.
func (c *h2) read() {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for id := range c.flows {
			c.end(id)
		}
	}()
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		id := frame.Header().StreamID
		if f := c.flows[id]; f != nil {
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				f.status <- frame.PseudoValue("status")
			case *http2.DataFrame:
				f.read.Add(int64(len(frame.Data())))
			case *http2.RSTStreamFrame:
				c.end(id)
			}
			if frame.Header().Flags.Has(http2.FlagDataEndStream) && frame.Header().Type != http2.FrameRSTStream {
				c.end(id)
			}
		}
		c.mu.Unlock()
	}
}

func (c *h2) end(id uint32) {
	if f := c.flows[id]; f != nil {
		close(f.ended)
		delete(c.flows, id)
	}
}

// get begins a stream and returns it with the status of its answer.
func (c *h2) get(t *testing.T, a access) (*h2Flow, string) {
	t.Helper()
	f := &h2Flow{flow: flow{ended: make(chan struct{})}, status: make(chan string, 1)}
	c.mu.Lock()
	id := c.next
	c.next += 2
	c.flows[id] = f
	c.mu.Unlock()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "GET"}, {":scheme", "https"}, {":authority", a.host()}, {":path", "/x"}, {"authorization", c.w.bearer(a)},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	select {
	case status := <-f.status:
		return f, status
	case <-f.ended:
		t.Fatal("the stream ended without an answer")
	case <-time.After(10 * time.Second):
		t.Fatal("the stream has no answer")
	}
	return nil, ""
}
