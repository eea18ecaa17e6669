package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

func TestFilesAreTheOwnersAlone(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "s.db")
	opened(t, path)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", f, info.Mode())
		}
	}
}

func TestOpenRefusesAFileForOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	if err := opened(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("error %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	db := opened(t, path)
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "one gateway process") {
		t.Fatalf("a second opening: %v", err)
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatalf("closing twice: %v", err)
	}
	opened(t, path)
}

func TestAPathIsNoURL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory&x#y%20%.db")
	if err := opened(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("the database is elsewhere: %v, %v", info, err)
	}
	opened(t, path)
}

func TestOpenFailsWithoutItsDirectory(t *testing.T) {
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "none", "s.db")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	text := strings.Repeat("this is somebody's letter\n", 100)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil {
		t.Fatal("it was opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Fatalf("it was changed: %v", err)
	}
}

// at is a database whose schema says that it is another.
func at(t *testing.T, set string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	if err := opened(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("UPDATE schema_migrations SET " + set); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnotherSchemaIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		set, want string
	}{
		"newer by two":        {"version = version + 2", fmt.Sprint("schema version ", Known+2)},
		"none":                {"version = 0", ""},
		"half one":            {"dirty = 1", "irty"},
		"half of a newer one": {"version = version + 1, dirty = 1", "irty"},
	} {
		t.Run(name, func(t *testing.T) {
			path := at(t, test.set)
			for what, open := range map[string]func() (*DB, error){
				"Open":         func() (*DB, error) { return Open(t.Context(), path) },
				"OpenReadOnly": func() (*DB, error) { return OpenReadOnly(t.Context(), path) },
			} {
				if _, err := open(); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// An upgrade can be taken back: the program before it works with the schema after it.
func TestASchemaThatIsNewerByOneIsAccepted(t *testing.T) {
	path := at(t, "version = 4")
	db := opened(t, path)
	if _, err := db.Commit(t.Context(), request("g1")); err != nil {
		t.Fatal(err)
	}
	beside, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(beside.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if v, err := SchemaVersion(t.Context(), path); err != nil || v.Number != 4 {
		t.Fatalf("version %+v, %v: it was changed", v, err)
	}
}

// A process that is killed, or fails, in the midst of the first migration leaves nothing that the next one stumbles over.
func TestAFailedMigrationLeavesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	if _, err := raw.Exec("CREATE TABLE keys (x)"); err != nil { // in the way of the migration's fifth table
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "keys") {
		t.Fatalf("error %v", err)
	}
	var tables int
	if err := raw.QueryRow("SELECT count(*) FROM sqlite_master WHERE type = 'table'").Scan(&tables); err != nil || tables != 1 {
		t.Fatalf("%d tables are there, %v", tables, err)
	}
	if _, err := raw.Exec("DROP TABLE keys"); err != nil {
		t.Fatal(err)
	}
	opened(t, path)
}

func TestReadOnlyBesideTheGateway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a database that is not there: %v", err)
	}
	db := opened(t, path)
	key := store.Key{KID: "a", Alg: "RS256", Public: []byte("p"), Sealed: []byte("s"), State: "next", Created: time.Unix(1, 0).UTC()}
	if err := db.AddKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		reader, err := OpenReadOnly(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reader.Close() }()
		keys, err := reader.Keys(t.Context())
		if err != nil || len(keys) != 1 || keys[0].KID != "a" {
			t.Fatalf("keys %v, %v", keys, err)
		}
		for what, err := range map[string]error{
			"AddKey":      reader.AddKey(t.Context(), store.Key{KID: "b"}),
			"SetPosition": reader.SetPosition(t.Context(), "s", 1),
			"FinishAudit": reader.FinishAudit(t.Context(), 1, nil),
		} {
			if !errors.Is(err, errReadOnly) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := reader.Commit(t.Context(), store.Change{}); !errors.Is(err, errReadOnly) {
			t.Errorf("Commit: %v", err)
		}
	}
	read()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	read() // and while it does not run
}
