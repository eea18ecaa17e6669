package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// oneThread has HAProxy run on one thread, so that its time per request is that of one core.
func oneThread(config []byte) []byte {
	return bytes.Replace(config, []byte("global\n"), []byte("global\n  nbthread 1\n"), 1)
}

// service is what stands behind the pools: another HAProxy, which costs little.
type service struct{ port int }

func startService(t *testing.T) service {
	t.Helper()
	port := freePort(t)
	startPlain(t, fmt.Sprintf(`global
  nbthread 1
defaults
  mode http
  timeout client 60s
frontend service
  bind 127.0.0.1:%d
  http-request return status 200 content-type text/plain string ok
`, port))
	return service{port}
}

func freePort(t *testing.T) int {
	t.Helper()
	ports, err := haproxyproc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// startPlain runs an HAProxy with the text of a configuration until the test's end.
func startPlain(t *testing.T, text string) *haproxyproc.Process {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	writeFile(t, dir+"/haproxy.cfg", []byte(text))
	process, err := haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: dir + "/haproxy.cfg", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	return process
}

// line is a kept connection to a frontend.
type line struct {
	conn   net.Conn
	reader *bufio.Reader
}

func dial(t *testing.T, address string) *line {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &line{conn, bufio.NewReader(conn)}
}

// requestText is an ordinary request of a program, with a token.
func requestText(token string) string {
	return "GET /some/path HTTP/1.1\r\nHost: " + hostName + "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: */*\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

func (l *line) send(request string) error {
	if err := l.conn.SetDeadline(time.Now().Add(hang)); err != nil {
		return err
	}
	_, err := io.WriteString(l.conn, request)
	return err
}

// answer reads an answer's status.
func (l *line) answer() (int, error) {
	response, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// ask sends one request and returns its status.
func (l *line) ask(t *testing.T, request string) int {
	t.Helper()
	status, err := l.try(request)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func (l *line) try(request string) (int, error) {
	if err := l.send(request); err != nil {
		return 0, err
	}
	return l.answer()
}

// cpu is the time that a process's first thread has run.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		t.Fatal(err)
	}
	ran, err := strconv.ParseInt(strings.Fields(string(raw))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ran)
}
