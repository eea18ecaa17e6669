package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "marker-hunter2"

func file(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask does not count here
		t.Fatal(err)
	}
	return path
}

// Every mode, by a rule that is written with digits as an administrator reads it.
func TestASecretIsItsOwnersAloneAndOfRootsItsGroupMayReadIt(t *testing.T) {
	for mode := fs.FileMode(0); mode <= 0o777; mode++ {
		digits := []byte{'0' + byte(mode>>6&7), '0' + byte(mode>>3&7), '0' + byte(mode&7)}
		private := digits[1] == '0' && digits[2] == '0'
		groupReads := digits[1] == '4' && digits[2] == '0'
		for _, ofRoot := range []bool{false, true} {
			want := private || ofRoot && groupReads
			err := check(mode, ofRoot)
			if (err == nil) != want {
				t.Errorf("mode %s, root's: %t: %v", digits, ofRoot, err)
			}
			if err != nil && (!errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), string(digits))) {
				t.Errorf("mode %s: the error does not say it: %v", digits, err)
			}
		}
	}
}

func TestReadRefusesAFileThatOthersGetAt(t *testing.T) {
	for _, mode := range []fs.FileMode{0o400, 0o600, 0o700} {
		if text, err := Read(file(t, secret, mode)); err != nil || string(text) != secret {
			t.Errorf("mode %04o: %q, %v", mode, text, err)
		}
	}
	for _, mode := range []fs.FileMode{0o404, 0o604, 0o620, 0o644, 0o660, 0o666, 0o601, 0o777} {
		path := file(t, secret, mode)
		text, err := Read(path)
		if text != nil || !errors.Is(err, ErrExposed) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), secret) {
			t.Errorf("mode %04o: %q, %v", mode, text, err)
		}
	}
}

// Kubernetes hands out a link to the file in a folder that changes.
func TestTheFileBehindALinkCounts(t *testing.T) {
	for mode, want := range map[fs.FileMode]bool{0o400: true, 0o604: false} {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(file(t, secret, mode), link); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(link); (err == nil) != want {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestWhoOwnsAFileIsReadFromIt(t *testing.T) {
	path := file(t, secret, 0o440)
	if os.Geteuid() == 0 {
		if _, err := Read(path); err != nil {
			t.Errorf("root's: %v", err)
		}
		const nobody = 65534
		if err := os.Chown(path, nobody, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(path); !errors.Is(err, ErrExposed) {
		t.Errorf("not root's: %v", err)
	}
}

func TestAMissingAndALargeFileAreErrors(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := Read(absent); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), absent) {
		t.Errorf("absent: %v", err)
	}
	if _, err := Read(file(t, strings.Repeat("x", maxSize), 0o600)); err != nil {
		t.Errorf("4 KiB: %v", err)
	}
	if _, err := Read(file(t, strings.Repeat("x", maxSize+1), 0o600)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above 4 KiB: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}
