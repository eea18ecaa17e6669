package operations

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scopes are the beginnings of the metrics' names by package, as Clutch's gateway makes them: "clutch" is the root's, a
// service's is its own name's, and a middleware gets the root's.
var scopes = map[string]string{
	"backend/service/haproxyaccess":  "clutch_service_haproxyaccess_",
	"backend/service/audit":          "clutch_service_audit_",
	"backend/middleware/accessguard": "clutch_accessguard_",
}

// subScopes are those that the code makes: a new one must be taken into account here.
var subScopes = []string{"accessguard", "node", "discovery"}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows are the cells of the table's rows that begin with the pattern.
func rows(t *testing.T, text, pattern string) [][]string {
	t.Helper()
	var all [][]string
	for line := range strings.Lines(text) {
		if !regexp.MustCompile(pattern).MatchString(line) {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i, cell := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cell), "`")
		}
		all = append(all, cells)
	}
	if len(all) == 0 {
		t.Fatalf("the page has no row that begins with %s", pattern)
	}
	return all
}

func TestEveryMetricIsInTheTableAndNoOther(t *testing.T) {
	var code, documented []string
	for _, m := range source(t).metrics {
		code = append(code, m)
	}
	for _, row := range rows(t, page(t), "^\\| `clutch_") {
		if len(row) != 5 {
			t.Errorf("%s: the row has %d cells", row[0], len(row))
			continue
		}
		documented = append(documented, strings.Join(row[:3], " "))
		if row[3] == "" || row[4] == "" {
			t.Errorf("%s: no meaning, or no alert", row[0])
		}
	}
	compare(t, code, documented)
}

func TestEveryLogLineAboveInformationIsInTheTableAndNoOther(t *testing.T) {
	var documented []string
	for _, row := range rows(t, page(t), "^\\| (warn|error) \\|") {
		documented = append(documented, row[0]+" "+row[1])
	}
	compare(t, source(t).lines, documented)
}

func TestLinksWithinThePageLeadSomewhere(t *testing.T) {
	text := page(t)
	headings := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(match[1]), "")
		headings[strings.ReplaceAll(name, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1)
	if len(links) == 0 {
		t.Fatal("the page has no links within it")
	}
	for _, link := range links {
		if !headings[link[1]] {
			t.Errorf("there is no heading for #%s", link[1])
		}
	}
}

func compare(t *testing.T, code, documented []string) {
	t.Helper()
	slices.Sort(code)
	code = slices.Compact(code)
	for _, name := range code {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/operations.md lacks %q", name)
		}
	}
	for i, name := range documented {
		if !slices.Contains(code, name) {
			t.Errorf("docs/operations.md has %q, which is not in the code", name)
		}
		if slices.Index(documented, name) != i {
			t.Errorf("docs/operations.md has %q twice", name)
		}
	}
}
