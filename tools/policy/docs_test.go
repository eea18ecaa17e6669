package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// everyObject has a field that there is not, in each object of a document. The parser then names those that there are.
const everyObject = `x: 1
version: 1
name: all
rules:
  - x: 1
    name: all
    match: {x: 1}
    who: {x: 1}
    when: [{x: 1}]
    limits: {x: 1, hours: [{x: 1}]}
    require: [{x: 1}]
    approve: {x: 1, all_of: [{x: 1}]}
    auto_approve: [{x: 1}]
    break_glass: {x: 1, review: {x: 1}}
tests:
  - x: 1
    subject: {x: 1}
    owner: {x: 1}
    request: {x: 1}
    expect: {x: 1}
`

var fieldsOfParser = regexp.MustCompile(`unknown field "x"; here are: (.*)`)

// sections are the headings, or the heads of tables, under which the reference explains the fields of each object above,
// in the order in which the parser speaks of them.
var sections = []string{
	"## The document", "### A rule", "### match", "### who", "### when and auto_approve", "### limits", "### hours", "### require",
	"### approve", "### approve", "### when and auto_approve", "### break_glass", "| field of `review` |",
	"### tests", "| field of `subject` and `owner` |", "| field of `subject` and `owner` |", "| field of `request` |", "| field of `expect` |",
}

var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .{8,} \\|$")

// rowsAfter are the names in the first table after a place.
func rowsAfter(t *testing.T, text, place string) []string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+place)
	if !found {
		t.Fatalf("there is no %q", place)
	}
	_, table, _ := strings.Cut(rest, "|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var names []string
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestEveryFieldThatTheParserKnowsIsInTheReferenceAndNoOther(t *testing.T) {
	_, err := policy.Parse("all.yaml", []byte(everyObject))
	if err == nil {
		t.Fatal("it parses")
	}
	known := fieldsOfParser.FindAllStringSubmatch(err.Error(), -1)
	if len(known) != len(sections) {
		t.Fatalf("the parser names the fields of %d objects, and there are %d:\n%v", len(known), len(sections), err)
	}
	text := reference(t)
	explained := map[string][]string{}
	parsed := map[string][]string{}
	for i, section := range sections {
		explained[section] = rowsAfter(t, text, section)
		parsed[section] = append(parsed[section], strings.Split(known[i][1], ", ")...)
	}
	for section, names := range explained {
		want := parsed[section]
		slices.Sort(names)
		slices.Sort(want)
		if want = slices.Compact(want); !slices.Equal(names, want) {
			t.Errorf("%s explains\n%q, the parser knows\n%q", section, names, want)
		}
	}
}

// compiles reports why a condition, written as a block, does not compile; empty if it does.
func compiles(t *testing.T, condition string) string {
	t.Helper()
	text := "version: 1\nname: n\nrules:\n  - name: r\n    match: {pools: [a/b]}\n    who: {groups: [g]}\n    limits: {max_duration: 1h}\n" +
		"    when:\n      - message: You must\n        condition: |\n          " + condition + "\n"
	doc, err := policy.Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", condition, err)
	}
	if _, err := policy.Compile(doc); err != nil {
		return err.Error()
	}
	return ""
}

var variableRow = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `(string|bool|duration|timestamp|list\\(string\\)|map\\(string, string\\))` \\| .+ \\|$")

// ofType is a condition that compiles for a value of that type alone.
var ofType = map[string]string{
	"string": `%s.startsWith("a")`, "bool": `!%s`, "duration": `now + %s > now`, "timestamp": `%s.getHours("UTC") == 1`,
	"list(string)": `%s[0].startsWith("a")`, "map(string, string)": `%s["a"].startsWith("a")`,
}

func TestTheVariablesOfTheReferenceAreThereWithTheirTypes(t *testing.T) {
	rows := variableRow.FindAllStringSubmatch(reference(t), -1)
	if len(rows) != 17 {
		t.Fatalf("the reference has %d variables", len(rows))
	}
	for _, m := range rows {
		for kind, condition := range ofType {
			why := compiles(t, fmt.Sprintf(condition, m[1]))
			if (why == "") != (kind == m[2]) {
				t.Errorf("%s as a %s: %q", m[1], kind, why)
			}
		}
	}
	for _, other := range []string{"approvers", "grant", "user", "request.pool", "subject.owner", "owner.kind", "pool.backend"} {
		if compiles(t, other+` == "x"`) == "" {
			t.Errorf("there is %s, and the reference has no word of it", other)
		}
	}
}

var exampleRow = regexp.MustCompile("(?m)^\\| (.+) \\| `(.+)` \\|$")

func TestTheConditionsOfTheReferenceCompile(t *testing.T) {
	_, table, found := strings.Cut(reference(t), "| function | example |\n|---|---|\n")
	if !found {
		t.Fatal("there is no table of functions")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := exampleRow.FindAllStringSubmatch(table, -1)
	if len(rows) != strings.Count(table, "\n")+1 {
		t.Fatalf("%d rows of %d can be read", len(rows), strings.Count(table, "\n")+1)
	}
	for _, m := range rows {
		if why := compiles(t, strings.ReplaceAll(m[2], `\|`, "|")); why != "" {
			t.Errorf("%s: %s", m[1], why)
		}
	}
}

var functionName = regexp.MustCompile("`([a-zA-Z_]+)`")

// Each function in the table's first column is tried by itself, not only those that its example shows.
func TestTheFunctionsOfTheReferenceAreAllowed(t *testing.T) {
	calls := map[string]string{
		"in": `"a" in subject.groups`, "has": `has(owner.name)`, "size": `size(inputs) == 0`, "matches": `pool.name.matches("^a$")`,
		"exists": `subject.groups.exists(g, g == "a")`, "all": `subject.groups.all(g, g == "a")`,
		"exists_one": `subject.groups.exists_one(g, g == "a")`, "filter": `pool.tags.filter(t, t == "a").size() == 1`,
		"map": `pool.tags.map(t, t + "a").size() == 1`, "charAt": `pool.pool.charAt(0) == "a"`,
		"substring": `pool.pool.substring(1) == "a"`, "duration": `duration("1h") == request.total`,
		"timestamp": `timestamp("2026-01-01T00:00:00Z") < now`, "int": `int(now) > 0`, "double": `double("1.5") > 1.0`,
		"string": `string(request.break_glass) == "true"`, "bool": `bool("true")`,
	}
	for _, name := range []string{"startsWith", "endsWith", "contains"} {
		calls[name] = `pool.pool.` + name + `("a")`
	}
	for _, name := range []string{"lowerAscii", "upperAscii", "trim"} {
		calls[name] = `pool.pool.` + name + `() == "a"`
	}
	for _, name := range []string{"indexOf", "lastIndexOf"} {
		calls[name] = `pool.pool.` + name + `("a") == 0`
	}
	_, table, _ := strings.Cut(reference(t), "| function | example |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, line := range strings.Split(table, "\n") {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range functionName.FindAllStringSubmatch(first, -1) {
			call, known := calls[m[1]]
			if !known {
				call = `now.` + m[1] + `("Europe/Berlin") == 1`
			}
			if why := compiles(t, call); why != "" {
				t.Errorf("%s: %s", m[1], why)
			}
		}
	}
	for _, refused := range []string{
		`subject.groups.join(",") == "a"`, `pool.name.replace("a", "b") == "a"`, `pool.name.split("/").size() == 2`,
		`"%s".format([pool.name]) == "a"`, `type(now) == type(now)`, `{"a": 1}.size() == 1`, `pool.name.matches(request.reason)`,
	} {
		if compiles(t, refused) == "" {
			t.Errorf("%s is allowed, and the reference says that it is not", refused)
		}
	}
}

var fenced = regexp.MustCompile("(?s)```yaml\n(version: .*?)```")

func TestTheDocumentsOfTheReferenceAreWell(t *testing.T) {
	documents := fenced.FindAllStringSubmatch(reference(t), -1)
	if len(documents) == 0 {
		t.Fatal("there is none")
	}
	for _, m := range documents {
		doc, err := policy.Parse("docs/policy.md", []byte(m[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := policy.Compile(doc); err != nil {
			t.Error(err)
		}
	}
}
