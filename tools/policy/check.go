package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// check compiles all documents as one policy, as the gateway does, and runs their tests.
func (t terminal) check(_ context.Context, args []string) error {
	flags := t.options("check", "FILE...")
	files, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		flags.Usage()
		return fmt.Errorf("%w: name a file or a folder", errUsage)
	}
	sources, docs, err := parseAll(files)
	if err != nil {
		return err
	}
	compiled, err := policy.Compile(docs...)
	if err != nil {
		return err
	}
	t.warnEmpty(compiled, sources)
	_, err = fmt.Fprintf(t.out, "ok  %s, %s\n", count(len(compiled.Rules()), "rule"), count(len(compiled.Tests()), "test"))
	return err
}

// warnEmpty says which documents have no rules or no tests: that may be meant, and is in order, but looks like what was
// forgotten or lost.
func (t terminal) warnEmpty(p *policy.Policy, sources []source) {
	rules, tests := map[string]bool{}, map[string]bool{}
	for _, r := range p.Rules() {
		rules[fileOf(r.File, 1)] = true
	}
	for _, r := range p.Tests() {
		tests[fileOf(r.File, 2)] = true
	}
	for _, s := range sources {
		switch {
		case !rules[s.path]:
			fmt.Fprintf(t.err, "%s:1:1: warning: the document has no rules: it gives and denies nothing\n", s.path)
		case !tests[s.path]:
			fmt.Fprintf(t.err, "%s:1:1: warning: the document has no tests\n", s.path)
		}
	}
}

// fileOf takes so many numbers off a place, file:line or file:line:column.
func fileOf(place string, numbers int) string {
	for range numbers {
		place = place[:strings.LastIndexByte(place, ':')]
	}
	return place
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
