package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// firstPlace is line:column of the first problem of a document.
func firstPlace(t *testing.T, text string) string {
	t.Helper()
	doc, err := policy.Parse("t.yaml", []byte(text))
	if err == nil {
		_, err = policy.Compile(doc)
	}
	var list policy.Errors
	if !errors.As(err, &list) {
		t.Fatalf("%v", err)
	}
	return fmt.Sprintf("%d:%d", list[0].Line, list[0].Column)
}

// The places were counted by hand: the line that has to be mended, or in which begins what is not ended.
func TestWhatIsNoYAMLIsToldAtItsLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a tab before a field":                {"version: 1\nname: t\n\trules:\n" + rule, "3:1"},
		"a field one column too far":          {with(rule, "    who:", "     who:"), "7:6"},
		"a field one column short":            {with(rule, "    who:", "   who:"), "7:4"},
		"a colon that is missing":             {with(rule, "who: {", "who {"), "7:5"},
		"a colon that is missing at the end":  {head + rule + "tests\n", "10:1"},
		"a colon too many":                    {with(rule, "max_duration: 1h", "max_duration: 1h: 2h"), "9:7"},
		"a merge of what is not there":        {with(rule, "    who:", "    <<: *a\n    who:"), "7:5"},
		"an alias in the last line":           {head + rule + "tests: *a", "10:1"},
		"a bracket that is not closed":        {with(rule, "[dev]", "[dev"), "7:5"},
		"a bracket that is not opened":        {with(rule, "[dev]", "dev]"), "7:5"},
		"a list over lines, wrong inside":     {with(rule, "[dev]", "[\n      dev,\n      ops: [a: b: c]]"), "7:5"},
		"a list over lines, wrong below":      {with(rule, "[dev]}", "[\n      dev,\n      ops]}\n     x: y"), "10:6"},
		"a text in quotes that is not closed": {with(rule, "name: r", "name: 'r"), "4:3"},
		"double quotes that are not closed":   {with(rule, "name: r", "description: \"r\n    name: r"), "4:3"},
		"an escape that is none":              {with(rule, "name: r", "name: \"\\q\""), "4:3"},
		"a percent sign":                      {with(rule, "name: r", "name: %r"), "4:3"},
		"an at sign":                          {with(rule, "{groups: [dev]}", "@dev"), "7:5"},
		"a block's sign that is none":         {with(rule, "name: r", "name: |x"), "4:3"},
		"after a comment and an empty line":   {with(rule, "    who:", "    # who\n\n     who:"), "9:6"},
		"lines that end as in Windows":        {strings.ReplaceAll(with(rule, "    who:", "     who:"), "\n", "\r\n"), "7:6"},
		"a second document":                   {head + rule + "---\nversion: 1\n  name: t\n", "12:3"},
		"in a document of 60 KiB, at the end": {head + strings.Repeat("  # a comment of 32 bytes in all\n", 60<<5) + "  a: [\n  b\n", "1924:3"},
	} {
		if got := firstPlace(t, c.text); got != c.want {
			t.Errorf("%s: told at %s, want %s", name, got, c.want)
		}
	}
}

// A search for the line would read it again some hundred thousand times.
func TestTheSearchForAPlaceIsBounded(t *testing.T) {
	if got := firstPlace(t, "version: 1\nname: \"t\n"+strings.Repeat("a\n", 120<<10)); got != "2:1" {
		t.Errorf("told at %s", got)
	}
}

// CEL gives no place for what is wrong with a condition as a whole.
func TestAConditionThatIsTooLargeIsToldWhereItBegins(t *testing.T) {
	deep, long := strings.Repeat("(", 70)+"true"+strings.Repeat(")", 70), strings.Repeat("true && ", 256)+"true"
	choices := strings.Repeat("true ?true :", 70) + "true" // a colon and a space would be YAML's
	for name, expression := range map[string]string{"deep": deep, "long": long, "choices": choices} {
		for form, c := range map[string]struct{ when, want string }{
			"in its line": {"when:\n      - message: m\n        condition: " + expression, "10:20"},
			"in quotes":   {"when:\n      - message: m\n        condition: '" + expression + "'", "10:21"},
			"in a block":  {"when:\n      - message: m\n        condition: |\n          " + expression, "11:11"},
			"in brackets": {"when: [{message: m, condition: '" + expression + "'}]", "8:37"},
		} {
			if got := firstPlace(t, head+allowing("r", c.when)); got != c.want {
				t.Errorf("%s, %s: told at %s, want %s", name, form, got, c.want)
			}
		}
	}
}
