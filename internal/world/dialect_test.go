package world

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDataPlaneTellsWhatItSpeaks(t *testing.T) {
	for name, c := range map[string]struct{ prints, want, err string }{
		"2.x":          {prints: "HAProxy Data Plane API v2.9.27 0a1b2c3", want: "v2"},
		"3.x":          {prints: "HAProxy Data Plane API v3.4.2 0a1b2c3", want: "v3"},
		"no v":         {prints: "HAProxy Data Plane API 3.0.1", want: "v3"},
		"a later one":  {prints: "HAProxy Data Plane API v4.0.0", err: "4.x, want 2.x or 3.x"},
		"an early one": {prints: "HAProxy Data Plane API v1.2.5", err: "1.x, want 2.x or 3.x"},
		"no version":   {prints: "HAProxy Data Plane API  dev.dirty", err: "-v does not tell"},
	} {
		program := filepath.Join(t.TempDir(), "dataplaneapi")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho '"+c.prints+"'\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		got, err := dialect(t.Context(), program)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestADataPlaneWithoutAVersionIsKnownByItsEngine(t *testing.T) {
	const five, six = "github.com/haproxytech/client-native/v5", "github.com/haproxytech/client-native/v6"
	for _, c := range []struct {
		want string
		deps []string
	}{
		{"", nil},
		{"", []string{"github.com/haproxytech/client-native/v4", "example.com/v5"}},
		{"v2", []string{"example.com/a", five}},
		{"v3", []string{six, "example.com/a"}},
		{"v3", []string{five, six}},
		{"v3", []string{six, five}},
	} {
		var modules []*debug.Module
		for _, path := range c.deps {
			modules = append(modules, &debug.Module{Path: path})
		}
		if got := engine(modules); got != c.want {
			t.Errorf("%q: %q, want %q", c.deps, got, c.want)
		}
	}
}
