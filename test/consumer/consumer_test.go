package consumer

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// buildTime bounds a hang: from a cold cache a gateway takes some minutes.
const buildTime = 15 * time.Minute

// cloneName is the folder beside the gateway's own in which the README has the clone.
const cloneName = "clutch-haproxy-access"

// block is the README's code in that language that begins with those words. There must be one.
func block(t *testing.T, readme, language, begin string) string {
	t.Helper()
	var found []string
	pattern := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(language) + "\n(.*?)^```$")
	for _, match := range pattern.FindAllStringSubmatch(readme, -1) {
		if strings.HasPrefix(match[1], begin) {
			found = append(found, match[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("the README has %d blocks of %s that begin with %q", len(found), language, begin)
	}
	return found[0]
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAGatewayIsBuiltOutOfWhatTheReadmeSays(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	readme := read(t, filepath.Join(root, "README.md"))
	module := block(t, readme, "go.mod", "module ")
	commands := block(t, readme, "sh", "cp ")
	for _, want := range []string{"go build", "gateway -validate"} {
		if !strings.Contains(commands, want) {
			t.Fatalf("the README's commands do not %s:\n%s", want, commands)
		}
	}
	place := t.TempDir()
	gateway := filepath.Join(place, "gateway")
	if err := os.Mkdir(gateway, 0o700); err != nil {
		t.Fatal(err)
	}
	// The clone is this very tree.
	if err := os.Symlink(root, filepath.Join(place, cloneName)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(gateway, "main.go"), block(t, readme, "go", "package main"))
	write(t, filepath.Join(gateway, "go.mod"), module)

	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-euc", commands)
	shell.Dir = gateway
	shell.WaitDelay = time.Minute
	// The configuration takes its secrets from the environment.
	shell.Env = append(os.Environ(), "GOWORK=off", "CLUTCH_SESSION_SECRET=x", "OIDC_CLIENT_SECRET=x")
	if output, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	// The go command raises what a module asks for where another needs more: then the README tells an old version.
	after := lines(read(t, filepath.Join(gateway, "go.mod")))
	for line := range lines(module) {
		if !after[line] {
			t.Errorf("the README's go.mod has %q, which the go command has changed", line)
		}
	}
	// The version that is named is the one that is tested here.
	ours := lines(read(t, filepath.Join(root, "go.mod")))
	for line := range lines(module) {
		if strings.HasPrefix(line, "go ") || strings.HasPrefix(line, "github.com/lyft/clutch/") {
			if !ours[line] {
				t.Errorf("the README's go.mod has %q, ours has not", line)
			}
		}
	}
}

// lines are those of a go.mod that say something.
func lines(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all[line] = true
		}
	}
	return all
}
