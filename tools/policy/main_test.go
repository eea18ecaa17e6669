package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// noon is the clock of the command in scripts, a Monday.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"policy": func() {
			world := terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: func() time.Time { return noon }}
			os.Exit(world.run(context.Background(), os.Args[1:]))
		},
	})
}

// The scripts in testdata are what a team types, and what it then reads.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			// A program with the race detector in it would sleep for a second at each exit.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"shows":  shows,
		},
	})
}

// status runs a command, standard input included, and wants its exit status: "status 2 policy check".
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status NUMBER COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

var hash = regexp.MustCompile(`\b[0-9a-f]{12}([0-9a-f]{52})?\b`)

// shows compares what the last command printed with a file, in which HASH stands for any policy's hash: "shows stdout want".
func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: shows stdout|stderr FILE")
	}
	got := hash.ReplaceAllString(trimmed(ts.ReadFile(args[0])), "HASH")
	if diff := cmp.Diff(trimmed(ts.ReadFile(args[1])), got); diff != "" {
		ts.Fatalf("%s (-want +got):\n%s\nwhole:\n%s", args[0], diff, got)
	}
}

// trimmed takes the spaces away that a column leaves at the end of a line: nobody would see them in a script.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
