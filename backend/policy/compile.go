package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// maxDocuments bounds a policy.
const maxDocuments = 200

// Time that one decision may take, however small its conditions' costs are: in force, and in the tests at Compile, where a
// busy machine must not make a good policy a bad one.
const (
	decideWithin = 250 * time.Millisecond
	testWithin   = 5 * time.Second
)

// Policy is an Engine over compiled documents. It does not change, and may be used by several goroutines at once.
type Policy struct {
	rules    []rule // in the order of documents and rules
	denies   []int  // of rules
	allows   []int
	urgent   []int // those that may be used in an emergency
	tests    []testCase
	name     string
	hash     string
	deadline time.Duration
}

// rule is a ruleSpec, compiled.
type rule struct {
	*ruleSpec
	index     int // in the policy
	name      string
	place     string // file:line
	scope     scope
	who       members
	when      []condition
	auto      []condition
	inputs    []inputCheck
	form      []Input
	denied    string // what is said by a rule that denies
	emergency members
}

// members are whom a rule is for.
type members struct {
	anybody  bool
	groups   []string
	subjects map[grant.Subject]bool
	anyAgent bool
}

// inputCheck is an input with its compiled condition, nil for none.
type inputCheck struct {
	*inputSpec
	condition *condition
}

// Compile makes one policy of all documents: it compiles the conditions, and then runs all tests over the whole. The error
// is Errors: each condition that does not compile or is too dear, or, if all do, each test that fails.
func Compile(docs ...*Document) (*Policy, error) {
	p, err := build(docs)
	if err != nil {
		return nil, err
	}
	var failures problems
	for i, result := range p.Tests() {
		if result.Got != "" {
			t := p.tests[i]
			failures.add(t.file, t.spec.expect.at, "test %q: %s", clip(t.spec.name), result.Got)
		}
	}
	if err := failures.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// build compiles everything and runs no test.
func build(docs []*Document) (*Policy, error) {
	if slices.Contains(docs, nil) {
		return nil, errors.New("compile a policy: a document is nil")
	}
	docs = slices.Clone(docs)
	slices.SortStableFunc(docs, func(a, b *Document) int { return strings.Compare(a.File, b.File) })
	c := &compiler{policy: &Policy{deadline: decideWithin}}
	c.names(docs)
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("make the environment of conditions: %w", err)
	}
	c.conditions = conditions{env: env, done: map[string]compiled{}}
	for _, doc := range docs {
		c.file = doc.File
		for i := range doc.rules {
			if !c.full() {
				c.rule(&doc.rules[i])
			}
		}
		for _, t := range doc.tests {
			c.policy.tests = append(c.policy.tests, testCase{file: doc.File, spec: t})
		}
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.policy, c.policy.sign(docs)
}

type compiler struct {
	problems
	conditions
	policy *Policy
	file   string
}

// names holds that a name means one thing in all documents.
func (c *compiler) names(docs []*Document) {
	if len(docs) == 0 {
		c.add("policy", position{}, "there is no document; one that allows nothing has to say so")
	}
	if len(docs) > maxDocuments {
		c.add(docs[0].File, position{}, "a policy has at most %d documents", maxDocuments)
	}
	files, documents, rules := map[string]bool{}, map[string]string{}, map[string]string{}
	for _, doc := range docs {
		if files[doc.File] {
			c.add(doc.File, position{}, "the file is given twice")
		}
		files[doc.File] = true
		if other, ok := documents[doc.Name]; ok {
			c.add(doc.File, doc.nameAt, "%s is the name of another document, in %s", doc.Name, other)
		}
		documents[doc.Name] = doc.File
		for _, r := range doc.rules {
			if other, ok := rules[r.Name.value]; ok {
				c.add(doc.File, r.Name.at, "%s is the name of another rule, at %s", r.Name.value, other)
			}
			rules[r.Name.value] = fmt.Sprintf("%s:%d", doc.File, r.Name.at.line)
		}
	}
	if len(rules) > MaxRules {
		c.add(docs[0].File, position{}, "a policy has at most %d rules in all documents", MaxRules)
	}
}

func (c *compiler) rule(spec *ruleSpec) {
	i := len(c.policy.rules)
	r := rule{
		ruleSpec: spec, index: i, name: spec.Name.value, place: fmt.Sprintf("%s:%d", c.file, spec.at.line),
		scope: compileScope(spec.Match), who: compileMembers(spec.Who),
		when: c.all(spec.When), auto: c.all(spec.Auto),
	}
	for i := range spec.Require {
		in := &spec.Require[i]
		check := inputCheck{inputSpec: in}
		if in.Condition != nil {
			one := c.one(*in.Condition, in.Message)
			check.condition = &one
		}
		r.inputs = append(r.inputs, check)
		r.form = append(r.form, in.question())
	}
	if spec.Emergency != nil {
		r.emergency = members{groups: values(spec.Emergency.Groups)}
	}
	if spec.Deny {
		r.denied = denial(spec)
		c.policy.denies = append(c.policy.denies, i)
	} else {
		c.policy.allows = append(c.policy.allows, i)
	}
	if spec.Emergency != nil {
		c.policy.urgent = append(c.policy.urgent, i)
	}
	c.policy.rules = append(c.policy.rules, r)
}

// denial is what a rule that denies says: the first message of its conditions, else its description.
func denial(spec *ruleSpec) string {
	for _, c := range spec.When {
		if c.Message != "" {
			return sentence(c.Message)
		}
	}
	return sentence(spec.Description.value)
}

func compileMembers(w *whoSpec) members {
	if w == nil {
		return members{anybody: true}
	}
	m := members{groups: values(w.Groups), subjects: map[grant.Subject]bool{}}
	for _, t := range w.Users {
		m.subjects[grant.Subject(t.value)] = true
	}
	for _, t := range w.Services {
		m.subjects[grant.Subject("service:"+t.value)] = true
	}
	for _, t := range w.Agents {
		m.anyAgent = m.anyAgent || t.value == "*"
		m.subjects[grant.Subject("agent:"+t.value)] = true
	}
	return m
}

func (c *compiler) all(specs []conditionSpec) []condition {
	var all []condition
	for _, s := range specs {
		all = append(all, c.one(s.Condition, s.Message))
	}
	return all
}

func (c *compiler) one(s source, message string) condition {
	n := c.compile(s.value)
	if n.problem != "" {
		at := position{s.body.line + n.at.line - 1, n.at.column}
		if n.at.line <= 1 || s.body != s.at { // the first line, or a block, whose lines all begin in the same column
			at.column = s.body.column + n.at.column - 1
		}
		c.add(c.file, at, "condition: %s", n.problem)
	}
	return condition{
		place: fmt.Sprintf("%s:%d:%d", c.file, s.at.line, s.at.column), message: sentence(message), program: n.program,
	}
}

// sign gives the policy its name and its hash: over all that decides, and neither over places, comments and tests nor over
// the files' names, but for their order.
func (p *Policy) sign(docs []*Document) error {
	type canonical struct {
		Name  string
		Zone  string
		Rules []ruleSpec
	}
	var all []canonical
	var names []string
	for _, doc := range docs {
		all = append(all, canonical{doc.Name, doc.zone, doc.rules})
		names = append(names, doc.Name)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("hash the policy: %w", err)
	}
	sum := sha256.Sum256(raw)
	p.name, p.hash = joinNames(names), hex.EncodeToString(sum[:])
	return nil
}

// maxName bounds the name of a policy, which stands in every grant and event.
const maxName = 200

// joinNames is the name of a policy of several documents: theirs, sorted, as many as fit. The hash tells policies apart.
func joinNames(names []string) string {
	slices.Sort(names)
	name := names[0]
	for i, next := range names[1:] {
		if len(name)+1+len(next) > maxName {
			return fmt.Sprintf("%s+%d more", name, len(names)-1-i)
		}
		name += "+" + next
	}
	return name
}
