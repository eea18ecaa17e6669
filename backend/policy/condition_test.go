package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// conditional is a document whose one rule has a condition, whose text begins at 4:26.
func conditional(condition string) string {
	quoted := strings.ReplaceAll(condition, "'", "''")
	return head + "  - {when: [{condition: '" + quoted + "', message: It is not so}], name: r, match: {pools: ['*/*']}, who: {groups: [dev], agents: ['*'], services: [bot]},\n" +
		"     limits: {max_duration: 4h, default_duration: 2h}, require: [{name: a, optional: true}, {name: b, optional: true}]}\n"
}

// tell says what a condition is of a request: true, false, or failed.
func tell(t *testing.T, condition string, r policy.Request) string {
	t.Helper()
	d := compile(t, conditional(condition)).Evaluate(t.Context(), r)
	switch {
	case d.Allowed:
		return "true"
	case d.Explanation == "It is not so.":
		return "false"
	case d.Explanation == unchecked:
		return "failed"
	default:
		return d.Explanation
	}
}

var facts = []struct {
	condition string
	request   policy.Request
	want      string
}{
	{`subject.name == "alice@example.com"`, ask(), "true"},
	{`subject.kind == "person"`, ask(), "true"},
	{`subject.kind == "agent"`, ask(as("agent:a"), owned("bob@example.com")), "true"},
	{`subject.kind == "service"`, ask(as("service:bot")), "true"},
	{`subject.groups == ["dev", "x"]`, ask(as("alice@example.com", "dev", "x")), "true"},
	{`has(subject.name) && has(subject.groups)`, ask(), "true"},
	{`owner.name == "bob@example.com"`, ask(as("agent:a"), owned("bob@example.com")), "true"},
	{`"sre" in owner.groups`, ask(as("agent:a"), owned("bob@example.com", "ops", "sre")), "true"},
	{`"sre" in owner.groups`, ask(as("agent:a"), owned("bob@example.com", "ops")), "false"},
	{`"sre" in owner.groups`, ask(as("agent:a"), func(r *policy.Request) { r.Owner, r.OwnerGroups = "bob@example.com", nil }), "failed"},
	{`owner.groups.size() == 0`, ask(as("agent:a"), func(r *policy.Request) { r.Owner, r.OwnerGroups = "bob@example.com", []string{} }), "true"},
	{`owner.name == ""`, ask(), "failed"},
	{`owner.groups.size() == 0`, ask(func(r *policy.Request) { r.OwnerGroups = []string{"x"} }), "failed"},
	{`has(owner.name)`, ask(), "false"},
	{`has(owner.groups)`, ask(), "false"},
	{`has(owner.groups)`, ask(func(r *policy.Request) { r.OwnerGroups = []string{"x"} }), "false"},
	{`has(owner.name) && !has(owner.groups)`, ask(as("agent:a"), func(r *policy.Request) { r.Owner, r.OwnerGroups = "bob@example.com", nil }), "true"},
	{`has(owner.groups)`, ask(as("agent:a"), owned("bob@example.com", "x")), "true"},
	{`!has(owner.name) || owner.name == "x"`, ask(), "true"},
	{`pool.name == "prod/web"`, ask(), "true"},
	{`pool.environment == "prod" && pool.pool == "web"`, ask(), "true"},
	{`"pci" in pool.tags && pool.tags.size() == 2`, ask(pool("prod/web", "x", "pci")), "true"},
	{`request.duration == duration("1h")`, ask(), "true"},
	{`request.duration == duration("2h")`, ask(lasting(0)), "true"},
	{`request.total == duration("1h")`, ask(), "true"},
	{`request.total == duration("3h")`, ask(inAll(3 * time.Hour)), "true"},
	{`request.reason == "to look"`, ask(), "true"},
	{`request.break_glass`, ask(), "false"},
	{`request.extension`, ask(), "false"},
	{`request.extension`, ask(longer), "true"},
	{`request.start == now`, ask(), "true"},
	{`request.start - now == duration("90m")`, ask(startingIn(90 * time.Minute)), "true"},
	{`request.start == now`, ask(startingIn(-time.Hour)), "true"},
	{`now == timestamp("2026-03-02T10:00:00Z")`, ask(), "true"},
	{`now == timestamp("2026-03-02T11:00:00+01:00")`, ask(at(monday.In(time.FixedZone("x", 3600)))), "true"},
	{`inputs.a == "x" && inputs["a"] == "x" && has(inputs.a) && "a" in inputs && !("b" in inputs)`, ask(given("a", "x")), "true"},
	{`inputs.a == "x"`, ask(), "failed"},
	{`inputs["b"] == "x"`, ask(given("a", "x")), "failed"},
	{`inputs.size() == 1`, ask(given("a", "x"), given("b", ""), given("c", "y")), "true"},
	{`inputs.size() == 0`, ask(given("a", strings.Repeat("x", 1001))), `You must fill in "a".`},

	// The clock, by UTC and by a zone.
	{`now.getFullYear() == 2026 && now.getMonth() == 2 && now.getDate() == 2 && now.getDayOfMonth() == 1 && now.getDayOfYear() == 60`, ask(), "true"},
	{`now.getHours() == 10 && now.getMinutes() == 0 && now.getSeconds() == 0 && now.getMilliseconds() == 0 && now.getDayOfWeek() == 1`, ask(), "true"},
	{`now.getHours() == 10`, ask(at(monday.In(time.FixedZone("x", 3600)))), "true"},
	{`now.getFullYear("Asia/Tokyo") == 2027 && now.getMonth("Asia/Tokyo") == 0 && now.getDate("Asia/Tokyo") == 1 && now.getDayOfMonth("Asia/Tokyo") == 0 && now.getDayOfYear("Asia/Tokyo") == 0 && now.getDayOfWeek("Asia/Tokyo") == 5`, ask(at(time.Date(2026, 12, 31, 20, 0, 0, 0, time.UTC))), "true"},
	{`now.getHours("Asia/Kolkata") == 1 && now.getMinutes("Asia/Kolkata") == 30 && now.getSeconds("Asia/Kolkata") == 7 && now.getMilliseconds("Asia/Kolkata") == 250`, ask(at(time.Date(2026, 12, 31, 20, 0, 7, 250e6, time.UTC))), "true"},
	{`now.getHours("+05:30") == 15 && now.getHours("-02:00") == 8 && now.getHours("01:00") == 11`, ask(), "true"},
	{`now.getHours("Europe/Berlin") == 12`, ask(at(time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC))), "true"},
	{`request.start.getHours("Europe/Berlin") == 11`, ask(), "true"},

	// What CEL brings.
	{`request.reason.matches("^to (look|see)$")`, ask(), "true"},
	{`matches(request.reason, "^to see$")`, ask(), "false"},
	{`request.reason.matches("look")`, ask(), "true"},
	{`request.reason.size() > 3 && size(request.reason) == 7`, ask(), "true"},
	{`request.reason.startsWith("to") && request.reason.endsWith("look") && request.reason.contains(" ")`, ask(), "true"},
	{`subject.groups.exists(g, g.startsWith("d")) && subject.groups.all(g, g != "x") && subject.groups.exists_one(g, g == "dev")`, ask(), "true"},
	{`subject.groups.filter(g, g in ["a", "dev"]).size() == 1 && subject.groups.map(g, g + "s") == ["devs"]`, ask(), "true"},
	{`subject.groups.all(g, g in owner.groups)`, ask(as("agent:a", "x", "y"), owned("bob@example.com", "y", "x", "z")), "true"},
	{`subject.groups.all(g, g in owner.groups)`, ask(as("agent:a", "x", "w"), owned("bob@example.com", "y", "x", "z")), "false"},
	{`subject.name.substring(0, subject.name.indexOf("@")) == "alice" && subject.name.lastIndexOf("m") == 16`, ask(), "true"},
	{`request.reason.upperAscii().trim() == "TO LOOK" && "A".lowerAscii() == "a" && request.reason.charAt(0) == "t"`, ask(), "true"},
	{`int(inputs.a) % 2 == 1 && double(inputs.a) * 2.0 / 2.0 - 1.0 > 1.5 && -int(inputs.a) + 1 < 0 && string(int(inputs.a)) == inputs.a`, ask(given("a", "3")), "true"},
	{`duration(inputs.a) >= request.duration && timestamp(inputs.b) <= now && bool("true")`, ask(given("a", "1h"), given("b", "2026-03-02T10:00:00Z")), "true"},
	{`subject.kind == "person" ? subject.groups[0] == "dev" : false`, ask(), "true"},
	{`subject.groups[7] == "dev"`, ask(), "failed"},
	{`int(request.reason) == 1`, ask(), "failed"},
	{`1 / (request.reason.size() - 7) == 1`, ask(), "failed"},
	{`9223372036854775807 + request.reason.size() > 0`, ask(), "failed"},
	{`duration(request.reason) > request.duration`, ask(), "failed"},
	{`owner.name == "x" || true`, ask(), "true"},
	{`owner.name == "x" && false`, ask(), "false"},
}

func TestConditionsSeeTheFacts(t *testing.T) {
	for _, c := range facts {
		t.Run(c.condition, func(t *testing.T) {
			if got := tell(t, c.condition, c.request); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

var refused = []struct {
	name      string
	condition string
	want      string // in a line of the error, behind 0.yaml:4:
}{
	{"no condition", `"x"`, "26: condition: a condition is true or false, and this is string"},
	{"nobody's fact", `requester.name == ""`, "26: condition: undeclared reference to 'requester'"},
	{"a fact that is misspelt", `true && subject.nmae == ""`, "41: condition: undefined field 'nmae'"},
	{"types that do not fit", `subject.name == 1`, "39: condition: found no matching overload for '_==_' applied to '(string, int)'"},
	{"no expression", `subject.name ==`, "41: condition: Syntax error: mismatched input '<EOF>' expecting"},
	{"an object as a whole", `[subject, subject].size() == 2`, "27: condition: name a field of subject"},
	{"an object by a comprehension", `[owner].all(x, x.name == "")`, "27: condition: name a field of owner"},
	{"an object alone", `request == request`, "26: condition: name a field of request"},
	{"a map", `{"a": true}["a"]`, "26: condition: maps and messages are not allowed"},
	{"a message", `google.protobuf.Int32Value{value: 1} == 1`, "52: condition: maps and messages are not allowed"},
	{"dyn", `dyn(1) == 1`, "29: condition: the function dyn is not allowed"},
	{"type", `type(1) == int`, "30: condition: the function type is not allowed"},
	{"a function that makes texts longer", `request.reason.replace("o", "ooooo") == ""`, "48: condition: the function replace is not allowed"},
	{"another", `"%s%s".format([request.reason, request.reason]) == ""`, "39: condition: the function format is not allowed"},
	{"and another", `subject.groups.join(request.reason) == ""`, "45: condition: the function join is not allowed"},
	{"a zone that is none", `now.getHours("Mars/Base") == 1`, `26: condition: there is no time zone "Mars/Base"`},
	{"the machine's zone", `now.getHours("Local") == 1`, `26: condition: there is no time zone "Local"`},
	{"a zone out of the request", `now.getHours(request.reason) == 1`, "38: condition: a time zone is written down, not put together"},
	{"a pattern out of the request", `request.reason.matches(inputs.a)`, "48: condition: a regular expression is written down, not put together"},
	{"a pattern that is put together", `matches(request.reason, "a" + inputs.a)`, "33: condition: a regular expression is written down, not put together"},
	{"no pattern", `request.reason.matches("(")`, "49: condition: invalid matches argument"},
	{"no duration", `request.duration > duration("soon")`, "54: condition: invalid duration argument"},
	{"no time", `now > timestamp("soon")`, "42: condition: invalid timestamp argument"},
	{"a long expression", strings.Repeat("true && ", 256) + "true", "condition: expression code point size exceeds limit: size: 2052, limit 2048"},
	{"a deep expression", strings.Repeat("(", 70) + "true" + strings.Repeat(")", 70), "condition: expression recursion limit exceeded: 64"},

	// Bombs.
	{"three loops", `subject.groups.all(a, subject.groups.all(b, subject.groups.all(c, a + b != c)))`, "26: condition: it may cost "},
	{"ten loops", loops(10), "26: condition: it may cost more units than can be counted for the largest request, and at most 2000000 are allowed"},
	{"forty loops", loops(40), "26: condition: it may cost more units than can be counted for the largest request, and at most 2000000 are allowed"},
	{"expressions in loops", `[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].exists(i, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].exists(j, (request.reason + "a").matches("(a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?)*b") && i < j))`, "condition: it may cost "},
	{"a text that doubles", doubling(28), "26: condition: it may cost "},
	{"a list that doubles", `subject.groups.map(a, subject.groups.map(b, subject.groups)).size() > 1 && subject.groups.exists(a, subject.groups.exists(b, a == b))`, "26: condition: it may cost "},
	{"a pattern of patterns", `request.reason.matches("((a{100}){100}){100}")`, "49: condition: invalid matches argument"},
	{"a pattern of many steps", `request.reason.matches("(a{1,900})")`, "49: condition: regex program size "},
	{"every answer in every other", `inputs.all(a, inputs.all(b, inputs.all(c, inputs.all(d, inputs[a].contains(inputs[b])))))`, "26: condition: it may cost "},
}

func loops(n int) string {
	s := "true"
	for i := range n {
		s = fmt.Sprintf("subject.groups.all(g%d, %s)", i, s)
	}
	return s
}

// doubling is a text of 2^n times its length.
func doubling(n int) string {
	s := fmt.Sprintf("size(a%d) > 0", n)
	for i := n; i > 0; i-- {
		s = fmt.Sprintf("[a%d+a%d].all(a%d, %s)", i-1, i-1, i, s)
	}
	return strings.ReplaceAll(s, "[a0+a0]", "[request.reason]")
}

func TestConditionsThatAreNotAllowed(t *testing.T) {
	compile(t, conditional("true")) // what is made once is made
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			docs := parse(t, conditional(c.condition))
			var err error
			took := time.Hour
			for range 10 { // the machine may do something else in between; the bound is on the work
				start := time.Now()
				_, err = policy.Compile(docs...)
				if took = min(took, time.Since(start)); took < 100*time.Millisecond {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "0.yaml:4:"+c.want) && !(strings.HasPrefix(c.want, "condition") && strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v\nwant 0.yaml:4:%s", err, c.want)
			}
			if took > 100*time.Millisecond {
				t.Errorf("it took %s to refuse it", took)
			}
		})
	}
}

// The place of a problem is that in the file, however the expression is written down. The condition's key is in line 11,
// its value begins in column 20.
func TestProblemsOfConditionsHaveTheirPlaceInTheFile(t *testing.T) {
	for name, c := range map[string]struct{ value, want string }{
		"plain":               {"true && nobody", "0.yaml:11:28"},
		"quoted":              {`"true && nobody"`, "0.yaml:11:29"},
		"single quotes":       {`'true && nobody'`, "0.yaml:11:29"},
		"after umlauts":       {`'"äöü" == nobody'`, "0.yaml:11:30"},
		"a block":             {"|\n          true &&\n            nobody", "0.yaml:13:13"},
		"a block, first line": {"|\n          nobody &&\n            true", "0.yaml:12:11"},
		"a folded block":      {">\n          nobody", "0.yaml:12:11"},
		"no block":            {"'true &&\n            nobody'", "0.yaml:11:29"},
	} {
		_, err := policy.Compile(parse(t, head+rule+"    when:\n      - condition: "+c.value+"\n        message: m\n")...)
		if err == nil || !strings.HasPrefix(err.Error(), c.want+": condition: undeclared reference to 'nobody'") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// I12: whatever is wrong with a condition, in whichever place it stands, nothing is opened by it.
func TestI12AConditionThatFailsOpensNothing(t *testing.T) {
	failing := map[string]string{
		"a missing fact":         `owner.name == "x"`,
		"unknown groups":         `"x" in owner.groups`,
		"a missing answer":       `inputs.b == "x"`,
		"no number":              `int(request.reason) == 1`,
		"no duration":            `duration(request.reason) == request.duration`,
		"no time":                `timestamp(request.reason) == now`,
		"division by nothing":    `1 / (request.reason.size() - 7) == 1`,
		"an index out of bounds": `subject.groups[5] == "x"`,
		"a number too large":     `9223372036854775807 + request.reason.size() > 0`,
		"a time too far away":    `now + duration("87600h") + duration("87600h") > timestamp("9999-12-31T23:59:59Z") + request.duration`,
		"a text out of bounds":   `request.reason.substring(50) == ""`,
	}
	for name, condition := range failing {
		for _, negated := range []bool{false, true} {
			c := condition
			if negated {
				c = "!(" + c + ")"
			}
			quoted := strings.ReplaceAll(c, "'", "''")
			t.Run(fmt.Sprintf("%s, negated %v", name, negated), func(t *testing.T) {
				r := ask(given("a", "x"))
				when := compile(t, head+allowing("r", "when: [{condition: '"+quoted+"', message: m}]", "require: [{name: a}]")).Evaluate(t.Context(), r)
				if when.Allowed || when.Explanation != unchecked {
					t.Errorf("when: %+v", when)
				}
				input := compile(t, head+allowing("r", "require: [{name: a, condition: '"+quoted+"'}]")).Evaluate(t.Context(), r)
				if input.Allowed || input.Explanation != unchecked {
					t.Errorf("require: %+v", input)
				}
				denial := compile(t, head+allowing("r", "require: [{name: a}]")+denying("d", "when: [{condition: '"+quoted+"'}]")).Evaluate(t.Context(), r)
				if denial.Allowed || denial.Explanation != blind || denial.Rule != "d" {
					t.Errorf("deny: %+v", denial)
				}
				auto := compile(t, head+allowing("r", "require: [{name: a}]", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: '"+quoted+"'}]")).Evaluate(t.Context(), r)
				if !auto.Allowed || len(auto.Steps) != 1 {
					t.Errorf("auto_approve: %+v", auto)
				}
			})
		}
	}
}
