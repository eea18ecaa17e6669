package world

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sleeper starts a process that works in dir, and notes it in a pid file of root.
func sleeper(t *testing.T, dir, root, name string) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "600")
	command.Dir = dir
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	if err := writePID(layout{root: root}.pid(name), command.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return command
}

func TestOnlyOurLeftoversAreEnded(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := makeDirs(root); err != nil {
		t.Fatal(err)
	}
	ours := sleeper(t, root, root, "ours")
	below := sleeper(t, filepath.Join(root, "nodes"), root, "below")
	foreign := sleeper(t, elsewhere, root, "foreign")
	reused := sleeper(t, root, root, "reused")
	file := layout{root: root}.pid("reused")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The number was given to another process since.
	pid, _, _ := strings.Cut(string(raw), " ")
	if err := os.WriteFile(file, []byte(pid+" 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "broken": "x y", "init": "1 1"} {
		if err := os.WriteFile(layout{root: root}.pid(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := endLeftovers(t.Context(), layout{root: root}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		cmd   *exec.Cmd
		alive bool
	}{{"ours", ours, false}, {"below", below, false}, {"foreign", foreign, true}, {"reused", reused, true}} {
		started, err := startTime(c.cmd.Process.Pid)
		if alive := err == nil && !gone(c.cmd.Process.Pid, started); alive != c.alive {
			t.Errorf("%s: alive is %v", c.name, alive)
		}
	}
	if left, _ := filepath.Glob(layout{root: root}.pid("*")); len(left) > 0 {
		t.Errorf("pid files are left: %q", left)
	}
}

// A path that is too long for a socket gets a short directory, which the next start removes.
func TestLongDirectoryGetsShortSockets(t *testing.T) {
	root := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	if err := makeDirs(root); err != nil {
		t.Fatal(err)
	}
	first, err := newLayout(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.sockets) > maxSocketDir {
		t.Errorf("sockets in %s", first.sockets)
	}
	second, err := newLayout(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(second.sockets) })
	if _, err := os.Stat(first.sockets); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", first.sockets, err)
	}
	if err := os.WriteFile(filepath.Join(root, "run", "sockets"), []byte("/tmp"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newLayout(root); err == nil {
		t.Error("a note that names a foreign directory was followed")
	}
}

func TestSecretsAreMadeOnceForThisUserAlone(t *testing.T) {
	root := t.TempDir()
	if err := makeDirs(root); err != nil {
		t.Fatal(err)
	}
	first, err := ensureSecrets(layout{root: root})
	if err != nil {
		t.Fatal(err)
	}
	second, err := ensureSecrets(layout{root: root})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for name, value := range first {
		if second[name] != value || len(value) != 44 || seen[value] {
			t.Errorf("%s: %d characters, kept: %v", name, len(value), second[name] == value)
		}
		seen[value] = true
		if info, err := os.Stat(layout{root: root}.secret(name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
