package archtest

import (
	"slices"
	"strings"
	"testing"
)

// code is a package of one file that breaks no rule of form and imports what is named.
func code(dir string, imports ...string) pkg {
	return pkg{dir: dir, name: "p", files: []source{{name: "p.go", comment: true, lines: 100, imports: imports}}}
}

func test(dir string, imports ...string) pkg {
	p := code(dir, imports...)
	p.files[0].test = true
	return p
}

// with changes the one file of a package.
func with(p pkg, change func(*source)) pkg {
	change(&p.files[0])
	return p
}

// Each import here is a rule of docs/architecture.md, by hand.
func TestEachImportRuleCanBeBroken(t *testing.T) {
	const ours = module + "/"
	cases := []struct {
		name string
		p    pkg
		want string // part of the one finding; empty: none
	}{
		{"a package without a row", code("backend/novelty"), "no row"},
		{"a folder whose name only begins like a row's", code("backend/servicemesh"), "no row"},
		{"another module of Clutch", code("backend/module/other"), "no row"},

		{"grant imports a sibling", code("backend/grant", ours+"backend/policy"), "not in its row"},
		{"grant imports somebody's library", code("backend/grant", "golang.org/x/text/cases"), "only the standard library"},
		{"grant imports the standard library", code("backend/grant", "crypto/sha256"), ""},
		{"policy imports somebody's library", code("backend/policy", "github.com/google/cel-go/cel"), ""},
		{"policy imports store", code("backend/policy", ours+"backend/store"), "not in its row"},
		{"policy imports grant", code("backend/policy", ours+"backend/grant"), ""},
		{"desired imports reconcile", code("backend/desired", ours+"backend/reconcile"), "not in its row"},
		{"store imports access", code("backend/store", ours+"backend/access"), "not in its row"},
		{"store imports its driver", code("backend/store", ours+"backend/store/sqlite"), "not in its row"},
		{"a driver imports policy", code("backend/store/sqlite", ours+"backend/policy"), "not in its row"},
		{"a driver imports store and grant", code("backend/store/postgres", ours+"backend/store", ours+"backend/grant"), ""},
		{"the suite imports a driver", code("backend/store/storetest", ours+"backend/store/sqlite"), "not in its row"},
		{"access imports reconcile", code("backend/access", ours+"backend/reconcile"), "not in its row"},
		{"access imports a driver", code("backend/access", ours+"backend/store/sqlite"), "not in its row"},
		{"access imports what it may", code("backend/access", ours+"backend/grant", ours+"backend/policy", ours+"backend/store"), ""},
		{"reconcile imports store", code("backend/reconcile", ours+"backend/store"), "not in its row"},
		{"credential imports access", code("backend/credential", ours+"backend/access"), "not in its row"},
		{"audit imports access", code("backend/audit", ours+"backend/access"), "not in its row"},
		{"a service imports the suite", code("backend/service/audit", ours+"backend/store/storetest"), "not in its row"},
		{"a service imports the module", code("backend/service/audit", ours+"backend/module/haproxyaccess"), "not in its row"},
		{"a service imports the core and a service", code("backend/service/haproxyaccess", ours+"backend/access", ours+"backend/service/haproxy"), ""},
		{"the renderer imports grant", code("backend/service/haproxy/haproxycfg", ours+"backend/grant"), "not in its row"},
		{"the client imports grant", code("backend/service/haproxy/dataplane", ours+"backend/grant"), "not in its row"},
		{"the module imports the store", code("backend/module/haproxyaccess", ours+"backend/store"), "not in its row"},
		{"the module imports a service", code("backend/module/haproxyaccess", ours+"backend/service/haproxyaccess"), "not in its row"},
		{"middleware imports grant", code("backend/middleware/accessguard", ours+"backend/grant"), "not in its row"},
		{"generated code imports grant", code("backend/api/haproxyaccess/v1", ours+"backend/grant"), "not in its row"},
		{"a loopback imports the backend", code("internal/world", ours+"backend/grant"), "not in its row"},
		{"a tool imports the store", code("tools/keys", ours+"backend/store/sqlite"), ""},
		{"a test imports what code may not", test("backend/grant", ours+"backend/policy", "pgregory.net/rapid"), ""},

		{"a service imports internal", code("backend/service/audit", ours+"internal/haproxyproc"), "must not need it"},
		{"plugin imports a tool", code("backend/plugin", ours+"tools/devidp/provider"), "must not need it"},
		{"main imports a test's package", code("backend", ours+"test/tokencorpus"), "must not need it"},
		{"a test imports internal", test("backend/reconcile", ours+"internal/haproxyproc"), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, check([]pkg{c.p}), c.want) })
	}
}

func TestEachRestrictionCanBeBroken(t *testing.T) {
	const (
		ourProto = module + "/backend/api/haproxyaccess/v1"
		gateway  = "github.com/lyft/clutch/backend/gateway"
		proto    = "github.com/lyft/clutch/backend/api/api/v1"
		native   = "github.com/haproxytech/client-native/v5/models"
	)
	cases := []struct {
		name string
		p    pkg
		want string
	}{
		{"the core imports Clutch", code("backend/access", gateway), "imports " + gateway},
		{"the core imports Clutch's generated code", code("backend/reconcile", proto), "imports " + proto},
		{"a tool imports Clutch", code("tools/keys", gateway), "imports " + gateway},
		{"a tool imports Clutch's generated code", code("tools/protodesc", proto), ""},
		{"a service imports Clutch", code("backend/service/audit", gateway, proto), ""},
		{"middleware imports Clutch", code("backend/middleware/accessguard", gateway), ""},
		{"a test imports Clutch", test("backend/access", gateway), ""},
		{"a library of a like name", code("backend/access", "github.com/lyft/clutchlike"), ""},
		{"a test's package imports generated code", code("test/tokencorpus", ourProto), "imports " + ourProto},
		{"a tool imports generated code", code("tools/keys", ourProto), ""},

		{"the core imports SQL", code("backend/access", "database/sql"), "imports database/sql"},
		{"a service imports SQL's driver part", code("backend/service/store", "database/sql/driver"), "imports database/sql/driver"},
		{"a test outside the store imports SQL", test("test/e2e", "database/sql"), "imports database/sql"},
		{"the driver imports SQL", code("backend/store/sqlite", "database/sql"), ""},

		{"the fleet's service imports client-native", code("backend/service/haproxy", native), "imports " + native},
		{"its test does", test("backend/service/haproxy", native), "imports " + native},
		{"the client does", code("backend/service/haproxy/dataplane", native), ""},
		{"the client's double does", code("backend/service/haproxy/dataplane/dataplanetest", native), ""},
		{"the demo's Data Plane API does", code("tools/dataplane/server", native), ""},
		{"another tool does", code("tools/haproxycfg", native), "imports " + native},
		{"a package below test does", code("test/tokencorpus", native), "imports " + native},
		{"a test below test does", test("test/enforcement", native), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, check([]pkg{c.p}), c.want) })
	}
}

func TestEachRuleOfFormCanBeBroken(t *testing.T) {
	clock := func(f *source) { f.clock = true }
	named := func(name string) pkg { p := code("tools/x"); p.name = name; return p }
	methods := func(n int) func(*source) {
		return func(f *source) { f.interfaces = map[string]int{"Wide": n} }
	}
	cases := []struct {
		name string
		p    pkg
		want string
	}{
		{"the core reads the clock", with(code("backend/access"), clock), "reads the clock"},
		{"the module reads the clock", with(code("backend/module/haproxyaccess"), clock), "reads the clock"},
		{"a tool that is not listed reads the clock", with(code("tools/docgen"), clock), "reads the clock"},
		{"a tool that is listed does", with(code("tools/keys"), clock), ""},
		{"a test does", with(test("backend/access"), clock), ""},

		{"no package comment", with(code("tools/x"), func(f *source) { f.comment = false }), "no file has a package comment"},
		{"generated code has none", with(code(
			"backend/api/x"), func(f *source) { f.comment, f.generated = false, true }), ""},
		{"600 lines", with(code("tools/x"), func(f *source) { f.lines = 600 }), ""},
		{"601 lines", with(code("tools/x"), func(f *source) { f.lines = 601 }), "601 lines"},
		{"601 lines of a test", with(test("tools/x"), func(f *source) { f.lines = 601 }), ""},
		{"601 generated lines", with(code("tools/x"), func(f *source) { f.lines, f.generated = 601, true }), ""},
		{"seven methods", with(code("tools/x"), methods(7)), ""},
		{"eight methods", with(code("tools/x"), methods(8)), "Wide has 8 methods"},

		{"util", named("util"), "says nothing"},
		{"common", named("common"), "says nothing"},
		{"helpers", named("helpers"), "says nothing"},
		{"models", named("models"), "says nothing"},
		{"types", named("types"), "says nothing"},
		{"an outer test of util", named("util_test"), "says nothing"},
		{"utility", named("utility"), ""},

		{"no comment", with(code("tools/x"), func(f *source) { f.undocumented = []string{"Bare"} }), "Bare is exported"},
		{"no comment in main", with(named("main"), func(f *source) { f.undocumented = []string{"Bare"} }), ""},
		{"no comment in a test", with(test("tools/x"), func(f *source) { f.undocumented = []string{"Bare"} }), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, check([]pkg{c.p}), c.want) })
	}
}

func TestTheLongestPatternCounts(t *testing.T) {
	table := map[string][]string{"a/...": nil, "a/b/...": nil, "a/b/c": nil}
	for dir, want := range map[string]string{
		"a": "a/...", "a/x": "a/...", "a/b": "a/b/...", "a/b/x/y": "a/b/...", "a/b/c": "a/b/c", "a/b/c/d": "a/b/...",
		"ab": "", "": "",
	} {
		if got, found := longest(table, dir); got != want || found != (want != "") {
			t.Errorf("%q: %q, %v, want %q", dir, got, found, want)
		}
	}
}

func TestARowThatFitsNothingIsFound(t *testing.T) {
	got := unused([]pkg{
		with(code("tools/keys"), func(f *source) { f.clock = true }),
		with(test("tools/demo"), func(f *source) { f.clock = true }),
		code("backend/grant"), code("backend/store"), code("backend/service/haproxy/dataplane"),
	})
	for _, want := range []string{
		"no package for the row backend/policy", "no package for the row backend/store/...",
		"no package for the row backend/service/...", "tools/demo may read the clock and does not",
		"internal/world may read the clock and does not",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	for _, row := range got {
		for _, fits := range []string{"row backend/grant", "tools/keys", "row tools/..."} {
			if strings.HasSuffix(row, fits) {
				t.Errorf("found although it fits: %s", row)
			}
		}
	}
}

// expect wants one finding that contains want, or none.
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("want nothing, got %q", got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("want one finding with %q, got %q", want, got)
	}
}
