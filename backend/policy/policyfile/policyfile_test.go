package policyfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhatAnybodyCouldWriteIsNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		file, folder os.FileMode
		want         string // of the error; empty: it is read
	}{
		"its owner's":          {0o600, 0o700, ""},
		"readable":             {0o644, 0o755, ""},
		"its group's":          {0o664, 0o775, ""},
		"anybody's":            {0o666, 0o755, "policy.yaml: anybody may write to it"},
		"in anybody's folder":  {0o644, 0o777, "anybody may put files into this folder"},
		"in a folder like tmp": {0o644, 0o777 | os.ModeSticky, "anybody may put files into this folder"},
	} {
		folder := filepath.Join(t.TempDir(), "policy")
		path := filepath.Join(folder, "policy.yaml")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("version: 1"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, c.folder); err != nil {
			t.Fatal(err)
		}
		text, err := Read(path)
		switch {
		case c.want == "" && (err != nil || string(text) != "version: 1"):
			t.Errorf("%s: %q, %v", name, text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || text != nil):
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestWhatIsNoFileOfABoundedSizeIsNotRead(t *testing.T) {
	folder := t.TempDir()
	pipe, large := filepath.Join(folder, "pipe.yaml"), filepath.Join(folder, "large.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, make([]byte, most+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe: "pipe.yaml: not a file", large: "large.yaml: longer than", folder: "not a file",
		filepath.Join(folder, "absent.yaml"): "absent.yaml: no such file",
	} {
		if text, err := Read(path); err == nil || text != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", path, text, err, want)
		}
	}
}

func TestAFileOfTheLargestSizeIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := Read(path); err != nil || len(text) != 1<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
