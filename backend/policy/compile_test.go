package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// named is a document of a file's name and its own.
func named(t testing.TB, file, name, rules string) *policy.Document {
	t.Helper()
	doc, err := policy.Parse(file, []byte("version: 1\nname: "+name+"\nrules:\n"+rules))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestNamesAreOfOneThingInAllDocuments(t *testing.T) {
	for name, c := range map[string]struct {
		docs []*policy.Document
		want string
	}{
		"no document":                   {nil, "policy:1:1: there is no document; one that allows nothing has to say so"},
		"a nil document":                {[]*policy.Document{nil}, "compile a policy: a document is nil"},
		"a rule's name":                 {[]*policy.Document{named(t, "b", "b", allowing("r")), named(t, "a", "a", denying("r"))}, "b:4:11: r is the name of another rule, at a:4"},
		"a rule's name in one document": {[]*policy.Document{named(t, "b", "b", allowing("r")+allowing("r"))}, "b:8:11: r is the name of another rule, at b:4"},
		"a document's name":             {[]*policy.Document{named(t, "a", "x", allowing("r")), named(t, "b", "x", denying("s"))}, "b:2:7: x is the name of another document, in a"},
		"a file":                        {[]*policy.Document{named(t, "a", "x", allowing("r")), named(t, "a", "y", denying("s"))}, "a:1:1: the file is given twice"},
	} {
		p, err := policy.Compile(c.docs...)
		if p != nil || err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func many(t *testing.T, documents, rules int) []*policy.Document {
	var docs []*policy.Document
	n := 0
	for i := range documents {
		var b strings.Builder
		for range rules {
			fmt.Fprintf(&b, "  - {name: r%d, effect: deny, description: No, match: {pools: [a/b]}}\n", n)
			n++
		}
		docs = append(docs, named(t, fmt.Sprintf("%03d", i), fmt.Sprintf("d%d", i), b.String()))
	}
	return docs
}

func TestTheSizeOfAPolicyIsBounded(t *testing.T) {
	if _, err := policy.Compile(many(t, 2, 1000)...); err != nil {
		t.Error(err)
	}
	if _, err := policy.Compile(many(t, 3, 667)...); err == nil || err.Error() != "000:1:1: a policy has at most 2000 rules in all documents" {
		t.Error(err)
	}
	if _, err := policy.Compile(many(t, 200, 1)...); err != nil {
		t.Error(err)
	}
	if _, err := policy.Compile(many(t, 201, 1)...); err == nil || err.Error() != "000:1:1: a policy has at most 200 documents" {
		t.Error(err)
	}
}

func TestAllConditionsThatDoNotCompileAreToldInTheOrderOfFiles(t *testing.T) {
	b := named(t, "b", "b", allowing("r", "when: [{condition: 'x', message: m}]", "require: [{name: a, condition: 'y'}]", "approve: {any_of: [{group: a}]}", "auto_approve: [{condition: 'z'}]"))
	a := named(t, "a", "a", denying("s", "when: [{condition: 'w'}]"))
	_, err := policy.Compile(b, a)
	var list policy.Errors
	if !errors.As(err, &list) {
		t.Fatal(err)
	}
	var places []string
	for _, p := range list {
		places = append(places, fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column))
	}
	if diff := cmp.Diff([]string{"a:8:25", "b:8:25", "b:9:37", "b:11:33"}, places); diff != "" {
		t.Error(diff)
	}
}

func TestNoMoreThan50ConditionsAreTold(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		b.WriteString(allowing(fmt.Sprintf("r%d", i), "when: [{condition: 'x', message: m}]"))
	}
	_, err := policy.Compile(named(t, "a", "a", b.String()))
	var list policy.Errors
	if !errors.As(err, &list) || len(list) != 50 {
		t.Errorf("%d", len(list))
	}
}

// The order of the files' names decides, not that in which they are given.
func TestDocumentsAreGoneThroughInTheOrderOfTheirFiles(t *testing.T) {
	docs := []*policy.Document{named(t, "b", "x", allowing("second")), named(t, "a", "y", allowing("first"))}
	for range 2 {
		p, err := policy.Compile(docs...)
		if err != nil {
			t.Fatal(err)
		}
		if d := p.Evaluate(t.Context(), ask()); d.Rule != "first" || d.Policy != "x+y" {
			t.Errorf("%+v", d)
		}
		slices.Reverse(docs)
	}
}

func hash(t *testing.T, docs ...*policy.Document) string {
	t.Helper()
	p, err := policy.Compile(docs...)
	if err != nil {
		t.Fatal(err)
	}
	_, h := p.Version()
	if len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		t.Errorf("hash %q", h)
	}
	return h
}

func TestTheHashIsOfWhatDecides(t *testing.T) {
	base := head + everything + denying("d", "when: [{condition: 'false', message: Never}]") + "    who: {users: [bob@example.com], services: [s], agents: [a]}\n"
	of := func(text string) string {
		t.Helper()
		return hash(t, parse(t, text)...)
	}
	want := of(base)
	for name, text := range map[string]string{
		"a comment":                             "# hello\n" + base,
		"another place":                         strings.Replace(base, "rules:", "\n\nrules:", 1),
		"a test":                                base + "tests: [{name: t, subject: {name: bob@example.com}, request: {pool: a/b}, expect: {decision: deny}}]\n",
		"the order of fields, the default said": strings.Replace(base, "version: 1\nname: t", "name: t\ntime_zone: UTC\nversion: 1", 1),
		"the same duration":                     strings.Replace(base, "max_duration: 4h", "max_duration: 240m", 1),
		"quotes":                                strings.Replace(base, "groups: [dev]", `groups: ["dev"]`, 1),
	} {
		if got := of(text); got != want {
			t.Errorf("%s changes the hash", name)
		}
	}
	seen := map[string]string{want: "nothing"}
	for _, change := range [][2]string{
		{"name: t", "name: u"}, {"rules:", "time_zone: Europe/Berlin\nrules:"}, {"name: r\n", "name: q\n"}, {"'*/*'", "'*/x'"},
		{"groups: [dev]", "groups: [dev2]"}, {"max_duration: 4h", "max_duration: 3h"}, {"default_duration: 2h", "default_duration: 1h"},
		{"pending_for: 6h", "pending_for: 5h"}, {"pending_for: 6h", "pending_for: 6h, max_total: 9h"}, {"pending_for: 6h", "pending_for: 6h, max_concurrent: 3"},
		{"pending_for: 6h", "pending_for: 6h, start_within: 0s"}, {"pending_for: 6h", `pending_for: 6h, hours: [{from: "01:00", to: "02:00"}]`},
		{"pending_for: 6h", `pending_for: 6h, hours: [{from: "01:00", to: "02:00", time_zone: Europe/Berlin}]`}, {"pending_for: 6h", `pending_for: 6h, hours: [{from: "01:00", to: "02:00", days: [mon]}]`},
		{"title: Kind", "title: Sort"}, {"description: What", "description: Which"}, {"choices: [a, b]", "choices: [a]"}, {"You must choose", "Choose"}, {"optional: true", "optional: false"},
		{"name: note", "name: remark"}, {"name: note", "name: note, condition: 'true'"}, {"ordered: true", "ordered: false"}, {"count: 2", "count: 3"}, {"group: boss", "group: bosses"},
		{`duration("1m")`, `duration("2m")`}, {"groups: [oncall]", "groups: [on]"}, {"max_duration: 30m", "max_duration: 29m"}, {"notify: [security]", "notify: [sec]"},
		{"review: {groups: [audit]", "review: {groups: [sec]"}, {"within: 24h", "within: 23h"}, {"effect: deny\n    description: Not with d", "effect: deny\n    description: No"},
		{"condition: 'false'", "condition: 'true'"}, {"message: Never", "message: No"}, {"users: [bob", "users: [carol"}, {"services: [s]", "services: [x]"}, {"agents: [a]", "agents: [x]"},
		{"match: {pools: ['*/*']}\n    who", "match: {pools: ['*/*'], tags: [a]}\n    who"}, {"match: {pools: ['*/*']}\n    who", "match: {pools: ['*/*'], environments: [a]}\n    who"},
	} {
		if !strings.Contains(base, change[0]) {
			t.Fatalf("there is no %s", change[0])
		}
		got := of(strings.Replace(base, change[0], change[1], 1))
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q have the same hash", change[1], other)
		}
		seen[got] = change[1]
	}
}

func TestTheHashIsOfTheOrderThatDecidesAndNotOfFilesNames(t *testing.T) {
	a, b := allowing("a"), allowing("b")
	want := hash(t, named(t, "1", "x", a), named(t, "2", "y", b))
	if hash(t, named(t, "2", "y", b), named(t, "1", "x", a)) != want || hash(t, named(t, "3", "x", a), named(t, "4", "y", b)) != want {
		t.Error("the hash depends on how files are given")
	}
	if hash(t, named(t, "2", "x", a), named(t, "1", "y", b)) == want {
		t.Error("the hash does not depend on which is first")
	}
}

const cases = `tests:
  - name: passes
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web}
    expect: {decision: approval, rule: r, approvers: [a, sre], message: must approve}
  - name: is not at once
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web}
    expect: {decision: allow, approvers: [sre]}
  - name: is not so
    subject: {name: alice@example.com, groups: []}
    request: {pool: prod/web}
    expect:
      decision: approval
      rule: r
      approvers: []
      message: soon
  - name: is given
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/free}
    expect: {decision: deny, approvers: [], rule: s}
`

func TestAPolicyWhoseTestsFailIsRefusedAsAWhole(t *testing.T) {
	rules := strings.Replace(allowing("free"), "'*/*'", "prod/free", 1) + allowing("r", "approve: {all_of: [{group: sre}, {group: a}]}")
	docs := parse(t, head+rules+cases)
	p, err := policy.Compile(docs...)
	want := strings.Join([]string{
		`0.yaml:21:13: test "is not at once": it is approval and not allow; the approvers are ["a" "sre"] and not ["sre"]; the explanation is: 1 member of sre and 1 member of a must approve; never yourself. The request waits for at most 24 hours.`,
		`0.yaml:26:7: test "is not so": it is deny and not approval; the rule is "" and not r; the message does not hold "soon"; the explanation is: You must be a member of dev.`,
		`0.yaml:33:13: test "is given": it is allow and not deny; the rule is "free" and not s; the explanation is: No approval is needed: you have access at once, for 1 hour.`,
	}, "\n")
	if p != nil || err == nil {
		t.Fatal("it is accepted")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	var list policy.Errors
	if !errors.As(err, &list) || len(list) != 3 {
		t.Errorf("%T", err)
	}
	p, results, err := policy.Check(docs...)
	if err != nil || p == nil {
		t.Fatal(err)
	}
	var names, places []string
	for _, r := range results {
		names, places = append(names, fmt.Sprintf("%s %v", r.Name, r.Got == "")), append(places, r.File)
	}
	if diff := cmp.Diff([]string{"passes true", "is not at once false", "is not so false", "is given false"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0.yaml:14:5", "0.yaml:18:5", "0.yaml:22:5", "0.yaml:30:5"}, places); diff != "" {
		t.Error(diff)
	}
	if _, _, err := policy.Check(); err == nil {
		t.Error("nothing was checked")
	}
}

// A test asks all documents, not the one that it stands in.
func TestTestsAskTheWholePolicy(t *testing.T) {
	a := named(t, "a", "a", allowing("r")+testOfIt)
	b := named(t, "b", "b", denying("d"))
	if _, err := policy.Compile(a); err != nil {
		t.Error(err)
	}
	if _, err := policy.Compile(a, b); err == nil || !strings.HasPrefix(err.Error(), `a:12:13: test "t": it is deny and not allow`) {
		t.Error(err)
	}
}

// What a test says of its request reaches the policy.
func TestTestsSayAllOfARequest(t *testing.T) {
	compile(t, head+`  - name: r
    match: {pools: [prod/web], tags: [pci]}
    who: {agents: [triage]}
    when:
      - {condition: 'subject.groups == ["x"] && owner.name == "bob@example.com" && owner.groups == ["y", "z"]', message: Not them}
      - {condition: 'request.duration == duration("1h") && request.total == duration("2h") && request.extension', message: Not that}
      - {condition: 'request.reason == "why" && inputs.a == "x" && inputs.b == "2026-01-01"', message: Not so}
      - {condition: 'now == timestamp("2026-03-02T09:00:00Z") && request.start == timestamp("2026-03-02T10:00:00Z")', message: Not then}
    limits: {max_duration: 4h, max_concurrent: 3}
    require: [{name: a}, {name: b, optional: true}]
    break_glass: {groups: [x], max_duration: 1h, review: {groups: [sec], within: 1h}}
tests:
  - name: all of it
    subject: {name: "agent:triage", groups: [x]}
    owner: {name: bob@example.com, groups: [y, z]}
    request: {pool: prod/web, tags: [pci], for: 1h, total: 2h, extension: true, at: "2026-03-02T10:00:00+01:00", start: 2026-03-02T11:00:00+01:00, reason: why, inputs: {a: x, b: 2026-01-01}, open: [prod/web, prod/web]}
    expect: {decision: allow, rule: r, message: when its time comes}
  - name: one more
    subject: {name: "agent:triage", groups: [x]}
    owner: {name: bob@example.com, groups: [y, z]}
    request: {pool: prod/web, tags: [pci], for: 1h, total: 2h, extension: true, at: "2026-03-02T10:00:00+01:00", start: 2026-03-02T11:00:00+01:00, reason: why, inputs: {a: x, b: 2026-01-01}, open: [prod/web, prod/web, prod/web]}
    expect: {decision: deny, rule: r, message: you have 3 here}
  - name: an emergency
    subject: {name: "agent:triage", groups: [x]}
    owner: {name: bob@example.com, groups: []}
    request: {pool: prod/web, tags: [pci], for: 1h, break_glass: true, inputs: {a: ""}}
    expect: {decision: deny, message: "Not them. Not that. Not so. Not then. You must fill in"}
`)
	compile(t, head+`  - {name: r, match: {pools: ['*/*']}, who: {users: [alice@example.com]}, limits: {max_duration: 4h}, when: [{condition: 'now.getDayOfWeek() == 1 && now.getHours() == 12 && request.reason != ""', message: m}]}
tests:
  - name: by default it is noon of a Monday
    subject: {name: alice@example.com}
    request: {pool: prod/web, tags: [], open: []}
    expect: {decision: allow}
`)
}

// A requester is not told which condition could not be checked, and who runs the tests is: of the rule that decided, and of
// a test that failed.
func TestATestThatFailsSaysWhatItsRuleCouldNotCheck(t *testing.T) {
	blindly := "when: [{condition: 'owner.name == \"x\"', message: m}]"
	text := head + allowing("r", blindly) + allowing("s", blindly) + `tests:
  - name: expects it
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web}
    expect: {decision: deny}
  - name: does not
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web}
    expect: {decision: allow}
`
	_, results, err := policy.Check(parse(t, text)...)
	if err != nil {
		t.Fatal(err)
	}
	want := "it is deny and not allow; the explanation is: " + unchecked +
		" The condition at 0.yaml:8:24 could not be checked: it reads a fact that is not known."
	if diff := cmp.Diff([]string{"", want}, []string{results[0].Got, results[1].Got}); diff != "" {
		t.Error(diff)
	}
}
