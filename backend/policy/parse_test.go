package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// Line 4 is the first of the rule, line 11 the first of the test.
const (
	head = "version: 1\nname: t\nrules:\n"
	rule = `  - name: r
    match:
      pools: ["*/*"]
    who: {groups: [dev]}
    limits:
      max_duration: 1h
`
	testOfIt = `tests:
  - name: t
    subject: {name: alice@example.com, groups: [dev]}
    request: {pool: prod/web}
    expect: {decision: allow}
`
)

// deny is what a rule that denies needs, in the lines of rule.
const deny = `  - name: r
    effect: deny
    description: Not now
    match: {pools: ["*/*"]}
`

// wrongDocuments are documents with all that is to be said of them, written by hand.
var wrongDocuments = []struct {
	name string
	text string
	want string
}{
	{"nothing", "", "t.yaml:1:1: the document is empty"},
	{"a comment only", "# nothing\n", "t.yaml:1:1: the document is empty"},
	{"a list", "- 1\n", "t.yaml:1:1: want fields here: name, rules, tests, time_zone, version"},
	{"a word", "yes", "t.yaml:1:1: want fields here: name, rules, tests, time_zone, version"},
	{"no field", "{}", "t.yaml:1:1: version is missing\nt.yaml:1:1: name is missing\nt.yaml:1:1: rules is missing"},
	{"another version", "version: 2\nname: t\nrules:\n" + rule, "t.yaml:1:10: want a whole number from 1 to 1"},
	{"a version that is a text", "version: \"1\"\nname: t\nrules:\n" + rule, "t.yaml:1:10: want a whole number from 1 to 1"},
	{"a name with a space", "version: 1\nname: a b\nrules:\n" + rule, `t.yaml:2:7: "a b": want 1 to 63 characters of a-z, 0-9, . _ -`},
	{"a name in capitals", "version: 1\nname: Acme\nrules:\n" + rule, `t.yaml:2:7: "Acme": want 1 to 63 characters of a-z, 0-9, . _ -`},
	{"a name that is a number", "version: 1\nname: 12\nrules:\n" + rule, `t.yaml:2:7: want a text; put it in quotes`},
	{"a name that is empty", "version: 1\nname: ''\nrules:\n" + rule, `t.yaml:2:7: the text is empty; leave the field out`},
	{"a name that is nothing", "version: 1\nname:\nrules:\n" + rule, `t.yaml:2:6: want a text; put it in quotes`},
	{"a name of 64", "version: 1\nname: " + strings.Repeat("n", 64) + "\nrules:\n" + rule, `t.yaml:2:7: "` + strings.Repeat("n", 64) + `": want 1 to 63 characters of a-z, 0-9, . _ -`},
	{"a zone that is none", "version: 1\nname: t\ntime_zone: Mars/Base\nrules:\n" + rule, `t.yaml:3:12: "Mars/Base": want a time zone like Europe/Berlin`},
	{"the machine's zone", "version: 1\nname: t\ntime_zone: Local\nrules:\n" + rule, `t.yaml:3:12: "Local": want a time zone like Europe/Berlin`},
	{"rules that are none", "version: 1\nname: t\nrules:\n", `t.yaml:3:7: want a list`},
	{"rules that are no list", "version: 1\nname: t\nrules: {}\n", `t.yaml:3:8: want a list`},
	{"a doubled field", "version: 1\nname: t\nname: u\nrules:\n" + rule, `t.yaml:3:1: name stands here twice`},
	{"an unknown field", "version: 1\nname: t\ncolour: red\nrules:\n" + rule, `t.yaml:3:1: unknown field "colour"; here are: name, rules, tests, time_zone, version`},
	{"an unknown field twice", "version: 1\nname: t\nx: 1\nx: 2\nrules:\n" + rule, "t.yaml:3:1: unknown field \"x\"; here are: name, rules, tests, time_zone, version\nt.yaml:4:1: unknown field \"x\"; here are: name, rules, tests, time_zone, version"},
	{"a field that is no text", "version: 1\nname: t\n[a]: 1\nrules:\n" + rule, `t.yaml:3:1: unknown field ""; here are: name, rules, tests, time_zone, version`},
	{"two documents", head + rule + "---\n" + head + rule, "t.yaml:10:1: there is one document in a file"},
	{"a second document that is no YAML", head + rule + "---\n[\n", "t.yaml:11:1: did not find expected node content"},
	{"no YAML", "version: 1\nname: [t\nrules: 3\n", "t.yaml:2:1: did not find expected ',' or ']'"},
	{"a value in a value", "version: 1\nname: a: b\n", "t.yaml:2:1: mapping values are not allowed in this context"},
	{"an alias", "version: 1\nname: &n t\nrules: *n\n", "t.yaml:2:7: anchors and aliases are not allowed\nt.yaml:3:8: anchors and aliases are not allowed"},
	{"an alias to nothing", "version: 1\nname: *n\n", "t.yaml:2:1: unknown anchor 'n' referenced"},
	{"a merge", "version: 1\nname: t\n<<: {rules: 1}\n", "t.yaml:3:1: merge keys are not allowed"},
	{"a tag", "version: 1\nname: !!str 1\nrules: !x []\n", "t.yaml:2:7: tags are not allowed\nt.yaml:3:8: tags are not allowed"},
	{"no UTF-8", "version: 1\nname: \xff\n", "t.yaml:2:7: this is not UTF-8"},
	{"a control character", "version: 1\nname: \x1b[31m\n", "t.yaml:2:7: the character U+001B is not allowed"},
	{"a lone carriage return", "version: 1\nname: a\rb\n", "t.yaml:2:8: the character U+000D is not allowed"},
	{"a carriage return at the end", "version: 1\r", "t.yaml:1:11: the character U+000D is not allowed"},
	{"the first control character of Latin-1", "# \u0080", "t.yaml:1:3: the character U+0080 is not allowed"},
	{"the last control character of Latin-1", "# \u009f", "t.yaml:1:3: the character U+009F is not allowed"},
	{"the last control character", "# \x1f", "t.yaml:1:3: the character U+001F is not allowed"},
	{"a delete", "# \x7f", "t.yaml:1:3: the character U+007F is not allowed"},
	{"a next line", "# \u0085", "t.yaml:1:3: the character U+0085 is not allowed"},
	{"a line separator", "# \u2028", "t.yaml:1:3: the character U+2028 is not allowed"},
	{"a change of direction", "# \u00e4\u202e", "t.yaml:1:4: the character U+202E is not allowed"},
	{"the first embedding", "# \u202a", "t.yaml:1:3: the character U+202A is not allowed"},
	{"the last isolate", "# \u2069", "t.yaml:1:3: the character U+2069 is not allowed"},
	{"the first mark of direction", "# \u200e", "t.yaml:1:3: the character U+200E is not allowed"},
	{"a paragraph separator", "# \u2029", "t.yaml:1:3: the character U+2029 is not allowed"},
	{"another change of direction", "# \u2066", "t.yaml:1:3: the character U+2066 is not allowed"},
	{"a mark of direction", "# \u200f", "t.yaml:1:3: the character U+200F is not allowed"},
	{"an Arabic mark", "# \u061c", "t.yaml:1:3: the character U+061C is not allowed"},
	{"a byte order mark", "\ufeffversion: 1", "t.yaml:1:1: the character U+FEFF is not allowed"},
	{"an escape", "version: 1\nname: \"t\\e\"\nrules:\n" + rule, "t.yaml:2:7: the text has a character that nobody sees"},
	{"a space of no width", "version: 1\nname: \"t\u200b\"\nrules:\n" + rule, "t.yaml:2:7: the text has a character that nobody sees"},
	{"too deep", strings.Repeat("[", 18) + strings.Repeat("]", 18), "t.yaml:1:18: this is nested too deeply"},
	{"a long text", "version: 1\nname: " + strings.Repeat("n", 4097), "t.yaml:2:7: a text has at most 4096 bytes"},
	{"too large", strings.Repeat("#", 256<<10) + "#", "t.yaml:1:1: a document has at most 262144 bytes"},

	{"a rule that is a word", head + "  - r\n", "t.yaml:4:5: want fields here: approve, auto_approve, break_glass, description, effect, limits, match, name, require, when, who\nt.yaml:4:5: who is missing: only a rule that denies is for everybody\nt.yaml:4:5: limits is missing, with its max_duration"},
	{"a rule without anything", head + "  - {}\n", "t.yaml:4:5: name is missing\nt.yaml:4:5: match is missing\nt.yaml:4:5: who is missing: only a rule that denies is for everybody\nt.yaml:4:5: limits is missing, with its max_duration"},
	{"a rule's name", with(rule, "name: r", "name: R"), `t.yaml:4:11: "R": want 1 to 63 characters of a-z, 0-9, . _ -`},
	{"an effect", with(rule, "name: r", "name: r\n    effect: maybe"), `t.yaml:5:13: "maybe": want allow or deny`},
	{"a match of nothing", with(rule, "match:\n      pools: [\"*/*\"]", "match: {}"), "t.yaml:5:12: match names pools, environments or tags"},
	{"a match that is a list", with(rule, "match:\n      pools: [\"*/*\"]", "match: []"), "t.yaml:5:12: want fields here: environments, pools, tags"},
	{"no pools", with(rule, `["*/*"]`, "[]"), "t.yaml:6:14: the list is empty; leave the field out"},
	{"a pool without environment", with(rule, `["*/*"]`, "[web]"), `t.yaml:6:15: "web": want <environment>/<pool>, with * for any run of characters but the slash`},
	{"a pool with two slashes", with(rule, `["*/*"]`, "[a/b/c]"), `t.yaml:6:15: "a/b/c": want <environment>/<pool>, with * for any run of characters but the slash`},
	{"a pool twice", with(rule, `["*/*"]`, "[a/b, c/d, a/b]"), `t.yaml:6:25: "a/b" stands here twice`},
	{"101 pools", with(rule, `["*/*"]`, "["+strings.Repeat("a/b,", 101)+"]"), `t.yaml:6:14: a list has at most 100 elements here`},
	{"an environment with a slash", with(rule, `pools: ["*/*"]`, "environments: [a/b]"), `t.yaml:6:22: "a/b": want an environment, with * for any run of characters`},
	{"an environment of 32", with(rule, `pools: ["*/*"]`, "environments: ["+strings.Repeat("e", 32)+"]"), `t.yaml:6:22: "` + strings.Repeat("e", 32) + `": want an environment, with * for any run of characters`},
	{"a long tag", with(rule, `pools: ["*/*"]`, "tags: ["+strings.Repeat("t", 129)+"]"), `t.yaml:6:14: "` + strings.Repeat("t", 64) + `...": want a tag, at most 128 bytes`},
	{"a tag of two lines", with(rule, `pools: ["*/*"]`, `tags: ["a\nb"]`), `t.yaml:6:14: want a text of one line`},
	{"who is nobody", with(rule, "{groups: [dev]}", "{}"), "t.yaml:7:10: who names groups, users, services or agents"},
	{"who is a word", with(rule, "{groups: [dev]}", "dev"), "t.yaml:7:10: want fields here: agents, groups, services, users"},
	{"a group that is a truth value", with(rule, "[dev]", "[true]"), "t.yaml:7:20: want a text; put it in quotes"},
	{"a long group", with(rule, "[dev]", "["+strings.Repeat("g", 257)+"]"), `t.yaml:7:20: "` + strings.Repeat("g", 64) + `...": want the name of a group, at most 256 bytes`},
	{"a user in capitals", with(rule, "groups: [dev]", "users: [Alice@example.com]"), `t.yaml:7:19: "Alice@example.com": want a lower-case e-mail address`},
	{"a user that is an agent", with(rule, "groups: [dev]", "users: ['agent:a']"), `t.yaml:7:19: "agent:a": want a lower-case e-mail address`},
	{"a service with its prefix", with(rule, "groups: [dev]", "services: ['service:a']"), `t.yaml:7:22: "service:a": want a service's name without prefix, of a-z, 0-9, . _ -`},
	{"any service", with(rule, "groups: [dev]", "services: ['*']"), `t.yaml:7:22: "*": want a service's name without prefix, of a-z, 0-9, . _ -`},
	{"a pattern of agents", with(rule, "groups: [dev]", "agents: ['a*']"), `t.yaml:7:20: "a*": want an agent's name without prefix, of a-z, 0-9, . _ -, or *`},
	{"nobody said", with(rule, "    who: {groups: [dev]}\n", ""), "t.yaml:4:5: who is missing: only a rule that denies is for everybody"},
	{"no condition", with(rule, "    limits", "    when: [{message: m}]\n    limits"), "t.yaml:8:12: condition is missing"},
	{"no message", with(rule, "    limits", "    when: [{condition: 'true'}]\n    limits"), "t.yaml:8:12: message is missing: the sentence that the requester sees"},
	{"a long message", with(rule, "    limits", "    when: [{condition: 'true', message: "+strings.Repeat("m", 301)+"}]\n    limits"), "t.yaml:8:12: message is missing: the sentence that the requester sees\nt.yaml:8:41: want a text of at most 300 bytes"},
	{"21 conditions", with(rule, "    limits", "    when: ["+strings.Repeat("{condition: 'true', message: m},", 21)+"]\n    limits"), "t.yaml:8:11: a list has at most 20 elements here"},

	{"no limits", head + strings.Split(rule, "    limits")[0], "t.yaml:4:5: limits is missing, with its max_duration"},
	{"no longest duration", with(rule, "max_duration: 1h", "max_total: 1h"), "t.yaml:9:7: max_duration is missing"},
	{"a duration without unit", with(rule, "1h", "3600"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"a duration in days", with(rule, "1h", "1d"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"half a second", with(rule, "1h", "500ms"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"one and a half", with(rule, "1h", "1500ms"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"no duration at all", with(rule, "1h", "0s"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"less than none", with(rule, "1h", "-1h"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"too long", with(rule, "1h", "720h0m1s"), "t.yaml:9:21: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"a default beyond the longest", limit("default_duration: 3601s"), "t.yaml:9:7: default_duration is longer than max_duration"},
	{"a total below the longest", limit("max_total: 3599s"), "t.yaml:9:7: max_total is shorter than max_duration"},
	{"none at a time", limit("max_concurrent: 0"), "t.yaml:10:23: want a whole number from 1 to 1000"},
	{"too many at a time", limit("max_concurrent: 1001"), "t.yaml:10:23: want a whole number from 1 to 1000"},
	{"a broken number", limit("max_concurrent: 1.5"), "t.yaml:10:23: want a whole number from 1 to 1000"},
	{"no waiting", limit("pending_for: 0s"), "t.yaml:10:20: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},
	{"a window in the past", limit("start_within: -1s"), "t.yaml:10:21: want a duration of whole seconds like 90m or 4h, from 0s to 720h"},
	{"no hours", limit("hours: []"), "t.yaml:10:14: the list is empty; leave the field out"},
	{"hours without an end", limit(`hours: [{from: "09:00"}]`), "t.yaml:10:15: to is missing"},
	{"hours without a beginning", limit(`hours: [{to: "09:00"}]`), "t.yaml:10:15: from is missing"},
	{"hours without an end, from the first minute", limit(`hours: [{from: "00:01"}]`), "t.yaml:10:15: to is missing"},
	{"hours without a beginning, to the first minute", limit(`hours: [{to: "00:01"}]`), "t.yaml:10:15: from is missing"},
	{"hours of no length at midnight", limit(`hours: [{from: "00:00", to: "00:00"}]`), `t.yaml:10:15: from and to are the same; the whole day is from "00:00" to "24:00"`},
	{"hours of no length", limit(`hours: [{from: "09:00", to: "09:00"}]`), `t.yaml:10:15: from and to are the same; the whole day is from "00:00" to "24:00"`},
	{"a beginning at the end of the day", limit(`hours: [{from: "24:00", to: "09:00"}]`), `t.yaml:10:22: "24:00": want a time of the day like "09:00"`},
	{"a time past the day", limit(`hours: [{from: "09:00", to: "24:01"}]`), `t.yaml:10:35: "24:01": want a time of the day like "09:00"`},
	{"minute 60", limit(`hours: [{from: "09:60", to: "24:00"}]`), `t.yaml:10:22: "09:60": want a time of the day like "09:00"`},
	{"one digit", limit(`hours: [{from: "9:00", to: "24:00"}]`), `t.yaml:10:22: "9:00": want a time of the day like "09:00"`},
	{"a day that is none", limit(`hours: [{from: "09:00", to: "24:00", days: [holiday]}]`), `t.yaml:10:51: "holiday": want mon, tue, wed, thu, fri, sat or sun`},
	{"hours in no zone", limit(`hours: [{from: "09:00", to: "24:00", time_zone: Mars}]`), `t.yaml:10:55: "Mars": want a time zone like Europe/Berlin`},

	{"an input without a name", more("require: [{title: T}]"), "t.yaml:10:15: name is missing"},
	{"an input's name", more("require: [{name: 1a}]"), `t.yaml:10:22: "1a": want a letter of a-z, then at most 31 of a-z, 0-9, _`},
	{"an input twice", more("require: [{name: a}, {name: a}]"), `t.yaml:10:26: a is asked for twice`},
	{"21 inputs", more("require: [" + strings.Repeat("{name: a},", 21) + "]"), `t.yaml:10:14: a list has at most 20 elements here`},
	{"a choice twice", more("require: [{name: a, choices: [x, x]}]"), `t.yaml:10:38: "x" stands here twice`},
	{"no choice", more("require: [{name: a, choices: []}]"), `t.yaml:10:34: the list is empty; leave the field out`},
	{"a long choice", more("require: [{name: a, choices: [" + strings.Repeat("x", 1001) + "]}]"), `t.yaml:10:35: "` + strings.Repeat("x", 64) + `...": want at most 1000 bytes`},
	{"optional perhaps", more("require: [{name: a, optional: 'yes'}]"), `t.yaml:10:35: want true or false`},

	{"approval by nobody", more("approve: {}"), "t.yaml:10:14: approve has one of all_of and any_of"},
	{"approval by a word", more("approve: sre"), "t.yaml:10:14: want fields here: all_of, any_of, ordered"},
	{"approval both ways", more("approve: {any_of: [{group: a}], all_of: [{group: a}]}"), "t.yaml:10:14: approve has one of all_of and any_of"},
	{"one of several, in order", more("approve: {any_of: [{group: a}], ordered: true}"), "t.yaml:10:14: ordered has no meaning with any_of"},
	{"a step without group", more("approve: {all_of: [{count: 2}]}"), "t.yaml:10:24: an approval is by one of group and groups"},
	{"a step with both", more("approve: {all_of: [{group: a, groups: [b]}]}"), "t.yaml:10:24: an approval is by one of group and groups"},
	{"a step of a word", more("approve: {all_of: [a]}"), "t.yaml:10:24: want fields here: count, group, groups"},
	{"any of any", more("approve: {any_of: [{any_of: [{group: a}]}]}"), "t.yaml:10:24: an approval is by one of group and groups\nt.yaml:10:25: unknown field \"any_of\"; here are: count, group, groups"},
	{"any of, and a group", more("approve: {all_of: [{any_of: [{group: a}], group: b}]}"), `t.yaml:10:47: unknown field "group"; here are: any_of`},
	{"nobody of a group", more("approve: {all_of: [{group: a, count: 0}]}"), "t.yaml:10:42: want a whole number from 1 to 20"},
	{"a crowd", more("approve: {all_of: [{group: a, count: 21}]}"), "t.yaml:10:42: want a whole number from 1 to 20"},
	{"nine steps", more("approve: {all_of: [" + strings.Repeat("{group: a},", 9) + "]}"), "t.yaml:10:23: a list has at most 8 elements here"},
	{"more people than a vote may have", more("approve: {all_of: [{group: a, count: 20}, {group: b, count: 20}, {group: c, count: 20}, {any_of: [{group: d}, {group: e, count: 4}]}]}"), "t.yaml:10:14: the quorums of a vote are at most 64 people"},
	{"too many ways", more("approve: {all_of: [" + strings.Repeat("{any_of: [{group: a}, {group: b}, {group: c}]},", 4) + "]}"), "t.yaml:10:14: a vote has at most 64 ways to come out"},
	{"automatic without approval", more("auto_approve: [{condition: 'true'}]"), "t.yaml:10:19: auto_approve has no meaning without approve"},
	{"an emergency of nobody", more("break_glass: {max_duration: 1h, review: {groups: [a], within: 1h}}"), "t.yaml:10:18: groups is missing"},
	{"an emergency without end", more("break_glass: {groups: [a], review: {groups: [a], within: 1h}}"), "t.yaml:10:18: max_duration is missing"},
	{"an emergency without review", more("break_glass: {groups: [a], max_duration: 1h}"), "t.yaml:10:18: review is missing"},
	{"a review by nobody", more("break_glass: {groups: [a], max_duration: 1h, review: {within: 1h}}"), "t.yaml:10:58: groups is missing"},
	{"a review some day", more("break_glass: {groups: [a], max_duration: 1h, review: {groups: [a]}}"), "t.yaml:10:58: within is missing"},
	{"a review at once", more("break_glass: {groups: [a], max_duration: 1h, review: {groups: [a], within: 0s}}"), "t.yaml:10:80: want a duration of whole seconds like 90m or 4h, from 1s to 720h"},

	{"a denial without a word", with(deny, "    description: Not now\n", ""), "t.yaml:4:5: a rule that denies needs a description, or a message of a condition: the requester sees it"},
	{"a denial for a time", with(deny, "    match", "    limits: {max_duration: 1h}\n    match"), "t.yaml:7:13: limits has no meaning in a rule that denies"},
	{"a denial with questions", with(deny, "    match", "    require: [{name: a}]\n    match"), "t.yaml:7:14: require has no meaning in a rule that denies"},
	{"a denial with approval", with(deny, "    match", "    approve: {any_of: [{group: a}]}\n    match"), "t.yaml:7:14: approve has no meaning in a rule that denies"},
	{"a denial without approval", with(deny, "    match", "    auto_approve: [{condition: 'true'}]\n    match"), "t.yaml:7:19: auto_approve has no meaning in a rule that denies"},
	{"a denial in an emergency", with(deny, "    match", "    break_glass: {groups: [a], max_duration: 1h, review: {groups: [a], within: 1h}}\n    match"), "t.yaml:7:18: break_glass has no meaning in a rule that denies"},

	{"no test", head + rule + "tests: []\n", "t.yaml:10:8: the list is empty; leave the field out"},
	{"a test of nothing", head + rule + "tests: [{}]\n", "t.yaml:10:9: name is missing\nt.yaml:10:9: subject is missing\nt.yaml:10:9: request is missing\nt.yaml:10:9: expect is missing"},
	{"a test by nobody", test("alice@example.com", "alice"), `t.yaml:12:21: "alice": want a lower-case e-mail address, service:<name> or agent:<name>`},
	{"a test by an agent of nobody", test("alice@example.com", `"agent:a"`), `t.yaml:11:5: an agent has an owner, and nobody else has one`},
	{"a test by somebody's somebody", test("    request", "    owner: {name: bob@example.com}\n    request"), `t.yaml:11:5: an agent has an owner, and nobody else has one`},
	{"a test by an agent's agent", test("    request", "    owner: {name: 'agent:b'}\n    request"), `t.yaml:13:19: "agent:b": want a lower-case e-mail address`},
	{"a test of no pool", test("{pool: prod/web}", "{for: 1h}"), `t.yaml:13:14: pool is missing`},
	{"a test of all pools", test("{pool: prod/web}", `{pool: "prod/*"}`), `t.yaml:13:21: "prod/*": want <environment>/<pool>`},
	{"a test at no time", test("prod/web}", "prod/web, at: 10:00}"), `t.yaml:13:35: want a time like 2026-03-02T10:00:00+01:00`},
	{"a test with answers that are a list", test("prod/web}", "prod/web, inputs: [a]}"), `t.yaml:13:39: want the inputs' names and answers`},
	{"a test with an answer that is a number", test("prod/web}", "prod/web, inputs: {a: 1}}"), `t.yaml:13:43: want a text; put it in quotes`},
	{"a test with an answer twice", test("prod/web}", "prod/web, inputs: {a: x, a: x}}"), `t.yaml:13:46: a stands here twice`},
	{"a test with an answer to no input", test("prod/web}", "prod/web, inputs: {A: x}}"), `t.yaml:13:40: "A": want the name of an input`},
	{"a test of half a day that is open", test("prod/web}", "prod/web, open: [prod]}"), `t.yaml:13:38: "prod": want <environment>/<pool>`},
	{"a test that expects something else", test("decision: allow", "decision: perhaps"), `t.yaml:14:24: "perhaps": want allow, approval or deny`},
	{"a test that expects nothing", test("decision: allow", "rule: r"), `t.yaml:14:13: decision is missing`},
	{"a test with a long reason", test("prod/web}", "prod/web, reason: "+strings.Repeat("r", 1001)+"}"), `t.yaml:13:39: want a text of at most 1000 bytes`},
}

// with is a document of one rule, the text with old replaced by new.
func with(text, old, replacement string) string {
	if !strings.Contains(text, old) {
		panic("there is no " + old)
	}
	return head + strings.Replace(text, old, replacement, 1)
}

// limit adds a limit in line 10, more a field in line 10, and test changes the test.
func limit(line string) string { return head + rule + "      " + line + "\n" }
func more(line string) string  { return head + rule + "    " + line + "\n" }
func test(old, replacement string) string {
	return head + rule + strings.TrimPrefix(with(testOfIt, old, replacement), head)
}

// padded is a document of that many bytes, by a comment at its end.
func padded(text string, size int) string { return text + "#" + strings.Repeat(".", size-len(text)-1) }

func TestAWrongDocumentIsRefusedWithThePlacesOfAllThatIsWrong(t *testing.T) {
	for _, c := range wrongDocuments {
		t.Run(c.name, func(t *testing.T) {
			doc, err := policy.Parse("t.yaml", []byte(c.text))
			if err == nil {
				t.Fatalf("accepted as %+v", doc)
			}
			if doc != nil {
				t.Error("a document beside the error")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			var list policy.Errors
			if !errors.As(err, &list) || len(list) != strings.Count(c.want, "\n")+1 {
				t.Errorf("%T with %d problems", err, len(list))
			}
		})
	}
}

// The same texts without what is wrong with them; they hold the bounds from the other side.
func TestARightDocumentIsAccepted(t *testing.T) {
	long := strings.Repeat
	for name, text := range map[string]string{
		"a rule":               head + rule,
		"a denial":             head + deny,
		"a test":               head + rule + testOfIt,
		"carriage returns":     strings.ReplaceAll(head+rule, "\n", "\r\n"),
		"umlauts in a comment": "# \u00e4\u00f6\u00fc\u00df\t\u2713\n" + head + rule,
		"a space that does not break, in a comment":  "# \u00a0\n" + head + rule,
		"characters beside those that are not shown": "# \u200d \u2010 \u2027 \u202f \u2065 \u206a \u061b \u061d\n" + head + rule,
		"256 KiB":                padded(head+rule, 256<<10),
		"a tag of 128 in a test": test("prod/web}", "prod/web, tags: ["+long("t", 128)+"]}"),
		"a name of 63":           "version: 1\nname: " + long("n", 63) + "\nrules:\n" + rule,
		"an environment of 31":   with(rule, `pools: ["*/*"]`, "environments: ["+long("e", 31)+"]"),
		"a tag of 128":           with(rule, `pools: ["*/*"]`, "tags: ["+long("t", 128)+"]"),
		"a group of 256":         with(rule, "[dev]", "["+long("g", 256)+"]"),
		"a text of 4096":         with(rule, "name: r", "name: r\n    description: "+long("d", 4096)),
		"a choice of 1000":       more("require: [{name: a, choices: [" + long("x", 1000) + "]}]"),
		"a message of 300":       more("require: [{name: a, message: " + long("x", 300) + "}]"),
		"720h":                   with(rule, "1h", "720h"),
		"a second":               with(rule, "1h", "1s"),
		"as long as the longest": limit("default_duration: 1h"),
		"in all as the longest":  limit("max_total: 1h"),
		"1000 at a time":         limit("max_concurrent: 1000"),
		"one at a time":          limit("max_concurrent: 1"),
		"now or never":           limit("start_within: 0s"),
		"the whole day":          limit(`hours: [{from: "00:00", to: "24:00"}]`),
		"until midnight":         limit(`hours: [{from: "23:59", to: "00:00"}]`),
		"unquoted hours":         limit(`hours: [{from: 09:00, to: 18:00}]`),
		"20 conditions":          with(rule, "    limits", "    when: ["+long("{condition: 'true', message: m},", 20)+"]\n    limits"),
		"64 people":              more("approve: {all_of: [{group: a, count: 20}, {group: b, count: 20}, {group: c, count: 20}, {any_of: [{group: d}, {group: e, count: 3}]}]}"),
		"64 ways":                more("approve: {all_of: [" + long("{any_of: [{group: a}, {group: b}, {group: c}, {group: d}]},", 3) + "]}"),
		"8 steps":                more("approve: {all_of: [" + long("{group: a},", 8) + "]}"),
		"a denial with a message of its condition": with(deny, "    description: Not now\n", "    when: [{condition: 'false', message: Not now}]\n"),
		"a denial for some":                        with(deny, "    match", "    who: {agents: ['*']}\n    match"),
		"no groups in a test":                      test("[dev]", "[]")[:len(test("[dev]", "[]"))-len("allow}\n")] + "deny}\n",
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := policy.Parse("t.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if doc.File != "t.yaml" || doc.Name == "" {
				t.Errorf("%+v", doc)
			}
			if _, err := policy.Compile(doc); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoMoreThan50ProblemsAreTold(t *testing.T) {
	_, err := policy.Parse("t.yaml", []byte(head+strings.Repeat("  - {}\n", 1000)))
	var list policy.Errors
	if !errors.As(err, &list) || len(list) != 50 {
		t.Errorf("%d problems", len(list))
	}
}

func TestNoMoreRulesOrTestsThanMayBe(t *testing.T) {
	_, err := policy.Parse("t.yaml", []byte(head+strings.Repeat("  - {}\n", 2001)))
	if err == nil || err.Error() != "t.yaml:4:3: a list has at most 2000 elements here" {
		t.Error(err)
	}
	_, err = policy.Parse("t.yaml", []byte(head+rule+"tests:\n"+strings.Repeat("  - {}\n", 2001)))
	if err == nil || err.Error() != "t.yaml:11:3: a list has at most 2000 elements here" {
		t.Error(err)
	}
}

// The document of the manual, with every field, and its tests.
func TestADocumentWithEveryFieldCompilesAndPassesItsTests(t *testing.T) {
	raw, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compile(t, string(raw))
}
