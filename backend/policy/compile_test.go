package policy

import (
	"strings"
	"testing"
	"time"
)

func rule() Rule {
	return Rule{Name: "staging", Pools: []string{"staging/*"}, Groups: []string{"dev"}, MaxDuration: time.Hour}
}

// An error names the field, as somebody who reads the configuration would look for it.
func TestCompileNamesTheField(t *testing.T) {
	long := strings.Repeat("a", 64)
	tests := []struct {
		name  string
		spoil func(*Rule)
		want  string
	}{
		{"no name", func(r *Rule) { r.Name = "" }, "rules[1].name:"},
		{"name in capitals", func(r *Rule) { r.Name = "Staging" }, "rules[1].name:"},
		{"name with a newline", func(r *Rule) { r.Name = "staging\n" }, "rules[1].name:"},
		{"long name", func(r *Rule) { r.Name = long }, "rules[1].name:"},
		{"name twice", func(r *Rule) { r.Name = "first" }, "rules[1].name:"},
		{"no pools", func(r *Rule) { r.Pools = nil }, "rules[1].pools:"},
		{"empty pool", func(r *Rule) { r.Pools = []string{"a/b", ""} }, "rules[1].pools[1]:"},
		{"pool without environment", func(r *Rule) { r.Pools = []string{"web"} }, "rules[1].pools[0]:"},
		{"all pools in one star", func(r *Rule) { r.Pools = []string{"*"} }, "rules[1].pools[0]:"},
		{"pool with two slashes", func(r *Rule) { r.Pools = []string{"a/b/c"} }, "rules[1].pools[0]:"},
		{"pool in capitals", func(r *Rule) { r.Pools = []string{"A/b"} }, "rules[1].pools[0]:"},
		{"pool with a question mark", func(r *Rule) { r.Pools = []string{"a/b?"} }, "rules[1].pools[0]:"},
		{"environment with a question mark", func(r *Rule) { r.Pools = []string{"a?/b"} }, "rules[1].pools[0]:"},
		{"environment with a class", func(r *Rule) { r.Pools = []string{"[ab]/b"} }, "rules[1].pools[0]:"},
		{"pool with a class", func(r *Rule) { r.Pools = []string{"a/[b-z]"} }, "rules[1].pools[0]:"},
		{"pool with a backslash", func(r *Rule) { r.Pools = []string{`a/\*`} }, "rules[1].pools[0]:"},
		{"pool with a newline", func(r *Rule) { r.Pools = []string{"a/b\n"} }, "rules[1].pools[0]:"},
		{"pool with a bar", func(r *Rule) { r.Pools = []string{"a/b|c"} }, "rules[1].pools[0]:"},
		{"no groups", func(r *Rule) { r.Groups = nil }, "rules[1].groups:"},
		{"a group without a name", func(r *Rule) { r.Groups = []string{"dev", ""} }, "rules[1].groups:"},
		{"an approver group without a name", func(r *Rule) { r.ApproverGroups = []string{""} }, "rules[1].approver_groups:"},
		{"no max", func(r *Rule) { r.MaxDuration = 0 }, "rules[1].max_duration:"},
		{"negative max", func(r *Rule) { r.MaxDuration = -time.Hour }, "rules[1].max_duration:"},
		{"max below a second", func(r *Rule) { r.MaxDuration = time.Second - 1 }, "rules[1].max_duration:"},
		{"max with parts of a second", func(r *Rule) { r.MaxDuration = time.Second + 1 }, "rules[1].max_duration:"},
		{"negative default", func(r *Rule) { r.DefaultDuration = -time.Second }, "rules[1].default_duration:"},
		{"default above max", func(r *Rule) { r.DefaultDuration = time.Hour + time.Second }, "rules[1].default_duration:"},
		{"default with parts of a second", func(r *Rule) { r.DefaultDuration = 1500 * time.Millisecond }, "rules[1].default_duration:"},
		{"negative pending_for", func(r *Rule) { r.PendingFor = -1 }, "rules[1].pending_for:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			first, second := rule(), rule()
			first.Name = "first"
			test.spoil(&second)
			engine, err := Compile([]Rule{first, second})
			if err == nil || engine != nil {
				t.Fatalf("compiled to %v, %v", engine, err)
			}
			if !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %q, want one that begins with %q", err, test.want)
			}
		})
	}
}

func TestCompileTellsAllFieldsAtOnce(t *testing.T) {
	_, err := Compile([]Rule{{}, {Name: "ok", Pools: []string{"x"}, Groups: []string{"dev"}, MaxDuration: time.Hour}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"rules[0].name:", "rules[0].pools:", "rules[0].groups:", "rules[0].max_duration:", "rules[1].pools[0]:"} {
		if strings.Count(err.Error(), field) != 1 {
			t.Errorf("%q stands there %d times in:\n%v", field, strings.Count(err.Error(), field), err)
		}
	}
}

func TestCompileKeepsNothingOfItsArgument(t *testing.T) {
	rules := []Rule{rule()}
	rules[0].ApproverGroups = []string{"leads"}
	engine, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	request := Request{Subject: "alice@example.com", Groups: []string{"dev"}, Pool: pool(t, "staging/web")}
	before := engine.Evaluate(t.Context(), request)
	rules[0].Groups[0], rules[0].Pools[0], rules[0].ApproverGroups[0], rules[0].MaxDuration = "all", "prod/*", "all", 0
	engine.Approvers(request.Pool)[0] = "all"
	before.Steps[0].Groups[0] = "all"
	after := engine.Evaluate(t.Context(), request)
	if !after.Allowed || after.Steps[0].Groups[0] != "leads" || after.Explanation != before.Explanation {
		t.Fatalf("after a change of the caller's lists: %+v", after)
	}
}

// The hash is what an auditor compares: the same policy has the same one, any other has another.
func TestHashNamesThePolicy(t *testing.T) {
	hash := func(change func(*Rule)) string {
		r := rule()
		r.ApproverGroups = []string{"leads", "ops"}
		change(&r)
		engine, err := Compile([]Rule{r})
		if err != nil {
			t.Fatal(err)
		}
		return engine.Evaluate(t.Context(), Request{Pool: pool(t, "nowhere/web")}).Hash
	}
	original := hash(func(*Rule) {})
	if len(original) != 64 {
		t.Fatalf("hash %q", original)
	}
	same := map[string]func(*Rule){
		"the defaults written out":   func(r *Rule) { r.DefaultDuration, r.PendingFor = time.Hour, 24*time.Hour },
		"approvers in another order": func(r *Rule) { r.ApproverGroups = []string{"ops", "leads", "ops"} },
	}
	for name, change := range same {
		if hash(change) != original {
			t.Errorf("%s: another hash", name)
		}
	}
	other := map[string]func(*Rule){
		"name":      func(r *Rule) { r.Name = "x" },
		"pools":     func(r *Rule) { r.Pools = []string{"staging/web"} },
		"groups":    func(r *Rule) { r.Groups = []string{"dev", "all"} },
		"max":       func(r *Rule) { r.MaxDuration = 2 * time.Hour },
		"default":   func(r *Rule) { r.DefaultDuration = time.Minute },
		"approvers": func(r *Rule) { r.ApproverGroups = nil },
		"pending":   func(r *Rule) { r.PendingFor = time.Hour },
	}
	for name, change := range other {
		if hash(change) == original {
			t.Errorf("%s: the same hash", name)
		}
	}
}

func TestNoRulesRefuseEverything(t *testing.T) {
	engine, err := Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := engine.Evaluate(t.Context(), Request{Subject: "alice@example.com", Groups: []string{"", "dev"}, Pool: pool(t, "a/b"), Duration: time.Second})
	if d.Allowed || d.Explanation == "" || d.Rule != "" {
		t.Fatalf("%+v", d)
	}
}
