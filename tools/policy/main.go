// Command policy shows what a team's policy documents do before they are in force. It decides nothing itself: it asks the
// same engine that the gateway asks.
//
//	policy check FILE...                compiles the documents as one policy and runs the tests that stand in them
//	policy explain --as alice@example.com --groups a,b --pool prod/web --for 1h FILE...
//	                                    prints the decision on one request, and rule by rule what hit and why
//	policy impact [--grants FILE | -c clutch-config.yaml] OLD NEW
//	                                    lists the live grants that a change would end, and which pools it opens or closes
//
// FILE, OLD and NEW are documents, or folders with documents (*.yaml, *.yml). Exit status: 0 if all is well; 1 if something
// cannot be read, does not compile or fails its tests; 2 for a wrong command line; 3 from impact --fail-on-opens, if the
// change opens anything. docs/policy.md is the reference.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	world := terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now}
	os.Exit(world.run(context.Background(), os.Args[1:]))
}

// The exit status of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitOpens  = 3
)

// errUsage is wrapped by every error about the command line.
var errUsage = errors.New("usage")

// errOpens says that a change opens something, and that this was not wanted.
var errOpens = errors.New("the change opens something")

// errTests says that what was compared is nothing that a gateway takes.
var errTests = errors.New("the impact is of documents whose tests fail")

// terminal is what a command talks to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
}

const usage = `usage:
  policy check FILE...
  policy explain --as SUBJECT --pool ENVIRONMENT/POOL [options] FILE...
  policy impact [options] OLD NEW
"policy COMMAND -h" lists the options.
`

func (t terminal) run(ctx context.Context, args []string) int {
	err := t.command(ctx, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintln(t.err, "policy:", err)
		return exitUsage
	case errors.Is(err, errOpens):
		fmt.Fprintln(t.err, "policy:", err)
		return exitOpens
	default:
		// Without a prefix: the lines begin with file:line:column, which editors and CI look for.
		fmt.Fprintln(t.err, err)
		return exitFailed
	}
}

func (t terminal) command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(t.err, usage)
		return fmt.Errorf("%w: name a command", errUsage)
	}
	switch args[0] {
	case "check":
		return t.check(ctx, args[1:])
	case "explain":
		return t.explain(ctx, args[1:])
	case "impact":
		return t.impact(ctx, args[1:])
	case "-h", "-help", "--help", "help":
		fmt.Fprint(t.out, usage)
		return nil
	default:
		fmt.Fprint(t.err, usage)
		return fmt.Errorf("%w: there is no command %q", errUsage, args[0])
	}
}

// options makes the flag set of a command.
func (t terminal) options(name, line string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(t.err)
	flags.Usage = func() {
		fmt.Fprintf(t.err, "usage: policy %s %s\n", name, line)
		flags.PrintDefaults()
	}
	return flags
}

// parse reads the options, before the files and behind them, and answers the files; "--" ends the options. What is wrong
// with them is said by the flag set, with its usage.
func parse(flags *flag.FlagSet, args []string) (files []string, err error) {
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		rest := flags.Args()
		if len(rest) == 0 {
			return files, nil
		}
		if taken := len(args) - len(rest); taken > 0 && args[taken-1] == "--" {
			return append(files, rest...), nil
		}
		files, args = append(files, rest[0]), rest[1:]
	}
}
