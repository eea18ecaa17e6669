package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
)

// proxy stands between a store and the server and counts what is asked: every question of the protocol, which the server
// answers until it is ready for the next. Once armed, it does something at the n-th: before the server hears it, or once
// the server has answered, before the answer is passed on. Then it passes nothing on any more.
type proxy struct {
	host string

	mu       sync.Mutex
	asked    int // since it was armed
	armed    bool
	at       int
	answered bool // whether it waits for the answer
	act      func()
	done     bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{host: t.TempDir()}
	listener, err := net.Listen("unix", filepath.Join(p.host, fmt.Sprintf(".s.PGSQL.%d", pgproc.Port)))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		wg.Wait()
	})
	return p
}

// arm begins to count, and has act done at the n-th question.
func (p *proxy) arm(n int, answered bool, act func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked, p.armed, p.at, p.answered, p.act, p.done = 0, true, n, answered, act, false
}

// disarm lets all pass.
func (p *proxy) disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
}

func (p *proxy) acted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// question is called for each one; it says whether it is the one, and whether it may go on to the server.
func (p *proxy) question() (hit, pass bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.armed {
		return false, true
	}
	p.asked++
	if p.asked != p.at {
		return false, true
	}
	if p.answered {
		return true, true
	}
	p.finish()
	return true, false
}

func (p *proxy) finish() {
	p.done, p.armed = true, false
	p.act()
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	backend, err := net.Dial("unix", filepath.Join(server.Host(), fmt.Sprintf(".s.PGSQL.%d", pgproc.Port)))
	if err != nil {
		return
	}
	defer func() { _ = backend.Close() }()
	var wg sync.WaitGroup
	hits := make(chan struct{}, 1)
	wg.Go(func() {
		p.answers(client, backend, hits)
		_ = client.Close()
		_ = backend.Close()
	})
	_ = p.questions(client, backend, hits) // an end of either side is one of both
	_ = client.Close()
	_ = backend.Close()
	wg.Wait()
}

var errCut = errors.New("the connection is cut here")

// questions passes on what the client says, until it ends.
func (p *proxy) questions(client, backend net.Conn, hits chan<- struct{}) error {
	if err := passStartup(client, backend); err != nil {
		return err
	}
	for {
		message, err := readMessage(client)
		if err != nil {
			return err
		}
		if kind := message[0]; kind == 'Q' || kind == 'S' { // a question ends by one of these
			hit, pass := p.question()
			if hit && !pass {
				return errCut
			}
			if hit {
				hits <- struct{}{}
			}
		}
		if _, err := backend.Write(message); err != nil {
			return err
		}
	}
}

// answers passes on what the server says, until the answer that nobody gets.
func (p *proxy) answers(client, backend net.Conn, hits <-chan struct{}) {
	for {
		message, err := readMessage(backend)
		if err != nil {
			return
		}
		if message[0] == 'Z' { // ready for the next question
			select {
			case <-hits:
				p.mu.Lock()
				p.finish()
				p.mu.Unlock()
				return
			default:
			}
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// passStartup passes the first message on, which has no kind.
func passStartup(client, backend net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(client, size[:]); err != nil {
		return err
	}
	rest := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	if _, err := io.ReadFull(client, rest); err != nil {
		return err
	}
	_, err := backend.Write(append(size[:], rest...))
	return err
}

func readMessage(from net.Conn) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
	copy(message, head[:])
	_, err := io.ReadFull(from, message[5:])
	return message, err
}
