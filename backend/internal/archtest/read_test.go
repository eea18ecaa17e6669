package archtest

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// moduleRoot is the nearest folder above that has a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("find go.mod: there is none above")
		}
		dir = above
	}
}

// readTree describes every package of the module, in files for any operating system.
func readTree(root string) ([]pkg, error) {
	packages := map[string]*pkg{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && skipped(name, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		return readInto(packages, root, name)
	})
	if err != nil {
		return nil, err
	}
	var all []pkg
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		all = append(all, *packages[dir])
	}
	return all, nil
}

// skipped reports whether the go command would not look into the folder, or it is not ours.
func skipped(name, base string) bool {
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func readInto(packages map[string]*pkg, root, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	relative = filepath.ToSlash(relative)
	declared, s, err := describe(relative, text)
	if err != nil {
		return err
	}
	dir := path.Dir(relative)
	if packages[dir] == nil {
		packages[dir] = &pkg{dir: dir, name: declared}
	}
	packages[dir].files = append(packages[dir].files, s)
	return nil
}

// describe reads one file; name is its path.
func describe(name string, text []byte) (declared string, s source, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return "", source{}, fmt.Errorf("parse source: %w", err)
	}
	s = source{
		name: path.Base(name), test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(f),
		comment: f.Doc != nil, lines: bytes.Count(text, []byte("\n")), interfaces: map[string]int{},
	}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return "", source{}, fmt.Errorf("parse import: %w", err)
		}
		s.imports = append(s.imports, p)
	}
	s.clock = readsClock(f)
	for _, d := range f.Decls {
		s.undocumented = append(s.undocumented, undocumented(d)...)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if t, ok := n.(*ast.TypeSpec); ok {
			if i, ok := t.Type.(*ast.InterfaceType); ok {
				s.interfaces[t.Name.Name] = ownMethods(i)
			}
		}
		return true
	})
	return f.Name.Name, s, nil
}

func ownMethods(i *ast.InterfaceType) int {
	n := 0
	for _, m := range i.Methods.List {
		n += len(m.Names) // none: embedded
	}
	return n
}

// readsClock reports whether the file names what reads the clock, called or not: a value that is passed on reads it too.
func readsClock(f *ast.File) bool {
	local := ""
	for _, i := range f.Imports {
		if i.Path.Value == `"time"` {
			local = "time"
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	if local == "." {
		return true // cannot be told apart
	}
	reads := false
	ast.Inspect(f, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := selector.X.(*ast.Ident)
		if ok && from.Name == local && slices.Contains([]string{"Now", "Since", "Until"}, selector.Sel.Name) {
			reads = true
		}
		return true
	})
	return reads
}

// undocumented lists the exported names that a declaration makes without a comment.
func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && needsComment(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		return undocumentedSpecs(d)
	}
	return nil
}

func needsComment(d *ast.FuncDecl) bool {
	if !d.Name.IsExported() {
		return false
	}
	if d.Recv == nil {
		return true
	}
	if slices.Contains(wellKnown, d.Name.Name) {
		return false
	}
	receiver := d.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}

func undocumentedSpecs(d *ast.GenDecl) []string {
	var names []string
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				names = append(names, s.Name.Name)
			}
		case *ast.ValueSpec:
			// A block of constants may have one comment for all.
			if s.Doc != nil || s.Comment != nil || d.Doc != nil {
				continue
			}
			for _, n := range s.Names {
				if n.IsExported() {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}
