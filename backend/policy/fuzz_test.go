package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// hang is longer than anything here may take, on a machine however busy.
const hang = 5 * time.Second

func FuzzParse(f *testing.F) {
	raw, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(head + told))
	f.Add([]byte(head + everything + testOfIt))
	for _, c := range wrongDocuments {
		if len(c.text) < 4096 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		start := time.Now()
		doc, err := policy.Parse("f.yaml", text)
		if took := time.Since(start); took > hang {
			t.Fatalf("it took %s", took)
		}
		if err != nil {
			checkErrors(t, err)
			return
		}
		p, _, err := policy.Check(doc)
		if err != nil {
			checkErrors(t, err)
			return
		}
		d, findings := p.Explain(t.Context(), ask())
		if d.Explanation == "" || strings.Contains(d.Explanation, "failed to decide") || len(findings) != len(p.Rules()) {
			t.Fatalf("%+v with %d findings", d, len(findings))
		}
	})
}

// checkErrors holds that an error tells few problems, each with its place.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	var list policy.Errors
	if !errors.As(err, &list) || len(list) == 0 || len(list) > 50 {
		t.Fatalf("%T: %v", err, err)
	}
	for _, p := range list {
		if p.File == "" || p.Line < 1 || p.Column < 1 || p.Text == "" || len(p.Text) > 2000 {
			t.Fatalf("%+v", p)
		}
	}
}

func FuzzCondition(f *testing.F) {
	for _, c := range facts {
		f.Add(c.condition, c.request.Reason, "x", "dev")
	}
	for _, c := range refused {
		f.Add(c.condition, "why", "x", "dev")
	}
	f.Fuzz(func(t *testing.T, condition, reason, answer, group string) {
		doc, err := policy.Parse("f.yaml", []byte(conditional(condition)))
		if err != nil {
			checkErrors(t, err)
			return
		}
		start := time.Now()
		p, err := policy.Compile(doc)
		if took := time.Since(start); took > hang {
			t.Fatalf("it took %s to compile", took)
		}
		if err != nil {
			checkErrors(t, err)
			return
		}
		for _, change := range []change{given("a", answer), as("agent:a", group), owned("bob@example.com", group), pool("prod/web", group), urgent} {
			r := ask(because(reason), given("b", answer), change)
			start = time.Now()
			d := p.Evaluate(t.Context(), r)
			if took := time.Since(start); took > hang {
				t.Fatalf("it took %s to decide", took)
			}
			if d.Explanation == "" || strings.Contains(d.Explanation, "failed to decide") {
				t.Fatalf("%+v", d)
			}
			if len(reason) > 20 && strings.Contains(d.Explanation, reason) && !strings.Contains("You must fill in", reason) {
				t.Fatalf("it repeats the reason: %s", d.Explanation)
			}
		}
	})
}
