package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// testCase is a test and the file in which it stands.
type testCase struct {
	file string
	spec testSpec
}

// TestResult is how one test of a document came out.
type TestResult struct {
	Name string
	File string // file:line:column of the test
	Got  string // what came instead of what it expects; empty if it passed
}

// RuleInfo names a rule and its place.
type RuleInfo struct {
	Name        string
	File        string // file:line
	Description string
	Deny        bool
}

// Check compiles the documents and runs their tests, whether they pass or not: for people who write policies. What it
// returns is not in force anywhere. The error is Errors, of what does not compile.
func Check(docs ...*Document) (*Policy, []TestResult, error) {
	p, err := build(docs)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Tests(), nil
}

// Rules are all rules, in the order in which they are gone through.
func (p *Policy) Rules() []RuleInfo {
	all := make([]RuleInfo, len(p.rules))
	for i := range p.rules {
		r := &p.rules[i]
		all[i] = RuleInfo{Name: r.name, File: r.place, Description: r.Description.value, Deny: r.Deny}
	}
	return all
}

// Tests runs the tests of all documents, in order.
func (p *Policy) Tests() []TestResult {
	patient := *p
	patient.deadline = testWithin
	all := make([]TestResult, len(p.tests))
	for i, t := range p.tests {
		all[i] = TestResult{
			Name: t.spec.name, File: fmt.Sprintf("%s:%d:%d", t.file, t.spec.at.line, t.spec.at.column),
			Got: t.spec.expect.differs(patient.Evaluate(context.Background(), t.spec.request)),
		}
		if all[i].Got != "" {
			all[i].Got += patient.untold(t.spec.request)
		}
	}
	return all
}

// untold says which conditions of the rule that decided could not be checked, and why: a requester is not told.
func (p *Policy) untold(r Request) string {
	d, findings := p.Explain(context.Background(), r)
	text := ""
	for _, f := range findings {
		for _, reason := range f.Reasons {
			if f.Rule == d.Rule && strings.Contains(reason, couldNotBeChecked) {
				text += " " + reason
			}
		}
	}
	return text
}

// differs says what a decision is instead of what is expected; empty if it is that.
func (e *expectation) differs(d Decision) string {
	approvers := grant.Ballot{Steps: d.Steps}.Groups()
	var got []string
	if w := word(d); w != e.decision {
		got = append(got, fmt.Sprintf("it is %s and not %s", w, e.decision))
	}
	if e.rule != "" && e.rule != d.Rule {
		got = append(got, fmt.Sprintf("the rule is %q and not %s", d.Rule, e.rule))
	}
	if e.approversGiven && !slices.Equal(e.approvers, approvers) {
		got = append(got, fmt.Sprintf("the approvers are %q and not %q", approvers, e.approvers))
	}
	if !strings.Contains(d.Explanation, e.message) {
		got = append(got, fmt.Sprintf("the message does not hold %q", clip(e.message)))
	}
	if len(got) == 0 {
		return ""
	}
	return fmt.Sprintf("%s; the explanation is: %s", strings.Join(got, "; "), d.Explanation)
}

func word(d Decision) string {
	switch {
	case !d.Allowed:
		return wordDeny
	case len(d.Steps) > 0:
		return wordApproval
	default:
		return wordAllow
	}
}
