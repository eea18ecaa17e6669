package haproxyaccess

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/uber-go/tally/v4"
	"go.uber.org/zap"
	zaptest "go.uber.org/zap/zaptest/observer"
)

// folder is a policy of two documents, and what is said of it.
type folder struct {
	t     *testing.T
	dir   string
	files *policyFiles
	logs  *zaptest.ObservedLogs
	scope tally.TestScope
}

const denyDocument = `version: 1
name: deny
rules:
  - name: frozen
    description: Nothing is open now.
    effect: deny
    match: {pools: ["*/*"]}
`

func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{t: t, dir: t.TempDir(), scope: tally.NewTestScope("", nil)}
	f.write("a.yaml", testPolicy)
	core, logs := zaptest.New(zap.DebugLevel)
	f.logs = logs
	files, err := newPolicyFiles([]string{filepath.Join(f.dir, "*.yaml")}, newObserver(zap.New(core), f.scope), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	f.files = files
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) name() string {
	name, _ := f.files.current.Version()
	return name
}

func (f *folder) logged(level zap.AtomicLevel) int {
	return f.logs.FilterLevelExact(level.Level()).Len()
}

func (f *folder) stale() float64 { return f.scope.Snapshot().Gauges()["policy_stale+"].Value() }

// A checkout writes one file after the other: what changes from look to look is not a policy yet.
func TestAPolicyIsLoadedWhenItsFilesAreAtRest(t *testing.T) {
	f := newFolder(t)
	f.write("b.yaml", denyDocument[:20])
	if f.files.look() {
		t.Fatal("half a file was loaded")
	}
	f.write("b.yaml", denyDocument)
	if f.files.look() || f.name() != "test" {
		t.Fatal("it was loaded at the first look")
	}
	if !f.files.look() || f.name() != "deny+test" {
		t.Fatalf("not loaded at the second look: %s: %s", f.name(), f.files.Status().Error)
	}
	if f.files.look() || f.files.look() {
		t.Fatal("loaded twice")
	}
	// It is counted here, and said by the alarm alone, out of the log of events: one line, not two.
	if n := f.scope.Snapshot().Counters()["policy_loaded+"].Value(); n != 1 || f.logs.Len() != 0 {
		t.Errorf("counted %d, logged %v", n, f.logs.All())
	}
	s := f.files.Status()
	if s.Error != "" || len(s.Files) != 2 || s.Rules != 3 || s.Name != "deny+test" {
		t.Errorf("status %+v", s)
	}
}

// A document that is wrong anywhere is refused with all others, aloud and once; the old policy stays.
func TestI12FilesThatAreNoPolicyChangeNothingAndAreLoud(t *testing.T) {
	for name, spoil := range map[string]func(f *folder){
		"a mistyped word": func(f *folder) { f.write("b.yaml", strings.Replace(denyDocument, "effect", "efect", 1)) },
		"a condition": func(f *folder) {
			f.write("b.yaml", denyDocument+"    when: [{condition: 'nobody.knows', message: no}]\n")
		},
		"two rules of a name":  func(f *folder) { f.write("b.yaml", strings.Replace(denyDocument, "frozen", "staging", 1)) },
		"no file left":         func(f *folder) { must(f.t, os.Remove(filepath.Join(f.dir, "a.yaml"))) },
		"anybody may write it": func(f *folder) { must(f.t, os.Chmod(filepath.Join(f.dir, "a.yaml"), 0o606)) },
		"a folder for all":     func(f *folder) { must(f.t, os.Chmod(f.dir, 0o777)) },
		"a pipe":               func(f *folder) { must(f.t, syscall.Mkfifo(filepath.Join(f.dir, "b.yaml"), 0o600)) },
		"a folder":             func(f *folder) { must(f.t, os.Mkdir(filepath.Join(f.dir, "b.yaml"), 0o700)) },
		"a huge file":          func(f *folder) { f.write("b.yaml", strings.Repeat("#", 1<<20+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			_, before := f.files.current.Version()
			spoil(f)
			for range 4 {
				if f.files.look() {
					t.Fatal("it was loaded")
				}
			}
			if _, after := f.files.current.Version(); after != before {
				t.Error("another policy is in force")
			}
			if s := f.files.Status(); s.Error == "" || s.ErrorAt.IsZero() {
				t.Errorf("the status says %+v", s)
			}
			if n := f.logged(zap.NewAtomicLevelAt(zap.WarnLevel)); n != 1 {
				t.Errorf("%d errors are logged, want 1", n)
			}
			if f.stale() != 1 {
				t.Error("the metric does not say so")
			}
		})
	}
}

// A checkout that stopped half way looks like a policy without its last document, which may be the one that denies.
func TestADocumentWithRulesDoesNotJustVanish(t *testing.T) {
	f := newFolder(t)
	settle := func() bool { f.files.look(); return f.files.look() }
	f.write("b.yaml", denyDocument)
	if !settle() {
		t.Fatalf("not loaded: %s", f.files.Status().Error)
	}
	must(t, os.Remove(filepath.Join(f.dir, "b.yaml")))
	if settle() || f.name() != "deny+test" || !strings.Contains(f.files.Status().Error, "deny") {
		t.Fatalf("%s is in force: %s", f.name(), f.files.Status().Error)
	}
	// Under another name of the file it is the same document.
	f.write("c.yaml", denyDocument)
	settle()
	if s := f.files.Status(); s.Error != "" || f.name() != "deny+test" {
		t.Fatalf("status %+v", s)
	}
	// First without rules, then away.
	f.write("c.yaml", "version: 1\nname: deny\nrules: []\n")
	if !settle() || f.name() != "deny+test" {
		t.Fatalf("not loaded: %s", f.files.Status().Error)
	}
	must(t, os.Remove(filepath.Join(f.dir, "c.yaml")))
	if !settle() || f.name() != "test" {
		t.Fatalf("%s is in force: %s", f.name(), f.files.Status().Error)
	}
}

func TestTheOldFilesAgainEndTheAlarm(t *testing.T) {
	f := newFolder(t)
	f.write("b.yaml", "no: policy")
	f.files.look()
	f.files.look()
	must(t, os.Remove(filepath.Join(f.dir, "b.yaml")))
	f.files.look()
	if s := f.files.Status(); s.Error != "" || f.stale() != 0 {
		t.Errorf("status %+v, stale %v", s, f.stale())
	}
	// The same mistake again is a new alarm.
	f.write("b.yaml", "no: policy")
	f.files.look()
	f.files.look()
	if n := f.logged(zap.NewAtomicLevelAt(zap.WarnLevel)); n != 2 {
		t.Errorf("%d errors are logged, want 2", n)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
