package decisions

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/test/planted"
)

// bug is a fault that could be made, as edits of the code. More than one where two places hold the same.
type bug struct {
	name  string
	edits []edit
	quick bool // tried in every run
	test  string
}

// edit is a planted.Edit, short to write.
type edit struct{ file, old, new string }

func (b bug) overlay(t *testing.T, root string) string {
	t.Helper()
	var edits []planted.Edit
	for _, e := range b.edits {
		edits = append(edits, planted.Edit{File: e.file, Old: e.old, New: e.new})
	}
	return planted.Overlay(t, root, edits, nil)
}

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
			overlay := b.overlay(t, root) // also where it is not tried: an edit that fits no more is found
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

// mustBeCaught builds the tests with the bug and runs them by a few seeds. A bug by which they do not even compile is none.
func (b bug) mustBeCaught(t *testing.T, root, overlay string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	binary := planted.Build(t, root, overlay, "test/decisions")
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
