package enforcement

import (
	"fmt"
	"strings"
	"testing"
)

// guards are the kinds of lines that keep something out.
var guards = []string{"set-var(txn.why)", "del-header", "set-header", "replace-header", "unset-var(", "set-var(txn.decision) str(allow)", "track-sc0"}

// unseen are guards whose absence no request can show on HAProxy 2.6, each with the reason why it stays.
var unseen = map[string]string{
	"set-var(txn.why) str(-)":       "it is for the log alone (TestLogIsJSONWithoutSecrets)",
	"set-var(txn.why) str(refused)": "nothing is refused without a reason unless a variable cannot be stored (TestNothingPassesWhenVariablesCannotBeStored)",
	"track-sc0":                     "it admits and refuses nothing (TestSessionsAreTracked)",
}

// Each line that guards is taken out once, and at least one probe must notice. It is the proof that no rule is there
// without a test.
func TestEveryGuardIsNoticedWhenItIsMissing(t *testing.T) {
	s := newSet(t)
	lines := strings.SplitAfter(string(s.config), "\n")
	all := probes()
	mutants := 0
	for i, line := range lines {
		if !isGuard(line) || expected(line) {
			continue
		}
		mutants++
		mutant := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		t.Run(fmt.Sprintf("line %d", i+1), func(t *testing.T) {
			w, err := s.start(t.Context(), []byte(mutant))
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := w.process.Kill(); err != nil {
					t.Error(err)
				}
			}()
			for _, p := range all {
				if err := p.run(w); err != nil {
					t.Logf("%q notices", p.name)
					return
				}
			}
			t.Errorf("no probe notices that this is missing: %s", strings.TrimSpace(line))
		})
	}
	if mutants < 60 {
		t.Errorf("there are %d mutants only", mutants)
	}
}

func isGuard(line string) bool {
	if strings.HasPrefix(strings.TrimSpace(line), "#") {
		return false
	}
	for _, guard := range guards {
		if strings.Contains(line, guard) {
			return true
		}
	}
	return false
}

func expected(line string) bool {
	for part := range unseen {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}
