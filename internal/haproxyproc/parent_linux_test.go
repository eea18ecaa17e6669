package haproxyproc_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

const parentConfig = "HAPROXYPROC_TEST_PARENT_OF"

// TestHAProxyDiesWithItsParent runs this test again in a child process, which
// starts HAProxy and is then killed without a chance to clean up.
func TestHAProxyDiesWithItsParent(t *testing.T) {
	if config := os.Getenv(parentConfig); config != "" {
		beParent(t, config)
	}
	w := newWorld(t)
	w.write(t, "first", "")
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), parentConfig+"="+w.config)
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var master, worker int
	_, scanErr := fmt.Fscanf(bufio.NewReader(stdout), "%d %d\n", &master, &worker)
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	_ = parent.Wait() // "signal: killed" is what is wanted
	if scanErr != nil {
		t.Fatal(scanErr)
	}
	waitGone(t, master, worker)
}

func beParent(t *testing.T, config string) {
	process, err := haproxyproc.Start(t.Context(), haproxyproc.Config{ConfigFile: config, Dir: filepath.Dir(config)})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := process.WorkerPID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%d %d\n", process.MasterPID(), worker)
	select {} // until killed
}
