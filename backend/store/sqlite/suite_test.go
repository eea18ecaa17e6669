package sqlite

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store/storetest"
)

func harness(t testing.TB) func() storetest.Store {
	// Not t.TempDir: the suite's property test calls this a hundred times in one test.
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s.db")
	return func() storetest.Store {
		db, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
}

func TestStore(t *testing.T) { storetest.Run(t, harness) }

func TestI5AcknowledgedSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	child := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDatabase+"="+path)
		return cmd
	}
	open := func() storetest.Store {
		db, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	storetest.Kill(t, child, open, 8)
}
