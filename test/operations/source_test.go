package operations

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// found is what the code counts and says: "name kind labels", and "level message".
type found struct{ metrics, lines []string }

var kinds = map[string]string{"Counter": "counter", "Gauge": "gauge", "Timer": "timer", "Histogram": "histogram"}

var levels = map[string]string{"Warn": "warn", "Error": "error", "DPanic": "error", "Panic": "error", "Fatal": "fatal"}

// source reads backend/. What it cannot make out fails the test, so nothing escapes it.
func source(t *testing.T) found {
	t.Helper()
	root := filepath.Join("..", "..")
	var all found
	seen := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(root, "backend"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			r := reader{t: t, dir: filepath.ToSlash(dir), where: path, all: &all, seen: seen, locals: map[string]ast.Expr{}}
			ast.Inspect(d, r.visit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range subScopes {
		if !seen[name] {
			t.Errorf("the code makes no scope %q", name)
		}
	}
	return all
}

// reader reads one declaration.
type reader struct {
	t          *testing.T
	dir, where string
	all        *found
	seen       map[string]bool     // scopes
	locals     map[string]ast.Expr // what the function's variables were made of
}

func (r reader) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if name, ok := left.(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) {
				r.locals[name.Name] = n.Rhs[i]
			}
		}
	case *ast.CallExpr:
		if method, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 {
			r.call(method, n.Args[0])
		}
	}
	return true
}

func (r reader) call(method *ast.SelectorExpr, argument ast.Expr) {
	name := method.Sel.Name
	receiver := last(method.X)
	switch {
	case name == "SubScope":
		scope := r.text(argument)
		r.seen[scope] = true
		if !slices.Contains(subScopes, scope) {
			r.t.Errorf("%s: a scope %q that this test does not know", r.where, scope)
		}
	case kinds[name] != "":
		beginning, labels := r.scope(method.X)
		r.all.metrics = append(r.all.metrics, strings.Join([]string{beginning + r.text(argument), kinds[name], labels}, " "))
	case levels[name] != "" && (receiver == "log" || receiver == "logger"):
		r.all.lines = append(r.all.lines, levels[name]+" "+r.text(argument))
	}
}

// scope is the beginning of the names of a scope's metrics, and their labels.
func (r reader) scope(x ast.Expr) (beginning, labels string) {
	beginning, known := scopes[r.dir]
	if local, ok := x.(*ast.Ident); ok && r.locals[local.Name] != nil {
		x = r.locals[local.Name]
	}
	switch {
	case !known:
	case last(x) == "scope":
		return beginning, ""
	case last(x) == "node()":
		return beginning + "node_", "node"
	case last(x) == "discovery()":
		return beginning + "discovery_", "discovery"
	}
	r.t.Errorf("%s: a metric of a scope that this test does not know", r.where)
	return "", ""
}

func (r reader) text(x ast.Expr) string {
	if literal, ok := x.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		if text, err := strconv.Unquote(literal.Value); err == nil {
			return text
		}
	}
	r.t.Errorf("%s: a name or message that is no literal", r.where)
	return ""
}

// last is the last name of an expression like o.scope, scope, or o.node(name).
func last(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	case *ast.CallExpr:
		return last(x.Fun) + "()"
	}
	return ""
}
