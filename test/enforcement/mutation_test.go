package enforcement

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guards are the kinds of lines that keep something out.
var guards = []string{"set-var(txn.why)", "del-header", "set-header", "replace-header", "unset-var(", "set-var(txn.decision) str(allow)", "track-sc0",
	"txn.sighash", "sc-set-gpt0", "http-request allow", "acl seen"}

// loosened are changes of a guard that let more pass.
var loosened = []struct{ name, from, to string }{
	{"the end of the pattern is open", `\\z' }`, `' }`},
	{newline, `\\z' }`, `$$' }`},
	{"the beginning of the pattern is open", `-m reg '\^`, `-m reg '`},
	{"a time may have passed", `-m int lt 0 }`, `-m int lt 99999 }`},
	{"a time may be to come", `add\(5\)`, `add(99999)`},
	{"no tolerance", `add\(5\)`, `add(0)`},
	{"the beginning is enough", `-m str (-- )?('[^']+'|[^ ]+) }`, `-m beg $1$2 }`},
	{"anything is enough", `-m str (-- )?('[^']+'|[^ ]+) }`, `-m found }`},
	{anyCase, `-m (str|reg) ([^-])`, `-m $1 -i $2`},
	{anyCase, `-m (str|reg) -- `, `-m $1 -i -- `},
	{"more of them", ` gt (0|1) }`, ` gt 99 }`},
	{"longer", ` gt (4096|128) }`, ` gt 99999 }`},
	{"exactly one or more", ` eq 1 }`, ` gt 0 }`},
	{"any difference", `-m int 0 }`, `-m found }`},
	{"any result", `-m int 1 }`, `-m found }`},
	{"a number of any length", `\[0-9\]\{10\}`, `[0-9]+`},
	{"a signature counts for the same claims", `var\(txn\.key\),concat\(\|,txn\.tok\),sha2`, `var(txn.claims),sha2`},
	{"a signature counts for any key", `var\(txn\.key\),concat\(\|,txn\.tok\),sha2`, `var(txn.tok),sha2`},
	{"what is asked of ours alone is asked of nobody", `(if|!seen) ours `, `$1 !ours `},
	{"what is asked of others alone is asked of nobody", `(if|!seen) !ours `, `$1 ours `},
	{"any answer of the cache is a good one", `(acl seen .*) -m int 1\n`, "$1 -m found\n"},
}

const (
	newline   = "the end of the pattern is before a newline"
	anyCase   = "letters in any case"
	missing   = "it is missing"
	anything  = ""
	notAsked  = "a token that was seen is not asked"
	savesWork = "without it every signature is computed (TestSignatureCacheHoldsTheHashOfKeyAndToken)"
)

// excuse says why no request can show a mutant.
type excuse struct{ line, change, reason string }

// unseen are mutants that no request can show on HAProxy 2.6, each with the reason why the line stays as it is.
var unseen = []excuse{
	{"str(-)", anything, "it is for the log alone (TestLogIsJSONWithoutSecrets)"},
	{"str(refused)", anything, "nothing is refused without a reason unless a variable cannot be stored (TestNothingPassesWhenVariablesCannotBeStored)"},
	{"track-sc0", anything, "it admits and refuses nothing (TestSessionsAreTracked)"},
	{"fhdr_cnt(host)", "exactly one or more", "HAProxy 2.6 itself refuses two hosts that differ"},
	{"if { var(txn.decision) -m str allow }", "the beginning is enough", "there are two decisions only"},

	{"sha2(256)", missing, savesWork}, {"table_gpt0", missing, savesWork}, {"track-sc1", missing, savesWork}, {"sc-set-gpt0", missing, savesWork},

	{"str(unknown_kid)", notAsked, "what was seen is found by its key alone"},
	{"str(bad_iss)", notAsked, "what was seen is found by its key alone, and that by the issuer"},
	{"{ var(txn.aud) -m str", notAsked, "it depends on the token and the configuration alone, and is asked all the same"},
	{"str(not_yet)", notAsked, "no clock is set back in a test"},
	{"str(issued_in_future)", notAsked, "no clock is set back in a test"},

	{"fhdr(host)", newline, "no header has a newline"},
	{"var(txn.tok)", newline, "no header has a newline"},
	{"{ var(txn.pool) -m reg", newline, "no value of a map has a newline"},
	{"var(txn.lease)", newline, "no value of a map has a newline"},
	{"var(txn.grant)", newline, "no value of a map has a newline"},
	{"var(txn.groups)", newline, "the pattern itself excludes it"},

	{"fhdr(host)", anyCase, "the pattern has both cases"},
	{"var(txn.tok)", anyCase, "the pattern has both cases"},
	{"var(txn.grant)", anyCase, "the pattern has both cases"},
	{"var(txn.lease)", anyCase, "the pattern has no letters"},
	{"var(txn.groups)", anyCase, "the pattern has no letters"},
	{"!ours !{ var(txn.claimed)", anyCase, "an address is put into lower case before"},
	{"has_nbf !{ var(txn.claims)", anyCase, "has_nbf is about the lower case"},
	{"!ours !{ var(txn.claims)", anyCase, "another line reads the lower case"},
	{"if { var(txn.decision) -m str allow }", anyCase, "there are two decisions only"},
}

type mutant struct {
	set              *set
	name, line, text string
}

// mutants are the set's configuration with one guard taken out or loosened that is not in the other configuration.
func (s *set) mutants(other string) []mutant {
	var all []mutant
	lines := strings.SplitAfter(string(s.config), "\n")
	for i, line := range lines {
		if !isGuard(line) || strings.Contains(other, line) {
			continue
		}
		add := func(name, changed string) { all = append(all, s.mutant(lines, i, name, changed)) }
		if !strings.Contains(line, " acl ") { // its name would be missing too
			add(missing, "")
		}
		for _, l := range loosened {
			if changed := regexp.MustCompile(l.from).ReplaceAllString(line, l.to); changed != line {
				add(l.name, changed)
			}
		}
	}
	return all
}

func (s *set) mutant(lines []string, i int, name, changed string) mutant {
	text := strings.Join(lines[:i], "") + changed + strings.Join(lines[i+1:], "")
	return mutant{s, fmt.Sprintf("line %d: %s", i+1, name), strings.TrimSpace(lines[i]), text}
}

// careless are the configuration with a cache, with one check after the other left out for a token that was seen.
func (s *set) careless() []mutant {
	var all []mutant
	lines, known := strings.SplitAfter(string(s.config), "\n"), false
	for i, line := range lines {
		known = known || strings.Contains(line, "acl seen")
		if strings.HasPrefix(line, "backend ") {
			break
		}
		if !known || strings.Contains(line, "!seen") || !strings.Contains(line, "set-var(txn.why)") {
			continue
		}
		changed := strings.ReplaceAll(strings.Replace(line, " if ", " if !seen ", 1), " or ", " or !seen ")
		if changed != line {
			all = append(all, s.mutant(lines, i, notAsked, changed))
		}
	}
	return all
}

// Each line that guards is taken out once and loosened in every way that applies, and at least one probe must notice. It
// is the proof that no rule and no part of one is there without a test.
func TestEveryGuardIsNoticedWhenItIsMissing(t *testing.T) {
	all, tried, used := probes(), 0, map[int]bool{}
	plain, cached := newSetOf(t, false), newSetOf(t, true)
	for _, m := range slices.Concat(plain.mutants(""), cached.mutants(string(plain.config)), cached.careless()) {
		s := m.set
		if i := m.expected(); i >= 0 {
			used[i] = true
			continue
		}
		tried++
		t.Run(m.name, func(t *testing.T) {
			w, err := s.start(t.Context(), []byte(m.text))
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
			t.Errorf("no probe notices: %s", m.line)
		})
	}
	if tried < 120 {
		t.Errorf("there are %d mutants only", tried)
	}
	for i, u := range excuses() {
		if !used[i] {
			t.Errorf("no mutant is excused by %+v", u)
		}
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

// expected is the index of the first excuse for a mutant; -1 if there is none.
func (m mutant) expected() int {
	for i, u := range excuses() {
		if strings.Contains(m.line, u.line) && strings.HasSuffix(m.name, u.change) {
			return i
		}
	}
	return -1
}
