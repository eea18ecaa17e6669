package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

const team = "global\n  daemon\n\nuserlist u\n  user x insecure-password hunter2\n"

// diffed is a place with a node that has what is rendered, and what the node's configuration is otherwise.
func diffed(t *testing.T) (p place, api *dataplanetest.Server, right string) {
	t.Helper()
	api = dataplanetest.New(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	write(t, password, dataplanetest.Password)
	p = newPlace(t, `"http://127.0.0.1:5555", username: admin, password_file: /x`,
		`"`+api.URL+`", username: `+dataplanetest.Username+`, password_file: `+password)
	fragment, _, err := p.command("--node", "n1")
	if err != nil {
		t.Fatal(err)
	}
	api.EditConfiguration(team + "\n" + fragment)
	return p, api, api.Configuration()
}

// exit is the status and what is printed.
func (p place) exit(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	stdout, _, err := p.command(args...)
	var problems bytes.Buffer
	if err != nil {
		code = status(err, &problems)
	}
	return code, stdout, problems.String()
}

func TestDiffIsEmptyWhereTheNodeHasIt(t *testing.T) {
	p, api, _ := diffed(t)
	if code, stdout, stderr := p.exit(t, "--diff", "n1"); code != 0 || stdout != "" || stderr != "" {
		t.Errorf("status %d, %q, %q", code, stdout, stderr)
	}
	for _, call := range api.Calls() {
		if call.Method != "GET" {
			t.Errorf("it calls %s %s", call.Method, call.Path)
		}
	}
}

func TestDiffShowsOursAloneAndChangesNothing(t *testing.T) {
	p, api, right := diffed(t)
	changed := strings.Replace(right, "timeout http-request 5s", "timeout http-request 50s", 1)
	api.EditConfiguration(changed)
	for _, args := range [][]string{{"--diff", "n1"}, {"--diff", "n1", "--validate"}} {
		code, stdout, stderr := p.exit(t, args...)
		if code != 1 || !strings.Contains(stdout, "-  timeout http-request 50s\n+  timeout http-request 5s\n") || stderr != "" {
			t.Errorf("%v: status %d, %q,\n%s", args, code, stderr, stdout)
		}
		if strings.Contains(stdout, "hunter2") {
			t.Error("I14: it shows a password of others")
		}
	}
	if api.Configuration() != changed {
		t.Error("the node was changed")
	}
}

func TestWhatCannotBeComparedIsNoDifference(t *testing.T) {
	p, api, right := diffed(t)
	for name, args := range map[string][]string{
		"no such node":      {"--diff", "n9"},
		"no password of it": {"--diff", "n2"},
	} {
		if code, _, stderr := p.exit(t, args...); code != 2 || stderr == "" {
			t.Errorf("%s: status %d, %q", name, code, stderr)
		}
	}
	api.EditConfiguration(strings.Replace(right, "timeout http-request 5s", "timeout http-request 50s", 1))
	api.RefuseConfigurations(func(string) string { return "no such key" })
	if code, stdout, stderr := p.exit(t, "--diff", "n1", "--validate"); code != 2 || !strings.Contains(stderr, "let haproxy check") || stdout == "" {
		t.Errorf("refused: status %d, %q", code, stderr)
	}
	api.SetPasswords("another")
	if code, stdout, stderr := p.exit(t, "--diff", "n1"); code != 2 || stdout != "" || strings.Contains(stderr, dataplanetest.Password) {
		t.Errorf("no password: status %d, %q, %q", code, stdout, stderr)
	}
	for _, args := range [][]string{{"--validate"}, {"--diff", "n1", "--files", "x"}, {"--diff", "n1", "--node", "n1"}, {"--diff", "n1", "--check", "x"}} {
		if _, _, err := p.command(args...); err == nil || errors.Is(err, errDiffers) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
