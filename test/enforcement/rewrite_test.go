package enforcement

import (
	"slices"
	"strings"
	"testing"

	parser "github.com/haproxytech/client-native/v5/config-parser"
	"github.com/haproxytech/client-native/v5/config-parser/options"
)

// The Data Plane API parses haproxy.cfg as a whole and writes it anew whenever a server is added. What it writes must be
// the same rules in the same order, and work in the same way.
func TestRulesSurviveARewriteByTheDataPlaneAPI(t *testing.T) { eachMode(t, testRewrite) }

func testRewrite(t *testing.T, s *set) {
	parsed, err := parser.New(options.String(string(s.config)))
	if err != nil {
		t.Fatal(err)
	}
	rewritten := parsed.String()
	total := 0
	for _, kind := range []string{"http-request ", "http-response ", "use_backend ", "default_backend ", "acl ", "stick-table "} {
		before, after := rules(string(s.config), kind), rules(rewritten, kind)
		total += len(before)
		if !slices.Equal(before, after) {
			t.Errorf("the rules %swere %q, now they are %q", kind, before, after)
		}
	}
	if total < 120 {
		t.Errorf("there are %d rules only", total)
	}
	w, err := s.start(t.Context(), []byte(rewritten))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.process.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, p := range probes() {
		if err := p.run(w); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// rules are the lines of one kind in their order; HAProxy applies each kind at its own time.
func rules(config, kind string) []string {
	var found []string
	for line := range strings.Lines(config) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, kind) {
			found = append(found, line)
		}
	}
	return found
}
