package world_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// launcherEnv makes the test binary a launcher that starts a world and waits to be killed.
const launcherEnv = "WORLD_TEST_LAUNCHER"

var binDir string

func TestMain(m *testing.M) {
	if dir := os.Getenv(launcherEnv); dir != "" {
		launch(dir)
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "world-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = world.Build(context.Background(), dir, world.Programs...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binDir = dir
	return m.Run()
}

func launch(dir string) {
	w, err := world.Start(context.Background(), world.Options{Dir: dir, BinDir: os.Args[1]})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("ready", w.Gateway.PID(), w.DataPlane.PID(), w.Issuer.PID(), w.Services.PID(), w.HAProxy.Process().MasterPID())
	select {}
}

func start(t *testing.T, dir string) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Dir: dir, BinDir: binDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// processes are those that work in dir or name it, zombies aside.
func processes(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range all {
		cwd, _ := os.Readlink(filepath.Join(process, "cwd"))
		arguments, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		if filepath.Base(process) != fmt.Sprint(os.Getpid()) && (cwd == dir || bytes.Contains(arguments, []byte(dir+"/"))) {
			found = append(found, process+" "+strings.ReplaceAll(string(arguments), "\x00", " "))
		}
	}
	return found
}

func waitNone(t *testing.T, dir string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for left := processes(t, dir); len(left) > 0; left = processes(t, dir) {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %q", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// status asks HAProxy for a host's page, without a token.
func status(t *testing.T, w *world.World, host string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.Endpoints().HAProxy, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestEverythingStartsStopsAndStartsAgain(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		w := start(t, dir)
		for _, pool := range w.Endpoints().Pools {
			if got := status(t, w, pool.Host); got != http.StatusUnauthorized {
				t.Errorf("%s without a token: status %d", pool.Host, got)
			}
		}
		if got := status(t, w, "elsewhere.localhost"); got != http.StatusNotFound {
			t.Errorf("a foreign host: status %d", got)
		}
		written, err := world.ReadEndpoints(filepath.Join(dir, "endpoints.json"))
		if err != nil || written.Gateway != w.Endpoints().Gateway || len(written.Users) != 4 {
			t.Errorf("endpoints.json: %+v, %v", written, err)
		}
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := w.Stop(); err != nil {
			t.Errorf("a second stop: %v", err)
		}
		if left := processes(t, dir); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
	}
}

func TestLoginThroughTheRealFlow(t *testing.T) {
	w := start(t, t.TempDir())
	for _, user := range w.Endpoints().Users {
		token, err := w.Login(t.Context(), user.Email)
		if err != nil || strings.Count(token, ".") != 2 {
			t.Errorf("%s: token %q, %v", user.Email, token, err)
		}
	}
	if _, err := world.Login(t.Context(), w.Endpoints().Gateway, "alice@example.com", "wrong"); !errors.Is(err, world.ErrLoginRefused) {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestPartsAreKilledAndStartedAgain(t *testing.T) {
	w := start(t, t.TempDir())
	for name, part := range map[string]*world.Component{
		"gateway": w.Gateway, "data plane": w.DataPlane, "issuer": w.Issuer, "services": w.Services,
	} {
		old := part.PID()
		if err := part.Start(t.Context()); err == nil {
			t.Errorf("%s was started twice", name)
		}
		part.Kill()
		if err := syscall.Kill(old, 0); err == nil {
			t.Errorf("%s is alive after Kill", name)
		}
		if err := part.Start(t.Context()); err != nil || part.PID() == old {
			t.Errorf("%s: pid %d after %d: %v", name, part.PID(), old, err)
		}
	}
	if err := w.HAProxy.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.HAProxy.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.WaitEnforcing(t.Context()); err != nil {
		t.Error(err)
	}
}

// The data plane can make HAProxy reload: the way from the API over the reload command to the master.
func TestServerIsAddedByAReload(t *testing.T) {
	w := start(t, t.TempDir())
	token, err := w.Login(t.Context(), "carol@example.com")
	if err != nil {
		t.Fatal(err)
	}
	before, err := w.HAProxy.Process().WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := `{"environment":"staging","pool":"billing","name":"s2","address":"127.0.0.1","port":9,"idempotencyKey":"server-0001"}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Endpoints().Gateway+"/v1/haproxyaccess/addPoolServer", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Token "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", response.StatusCode, answer)
	}
	after, err := w.HAProxy.Process().WorkerPID(t.Context())
	if err != nil || after == before {
		t.Errorf("worker %d, before the reload %d: %v", after, before, err)
	}
}

func TestKilledLauncherTakesItsChildrenAndTheNextStartWorks(t *testing.T) {
	dir := t.TempDir()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	launcher := exec.Command(executable, binDir)
	launcher.Env = append(os.Environ(), launcherEnv+"="+dir)
	output, err := launcher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	launcher.Stderr = os.Stderr
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = launcher.Process.Kill(); _ = launcher.Wait() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		t.Fatalf("launcher said %q, %v", line, err)
	}
	if got := len(processes(t, dir)); got < 6 {
		t.Fatalf("%d processes: %q", got, processes(t, dir))
	}
	if err := launcher.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Without waiting for the children: the next start does.
	w := start(t, dir)
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	waitNone(t, dir)
}

func TestOneWorldADirectory(t *testing.T) {
	w := start(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := world.Start(ctx, world.Options{Dir: w.Dir(), BinDir: binDir})
	if err == nil || !strings.Contains(err.Error(), "one is running in this directory") {
		t.Errorf("a second world: %v", err)
	}
	if _, err := world.ReadEndpoints(filepath.Join(w.Dir(), "endpoints.json")); err != nil {
		t.Errorf("the first one's endpoints: %v", err)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	w := start(t, t.TempDir())
	taken := w.Endpoints().Gateway[strings.LastIndexByte(w.Endpoints().Gateway, ':')+1:]
	var ports world.Ports
	fmt.Sscan(taken, &ports.Gateway)
	_, err := world.Start(t.Context(), world.Options{Dir: t.TempDir(), BinDir: binDir, Ports: ports})
	if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "DEMO_GATEWAY_PORT") {
		t.Errorf("a taken port: %v", err)
	}
}
