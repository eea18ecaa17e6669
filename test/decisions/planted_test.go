package decisions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bug is a fault that could be made, as edits of the code. More than one where two places hold the same.
type bug struct {
	name  string
	edits []edit
	quick bool // tried in every run
	test  string
}

// edit replaces one piece of text, which must be there once.
type edit struct{ file, old, new string }

const (
	model  = "TestTheDecisionSideDoesWhatTheModelDoes"
	racing = "TestRacingCallersLeaveOneEventForEachCallThatWasAnswered"
)

// TestEachPlantedBugIsCaught plants each bug alone, and wants the tests of this package to fail. Normally that is done for
// a few of them, with NIGHTLY=1 for all.
func TestEachPlantedBugIsCaught(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			overlay := b.plant(t, root, t.TempDir()) // also where it is not tried: an edit that fits no more is found
			if !b.quick && os.Getenv("NIGHTLY") == "" {
				t.Skip("with NIGHTLY=1")
			}
			b.mustBeCaught(t, root, overlay)
		})
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// plant writes the files with the bug, and what tells the go command to take them in place of the good ones.
func (b bug) plant(t *testing.T, root, dir string) (overlay string) {
	t.Helper()
	replace := map[string]string{}
	for i, e := range b.edits {
		good := filepath.Join(root, filepath.FromSlash(e.file))
		from := good
		if earlier, ok := replace[good]; ok {
			from = earlier
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(content, []byte(e.old)); n != 1 {
			t.Fatalf("%s has %d times %q: the bug cannot be planted any more", e.file, n, e.old)
		}
		bad := filepath.Join(dir, fmt.Sprintf("%d_%s", i, filepath.Base(e.file)))
		if err := os.WriteFile(bad, bytes.Replace(content, []byte(e.old), []byte(e.new), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[good] = bad
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

// mustBeCaught builds the tests with the bug and runs them by a few seeds. A bug by which they do not even compile is none.
func (b bug) mustBeCaught(t *testing.T, root, overlay string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "decisions.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", overlay, "-o", binary, "./test/decisions")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with the bug: %v\n%s", err, out)
	}
	test := b.test
	if test == "" {
		test = model
	}
	began := time.Now()
	run := exec.CommandContext(ctx, binary, "-test.run", "^"+test+"$", "-rapid.nofailfile", "-rapid.shrinktime=0s",
		"-rapid.checks=3000", "-rapid.seed=20260302", "-test.timeout=14m")
	run.Dir = filepath.Join(root, "test", "decisions")
	run.Env = append(os.Environ(), "NIGHTLY=")
	out, err := run.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		t.Errorf("nothing has noticed the bug in %s", time.Since(began).Round(time.Second))
	case !errors.As(err, &failed) || failed.ExitCode() != 1 || !bytes.Contains(out, []byte("--- FAIL: "+test)):
		t.Errorf("the tests did not run: %v\n%s", err, out)
	default:
		t.Logf("caught in %s: %s", time.Since(began).Round(time.Millisecond), firstLine(out))
	}
}

// firstLine is what the failed test said first.
func firstLine(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "failed after") || strings.Contains(line, "_test.go") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
