package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Without a socket for the Data Plane API the maps stay as they are.
func TestCheckWantsASocketForTheDataPlaneAPI(t *testing.T) {
	p := newPlace(t)
	p.standalone(t)
	config := filepath.Join(p.set(), "haproxy.cfg")
	text := read(t, config)
	line := regexp.MustCompile(`(?m)^  stats socket .*$`)
	if !line.MatchString(text) {
		t.Fatal("the rendered configuration has none")
	}
	for name, instead := range map[string]string{
		"it is missing": "", "it is a comment": "  # stats socket /s level admin", "it may only read": "  stats socket /s level operator",
	} {
		write(t, config, line.ReplaceAllString(text, instead))
		if err := run([]string{"--check", config}, nil, nil); err == nil || !strings.Contains(err.Error(), "level admin") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without hard-stop-after an old worker never ends, and what it admits where the lease is off is nobody's to end.
func TestCheckWantsHardStopAfter(t *testing.T) {
	p := newPlace(t)
	p.standalone(t)
	config := filepath.Join(p.set(), "haproxy.cfg")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^  hard-stop-after .*$`)
	if !line.Match(text) {
		t.Fatal("the rendered configuration has none")
	}
	for name, instead := range map[string]string{"it is missing": "", "it is a comment": "  # hard-stop-after 30s"} {
		write(t, config, line.ReplaceAllString(string(text), instead))
		if err := run([]string{"--check", config}, nil, nil); err == nil || !strings.Contains(err.Error(), "hard-stop-after") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
