package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// outline is what documents say of whom and what they are about. It decides nothing: it says what is worth asking the
// policies. The documents were parsed strictly before, so it reads what it needs and no more.
type outline struct {
	groups   []string // that a requester may be in
	subjects []grant.Subject
	agents   bool // any agent
	tags     bool // some rule goes by the tags of pools
	tests    []sample
}

// sample is the request of a test.
type sample struct {
	name    string
	granted bool // the test expects that it is given, at once or after approvals
	request policy.Request
}

// written is the part of a document that is read here.
type written struct {
	Rules []struct {
		Match struct {
			Tags []string `yaml:"tags"`
		} `yaml:"match"`
		Who struct {
			Groups   []string `yaml:"groups"`
			Users    []string `yaml:"users"`
			Services []string `yaml:"services"`
			Agents   []string `yaml:"agents"`
		} `yaml:"who"`
		When []struct {
			Condition string `yaml:"condition"`
		} `yaml:"when"`
		AutoApprove []struct {
			Condition string `yaml:"condition"`
		} `yaml:"auto_approve"`
		BreakGlass struct {
			Groups []string `yaml:"groups"`
		} `yaml:"break_glass"`
	} `yaml:"rules"`
	Tests []struct {
		Name    string `yaml:"name"`
		Subject party  `yaml:"subject"`
		Owner   party  `yaml:"owner"`
		Request struct {
			Pool       string            `yaml:"pool"`
			Tags       []string          `yaml:"tags"`
			For        time.Duration     `yaml:"for"`
			Total      time.Duration     `yaml:"total"`
			Extension  bool              `yaml:"extension"`
			At         time.Time         `yaml:"at"`
			Start      time.Time         `yaml:"start"`
			Reason     string            `yaml:"reason"`
			Inputs     map[string]string `yaml:"inputs"`
			BreakGlass bool              `yaml:"break_glass"`
			Open       []string          `yaml:"open"`
		} `yaml:"request"`
		Expect struct {
			Decision string `yaml:"decision"`
		} `yaml:"expect"`
	} `yaml:"tests"`
}

type party struct {
	Name   string   `yaml:"name"`
	Groups []string `yaml:"groups"`
}

func outlineOf(sources []source) (*outline, error) {
	o := &outline{}
	for _, s := range sources {
		var w written
		if err := yaml.Unmarshal(s.text, &w); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
		o.rules(w)
		if err := o.samples(w); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	slices.Sort(o.groups)
	o.groups = slices.Compact(o.groups)
	slices.Sort(o.subjects)
	o.subjects = slices.Compact(o.subjects)
	return o, nil
}

func (o *outline) rules(w written) {
	for _, r := range w.Rules {
		o.groups = append(append(o.groups, r.Who.Groups...), r.BreakGlass.Groups...)
		o.tags = o.tags || len(r.Match.Tags) > 0
		for _, c := range append(r.When, r.AutoApprove...) {
			o.tags = o.tags || strings.Contains(c.Condition, "pool.tags")
			o.groups = append(o.groups, quotedGroups(c.Condition)...)
		}
		for _, name := range r.Who.Users {
			o.subjects = append(o.subjects, grant.Subject(name))
		}
		for _, name := range r.Who.Services {
			o.subjects = append(o.subjects, grant.Subject("service:"+name))
		}
		for _, name := range r.Who.Agents {
			if name == "*" {
				o.agents = true
			} else {
				o.subjects = append(o.subjects, grant.Subject("agent:"+name))
			}
		}
	}
}

var quoted = regexp.MustCompile(`"([^"\\]+)"|'([^'\\]+)'`)

// quotedGroups guesses the groups that a condition tells apart: all that it has in quotes, if it reads groups. One too
// many costs a question and changes no answer.
func quotedGroups(condition string) []string {
	if !strings.Contains(condition, ".groups") {
		return nil
	}
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(condition, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

func (o *outline) samples(w written) error {
	for _, t := range w.Tests {
		q := t.Request
		pool, err := grant.ParsePool(q.Pool)
		if err != nil {
			return fmt.Errorf("test %q: %w", t.Name, err)
		}
		r := policy.Request{
			Subject: grant.Subject(t.Subject.Name), Groups: t.Subject.Groups, Owner: grant.Subject(t.Owner.Name),
			OwnerGroups: t.Owner.Groups, Pool: pool, Tags: q.Tags, Duration: q.For, Total: q.Total, Extension: q.Extension,
			At: q.At, StartsAt: q.Start, Reason: q.Reason, Inputs: q.Inputs, BreakGlass: q.BreakGlass,
		}
		for _, full := range q.Open {
			open, err := grant.ParsePool(full)
			if err != nil {
				return fmt.Errorf("test %q: %w", t.Name, err)
			}
			r.Open = append(r.Open, open)
		}
		o.tests = append(o.tests, sample{t.Name, t.Expect.Decision != wordDeny, r})
	}
	return nil
}
