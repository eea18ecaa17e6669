package main

import (
	"context"
	"fmt"
)

// check compiles all documents as one policy, as the gateway does, and runs their tests.
func (t terminal) check(_ context.Context, args []string) error {
	flags := t.options("check", "FILE...")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return fmt.Errorf("%w: name a file or a folder", errUsage)
	}
	compiled, _, err := load(flags.Args()...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "ok  %s, %s\n", count(len(compiled.Rules()), "rule"), count(len(compiled.Tests()), "test"))
	return err
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
