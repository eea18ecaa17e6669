package nodeconfig

import (
	"slices"
	"testing"
)

// The words are those that HAProxy's manual gives in "2.2. Quoting and escaping", and what follows from it.
func TestTokensAreReadAsHAProxyReadsThem(t *testing.T) {
	for line, want := range map[string][]string{
		``:                                 nil,
		"   \t \n":                         nil,
		`# comment`:                        nil,
		`  bind :80 # comment`:             {"bind", ":80"},
		`a#b`:                              {"a"},
		`a '#' b`:                          {"a", "#", "b"},
		`a \# b`:                           {"a", "#", "b"},
		`log-format %{+Q}o\ %t\ %s`:        {"log-format", "%{+Q}o %t %s"},
		`log-format "%{+Q}o %t %s"`:        {"log-format", "%{+Q}o %t %s"},
		`log-format '%{+Q}o %t %s'`:        {"log-format", "%{+Q}o %t %s"},
		`log-format "%{+Q}o %t"' %s'`:      {"log-format", "%{+Q}o %t %s"},
		`log-format '%{+Q}o %t'\ %s`:       {"log-format", "%{+Q}o %t %s"},
		`x "a\"b" 'c\d' e\\f "g\h"`:        {"x", `a"b`, `c\d`, `e\f`, `g\h`},
		`x '' ""`:                          {"x", "", ""},
		`x 'it'\''s'`:                      {"x", "it's"},
		`x "$HOME"`:                        {"x", "$HOME"},
		"  acl ours var(txn.issuer) -m s ": {"acl", "ours", "var(txn.issuer)", "-m", "s"},
		"x\r\n":                            {"x"},
	} {
		got, err := tokens(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`a 'b`, `a "b`, `a "b\"`} {
		if got, err := tokens(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}
