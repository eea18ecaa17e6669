package grant

import (
	"errors"
	"strings"
	"testing"
)

var (
	longEnvironment = strings.Repeat("e", 31)
	longPool        = strings.Repeat("p", 63)
)

// fullNames are full names with what they are read as; an empty name means refused.
var fullNames = []struct {
	full string
	want Pool
}{
	{"prod/web", Pool{"prod", "web"}},
	{"staging/web", Pool{"staging", "web"}},
	{"pr-17.x_y/a.b_c-d", Pool{"pr-17.x_y", "a.b_c-d"}},
	{"0/0", Pool{"0", "0"}},
	{longEnvironment + "/" + longPool, Pool{longEnvironment, longPool}},
	{longEnvironment + "e/web", Pool{}},
	{"prod/" + longPool + "p", Pool{}},
	{"", Pool{}},
	{"/", Pool{}},
	{"prod", Pool{}},
	{"prod/", Pool{}},
	{"/web", Pool{}},
	{"prod/web/", Pool{}},
	{"prod/web/x", Pool{}},
	{"prod//web", Pool{}},
	{"Prod/web", Pool{}},
	{"prod/Web", Pool{}},
	{"prod/*", Pool{}},
	{"*/web", Pool{}},
	{"prod|web", Pool{}},
	{"prod/web|x", Pool{}},
	{"prod|x/web", Pool{}},
	{"prod/web\n", Pool{}},
	{"prod\n/web", Pool{}},
	{"prod/web\r", Pool{}},
	{"prod/web x", Pool{}},
	{" prod/web", Pool{}},
	{"prod/web#", Pool{}},
	{"prod/web\x00", Pool{}},
	{"prod/web\x7f", Pool{}},
	{"prod/we\u212a", Pool{}},
	{"prod/w\u0435b", Pool{}},
	{"prod\uff0fweb", Pool{}},
	{"prod\u2215web", Pool{}},
	{"prod/web:x", Pool{}},
	{"prod/web@x", Pool{}},
	{"prod/web+x", Pool{}},
	{"prod/\xff", Pool{}},
}

func TestFullNamesOfPools(t *testing.T) {
	for _, test := range fullNames {
		t.Run(test.full, func(t *testing.T) {
			got, err := ParsePool(test.full)
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if ok := test.want != (Pool{}); ok != (err == nil) || err != nil && !errors.Is(err, ErrPool) {
				t.Errorf("error %v", err)
			}
			if err == nil && got.String() != test.full {
				t.Errorf("read %q, writes %q", test.full, got)
			}
		})
	}
}

// A slash within a part would make two pools one.
func TestNoPartOfAPoolHasASlash(t *testing.T) {
	for _, parts := range [][2]string{{"prod/web", "x"}, {"prod", "web/x"}, {"", "web"}, {"prod", ""}, {"prod\n", "web"}, {"prod", "web\n"}} {
		if p, err := NewPool(parts[0], parts[1]); !errors.Is(err, ErrPool) || p != (Pool{}) {
			t.Errorf("%q: %+v, %v", parts, p, err)
		}
	}
}

func FuzzParsePool(f *testing.F) {
	for _, n := range fullNames {
		f.Add(n.full)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePool(in)
		environment, name, found := strings.Cut(in, "/")
		want := found && len(environment) <= 31 && len(name) <= 63 && canonical(environment, "") && canonical(name, "")
		if want != (err == nil) {
			t.Fatalf("%q: error %v, want allowed %v", in, err, want)
		}
		if err != nil {
			if p != (Pool{}) || !errors.Is(err, ErrPool) {
				t.Fatalf("%+v with %v", p, err)
			}
			return
		}
		if p.String() != in || strings.Count(in, "/") != 1 || strings.Contains(in, "|") {
			t.Fatalf("%q became %q", in, p)
		}
		if again, err := NewPool(p.Environment, p.Name); err != nil || again != p {
			t.Fatalf("again: %+v, %v", again, err)
		}
	})
}
