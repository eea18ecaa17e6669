// Package planted makes tests with bugs in the code that they test, to see whether they notice: by the go command's
// overlays, so that no file of the tree is touched.
//
// It imports the standard library alone.
package planted

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Edit replaces one piece of text of a file, which must be there once.
type Edit struct{ File, Old, New string }

// Overlay writes the files as the edits make them, several of one file one after the other, and more beside them, by path
// from root. It answers the file that tells the go command to take them in place of those that are there.
func Overlay(t testing.TB, root string, edits []Edit, more map[string]string) string {
	t.Helper()
	texts := map[string]string{}
	for file, text := range more {
		texts[filepath.Join(root, filepath.FromSlash(file))] = text
	}
	for _, e := range edits {
		good := filepath.Join(root, filepath.FromSlash(e.File))
		text, there := texts[good]
		if !there {
			read, err := os.ReadFile(good)
			if err != nil {
				t.Fatal(err)
			}
			text = string(read)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			t.Fatalf("%s has %d times %q: the bug cannot be planted any more", e.File, n, e.Old)
		}
		texts[good] = strings.Replace(text, e.Old, e.New, 1)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for good, text := range texts {
		replace[good] = filepath.Join(dir, fmt.Sprintf("%d_%s", len(replace), filepath.Base(good)))
		if err := os.WriteFile(replace[good], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// Build builds the tests of a package, by its folder from root, with the overlay. A bug by which they do not even compile
// is none.
func Build(t testing.TB, root, overlay, pkg string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), filepath.Base(pkg)+".test")
	c := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, "./"+pkg)
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build with the bug: %v\n%s", err, out)
	}
	return binary
}
