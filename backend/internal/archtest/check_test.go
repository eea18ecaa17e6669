package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// pkg describes a package as far as the rules ask.
type pkg struct {
	dir   string // below the module's root, with slashes
	name  string
	files []source
}

// source describes a file.
type source struct {
	name         string
	test         bool
	generated    bool
	comment      bool // it has the package's comment
	lines        int
	imports      []string
	clock        bool           // it reads the clock
	undocumented []string       // exported names without a comment
	interfaces   map[string]int // how many methods of its own each has
}

// check lists what breaks a rule.
func check(all []pkg) []string {
	var broken []string
	for _, p := range all {
		for _, b := range slices.Concat(checkImports(p), checkRestrictions(p), checkForm(p)) {
			broken = append(broken, p.dir+": "+b)
		}
	}
	return broken
}

func checkImports(p pkg) []string {
	row, found := longest(mayImport, p.dir)
	if !found {
		return []string{"it has no row in the table of imports"}
	}
	var broken []string
	for _, f := range p.files {
		for _, path := range f.imports {
			if f.test {
				continue
			}
			if b := forbidden(p.dir, mayImport[row], path); b != "" {
				broken = append(broken, fmt.Sprintf("%s imports %s: %s", f.name, path, b))
			}
		}
	}
	return broken
}

// forbidden is why the import is, or empty.
func forbidden(dir string, may []string, path string) string {
	target, ours := strings.CutPrefix(path, module+"/")
	switch {
	case !ours && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") && slices.Contains(standardOnly, dir):
		return "only the standard library"
	case !ours:
		return ""
	case matches("backend/...", dir) && matchesAny(outside, target):
		return "the product must not need it"
	case !matchesAny(may, target):
		return "not in its row"
	}
	return ""
}

func checkRestrictions(p pkg) []string {
	var broken []string
	for _, f := range p.files {
		for _, path := range f.imports {
			for _, r := range restrictions {
				if r.forbids(p.dir, f.test, path) {
					broken = append(broken, fmt.Sprintf("%s imports %s: only %v may", f.name, path, r.packages))
				}
			}
		}
		if f.clock && !f.test && !slices.Contains(clockReaders, p.dir) {
			broken = append(broken, f.name+" reads the clock: take the time as an argument")
		}
	}
	return broken
}

func (r restriction) forbids(dir string, test bool, path string) bool {
	if !matches(r.path+"/...", path) || r.except != "" && matches(r.except+"/...", path) {
		return false
	}
	if test && (!r.tests || matchesAny(r.testsOnly, dir)) {
		return false
	}
	return !matchesAny(r.packages, dir)
}

func checkForm(p pkg) []string {
	var broken []string
	if slices.Contains(emptyNames, strings.TrimSuffix(p.name, "_test")) {
		broken = append(broken, "its name says nothing: "+p.name)
	}
	commented, handWritten := false, false
	for _, f := range p.files {
		commented = commented || f.comment
		if f.generated {
			continue
		}
		handWritten = true
		broken = append(broken, checkFile(p, f)...)
	}
	if handWritten && !commented {
		broken = append(broken, "no file has a package comment")
	}
	return broken
}

func checkFile(p pkg, f source) []string {
	var broken []string
	if !f.test && f.lines > maxLines {
		broken = append(broken, fmt.Sprintf("%s has %d lines, more than %d", f.name, f.lines, maxLines))
	}
	for name, n := range f.interfaces {
		if n > maxMethods {
			broken = append(broken, fmt.Sprintf("%s: interface %s has %d methods, more than %d", f.name, name, n, maxMethods))
		}
	}
	if p.name != "main" && !f.test {
		for _, name := range f.undocumented {
			broken = append(broken, fmt.Sprintf("%s: %s is exported and has no comment", f.name, name))
		}
	}
	return broken
}

// unused lists what of the tables fits no package: a row for a package that is gone would let its name come back
// unnoticed, and a walk that finds nothing would please every rule.
func unused(all []pkg) []string {
	var rows []string
	for pattern := range mayImport {
		if !slices.ContainsFunc(all, func(p pkg) bool { row, _ := longest(mayImport, p.dir); return row == pattern }) {
			rows = append(rows, "no package for the row "+pattern)
		}
	}
	for _, dir := range clockReaders {
		reads := func(p pkg) bool {
			return p.dir == dir && slices.ContainsFunc(p.files, func(f source) bool { return f.clock && !f.test })
		}
		if !slices.ContainsFunc(all, reads) {
			rows = append(rows, dir+" may read the clock and does not")
		}
	}
	return rows
}

// longest is the row of a table for a package.
func longest(table map[string][]string, dir string) (row string, found bool) {
	if _, exact := table[dir]; exact {
		return dir, true
	}
	for pattern := range table {
		if matches(pattern, dir) && (!found || len(pattern) > len(row)) {
			row, found = pattern, true
		}
	}
	return row, found
}

func matches(pattern, path string) bool {
	if pattern == anything {
		return true
	}
	folder, below := strings.CutSuffix(pattern, "/...")
	return path == folder || below && strings.HasPrefix(path, folder+"/")
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}
