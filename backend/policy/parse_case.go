package policy

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// defaultNow is when a test asks that names no time: noon of a Monday, by UTC.
var defaultNow = time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)

// test reads a test that stands in a document.
func (d *decoder) test(n *yaml.Node) testSpec {
	t := testSpec{at: positionOf(n), request: Request{At: defaultNow, Reason: "A test of the policy"}}
	r := &t.request
	d.object(n, fields{
		"name": d.string(&t.name, maxSentence),
		"subject": func(n *yaml.Node) {
			d.party(n, &r.Subject, &r.Groups, func(grant.Subject) bool { return true }, "a lower-case e-mail address, service:<name> or agent:<name>")
		},
		"owner": func(n *yaml.Node) {
			d.party(n, &r.Owner, &r.OwnerGroups, grant.Subject.IsPerson, "a lower-case e-mail address")
		},
		"request": func(n *yaml.Node) { d.asked(n, r) },
		"expect":  func(n *yaml.Node) { t.expect = d.expect(n) },
	}, "name", "subject", "request", "expect")
	if r.Subject != "" && r.Subject.IsAgent() != (r.Owner != "") {
		d.wrong(n, "an agent has an owner, and nobody else has one")
	}
	return t
}

// party reads a subject and their groups. Groups that are not given are none of a subject, and not known of an owner.
func (d *decoder) party(n *yaml.Node, who *grant.Subject, groups *[]string, check func(grant.Subject) bool, what string) {
	var name text
	var list []text
	d.object(n, fields{
		"name": d.matching(&name, func(s string) bool {
			subject, err := grant.ParseSubject(s)
			return err == nil && check(subject)
		}, what),
		"groups": d.noneOr(d.groups(&list), func() { *groups = []string{} }),
	}, "name")
	*who = grant.Subject(name.value)
	if len(list) > 0 {
		*groups = values(list)
	}
}

// noneOr lets a test say [], where a rule would have to leave the field out.
func (d *decoder) noneOr(decode func(*yaml.Node), none func()) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			none()
			return
		}
		decode(n)
	}
}

func isPool(s string) bool {
	_, err := grant.ParsePool(s)
	return err == nil
}

const wantPool = "<environment>/<pool>"

func (d *decoder) asked(n *yaml.Node, r *Request) {
	var pool text
	var tags, open []text
	d.object(n, fields{
		"pool":        d.matching(&pool, isPool, wantPool),
		"tags":        d.noneOr(d.set(&tags, func(s string) bool { return len(s) <= maxTag }, "a tag, at most 128 bytes"), func() {}),
		"for":         d.duration(&r.Duration, time.Second),
		"total":       d.duration(&r.Total, time.Second),
		"extension":   d.boolean(&r.Extension),
		"at":          d.moment(&r.At),
		"start":       d.moment(&r.StartsAt),
		"reason":      d.string(&r.Reason, maxAnswer),
		"inputs":      func(n *yaml.Node) { r.Inputs = d.answers(n) },
		"break_glass": d.boolean(&r.BreakGlass),
		"open": d.noneOr(func(n *yaml.Node) {
			d.list(n, maxList, func(n *yaml.Node) { // a pool may stand here twice
				var t text
				d.matching(&t, isPool, wantPool)(n)
				open = append(open, t)
			})
		}, func() {}),
	}, "pool")
	r.Pool, _ = grant.ParsePool(pool.value) // checked above
	r.Tags = values(tags)
	for _, t := range open {
		p, _ := grant.ParsePool(t.value)
		r.Open = append(r.Open, p)
	}
}

func (d *decoder) answers(n *yaml.Node) map[string]string {
	answers := map[string]string{}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "want the inputs' names and answers")
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var name text
		d.matching(&name, inputPattern.MatchString, "the name of an input")(key)
		if _, twice := answers[name.value]; twice {
			d.wrong(key, "%s stands here twice", clip(name.value))
		}
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" && value.ShortTag() != "!!timestamp" {
			d.wrong(value, "want a text; put it in quotes")
		}
		answers[name.value] = value.Value
	}
	return answers
}

func (d *decoder) expect(n *yaml.Node) expectation {
	e := expectation{at: positionOf(n)}
	var decision, rule text
	var approvers []text
	d.object(n, fields{
		"decision": d.matching(&decision, func(s string) bool { return s == wordAllow || s == wordApproval || s == wordDeny }, "allow, approval or deny"),
		"rule":     d.matching(&rule, namePattern.MatchString, wantName),
		"approvers": func(n *yaml.Node) {
			e.approversGiven = true
			d.noneOr(d.groups(&approvers), func() {})(n)
		},
		"message": d.string(&e.message, maxSentence),
	}, "decision")
	e.decision, e.rule, e.approvers = decision.value, rule.value, values(approvers)
	slices.Sort(e.approvers)
	return e
}
