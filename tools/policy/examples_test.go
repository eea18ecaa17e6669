package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

const examplesFolder = "../../examples/policy"

// examples are the paths of all of them.
func examples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(examplesFolder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("there are %d examples only", len(files))
	}
	return files
}

// checked runs the command over files and returns what it prints.
func checked(t *testing.T, files ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	world := terminal{in: strings.NewReader(""), out: &out, err: &errs}
	if status := world.run(t.Context(), append([]string{"check"}, files...)); status != exitOK {
		t.Fatalf("exit status %d:\n%s", status, errs.String())
	}
	return out.String()
}

func TestEachExampleIsAPolicyByItself(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) { checked(t, file) })
	}
}

// A team takes several of them, so they must not be in each other's way.
func TestTheExamplesTogetherAreAPolicy(t *testing.T) {
	checked(t, examples(t)...)
	checked(t, examplesFolder)
}

// The order of the files must not matter either: a team gives them names of its own.
func TestTheExamplesDoNotDependOnTheirOrder(t *testing.T) {
	files := examples(t)
	folder := t.TempDir()
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := string(rune('z'-i/26)) + string(rune('z'-i%26)) + ".yaml"
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checked(t, folder)
}

var listed = regexp.MustCompile(`(?m)^\| \[([a-z-]+\.yaml)\]\(([a-z-]+\.yaml)\) \| .+ \|$`)

func TestEveryExampleIsInTheTable(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(examplesFolder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named, there []string
	for _, m := range listed.FindAllStringSubmatch(string(readme), -1) {
		if m[1] != m[2] {
			t.Errorf("%s leads to %s", m[1], m[2])
		}
		named = append(named, m[1])
	}
	for _, file := range examples(t) {
		there = append(there, filepath.Base(file))
	}
	if !slices.Equal(named, there) {
		t.Errorf("the table names\n%q, and there are\n%q", named, there)
	}
}

var whenToTakeIt = regexp.MustCompile(`\A# Take this .+\n(# .+\n){1,3}version: 1\nname: ([a-z-]+)\n`)

func TestEveryExampleSaysWhenToTakeItAndIsNamedAsItsFile(t *testing.T) {
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := whenToTakeIt.FindStringSubmatch(string(text))
		if m == nil {
			t.Errorf("%s does not begin with two to four lines that say when to take it, its version and its name", file)
		} else if m[2]+".yaml" != filepath.Base(file) {
			t.Errorf("%s is named %s", file, m[2])
		}
	}
}

// An example whose tests hold without one of its rules teaches tests that hold nothing.
func TestEveryRuleOfAnExampleIsHeldByItsTests(t *testing.T) {
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rulesOf(t, text).Content {
			without, name := withoutRule(t, text, i)
			doc, err := policy.Parse(file, without)
			if err != nil {
				continue // it was the only one: nothing is left that could pass
			}
			if _, err := policy.Compile(doc); err == nil {
				t.Errorf("%s: all tests pass without the rule %s", file, name)
			}
		}
	}
}

// Both answers are tested in each: an example without a refusal shows half of what it does.
func TestEveryExampleShowsAccessAndARefusal(t *testing.T) {
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{`decision: (allow|approval)\b`, `decision: deny\b`} {
			if !regexp.MustCompile(pattern).Match(text) {
				t.Errorf("%s: no test expects %s", file, pattern)
			}
		}
	}
}

// rulesOf is the list of rules in a document's tree.
func rulesOf(t *testing.T, text []byte) *yaml.Node {
	t.Helper()
	return field(t, tree(t, text).Content[0], "rules")
}

func tree(t *testing.T, text []byte) *yaml.Node {
	t.Helper()
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return &root
}

func field(t *testing.T, object *yaml.Node, name string) *yaml.Node {
	t.Helper()
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == name {
			return object.Content[i+1]
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

func withoutRule(t *testing.T, text []byte, i int) (without []byte, name string) {
	t.Helper()
	root := tree(t, text)
	rules := field(t, root.Content[0], "rules")
	name = field(t, rules.Content[i], "name").Value
	rules.Content = slices.Delete(rules.Content, i, i+1)
	without, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return without, name
}
