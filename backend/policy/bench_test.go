package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// thousand is a policy of 1,000 rules, every tenth of which denies. With mixed set, rules are for one of 250 teams and its
// pools, each with a glob and a condition, and few are about a request; else all of them are about every request, and
// each has a condition of its own that has to be asked.
func thousand(mixed bool) []string {
	var b strings.Builder
	var documents []string
	for i := range 1000 {
		if i%250 == 0 {
			documents = append(documents, b.String())
			b.Reset()
			fmt.Fprintf(&b, "version: 1\nname: bench%d\nrules:\n", i)
		}
		pools, group := `["*/*"]`, "developers"
		if mixed {
			pools = fmt.Sprintf(`["prod/team%d-*", "staging/team%d-*", "*/shared-%d"]`, i%250, i%250, i)
			group = fmt.Sprintf("team%d", i%250)
		}
		if i%10 == 9 {
			fmt.Fprintf(&b, `
  - name: rule%d
    effect: deny
    match: {pools: %s}
    when: [{condition: 'request.reason.contains("forbidden%d")', message: "You must give another reason"}]
`, i, pools, i)
			continue
		}
		fmt.Fprintf(&b, `
  - name: rule%d
    match: {pools: %s, environments: [prod, "s*"]}
    who: {groups: [%s, other%d]}
    when:
      - {condition: 'now.getHours("Europe/Berlin") >= 8 && pool.tags.exists(t, t == "tag%d")', message: "You must ask for a tagged pool"}
    limits: {max_duration: 4h, hours: [{from: "06:00", to: "22:00", time_zone: Europe/Berlin}]}
    require: [{name: ticket, condition: 'inputs.ticket.matches("^INC[0-9]+$")', message: "You must give a ticket"}]
    approve: {any_of: [{group: leads}]}
`, i, pools, group, i, i)
	}
	return append(documents[1:], b.String())
}

// benchRequest is by somebody in 20 groups, for a pool whose tag only the last rules ask for.
func benchRequest() policy.Request {
	r := policy.Request{
		Subject: "alice@example.com", Groups: []string{"developers", "team248"}, Pool: grant.Pool{Environment: "prod", Name: "team248-web"},
		Tags: []string{"pci", "tag998"}, Duration: time.Hour, Reason: "to look at a failing job", Inputs: map[string]string{"ticket": "INC1234"},
		At: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
	}
	for i := range 18 {
		r.Groups = append(r.Groups, fmt.Sprintf("group-of-no-interest-%d", i))
	}
	return r
}

// BenchmarkEvaluate1000Rules reports the median as median-µs: the mean of a run holds what the collector and others do.
func BenchmarkEvaluate1000Rules(b *testing.B) {
	for name, mixed := range map[string]bool{"mixed": true, "all match": false} {
		b.Run(name, func(b *testing.B) {
			p := compile(b, thousand(mixed)...)
			r := benchRequest()
			if d := p.Evaluate(b.Context(), r); !d.Allowed || d.Rule != "rule998" {
				b.Fatalf("%+v", d)
			}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				p.Evaluate(b.Context(), r)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "median-µs")
		})
	}
}

func BenchmarkCompile1000Rules(b *testing.B) {
	texts := thousand(true)
	for b.Loop() {
		compile(b, texts...)
	}
}
