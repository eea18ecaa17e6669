package world_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/faultproxy"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
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
	fmt.Println("ready", w.Gateway.PID())
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

// status asks an HAProxy for a host's page, without a token.
func status(t *testing.T, url, host string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
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
		written, err := world.ReadEndpoints(filepath.Join(dir, "endpoints.json"))
		if err != nil || written.Gateway != w.Endpoints().Gateway || len(written.Users) != 4 || len(written.DataPlane) != 3 {
			t.Errorf("endpoints.json: %+v, %v", written, err)
		}
		checkServing(t, written)
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

// checkServing asks every node for every pool: a node answers for its own environments alone.
func checkServing(t *testing.T, e world.Endpoints) {
	t.Helper()
	serves := map[string][]string{"edge-1": {"prod"}, "edge-2": {"prod"}, "edge-3": {"staging"}}
	if len(e.Nodes) != len(serves) || e.HAProxy != e.Nodes[0].HAProxy {
		t.Fatalf("nodes %+v", e.Nodes)
	}
	for _, n := range e.Nodes {
		for _, pool := range e.Pools {
			want := http.StatusNotFound
			if slices.Contains(serves[n.Name], pool.Environment) {
				want = http.StatusUnauthorized
			}
			if got := status(t, n.HAProxy, pool.Host); got != want {
				t.Errorf("%s at %s without a token: status %d, want %d", pool.Host, n.Name, got, want)
			}
		}
	}
	for _, pool := range e.Pools {
		if want := map[string]int{"prod": 2, "staging": 1}[pool.Environment]; len(pool.URLs) != want {
			t.Errorf("%s is at %q", pool.Host, pool.URLs)
		}
		for _, url := range pool.URLs {
			// Go looks names below localhost up, unlike curl and browsers.
			port, found := strings.CutPrefix(url, "http://"+pool.Host+":")
			if got := status(t, "http://127.0.0.1:"+port, pool.Host); !found || got != http.StatusUnauthorized {
				t.Errorf("%s without a token: status %d", url, got)
			}
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
	for _, part := range w.Components() {
		old := part.PID()
		if err := part.Start(t.Context()); err == nil {
			t.Errorf("%s was started twice", part.Name())
		}
		part.Kill()
		if err := syscall.Kill(old, 0); err == nil {
			t.Errorf("%s is alive after Kill", part.Name())
		}
		if err := part.Start(t.Context()); err != nil || part.PID() == old {
			t.Errorf("%s: pid %d after %d: %v", part.Name(), part.PID(), old, err)
		}
	}
	others := map[string]int{}
	for _, n := range w.Nodes {
		others[n.Name] = n.HAProxy.Process().MasterPID()
	}
	second := w.Node("edge-2")
	if err := second.HAProxy.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := second.HAProxy.Reload(t.Context()); err == nil {
		t.Error("one that does not run was reloaded")
	}
	if err := second.HAProxy.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		if same := n.HAProxy.Process().MasterPID() == others[n.Name]; same == (n == second) {
			t.Errorf("%s: the same process is %v", n.Name, same)
		}
	}
	if err := w.WaitEnforcing(t.Context()); err != nil {
		t.Error(err)
	}
	// One node without a lease is enough not to be enforcing.
	w.Gateway.Kill()
	runtimeCommand(t, second, "clear map /proc/self/cwd/maps/leases.map")
	if err := w.Enforcing(t.Context()); err == nil || !strings.Contains(err.Error(), "node edge-2: environment prod has no lease yet") {
		t.Errorf("with an empty map: %v", err)
	}
}

// A reload reads the node's own files: the paths in its configuration are the same on every node.
func TestEachNodeHasFilesOfItsOwn(t *testing.T) {
	w := start(t, t.TempDir())
	for _, n := range w.Nodes {
		for dir, file := range map[string]string{n.MapsDir(): "grants.map", n.PagesDir(): "401.html", n.KeysDir(): ""} {
			if found, _ := filepath.Glob(filepath.Join(dir, "*"+file)); len(found) == 0 {
				t.Errorf("%s has no *%s", dir, file)
			}
		}
		before, err := n.HAProxy.Process().WorkerPID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := n.HAProxy.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, socket := range []string{n.RuntimeSocket(), n.MasterSocket()} {
			if info, err := os.Stat(socket); err != nil || info.Mode().Type() != os.ModeSocket {
				t.Errorf("%s of %s: %v, %v", socket, n.Name, info, err)
			}
		}
		if after, err := n.HAProxy.Process().WorkerPID(t.Context()); err != nil || after == before {
			t.Errorf("%s: worker %d, before the reload %d: %v", n.Name, after, before, err)
		}
	}
	const row = "foreign.localhost prod/billing\n"
	hosts := filepath.Join(w.Node("edge-2").MapsDir(), "hosts.map")
	if err := os.WriteFile(hosts, []byte(row), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		raw, err := os.ReadFile(filepath.Join(n.MapsDir(), "hosts.map"))
		if err != nil || (string(raw) == row) != (n.Name == "edge-2") {
			t.Errorf("hosts.map of %s: %q, %v", n.Name, raw, err)
		}
	}
}

// The backends of ephemeral environments are there before them, so that none needs a reload, and on their node alone.
func TestBackendsOfEphemeralEnvironmentsAreThere(t *testing.T) {
	w := start(t, t.TempDir())
	for _, n := range w.Nodes {
		backends := runtimeCommand(t, n, "show backend")
		for _, backend := range []string{"pr-1_web", "pr-2_web"} {
			if strings.Contains(backends, backend) != (n.Name == "edge-3") {
				t.Errorf("backends of %s: %q", n.Name, backends)
			}
		}
	}
}

// runtimeCommand asks HAProxy's worker.
func runtimeCommand(t *testing.T, n *world.Node, command string) string {
	t.Helper()
	connection, err := net.Dial("unix", n.RuntimeSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, command+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// What an earlier gateway allowed is not in force until this start's gateway has looked at the node.
func TestLeasesOfAnEarlierStartAreNotTakenOver(t *testing.T) {
	dir, programs := t.TempDir(), t.TempDir()
	if err := start(t, dir).Stop(); err != nil {
		t.Fatal(err)
	}
	leases := filepath.Join(dir, "nodes", "edge-3", "maps", "leases.map")
	if raw, err := os.ReadFile(leases); err != nil || !bytes.Contains(raw, []byte("staging ")) {
		t.Fatalf("leases.map: %q, %v", raw, err)
	}
	for _, name := range world.Programs {
		if err := os.Symlink(filepath.Join(binDir, name), filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(programs, "gateway")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(programs, "gateway"), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := world.Start(t.Context(), world.Options{Dir: dir, BinDir: programs}); err == nil {
		t.Fatal("it started without a gateway")
	}
	if raw, err := os.ReadFile(leases); err != nil || len(raw) > 0 {
		t.Errorf("leases.map: %q, %v", raw, err)
	}
	waitNone(t, dir)
}

// One chosen HAProxy runs on every node and checks what is rendered for them.
func TestAChosenHAProxyIsUsedThroughout(t *testing.T) {
	binary, err := haproxyproc.Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	chosen, calls := filepath.Join(dir, "haproxy"), filepath.Join(dir, "calls")
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%s\nexec %s \"$@\"\n", calls, binary)
	if err := os.WriteFile(chosen, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := world.Start(t.Context(), world.Options{Dir: t.TempDir(), BinDir: binDir, HAProxyBin: chosen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	runs, checks := haproxyCalls(t, calls)
	if runs != 3 || checks != 3 {
		t.Errorf("%d runs and %d checks", runs, checks)
	}
	// The data plane has a change checked as well.
	token, err := w.Login(t.Context(), "carol@example.com")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"environment":"staging","pool":"billing","name":"s2","address":"127.0.0.1","port":9,"idempotencyKey":"server-0001"}`
	if got, answer := post(t, w, token, "addPoolServer", body); got != http.StatusOK {
		t.Fatalf("status %d: %s", got, answer)
	}
	if _, after := haproxyCalls(t, calls); after <= checks {
		t.Errorf("%d checks after the change", after)
	}
}

// haproxyCalls counts the lines of a log of command lines: masters, and checks of a configuration.
func haproxyCalls(t *testing.T, path string) (runs, checks int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		switch arguments := strings.Fields(line); {
		case slices.Contains(arguments, "-c"): // whose master-worker mode may be asked for as well
			checks++
		case slices.Contains(arguments, "-W"):
			runs++
		}
	}
	return runs, checks
}

// A suspended program neither ends nor answers; what was sent to it is answered when it goes on.
func TestASuspendedProgramGoesOn(t *testing.T) {
	w := start(t, t.TempDir())
	if err := w.Services.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := w.Services.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("asked while it is suspended: %v", err)
	}
	select {
	case <-w.Services.Exited():
		t.Error("it has ended")
	default:
	}
	w.Services.Resume()
	if err := w.Services.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.Services.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Services.Stop() // at once, without the time that one is given that does not listen
	if err := w.Services.Suspend(t.Context()); err == nil {
		t.Error("one that does not run was suspended")
	}
}

// The gateways are told the way that a test chooses, and the world itself goes past it.
func TestAProxyStandsBetweenGatewayAndDataPlane(t *testing.T) {
	var seen sync.Map
	told := map[string]*faultproxy.Proxy{}
	w, err := world.Start(t.Context(), world.Options{
		Dir: t.TempDir(), BinDir: binDir,
		DataPlaneVia: func(node, address string) (string, error) {
			seen.Store(node, address)
			proxy, err := faultproxy.Start(address)
			if err != nil {
				return "", err
			}
			t.Cleanup(proxy.Close)
			told[node] = proxy
			return proxy.Address(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, n := range w.Nodes {
		if address, _ := seen.Load(n.Name); n.DataPlaneURL() != fmt.Sprint("http://", address) {
			t.Errorf("%s is at %s, and %v was told", n.Name, n.DataPlaneURL(), address)
		}
	}
	told["edge-3"].Cut()
	token, err := w.Login(t.Context(), "carol@example.com")
	if err != nil {
		t.Fatal(err)
	}
	body := `{"environment":"staging","pool":"billing","name":"s2","address":"127.0.0.1","port":9,"idempotencyKey":"server-0001"}`
	if got, answer := post(t, w, token, "addPoolServer", body); got == http.StatusOK {
		t.Errorf("through a cut line: %d %s", got, answer)
	}
	if err := told["edge-3"].Heal(); err != nil {
		t.Fatal(err)
	}
	if got, answer := post(t, w, token, "addPoolServer", strings.Replace(body, "0001", "0002", 1)); got != http.StatusOK {
		t.Errorf("through a whole line: %d %s", got, answer)
	}
}

func TestAnUnfitOptionIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		options world.Options
		want    string
	}{
		"several gateways on the embedded store": {world.Options{Gateways: 2}, "2 gateways"},
		"an environment that is not there":       {world.Options{Leases: map[string]string{"qa": "30s"}}, `"qa"`},
		"a node that is not there":               {world.Options{ManagedNode: "edge-9"}, `"edge-9"`},
		"a program that is no data plane":        {world.Options{DataPlaneBin: "/bin/true"}, "/bin/true"},
	} {
		c.options.Dir, c.options.BinDir = t.TempDir(), binDir
		w, err := world.Start(t.Context(), c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = w.Stop()
		}
	}
}

// The data plane can make HAProxy reload: the way from the API over the reload command to the master.
func TestServerIsAddedByAReload(t *testing.T) {
	w := start(t, t.TempDir())
	token, err := w.Login(t.Context(), "carol@example.com")
	if err != nil {
		t.Fatal(err)
	}
	n := w.Serving("staging")[0]
	before, err := n.HAProxy.Process().WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := `{"environment":"staging","pool":"billing","name":"s2","address":"127.0.0.1","port":9,"idempotencyKey":"server-0001"}`
	if got, answer := post(t, w, token, "addPoolServer", body); got != http.StatusOK {
		t.Fatalf("status %d: %s", got, answer)
	}
	after, err := n.HAProxy.Process().WorkerPID(t.Context())
	if err != nil || after == before {
		t.Errorf("worker %d, before the reload %d: %v", after, before, err)
	}
}

// post calls the API and returns the status and the answer.
func post(t *testing.T, w *world.World, token, method, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Endpoints().Gateway+"/v1/haproxyaccess/"+method, strings.NewReader(body))
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
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
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
	if got := len(processes(t, dir)); got < 12 {
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
	at := w.Endpoints().Nodes[1].HAProxy
	taken, err := strconv.Atoi(at[strings.LastIndexByte(at, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ports world.Ports
		want  string
	}{
		"taken by another program": {world.Ports{Gateway: taken}, "DEMO_GATEWAY_PORT"},
		"the second of a row":      {world.Ports{HAProxy: taken - 1}, "DEMO_HAPROXY_PORT+1"},
		"in two rows":              {world.Ports{DataPlane: taken - 3, Issuer: taken - 1}, "DEMO_DATAPLANE_PORT+2"},
	} {
		_, err := world.Start(t.Context(), world.Options{Dir: t.TempDir(), BinDir: binDir, Ports: c.ports})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
