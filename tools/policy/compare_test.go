package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// one is a step of one person out of a group.
func one(group string) grant.Step {
	return grant.Step{AnyOf: []grant.Quorum{{Groups: []string{group}, Count: 1}}}
}

func vote(ordered bool, steps ...grant.Step) policy.Decision {
	return policy.Decision{Allowed: true, Steps: steps, Ordered: ordered}
}

// What a team's CI lets through must be as strict as before: where that is not plain, it is a change for a person to see.
func TestVotesAreComparedStepByStep(t *testing.T) {
	leads, sec, ops := one("leads"), one("sec"), one("ops")
	two := grant.Step{AnyOf: []grant.Quorum{{Groups: []string{"leads"}, Count: 2}}}
	either := grant.Step{AnyOf: []grant.Quorum{leads.AnyOf[0], sec.AnyOf[0]}}
	for _, c := range []struct {
		name    string
		was, is policy.Decision
		want    string
	}{
		{"nobody before and after", vote(false), vote(false), ""},
		{"the same", vote(false, leads, sec), vote(false, leads, sec), ""},
		{"the same in another order of writing", vote(false, leads, sec), vote(false, sec, leads), ""},
		{"the same in order", vote(true, leads, sec), vote(true, leads, sec), ""},
		{"one where nobody was", vote(false), vote(false, leads), approvalAdded},
		{"one more", vote(false, leads), vote(false, leads, sec), approvalAdded},
		{"the same group once more", vote(false, leads), vote(false, leads, leads), approvalAdded},
		{"in order now", vote(false, leads, sec), vote(true, leads, sec), approvalAdded},
		{"nobody any more", vote(false, leads), vote(false), approvalDropped},
		{"one less", vote(false, leads, sec), vote(false, sec), approvalDropped},
		{"the same group once less", vote(false, leads, leads), vote(false, leads), approvalDropped},
		{"nobody any more, of an order", vote(true, leads, sec), vote(false), approvalDropped},
		{"another group", vote(false, leads), vote(false, sec), approvalChanged},
		{"one other of two", vote(false, leads, sec), vote(false, leads, ops), approvalChanged},
		{"either in place of one", vote(false, leads), vote(false, either), approvalChanged},
		{"one in place of two people", vote(false, two), vote(false, leads), approvalChanged},
		{"two in place of one person", vote(false, leads), vote(false, two), approvalChanged},
		{"without an order", vote(true, leads, sec), vote(false, leads, sec), approvalChanged},
		{"in another order", vote(true, leads, sec), vote(true, sec, leads), approvalChanged},
	} {
		if got := approvals(c.was, c.is); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOnlyMoreAccessOpens(t *testing.T) {
	want := map[string]bool{
		opened: true, approvalDropped: true, approvalChanged: true, longer: true, shorter: false, approvalAdded: false, closed: false,
	}
	if len(kinds) != len(want) {
		t.Errorf("there are the kinds %q", kinds)
	}
	for _, kind := range kinds {
		if opens(kind) != want[kind] {
			t.Errorf("%s: %v", kind, opens(kind))
		}
	}
}

func TestDecisionsAreComparedInAllThatTheyGive(t *testing.T) {
	refused := policy.Decision{}
	hour := policy.Decision{Allowed: true, MaxDuration: time.Hour}
	day := policy.Decision{Allowed: true, MaxDuration: 24 * time.Hour}
	approved := policy.Decision{Allowed: true, MaxDuration: 24 * time.Hour, Steps: []grant.Step{one("leads")}}
	for _, c := range []struct {
		was, is policy.Decision
		want    string
	}{
		{refused, refused, "[]"}, {hour, hour, "[]"}, {refused, approved, "[opened]"}, {day, refused, "[closed]"},
		{hour, day, "[longer]"}, {day, hour, "[shorter]"}, {day, approved, "[approval added]"},
		{hour, approved, "[approval added longer]"}, {approved, hour, "[approval dropped shorter]"},
	} {
		if got := fmt.Sprint(differences(c.was, c.is)); got != c.want {
			t.Errorf("%+v, %+v: %s, want %s", c.was, c.is, got, c.want)
		}
	}
}

// manyGroups is a policy that names n groups.
func manyGroups(t *testing.T, n int) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("version: 1\nname: many\nrules:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {name: r%d, match: {pools: [prod/web]}, who: {groups: [g%d]}, limits: {max_duration: 1h}}\n", i, i)
	}
	path := filepath.Join(t.TempDir(), "many.yaml")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func manyPools(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("prod/p%d", i)
	}
	return strings.Join(all, ",")
}

// 60 groups alone and none, in two ways, for 30 pools are 3,660 questions; 1,770 pairs more would be 109,860.
func TestPairsOfGroupsAreLeftOutAloudWhereTheyAreTooMany(t *testing.T) {
	path := manyGroups(t, 60)
	wants(t, impact(t, "--pool", manyPools(30), path, path), "30 pools, 3660 questions, 0 changes", "note members of two groups at a time were not compared")
	out := impact(t, "--pool", manyPools(20), path, path)
	wants(t, out, "20 pools, 73240 questions, 0 changes")
	if strings.Contains(out, "note") {
		t.Errorf("pairs are left out of\n%s", out)
	}
}

// A comparison that is not whole must not pass for one that found nothing.
func TestAComparisonThatWouldBeTooLongIsAnError(t *testing.T) {
	path := manyGroups(t, 100)
	var out, errs bytes.Buffer
	world := terminal{out: &out, err: &errs, now: func() time.Time { return noon }}
	status := world.run(t.Context(), []string{"impact", "--fail-on-opens", "--pool", manyPools(500), path, path})
	if status != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "101000 questions, more than 100000") {
		t.Errorf("exit status %d, %q, %q", status, out.String(), errs.String())
	}
}

// I12, of a report: what could not be decided is neither "no change" nor a grant that ends.
func TestWhatIsNotDecidedInTimeIsSaid(t *testing.T) {
	late, cancel := context.WithCancel(t.Context())
	cancel()
	text := strings.Replace(openToDevelopers, "    limits:", "    when: [{condition: 'now > now', message: You must wait}]\n    limits:", 1)
	doc, err := policy.Parse("slow.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	slow, err := policy.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	j := judgementOf(t)
	j.before, j.after = slow, slow
	if err := j.pages(late, shelf{n: 3}); err != nil {
		t.Fatal(err)
	}
	if j.found.Judged != 3 || j.found.Undecided != 3 || j.found.Neither != 0 || len(j.found.Ends) != 0 {
		t.Errorf("%+v", j.found)
	}
	var out bytes.Buffer
	if err := j.found.write(&out); err != nil || !strings.Contains(out.String(), "3 grants could not be judged in time.") {
		t.Errorf("%q, %v", out.String(), err)
	}
	p := newPlan(&outline{groups: []string{"dev"}}, j.facts, []grant.Pool{{Environment: "prod", Name: "cards"}}, noon)
	if err := p.compare(late, slow, slow, &result{}); err == nil || !strings.Contains(err.Error(), "could not decide in time") {
		t.Errorf("compare: %v", err)
	}
}

func TestALineWithoutAnEndIsAnErrorAndNotMemory(t *testing.T) {
	err := judgementOf(t).lines(t.Context(), "grants.jsonl", strings.NewReader("\n"+strings.Repeat("x", maxLine+1)))
	if err == nil || !strings.HasPrefix(err.Error(), "grants.jsonl:2: read grants:") {
		t.Errorf("got %v", err)
	}
}

func TestADurationIsWrittenAsInADocument(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Second: "30s", 15 * time.Minute: "15m", time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h",
		time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 10 * time.Hour: "10h", 0: "0s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

// The same input may be asked for in another form by another pool's rule: a pool's own tests say how it is answered.
func TestInputsAreAnsweredAsTheTestsOfThePoolDo(t *testing.T) {
	o, err := outlineOf([]source{{"x.yaml", []byte(`
rules:
  - when: [{condition: '"live" in pool.tags'}]
tests:
  - {name: a, request: {pool: prod/a, inputs: {ticket: A1, only: x}}, expect: {decision: allow}}
  - {name: b, request: {pool: prod/b, inputs: {ticket: B1}}, expect: {decision: approval}}
  - {name: c, request: {pool: prod/c, inputs: {ticket: wrong, other: wrong}}, expect: {decision: deny}}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	for pool, want := range map[string]string{"a": "map[only:x ticket:A1]", "b": "map[only:x ticket:B1]", "c": "map[only:x ticket:A1]"} {
		if got := fmt.Sprint(o.answers(grant.Pool{Environment: "prod", Name: pool})); got != want {
			t.Errorf("%s: %s, want %s", pool, got, want)
		}
	}
	if !o.tags {
		t.Error("a condition goes by tags, and that is not seen")
	}
}

// A change is looked at before its tests are mended, and never passes for one that a gateway takes.
func TestTheImpactOfDocumentsWhoseTestsFailIsShownAndIsAFailure(t *testing.T) {
	const failing = `tests:
  - name: nobody gets in
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web, tags: [live], for: 15m}
    expect: {decision: deny}
`
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.yaml"), filepath.Join(dir, "wrong.yaml")
	for path, text := range map[string]string{right: openToDevelopers, wrong: openToDevelopers + failing} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, files := range map[string][]string{"the old": {wrong, right}, "the new": {right, wrong}} {
		for _, more := range [][]string{nil, {"--fail-on-opens"}, {"--json"}} {
			var out, errs bytes.Buffer
			world := terminal{out: &out, err: &errs, now: func() time.Time { return noon }}
			status := world.run(t.Context(), slices.Concat([]string{"impact", "--pool", "prod/web"}, more, files))
			if status != exitFailed || out.Len() == 0 || !strings.Contains(errs.String(), "nobody gets in") {
				t.Errorf("%s %v: exit status %d, %q, %q", name, more, status, out.String(), errs.String())
			}
		}
	}
}
