package robustness

import (
	"bytes"
	"context"
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

	"github.com/haproxy-access/clutch-haproxy-access/test/planted"
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
			units[b.pkg()] = planted.Build(t, root, overlay, b.pkg())
		}
	}
	simulation := planted.Build(t, root, overlay, "test/robustness")
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

// plant makes every bug one that can be switched on.
func plant(t *testing.T, root string) (overlay string) {
	t.Helper()
	var edits []planted.Edit
	files := map[string]string{}
	for _, b := range bugs {
		edits = append(edits, planted.Edit{File: b.file, Old: b.old, New: strings.ReplaceAll(b.new, "NAME", strconv.Quote(b.name))})
		files[path.Join(b.pkg(), "planted.go")] = fmt.Sprintf(switches, path.Base(b.pkg()))
	}
	return planted.Overlay(t, root, edits, files)
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
