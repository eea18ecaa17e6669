package policy

import (
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	// The zones of hours and conditions, so that they mean the same on every machine.
	_ "time/tzdata"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Defaults of a rule's limits.
const (
	DefaultPendingFor  = 24 * time.Hour
	DefaultStartWithin = 168 * time.Hour
)

// Bytes of a group's name, and of what a requester reads.
const (
	maxGroup    = 256
	maxSentence = 300
)

var (
	namePattern        = regexp.MustCompile(`\A[a-z0-9._-]{1,63}\z`)
	inputPattern       = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,31}\z`)
	environmentPattern = regexp.MustCompile(`\A[a-z0-9._*-]{1,31}\z`)
	poolPattern        = regexp.MustCompile(`\A[a-z0-9._*-]{1,31}/[a-z0-9._*-]{1,63}\z`)
	agentPattern       = regexp.MustCompile(`\A([a-z0-9._-]{1,122}|\*)\z`)
	servicePattern     = regexp.MustCompile(`\A[a-z0-9._-]{1,120}\z`)
)

const (
	wantName  = "1 to 63 characters of a-z, 0-9, . _ -"
	wantGroup = "the name of a group, at most 256 bytes"
)

// Parse reads and checks one document. Nothing that decides is left out in silence: an unknown or doubled field is an
// error. The error is Errors.
func Parse(file string, content []byte) (*Document, error) {
	d := &decoder{file: file, text: content}
	doc := &Document{File: file}
	if root := d.tree(); root != nil {
		d.document(root, doc)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return doc, nil
}

func (d *decoder) document(n *yaml.Node, doc *Document) {
	var version int
	var name text
	doc.zone = "UTC"
	var rules, tests *yaml.Node
	d.object(n, fields{
		"version":   d.integer(&version, 1, 1),
		"name":      d.matching(&name, namePattern.MatchString, wantName),
		"time_zone": d.zone(&doc.zone),
		"rules":     func(n *yaml.Node) { rules = n },
		"tests":     func(n *yaml.Node) { tests = n },
	}, "version", "name", "rules")
	doc.Name, doc.nameAt = name.value, name.at
	// After the rest: rules need the zone, which may stand below them. A document without rules is one that is being taken
	// away: it says so, where one that is missing may have been lost.
	if rules != nil && !(rules.Kind == yaml.SequenceNode && len(rules.Content) == 0) {
		d.list(rules, MaxRules, func(n *yaml.Node) {
			if !d.full() {
				doc.rules = append(doc.rules, d.rule(n, doc.zone))
			}
		})
	}
	if tests != nil {
		d.list(tests, MaxTests, func(n *yaml.Node) {
			if !d.full() {
				doc.tests = append(doc.tests, d.test(n))
			}
		})
	}
}

func (d *decoder) zone(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var t text
		d.matching(&t, func(s string) bool { _, ok := location(s); return ok }, "a time zone like Europe/Berlin")(n)
		if t.value != "" {
			*into = t.value
		}
	}
}

// location loads a zone by its name in the database. "Local" would be the machine's.
func location(name string) (*time.Location, bool) {
	if name == "" || name == "Local" {
		return nil, false
	}
	l, err := time.LoadLocation(name)
	return l, err == nil
}

func (d *decoder) rule(n *yaml.Node, zone string) ruleSpec {
	r := ruleSpec{at: positionOf(n), Limits: limitsSpec{PendingFor: DefaultPendingFor, StartWithin: DefaultStartWithin}}
	effect := text{value: "allow"}
	given := map[string]*yaml.Node{}
	note := func(name string, decode func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { given[name] = n; decode(n) }
	}
	d.object(n, fields{
		"name":         d.matching(&r.Name, namePattern.MatchString, wantName),
		"description":  d.prose(&r.Description),
		"effect":       d.matching(&effect, func(s string) bool { return s == "allow" || s == "deny" }, "allow or deny"),
		"match":        func(n *yaml.Node) { r.Match = d.match(n) },
		"who":          note("who", func(n *yaml.Node) { r.Who = d.who(n) }),
		"when":         func(n *yaml.Node) { r.When = d.conditions(n) },
		"limits":       note("limits", func(n *yaml.Node) { d.limits(n, &r.Limits, zone) }),
		"require":      note("require", func(n *yaml.Node) { r.Require = d.inputs(n) }),
		"approve":      note("approve", func(n *yaml.Node) { r.Steps, r.Ordered = d.approve(n) }),
		"auto_approve": note("auto_approve", func(n *yaml.Node) { r.Auto = d.conditions(n) }),
		"break_glass":  note("break_glass", func(n *yaml.Node) { r.Emergency = d.emergency(n) }),
	}, "name", "match")
	if r.Deny = effect.value == "deny"; r.Deny {
		d.denying(n, r, given)
	} else {
		d.allowing(n, r, given)
	}
	return r
}

// denying: a rule that denies has no limits to keep and nobody to ask, and says something to the requester.
func (d *decoder) denying(n *yaml.Node, r ruleSpec, given map[string]*yaml.Node) {
	for _, name := range []string{"limits", "require", "approve", "auto_approve", "break_glass"} {
		if given[name] != nil {
			d.wrong(given[name], "%s has no meaning in a rule that denies", name)
		}
	}
	said := r.Description.value != ""
	for _, c := range r.When {
		said = said || c.Message != ""
	}
	if !said {
		d.wrong(n, "a rule that denies needs a description, or a message of a condition: the requester sees it")
	}
	r.Limits = limitsSpec{}
}

func (d *decoder) allowing(n *yaml.Node, r ruleSpec, given map[string]*yaml.Node) {
	if given["who"] == nil {
		d.wrong(n, "who is missing: only a rule that denies is for everybody")
	}
	if given["limits"] == nil {
		d.wrong(n, "limits is missing, with its max_duration")
	}
	if given["auto_approve"] != nil && given["approve"] == nil {
		d.wrong(given["auto_approve"], "auto_approve has no meaning without approve")
	}
	for _, c := range r.When {
		if c.Message == "" {
			d.add(d.file, c.at, "message is missing: the sentence that the requester sees")
		}
	}
}

func (d *decoder) match(n *yaml.Node) matchSpec {
	var m matchSpec
	d.object(n, fields{
		"pools":        d.set(&m.Pools, poolPattern.MatchString, "<environment>/<pool>, with * for any run of characters but the slash"),
		"environments": d.set(&m.Environments, environmentPattern.MatchString, "an environment, with * for any run of characters"),
		"tags":         d.set(&m.Tags, func(s string) bool { return len(s) <= maxTag }, "a tag, at most 128 bytes"),
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.wrong(n, "match names pools, environments or tags")
	}
	return m
}

func (d *decoder) who(n *yaml.Node) *whoSpec {
	w := &whoSpec{}
	d.object(n, fields{
		"groups":   d.groups(&w.Groups),
		"users":    d.set(&w.Users, isPerson, "a lower-case e-mail address"),
		"services": d.set(&w.Services, servicePattern.MatchString, "a service's name without prefix, of a-z, 0-9, . _ -"),
		"agents":   d.set(&w.Agents, agentPattern.MatchString, "an agent's name without prefix, of a-z, 0-9, . _ -, or *"),
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.wrong(n, "who names groups, users, services or agents")
	}
	return w
}

func (d *decoder) groups(into *[]text) func(*yaml.Node) {
	return d.set(into, isGroup, wantGroup)
}

func isGroup(s string) bool { return len(s) <= maxGroup }

func isPerson(s string) bool {
	subject, err := grant.ParseSubject(s)
	return err == nil && subject.IsPerson()
}

const maxConditions = 20 // of one rule, in one place

func (d *decoder) conditions(n *yaml.Node) []conditionSpec {
	var all []conditionSpec
	d.list(n, maxConditions, func(n *yaml.Node) {
		c := conditionSpec{at: positionOf(n)}
		d.object(n, fields{"condition": d.expression(&c.Condition), "message": d.string(&c.Message, maxSentence)}, "condition")
		all = append(all, c)
	})
	return all
}

func (d *decoder) expression(into *source) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if t, ok := d.lines(n); ok {
			*into = source{text: t, body: d.body(n)}
		}
	}
}

// body is where the text of a value begins: behind a quote, or in the line below if it is a block.
func (d *decoder) body(n *yaml.Node) position {
	at := positionOf(n)
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return position{at.line + 1, d.indentation(at.line+1) + 1}
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		at.column++
	}
	return at
}

func (d *decoder) inputs(n *yaml.Node) []inputSpec {
	var all []inputSpec
	seen := map[string]bool{}
	d.list(n, maxInputs, func(n *yaml.Node) {
		in := inputSpec{at: positionOf(n)}
		var name, description text
		var choices []text
		var condition source
		d.object(n, fields{
			"name":        d.matching(&name, inputPattern.MatchString, "a letter of a-z, then at most 31 of a-z, 0-9, _"),
			"title":       d.string(&in.Title, maxSentence),
			"description": d.prose(&description),
			"choices":     d.set(&choices, func(s string) bool { return len(s) <= maxAnswer }, "at most 1000 bytes"),
			"optional":    d.boolean(&in.Optional),
			"condition":   d.expression(&condition),
			"message":     d.string(&in.Message, maxSentence),
		}, "name")
		if name.value != "" && seen[name.value] {
			d.wrong(n, "%s is asked for twice", name.value)
		}
		seen[name.value] = true
		in.Name, in.Description, in.Choices = name.value, description.value, values(choices)
		if in.Title == "" {
			in.Title = in.Name
		}
		if condition.value != "" {
			in.Condition = &condition
		}
		all = append(all, in)
	})
	return all
}

func (d *decoder) emergency(n *yaml.Node) *emergencySpec {
	e := &emergencySpec{}
	d.object(n, fields{
		"groups":       d.groups(&e.Groups),
		"max_duration": d.duration(&e.MaxDuration, time.Second),
		"notify":       d.set(&e.Notify, isGroup, "a group or an e-mail address, at most 256 bytes"),
		"review": func(n *yaml.Node) {
			d.object(n, fields{
				"groups": d.groups(&e.ReviewGroups),
				"within": d.duration(&e.ReviewWithin, time.Second),
			}, "groups", "within")
		},
	}, "groups", "max_duration", "review")
	return e
}

// values is nil for an empty list.
func values(texts []text) []string {
	if len(texts) == 0 {
		return nil
	}
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = t.value
	}
	return all
}
