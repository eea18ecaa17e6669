package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// doublesVariable makes a run of this test program one that only serves so many doubles of nodes, so that what they cost
// is not counted as the gateway's.
const doublesVariable = "BENCH_DOUBLES"

// serveDoubles serves until standard input ends. It prints the addresses of the nodes, and that of the count of their
// calls as the last.
func serveDoubles() error {
	n, err := strconv.Atoi(os.Getenv(doublesVariable))
	if err != nil {
		return err
	}
	var calls atomic.Int64
	var urls []string
	failed := make(chan error, n+1)
	serve := func(h http.Handler) error {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		urls = append(urls, "http://"+listener.Addr().String())
		s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go func() { failed <- s.Serve(listener) }()
		return nil
	}
	for range n {
		d := dataplanetest.NewNode(dataplanetest.Settings{Maps: []string{"grants.map", "leases.map", "hosts.map", "pools.map", "kids.map"}})
		defer d.Close()
		counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			d.ServeHTTP(w, r)
			d.ResetCalls() // they would be kept, with their bodies
		})
		if err := serve(counted); err != nil {
			return err
		}
	}
	err = serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, calls.Load()) }))
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(urls); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return err
	}
}

// doubles are doubles of nodes in a process of their own.
type doubles struct {
	urls  []string
	count string
}

func startDoubles(t *testing.T, n int) *doubles {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d", doublesVariable, n))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err == nil {
		var output io.ReadCloser
		if output, err = command.StdoutPipe(); err == nil {
			if err = command.Start(); err == nil {
				t.Cleanup(func() {
					if err := errors.Join(input.Close(), command.Wait()); err != nil {
						t.Error(err)
					}
				})
				return readDoubles(t, output)
			}
		}
	}
	t.Fatal(err)
	return nil
}

func readDoubles(t *testing.T, output io.Reader) *doubles {
	t.Helper()
	text, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	if err := json.Unmarshal([]byte(text), &urls); err != nil {
		t.Fatal(err)
	}
	return &doubles{urls: urls[:len(urls)-1], count: urls[len(urls)-1]}
}

// calls is how many calls all of them have got.
func (d *doubles) calls(t *testing.T) int64 {
	t.Helper()
	response, err := http.Get(d.count)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
