package haproxyproc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is one HAProxy that answers every request with a body of its
// configuration, so that a request tells which configuration served it.
type world struct {
	*haproxyproc.Process
	config string
	port   int
}

func (w *world) write(t *testing.T, body, extra string) {
	t.Helper()
	text := fmt.Sprintf(`global
  hard-stop-after 60s
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:%d
  http-request return status 200 content-type text/plain string %s
%s
`, w.port, body, extra)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// t.TempDir has the test's name in it, too long for a socket path.
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports, err := haproxyproc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return &world{config: filepath.Join(dir, "haproxy.cfg"), port: ports[0]}
}

func startWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.write(t, "first", "")
	w.start(t, nil)
	return w
}

func (w *world) start(t *testing.T, log io.Writer) {
	t.Helper()
	process, err := haproxyproc.Start(t.Context(), haproxyproc.Config{
		ConfigFile: w.config, Dir: filepath.Dir(w.config), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Process = process
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func (w *world) worker(t *testing.T) int {
	t.Helper()
	pid, err := w.WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// get asks on a connection of its own.
func (w *world) get(t *testing.T) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", w.port))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// hold opens a connection that keeps the current worker alive over a reload: a
// request that has begun and does not end.
func (w *world) hold(t *testing.T) {
	t.Helper()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	// One whole request first: its answer proves that the worker has accepted.
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: "); err != nil {
		t.Fatal(err)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// waitGone polls, since a worker whose master is dead is reaped by init.
func waitGone(t *testing.T, pids ...int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range pids {
		for alive(pid) && !isZombie(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is still there", pid)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// isZombie is for containers whose init does not reap.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

func TestReloadReplacesTheWorkerAndServesTheNewConfiguration(t *testing.T) {
	w := startWorld(t)
	if got := w.get(t); got != "first" {
		t.Fatalf("body before reload: %q", got)
	}
	master, worker := w.MasterPID(), w.worker(t)
	w.write(t, "second", "")
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.MasterPID() != master {
		t.Error("the master changed")
	}
	if w.worker(t) == worker {
		t.Error("the worker did not change")
	}
	for range 50 {
		if got := w.get(t); got != "second" {
			t.Fatalf("body after reload: %q", got)
		}
	}
}

func TestBrokenConfigurationKeepsTheWorkerAndReportsHAProxysError(t *testing.T) {
	w := startWorld(t)
	worker := w.worker(t)
	w.write(t, "second", "  brokenkeyword")
	err := w.Reload(t.Context())
	if !errors.Is(err, haproxyproc.ErrReloadFailed) || !strings.Contains(err.Error(), "brokenkeyword") {
		t.Fatalf("reload: %v", err)
	}
	if w.worker(t) != worker {
		t.Error("the worker changed")
	}
	if got := w.get(t); got != "first" {
		t.Errorf("body: %q", got)
	}
	// The next good configuration is not mistaken for another failure.
	w.write(t, "third", "")
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.get(t); got != "third" {
		t.Errorf("body after repair: %q", got)
	}
}

func TestStopLeavesNoProcessNotEvenAnOldWorker(t *testing.T) {
	w := startWorld(t)
	old := w.worker(t)
	w.hold(t)
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	olds, err := w.OldWorkers(t.Context())
	if err != nil || len(olds) != 1 || olds[0] != old {
		t.Fatalf("old workers %v, want [%d]: %v", olds, old, err)
	}
	pids := []int{w.MasterPID(), w.worker(t), old}
	for range 2 {
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	waitGone(t, pids...)
}

func TestKillEndsMasterAndWorkers(t *testing.T) {
	w := startWorld(t)
	pids := []int{w.MasterPID(), w.worker(t)}
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pids...)
	if err := w.Stop(); err != nil {
		t.Errorf("stop after kill: %v", err)
	}
}

func TestWorkersEndWhenTheMasterAloneIsKilled(t *testing.T) {
	w := startWorld(t)
	worker := w.worker(t)
	w.hold(t)
	if err := syscall.Kill(w.MasterPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, worker)
	if err := w.Reload(t.Context()); err == nil {
		t.Error("reload of a dead haproxy succeeded")
	}
}

func TestStartReportsHAProxysOwnErrorAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.write(t, "first", "  brokenkeyword")
	var log bytes.Buffer
	_, err := haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: w.config, Dir: filepath.Dir(w.config), Log: &log})
	if err == nil || !strings.Contains(err.Error(), "brokenkeyword") {
		t.Fatalf("start: %v", err)
	}
	if !strings.Contains(log.String(), "brokenkeyword") {
		t.Error("the log misses haproxy's output")
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.write(t, "first", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := haproxyproc.Start(ctx, haproxyproc.Config{ConfigFile: w.config, Dir: filepath.Dir(w.config)}); !errors.Is(err, context.Canceled) {
		t.Fatalf("start: %v", err)
	}
}

func TestConfigErrorsNameWhatIsMissing(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	for name, c := range map[string]struct {
		config haproxyproc.Config
		want   string
	}{
		"no file":     {haproxyproc.Config{Dir: "x"}, "ConfigFile"},
		"no dir":      {haproxyproc.Config{ConfigFile: "x"}, "Dir"},
		"long socket": {haproxyproc.Config{ConfigFile: "x", Dir: long}, "longer than"},
		"no binary":   {haproxyproc.Config{ConfigFile: "x", Dir: "x", Binary: "no-such-haproxy"}, "find haproxy"},
	} {
		if _, err := haproxyproc.Start(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFreePortsAreDistinct(t *testing.T) {
	ports, err := haproxyproc.FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] || port == 0 {
			t.Fatalf("ports %v", ports)
		}
		seen[port] = true
	}
	if len(seen) != 20 {
		t.Fatalf("%d ports", len(seen))
	}
}
