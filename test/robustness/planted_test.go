package robustness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bug is a fault that could be made, as one edit of the code: NAME stands for its name.
type bug struct {
	name           string
	file, old, new string
	test           string // of the file's package that notices it
	seeds          int    // of the simulation, one of which does; 0: none is known to
}

// switches is a file of a package under test where its bugs can be switched on.
const switches = "package %s\n\nimport \"os\"\n\nfunc planted(name string) bool { return os.Getenv(\"PLANTED_BUG\") == name }\n"

// pkg is the folder of the package under test.
func (b bug) pkg() string { return path.Dir(b.file) }

// TestEachPlantedBugIsNoticed builds the tests with all bugs once, and wants them to fail with each that is switched on, and
// not with none. Without NIGHTLY=1 it only sees that each can still be planted.
func TestEachPlantedBugIsNoticed(t *testing.T) {
	if *oneSeed != 0 || *seeds != 0 {
		t.Skip("only the simulation is asked for")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay := plant(t, root)
	if os.Getenv("NIGHTLY") == "" {
		t.Skip("with NIGHTLY=1")
	}
	units := map[string]string{}
	for _, b := range bugs {
		if units[b.pkg()] == "" {
			units[b.pkg()] = build(t, root, overlay, b.pkg())
		}
	}
	simulation := build(t, root, overlay, "test/robustness")
	t.Run("none", func(t *testing.T) {
		for _, b := range bugs {
			if out, failed := try(t, filepath.Join(root, b.pkg()), "", units[b.pkg()], "-test.run=^"+b.test+"$"); failed {
				t.Errorf("%s fails without a bug\n%s", b.test, out)
			}
		}
	})
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			out, failed := try(t, filepath.Join(root, b.pkg()), b.name, units[b.pkg()], "-test.run=^"+b.test+"$")
			if !failed || !bytes.Contains(out, []byte("--- FAIL: "+b.test)) {
				t.Errorf("%s does not notice it\n%s", b.test, out)
			}
			if b.seeds == 0 {
				return
			}
			out, failed = try(t, ".", b.name, simulation, "-test.run=^TestInvariantsHoldWhateverBreaks$", "-test.failfast",
				"-nodes="+strconv.Itoa(smallFleet), "-seeds="+strconv.Itoa(b.seeds))
			if !failed {
				t.Errorf("none of %d seeds notices it\n%s", b.seeds, out)
			}
		})
	}
}

// plant writes the files with the bugs, and what tells the go command to take them in place of the good ones.
func plant(t *testing.T, root string) (overlay string) {
	t.Helper()
	texts := map[string]string{}
	for _, b := range bugs {
		texts[filepath.Join(root, b.pkg(), "planted.go")] = fmt.Sprintf(switches, path.Base(b.pkg()))
		good := filepath.Join(root, filepath.FromSlash(b.file))
		text, there := texts[good]
		if !there {
			read, err := os.ReadFile(good)
			if err != nil {
				t.Fatal(err)
			}
			text = string(read)
		}
		if n := strings.Count(text, b.old); n != 1 {
			t.Fatalf("%s has %d times %q: the bug cannot be planted any more", b.file, n, b.old)
		}
		texts[good] = strings.Replace(text, b.old, strings.ReplaceAll(b.new, "NAME", strconv.Quote(b.name)), 1)
	}
	dir := t.TempDir()
	replace := map[string]string{}
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
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// build builds a package's tests with the bugs.
func build(t *testing.T, root, overlay, pkg string) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), filepath.Base(pkg)+".test")
	c := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, "./"+pkg)
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build with the bugs: %v\n%s", err, out)
	}
	return binary
}

// try runs tests with a bug, and reports whether they failed, by what they found and not by a crash of the go command.
func try(t *testing.T, dir, bug, binary string, args ...string) (out []byte, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, append(args, "-test.timeout=14m")...)
	c.Dir = dir
	c.Env = append(os.Environ(), "NIGHTLY=", "PLANTED_BUG="+bug)
	began := time.Now()
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("run the tests: %v\n%s", err, out)
	}
	t.Logf("%s in %s, failed: %v", args[0], time.Since(began).Round(time.Millisecond), err != nil)
	return out, err != nil
}
