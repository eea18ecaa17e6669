package pgproc_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/haproxy-access/clutch-haproxy-access/internal/pgproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func started(t *testing.T) *pgproc.Server {
	t.Helper()
	s, err := pgproc.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func socket(s *pgproc.Server) string {
	return filepath.Join(s.Host(), ".s.PGSQL."+strconv.Itoa(pgproc.Port))
}

// pidFile is what Postgres notes of itself, line by line: first its pid, sixth the address at which it listens.
func pidFile(t *testing.T, host string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(host, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(raw), "\n")
}

func TestItIsReachedThroughASocketOfItsOwnAlone(t *testing.T) {
	s := started(t)
	conn, err := net.Dial("unix", socket(s))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	info, err := os.Stat(s.Host())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of its socket has the mode %v", info.Mode())
	}
	if address := pidFile(t, s.Host())[5]; address != "" {
		t.Errorf("it listens at %q", address)
	}
	pid := pidFile(t, s.Host())[0]
	if runtime.GOOS != "linux" {
		return // no /proc to see whose it is
	}
	proc, err := os.Stat("/proc/" + pid)
	if err != nil {
		t.Fatal(err)
	}
	if uid := proc.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("it runs as root")
	}
}

func TestRestartIsAnotherLifeOnTheSameFiles(t *testing.T) {
	s := started(t)
	before := pidFile(t, s.Host())[0]
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := pidFile(t, s.Host())[0]; after == before {
		t.Errorf("it is still process %s", after)
	}
	conn, err := net.Dial("unix", socket(s))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestStopLeavesNothing(t *testing.T) {
	s, err := pgproc.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := pidFile(t, s.Host())[0]
	if err := errors.Join(s.Stop(), s.Stop()); err != nil {
		t.Fatal(err)
	}
	waitGone(t, s.Host(), pid)
}

const childEnv = "PGPROC_TEST_CHILD"

// A test binary that is killed cannot clean up.
func TestAKilledParentLeavesNothing(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		s, err := pgproc.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(s.Host())
		select {} // until killed
	}
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), childEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	host := strings.TrimSpace(line)
	var pid string
	if readErr == nil {
		pid = pidFile(t, host)[0]
	}
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = parent.Wait() // "signal: killed" is what is wanted
	if readErr != nil {
		t.Fatalf("the parent said %q, %v", line, readErr)
	}
	waitGone(t, host, pid)
}

func waitGone(t *testing.T, dir, pid string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, dirErr := os.Stat(dir)
		number, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(dirErr, os.ErrNotExist) && errors.Is(syscall.Kill(number, 0), syscall.ESRCH) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %s (%v), process %s", dir, dirErr, pid)
		}
	}
}
