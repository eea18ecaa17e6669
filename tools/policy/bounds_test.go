package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The bounds of a document, as examples write them.
var (
	durationBound = regexp.MustCompile(`(max_duration|max_total|start_within): ([0-9]+[hms])\b`)
	countBound    = regexp.MustCompile(`(max_concurrent): ([0-9]+)\b`)
	clockBound    = regexp.MustCompile(`(from|to): "([0-9]{2}):([0-9]{2})"`)
	comparison    = regexp.MustCompile(` (>=|<=|==|!=|<|>) `)
)

// otherSide is a comparison that differs at the bound alone, or everywhere.
var otherSide = map[string]string{">=": ">", "<=": "<", "<": "<=", ">": ">=", "==": "!=", "!=": "=="}

// moved is a document in which one bound is one second, one minute or one grant off.
type moved struct{ what, text string }

// An example shows what a bound means by tests at it and just beyond: so if any bound of any example is moved by the
// smallest step, a test of that example fails.
func TestEveryBoundOfAnExampleIsHeldToItsSecond(t *testing.T) {
	n := 0
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rules, tests, found := strings.Cut(string(text), "\ntests:\n")
		if !found {
			t.Errorf("%s has no tests", file)
			continue
		}
		for _, m := range moves(rules) {
			doc, err := policy.Parse(file, []byte(m.text+"\ntests:\n"+tests))
			if err != nil {
				continue // the bound of a bound: it cannot be moved further
			}
			n++
			if _, err := policy.Compile(doc); err == nil {
				t.Errorf("%s: all tests pass with %s", filepath.Base(file), m.what)
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d bounds were moved", n)
	}
}

// moves are the rules with each bound moved, each time one.
func moves(rules string) []moved {
	var all []moved
	replace := func(at []int, what string) {
		all = append(all, moved{
			fmt.Sprintf("%q in place of %q", what, rules[at[0]:at[1]]), rules[:at[0]] + what + rules[at[1]:],
		})
	}
	for _, at := range durationBound.FindAllStringSubmatchIndex(rules, -1) {
		d, err := time.ParseDuration(rules[at[4]:at[5]])
		for _, by := range []time.Duration{time.Second, -time.Second} {
			if err == nil && d+by >= 0 {
				replace(at, fmt.Sprintf("%s: %ds", rules[at[2]:at[3]], int((d+by).Seconds())))
			}
		}
	}
	for _, at := range countBound.FindAllStringSubmatchIndex(rules, -1) {
		n, _ := strconv.Atoi(rules[at[4]:at[5]])
		for _, by := range []int{1, -1} {
			replace(at, fmt.Sprintf("max_concurrent: %d", n+by)) // none is refused by Parse
		}
	}
	for _, at := range clockBound.FindAllStringSubmatchIndex(rules, -1) {
		hour, _ := strconv.Atoi(rules[at[4]:at[5]])
		minute, _ := strconv.Atoi(rules[at[6]:at[7]])
		for _, by := range []int{1, -1} {
			if m := 60*hour + minute + by; m >= 0 && hour < 24 {
				replace(at, fmt.Sprintf("%s: %q", rules[at[2]:at[3]], fmt.Sprintf("%02d:%02d", m/60, m%60)))
			}
		}
	}
	for _, at := range comparison.FindAllStringSubmatchIndex(rules, -1) {
		replace(at, " "+otherSide[rules[at[2]:at[3]]]+" ")
	}
	return all
}
