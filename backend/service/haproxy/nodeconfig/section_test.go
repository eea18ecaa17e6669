package nodeconfig

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const ours = `frontend fe_ours
  # what it is for
  mode http
  bind :80
  timeout client 60s
  timeout http-request 5s
  no option logasap
  no option http-use-proxy-header
  acl html req.fhdr(accept) -m sub -i text/html
  http-request set-var(txn.why) str(a) if html
  http-request set-var(txn.why) 'str(b c)' if !html
  default_backend be_ours_denied

backend be_ours_denied
  http-request deny
`

func TestSpliceReplacesOurSectionsAndNothingElse(t *testing.T) {
	const others = "# _version=3\nglobal\n  daemon\n\n# theirs\ndefaults\n  mode http\n"
	for name, test := range map[string]struct{ config, want string }{
		"an empty file":             {"", ours},
		"at the end":                {others, others + "\n" + ours},
		"without a last line's end": {strings.TrimSuffix(others, "\n"), others + "\n" + ours},
		"in place": {
			others + "frontend fe_ours\n  bind :81\n\n# of b\nbackend b\n  server s 127.0.0.1:80\n",
			others + ours + "\n# of b\nbackend b\n  server s 127.0.0.1:80\n",
		},
		"scattered, and one of an older form": {
			"backend be_ours_denied\n  http-request deny\nbackend b\n  balance first\nfrontend fe_ours\n  bind :81\nbackend be_ours_old\n  mode tcp\n# last\n",
			ours + "backend b\n  balance first\n# last\n",
		},
		"a name that only begins alike": {"backend be_our\n  mode http\n", "backend be_our\n  mode http\n\n" + ours},
		"a name that goes on":           {"backend be_ours_denied_2\n  mode http\n", "backend be_ours_denied_2\n  mode http\n\n" + ours},
		"in another indentation, with quotes": {
			"  frontend 'fe_ours'\n bind :81\n\tbackend  b # x\n  mode http\n", ours + "\tbackend  b # x\n  mode http\n",
		},
		"windows' lines":        {"global\r\n  daemon\r\n", "global\r\n  daemon\r\n\n" + ours},
		"a word in a directive": {"backend b\n  server frontend 127.0.0.1:1\n", "backend b\n  server frontend 127.0.0.1:1\n\n" + ours},
		"what is conditional around others": {
			".if defined(X)\nbackend b\n  mode http\n.endif\n", ".if defined(X)\nbackend b\n  mode http\n.endif\n\n" + ours,
		},
	} {
		got, err := Splice(test.config, ours, "be_ours_old", "be_ours_x")
		if err != nil || got != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, test.want)
		}
		if !Same(got, ours, "be_ours_old", "be_ours_x") {
			t.Errorf("%s: it is not seen afterwards", name)
		}
	}
}

// A comment outside of a section is nobody's to take away, so none of ours may stand there: it would be doubled each time.
func TestSplicePutsNoCommentBesideASection(t *testing.T) {
	commented := "# what this is\n\n" + strings.Replace(ours, "\nbackend", "\n# refuses\nbackend", 1) + "# end\n"
	config := "global\n  daemon\n"
	for range 3 {
		next, err := Splice(strings.Replace(config, "bind :80", "bind :81", 1), commented)
		if err != nil {
			t.Fatal(err)
		}
		if config = next; config != "global\n  daemon\n\n"+ours {
			t.Fatalf("got\n%s", config)
		}
	}
}

func TestSpliceRefusesWhatIsConditional(t *testing.T) {
	for _, config := range []string{
		".if defined(X)\nfrontend fe_ours\n  bind :81\n.endif\n",
		"frontend fe_ours\n.if defined(X)\n  bind :81\nbackend b\n.endif\n",
		"global\n.if defined(X)\n",
	} {
		if got, err := Splice(config, ours); err == nil && strings.Contains(config, "fe_ours") {
			t.Errorf("%q becomes\n%s", config, got)
		}
	}
	if _, err := Splice("global\n", "# nothing\n"); err == nil {
		t.Error("nothing is put in")
	}
}

// What the Data Plane API writes for the same file: sections in another order, directives by kind, other quotes, no
// comments.
const rewritten = `# _version=12

global
  daemon

backend be_ours_denied from unnamed_defaults_1
  http-request deny

frontend fe_ours from unnamed_defaults_1
  mode http
  bind :80
  no option http-use-proxy-header
  no option logasap
  timeout http-request 5s
  timeout client 60s
  acl html req.fhdr(accept) -m sub -i text/html
  http-request set-var(txn.why) str(a) if html
  http-request set-var(txn.why) str(b\ c) if !html
  default_backend be_ours_denied
`

func TestSameSeesThroughARewriting(t *testing.T) {
	if !Same(rewritten, ours, "be_ours_old", "be_ours_x") {
		t.Error("what the API has written again counts as changed")
	}
	for _, change := range []struct{ from, to string }{
		{"bind :80", "bind :81"},
		{"if !html", "if html"},
		{"no option logasap", "option logasap"},
		{"timeout client 60s", "timeout client 61s"},
		{"  timeout client 60s\n", "  timeout client 60s\n  timeout client 60s\n"},
		{`b\ c`, "b"},
		{"  http-request deny\n", ""},
		{"  http-request deny\n", "  http-request deny\n  http-request deny\n"},
		{"  mode http\n", "  no mode http\n"},
		{"set-var(txn.why) str(a) if html\n  http-request set-var(txn.why) str(b\\ c) if !html", "set-var(txn.why) str(b\\ c) if !html\n  http-request set-var(txn.why) str(a) if html"},
		{"global", "backend be_ours_denied\n  mode http\nglobal"},                            // a second one
		{"global", "backend be_ours_old\n  mode http\nglobal"},                               // one too many
		{"frontend fe_ours", "frontend fe_ourz"},                                             // one is missing
		{"frontend fe_ours from unnamed_defaults_1\n", ".if defined(X)\nfrontend fe_ours\n"}, // not always there
	} {
		changed := strings.Replace(rewritten, change.from, change.to, 1)
		if changed == rewritten {
			t.Fatalf("%q is not there", change.from)
		}
		if Same(changed, ours, "be_ours_old", "be_ours_x") {
			t.Errorf("%q instead of %q makes no difference", change.to, change.from)
		}
	}
}

// I13: whatever a file looks like, what is not ours stays byte for byte; a second time changes nothing.
func TestI13SpliceKeepsOthersBytes(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"\n", "# comment\n", "  mode http\n", "\tserver s 127.0.0.1:80 # x\n", "  log-format \"a 'b\"\n", "global\n", "defaults d\n",
		"backend b\n", "listen l\r\n", "frontend other\n", "frontend fe_ours\n", " backend be_ours_denied\n", "backend be_ours_x\n", "  acl a b 'c\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		config := strings.Join(rapid.SliceOfN(line, 0, 30).Draw(t, "lines"), "")
		once, err := Splice(config, ours, "be_ours_old", "be_ours_x")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := without(once), without(config); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
			t.Fatalf("others have\n%q\nand had\n%q", got, want)
		}
		if !Same(once, ours, "be_ours_old", "be_ours_x") {
			t.Fatal("it is not seen")
		}
		if twice, err := Splice(once, ours, "be_ours_old", "be_ours_x"); err != nil || twice != once {
			t.Fatalf("a second time: %v\n%q\nafter\n%q", err, twice, once)
		}
	})
}

// without is a text without our sections, taken out line by line.
func without(text string) string {
	var out, held strings.Builder
	inside := false
	for l := range strings.Lines(text) {
		words := strings.Fields(l)
		header := len(words) > 0 && strings.Contains(" global defaults backend listen frontend ", " "+words[0]+" ")
		if header {
			next := len(words) > 1 && (strings.HasPrefix(words[1], "fe_ours") || strings.HasPrefix(words[1], "be_ours"))
			if !inside || !next || strings.TrimSpace(held.String()) != "" { // else: an empty line between two of ours
				out.WriteString(held.String())
			}
			held.Reset()
			inside = next
		}
		switch {
		case !inside:
			out.WriteString(held.String() + l)
			held.Reset()
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
			held.WriteString(l) // ours only if a directive follows
		default:
			held.Reset()
		}
	}
	return out.String() + held.String()
}
