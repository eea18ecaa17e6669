package sqlite

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

// gateway is another process that holds the database at path and writes. It returns the id of a grant that it has
// acknowledged, and what kills it.
func gateway(t *testing.T, path string) (id string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDatabase+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	dead := false
	kill = func() {
		if !dead {
			dead = true
			hang.Stop()
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // says that it was killed
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	id, _, _ = strings.Cut(line, " ")
	// What it says from now on nobody reads: it goes on until its pipe is full, and holds the database all the same.
	return id, kill
}

// While a gateway has the database, another program may look, at a state that is whole, and not more. Once it was killed
// there is nothing that must be cleared away, by a program that looks or by the next gateway.
func TestAnotherProcessMayLookAndNotMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	id, kill := gateway(t, path)
	look := func() {
		t.Helper()
		db, err := OpenReadOnly(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if r, err := db.Grant(t.Context(), id); err != nil || r.Grant.State != grant.Active {
			t.Fatalf("grant %s, which was acknowledged: %v, %v", id, r.Grant.State, err)
		}
		entries, err := db.Events(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if err := storetest.VerifyChain(entries); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "one gateway process") {
		t.Fatalf("a second gateway: %v", err)
	}
	kill()
	look()
	opened(t, path)
	look()
}

// One file has one lock, whatever name it goes by.
func TestAnotherNameIsNoOtherDatabase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.db")
	opened(t, path)
	for name, target := range map[string]string{"file": path, "dir": dir} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{filepath.Join(dir, "file"), filepath.Join(dir, "dir", "s.db"), filepath.Join(dir, "dir", "file")} {
		db, err := Open(t.Context(), other)
		if err == nil {
			_ = db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "one gateway process") {
			t.Errorf("%s: %v", strings.TrimPrefix(other, dir), err)
		}
	}
}

func TestALinkThatLeadsNowhereIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "absent.db"), path); err != nil {
		t.Fatal(err)
	}
	if db, err := Open(t.Context(), path); err == nil {
		_ = db.Close()
		t.Fatal("it was opened")
	}
	if _, err := os.Lstat(filepath.Join(dir, "absent.db")); !os.IsNotExist(err) {
		t.Fatalf("its target: %v", err)
	}
}
