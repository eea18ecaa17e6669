package runtimeapi_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/runtimeapi"
)

// fake is a socket that answers as a test wants. A real HAProxy never does most of this.
type fake struct {
	path string
	mu   sync.Mutex
	log  []string // commands
}

// newFake hands each line that is sent to serve. The connection is closed when serve returns.
func newFake(t *testing.T, serve func(f *fake, connection net.Conn, line string)) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{path: filepath.Join(dir, "s.sock")}
	listener, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer connection.Close()
				line, err := bufio.NewReader(connection).ReadString('\n')
				if err == nil {
					serve(f, connection, strings.TrimSuffix(line, "\n"))
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
		os.RemoveAll(dir)
	})
	return f
}

// scripted answers each command of a line with a text, which must end with the empty line where it is whole.
func scripted(t *testing.T, answer func(command string) string) *fake {
	return newFake(t, func(f *fake, connection net.Conn, line string) {
		for command := range strings.SplitSeq(line, ";") {
			f.mu.Lock()
			f.log = append(f.log, command)
			f.mu.Unlock()
			if _, err := io.WriteString(connection, answer(command)); err != nil {
				return
			}
		}
	})
}

func (f *fake) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

func (f *fake) sent(part string) bool {
	return strings.Contains(strings.Join(f.commands(), "\n"), part)
}

// hang waits for the other side to give up.
func hang(connection net.Conn) { _, _ = io.Copy(io.Discard, connection) }

func newClient(t *testing.T, o runtimeapi.Options) *runtimeapi.Client {
	t.Helper()
	if o.ExchangeTimeout == 0 {
		o.ExchangeTimeout = 5 * time.Second // of a loaded machine
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = 30 * time.Second
	}
	c, err := runtimeapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
