package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// monday is ten o'clock in London, eleven in Berlin.
var monday = time.Date(2026, time.March, 2, 10, 0, 0, 0, time.UTC)

// ask is alice's request for an hour, changed.
func ask(changes ...func(*policy.Request)) policy.Request {
	r := policy.Request{
		Subject: "alice@example.com", Groups: []string{"dev"}, Pool: grant.Pool{Environment: "prod", Name: "web"},
		Duration: time.Hour, At: monday, Reason: "to look",
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

type change = func(*policy.Request)

func as(s grant.Subject, groups ...string) change {
	return func(r *policy.Request) { r.Subject, r.Groups = s, groups }
}

func owned(s grant.Subject, groups ...string) change {
	return func(r *policy.Request) { r.Owner, r.OwnerGroups = s, groups }
}

func pool(full string, tags ...string) change {
	p, err := grant.ParsePool(full)
	if err != nil {
		panic(err)
	}
	return func(r *policy.Request) { r.Pool, r.Tags = p, tags }
}

func lasting(d time.Duration) change { return func(r *policy.Request) { r.Duration = d } }
func inAll(d time.Duration) change   { return func(r *policy.Request) { r.Total = d } }
func startingIn(d time.Duration) change {
	return func(r *policy.Request) { r.StartsAt = r.At.Add(d) }
}
func at(t time.Time) change     { return func(r *policy.Request) { r.At = t } }
func urgent(r *policy.Request)  { r.BreakGlass = true }
func longer(r *policy.Request)  { r.Extension = true }
func because(why string) change { return func(r *policy.Request) { r.Reason = why } }
func given(name, answer string) change {
	return func(r *policy.Request) {
		if r.Inputs == nil {
			r.Inputs = map[string]string{}
		}
		r.Inputs[name] = answer
	}
}

func open(pools ...string) change {
	return func(r *policy.Request) {
		for _, full := range pools {
			p, err := grant.ParsePool(full)
			if err != nil {
				panic(err)
			}
			r.Open = append(r.Open, p)
		}
	}
}

// allowing is a rule for dev and every pool, with lines added.
func allowing(name string, lines ...string) string {
	return "  - name: " + name + "\n    match: {pools: ['*/*']}\n    who: {groups: [dev]}\n    limits: {max_duration: 4h, default_duration: 1h}\n" + indented(lines)
}

// limiting is the same with lines added to its limits.
func limiting(name string, lines ...string) string {
	return "  - name: " + name + "\n    match: {pools: ['*/*']}\n    who: {groups: [dev]}\n    limits:\n      max_duration: 4h\n" + indented(lines)
}

func denying(name string, lines ...string) string {
	return "  - name: " + name + "\n    effect: deny\n    description: Not with " + name + "\n    match: {pools: ['*/*']}\n" + indented(lines)
}

func indented(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("    " + l + "\n")
	}
	return b.String()
}

// matching is a rule for dev with a match of its own, whom one for everything with a who of its own.
func matching(match string) string {
	return "  - {name: r, match: " + match + ", who: {groups: [dev]}, limits: {max_duration: 4h}}\n"
}
func whom(who string) string {
	return "  - {name: r, match: {pools: ['*/*']}, who: " + who + ", limits: {max_duration: 4h}}\n"
}

const (
	atOnce    = "No approval is needed: you have access at once, for 1 hour."
	nothing   = "No rule of the policy gives access to this pool."
	inNoGroup = "No rule of the policy names you for this pool; groups are for people."
	unchecked = "A condition for this access could not be checked, and so it is not given."
	blind     = "A rule that denies access could not be checked, and so it denies."
	emergency = "break_glass: {groups: [oncall], max_duration: 30m, notify: [security, boss@example.com], review: {groups: [audit, sec], within: 24h}}"
	ticket    = `require: [{name: ticket, title: The number, condition: 'inputs.ticket.matches("^INC[0-9]+$")', message: You must give a number}]`
)

// decisions are policies and requests with the answers, by hand. An answer that begins with + is a yes.
var decisions = []struct {
	name    string
	rules   string
	request policy.Request
	rule    string
	want    string
}{
	// Match.
	{"a rule for everything", allowing("r"), ask(), "r", "+" + atOnce},
	{"a pool by name", matching(`{pools: [prod/web]}`), ask(), "r", "+" + atOnce},
	{"a pool by another name", matching(`{pools: [prod/web2]}`), ask(), "", nothing},
	{"a pool of another environment", matching(`{pools: [staging/web]}`), ask(), "", nothing},
	{"one of two pools", matching(`{pools: [staging/web, prod/web]}`), ask(), "r", "+" + atOnce},
	{"a star before", matching(`{pools: ["prod/*eb"]}`), ask(), "r", "+" + atOnce},
	{"a star behind", matching(`{pools: ["prod/we*"]}`), ask(), "r", "+" + atOnce},
	{"a star for nothing", matching(`{pools: ["prod/web*"]}`), ask(), "r", "+" + atOnce},
	{"a star within", matching(`{pools: ["p*d/w*b"]}`), ask(), "r", "+" + atOnce},
	{"stars around", matching(`{pools: ["*r*/*e*"]}`), ask(), "r", "+" + atOnce},
	{"parts in the wrong order", matching(`{pools: ["prod/*e*w*"]}`), ask(), "", nothing},
	{"a part used twice", matching(`{pools: ["prod/web*b"]}`), ask(), "", nothing},
	{"a part that follows at once", matching(`{pools: ["prod/a*b*c"]}`), ask(pool("prod/abc")), "r", "+" + atOnce},
	{"parts that overlap", matching(`{pools: ["prod/aba*ba"]}`), ask(pool("prod/aba")), "", nothing},
	{"parts that touch", matching(`{pools: ["prod/ab*a"]}`), ask(pool("prod/aba")), "r", "+" + atOnce},
	{"the first place of a part", matching(`{pools: ["prod/*ab*ab*"]}`), ask(pool("prod/xabxxabx")), "r", "+" + atOnce},
	{"a middle part that is not there", matching(`{pools: ["prod/w*x*b"]}`), ask(), "", nothing},
	{"a middle part that has no room left", matching(`{pools: ["prod/w*eb*b"]}`), ask(), "", nothing},
	{"a star does not cross the slash", matching(`{pools: ["prod*/web"]}`), ask(pool("prod/x")), "", nothing},
	{"another beginning", matching(`{pools: ["prod/x*"]}`), ask(), "", nothing},
	{"another end", matching(`{pools: ["prod/*x"]}`), ask(), "", nothing},
	{"an environment", matching(`{environments: [prod]}`), ask(), "r", "+" + atOnce},
	{"an environment by pattern", matching(`{environments: [x, "pr*"]}`), ask(), "r", "+" + atOnce},
	{"another environment", matching(`{environments: [staging]}`), ask(), "", nothing},
	{"a tag", matching(`{tags: [a, pci]}`), ask(pool("prod/web", "x", "pci")), "r", "+" + atOnce},
	{"another tag", matching(`{tags: [pci]}`), ask(pool("prod/web", "pc", "pcii")), "", nothing},
	{"no tag", matching(`{tags: [pci]}`), ask(), "", nothing},
	{"a pool, an environment and a tag", matching(`{pools: ["*/web"], environments: [prod], tags: [pci]}`), ask(pool("prod/web", "pci")), "r", "+" + atOnce},
	{"all but the pool", matching(`{pools: ["*/x"], environments: [prod], tags: [pci]}`), ask(pool("prod/web", "pci")), "", nothing},
	{"all but the environment", matching(`{pools: ["*/web"], environments: [x], tags: [pci]}`), ask(pool("prod/web", "pci")), "", nothing},
	{"all but the tag", matching(`{pools: ["*/web"], environments: [prod], tags: [pci]}`), ask(pool("prod/web", "x")), "", nothing},

	// Who.
	{"one of the groups", whom(`{groups: [a, dev]}`), ask(as("alice@example.com", "x", "dev")), "r", "+" + atOnce},
	{"no group", whom(`{groups: [a, b]}`), ask(as("alice@example.com")), "", "You must be a member of a or b."},
	{"other groups", whom(`{groups: [a, b, c]}`), ask(), "", "You must be a member of a, b or c."},
	{"a person by name", whom(`{users: [alice@example.com]}`), ask(as("alice@example.com")), "r", "+" + atOnce},
	{"another person", whom(`{users: [alice@example.com]}`), ask(as("bob@example.com", "dev")), "", "No rule of the policy gives you access to this pool."},
	{"a service", whom(`{services: [deploy-bot]}`), ask(as("service:deploy-bot")), "r", "+" + atOnce},
	{"an agent of a service's name", whom(`{services: [deploy-bot]}`), ask(as("agent:deploy-bot")), "", "No rule of the policy gives you access to this pool."},
	{"an agent", whom(`{agents: [triage]}`), ask(as("agent:triage")), "r", "+" + atOnce},
	{"another agent", whom(`{agents: [triage]}`), ask(as("agent:other")), "", "No rule of the policy gives you access to this pool."},
	{"a service of an agent's name", whom(`{agents: [triage]}`), ask(as("service:triage")), "", "No rule of the policy gives you access to this pool."},
	{"any agent", whom(`{agents: ["*"]}`), ask(as("agent:other")), "r", "+" + atOnce},
	{"any agent is no person", whom(`{agents: ["*"]}`), ask(as("alice@example.com")), "", "No rule of the policy gives you access to this pool."},
	{"an owner's group is not the agent's", whom(`{groups: [dev]}`), ask(as("agent:a"), owned("alice@example.com", "dev")), "", inNoGroup},
	{"a service of a group", whom(`{groups: [dev]}`), ask(as("service:deploy-bot")), "", inNoGroup},
	{"a service where others are named", whom(`{groups: [dev], services: [other-bot]}`), ask(as("service:deploy-bot")), "", inNoGroup},
	{"a group or a name", whom(`{groups: [x], users: [alice@example.com]}`), ask(), "r", "+" + atOnce},
	{"groups of several rules", whom("{groups: [b]}") + strings.Replace(whom("{groups: [a, b]}"), "name: r", "name: s", 1), ask(), "", "You must be a member of b or a."},
	{"groups of a rule for another pool", strings.Replace(matching("{pools: [x/x]}"), "dev", "nobody", 1) + strings.Replace(whom("{users: [bob@example.com]}"), "name: r", "name: s", 1), ask(), "", "No rule of the policy gives you access to this pool."},
	{"ten groups", whom("{groups: [a, b, c, d, e, f, g, h, i, j]}"), ask(), "", "You must be a member of a, b, c, d, e, f, g, h, i or j."},
	{"eleven groups", whom("{groups: [a, b, c, d, e, f, g, h, i, j, k]}"), ask(), "", "You must be a member of one of 11 groups, among them a, b, c, d, e, f, g, h, i and j."},

	// Limits.
	{"the longest", allowing("r"), ask(lasting(4 * time.Hour)), "r", "+No approval is needed: you have access at once, for 4 hours."},
	{"a second more", allowing("r"), ask(lasting(4*time.Hour + time.Second)), "r", "You must ask for at most 4 hours."},
	{"one second", allowing("r"), ask(lasting(time.Second)), "r", "+No approval is needed: you have access at once, for 1 second."},
	{"less than a second", allowing("r"), ask(lasting(time.Second - 1)), "r", "You must ask for at least 1 second."},
	{"less than nothing", allowing("r"), ask(lasting(-time.Hour)), "r", "You must ask for at least 1 second."},
	{"a broken second", allowing("r"), ask(lasting(1500 * time.Millisecond)), "r", "You must ask for whole seconds."},
	{"no duration is the default", allowing("r"), ask(lasting(0)), "r", "+" + atOnce},
	{"the longest is the default's default", limiting("r"), ask(lasting(0)), "r", "+No approval is needed: you have access at once, for 4 hours."},
	{"in all", limiting("r", "  max_total: 6h"), ask(inAll(6 * time.Hour)), "r", "+" + atOnce},
	{"more in all", limiting("r", "  max_total: 6h"), ask(inAll(6*time.Hour + time.Second)), "r", "You must ask for less: access may be open for at most 6 hours in all, with what it is made longer by."},
	{"a total is not less than its part", limiting("r", "  max_total: 4h"), ask(lasting(5*time.Hour), inAll(time.Hour)), "r", "You must ask for at most 4 hours. You must ask for less: access may be open for at most 4 hours in all, with what it is made longer by."},
	{"no bound in all", limiting("r"), ask(inAll(9000 * time.Hour)), "r", "+" + atOnce},
	{"room for one more", limiting("r", "  max_concurrent: 2"), ask(open("prod/a")), "r", "+" + atOnce},
	{"no room", limiting("r", "  max_concurrent: 2"), ask(open("prod/a", "prod/a")), "r", "You must give back other access first: you have 2 here, and the most at a time is 2."},
	{"no room at all", limiting("r", "  max_concurrent: 2"), ask(open("prod/a", "prod/b", "prod/c")), "r", "You must give back other access first: you have 3 here, and the most at a time is 2."},
	{"other pools do not count", "  - {name: r, match: {pools: ['prod/*'], environments: [prod]}, who: {groups: [dev]}, limits: {max_duration: 4h, max_concurrent: 1}}\n", ask(open("staging/web")), "r", "+" + atOnce},
	{"tags of other pools are not known", "  - {name: r, match: {tags: [pci]}, who: {groups: [dev]}, limits: {max_duration: 4h, max_concurrent: 1}}\n", ask(pool("prod/web", "pci"), open("staging/web")), "r", "You must give back other access first: you have 1 here, and the most at a time is 1."},
	{"no bound at a time", limiting("r"), ask(open("prod/a", "prod/b", "prod/c")), "r", "+" + atOnce},
	{"a window in a week", limiting("r"), ask(startingIn(168 * time.Hour)), "r", "+No approval is needed: you have access when its time comes, for 1 hour."},
	{"a window beyond a week", limiting("r"), ask(startingIn(168*time.Hour + 1)), "r", "You must begin within 7 days."},
	{"a window within bounds", limiting("r", "  start_within: 36h"), ask(startingIn(36 * time.Hour)), "r", "+No approval is needed: you have access when its time comes, for 1 hour."},
	{"a window out of bounds", limiting("r", "  start_within: 36h"), ask(startingIn(36*time.Hour + 1)), "r", "You must begin within 36 hours."},
	{"no window", limiting("r", "  start_within: 0s"), ask(startingIn(1)), "r", "You must begin at once."},
	{"now, without windows", limiting("r", "  start_within: 0s"), ask(startingIn(0)), "r", "+" + atOnce},
	{"a window that has begun", limiting("r", "  start_within: 0s"), ask(startingIn(-time.Hour)), "r", "+" + atOnce},

	// Conditions.
	{"a condition", allowing("r", "when: [{condition: 'request.reason == \"to look\"', message: m}]"), ask(), "r", "+" + atOnce},
	{"a condition that is not met", allowing("r", "when: [{condition: 'request.reason != \"to look\"', message: You must look}]"), ask(), "r", "You must look."},
	{"a message with its end", allowing("r", "when: [{condition: 'false', message: \"Really?\"}]"), ask(), "r", "Really?"},
	{"two conditions", allowing("r", "when: [{condition: 'false', message: One}, {condition: 'true', message: Two}, {condition: 'false', message: Three!}]"), ask(), "r", "One. Three!"},
	{"two conditions of one message", allowing("r", "when: [{condition: 'false', message: One}, {condition: '1 > 2', message: One}]"), ask(), "r", "One."},
	{"a condition that fails", allowing("r", "when: [{condition: 'int(request.reason) > 1', message: m}]"), ask(), "r", unchecked},
	{"a condition of an owner who is not there", allowing("r", "when: [{condition: 'owner.name == \"\"', message: m}]"), ask(), "r", unchecked},
	{"all that is missing", allowing("r", "when: [{condition: 'false', message: One}]", ticket), ask(lasting(5*time.Hour), startingIn(169*time.Hour)), "r", "You must ask for at most 4 hours. You must begin within 7 days. One. You must give a number."},

	// Inputs.
	{"an answer", allowing("r", ticket), ask(given("ticket", "INC1")), "r", "+" + atOnce},
	{"no answer", allowing("r", ticket), ask(), "r", "You must give a number."},
	{"an empty answer", allowing("r", ticket), ask(given("ticket", "")), "r", "You must give a number."},
	{"another answer", allowing("r", ticket), ask(given("ticket", "no")), "r", "You must give a number."},
	{"an answer to something else", allowing("r", ticket), ask(given("other", "INC1")), "r", "You must give a number."},
	{"the longest answer", allowing("r", "require: [{name: a}]"), ask(given("a", strings.Repeat("x", 1000))), "r", "+" + atOnce},
	{"a longer answer", allowing("r", "require: [{name: a}]"), ask(given("a", strings.Repeat("x", 1001))), "r", `You must fill in "a".`},
	{"a title for want of a message", allowing("r", "require: [{name: a, title: Why}]"), ask(), "r", `You must fill in "Why".`},
	{"a choice", allowing("r", "require: [{name: a, choices: [x, y]}]"), ask(given("a", "y")), "r", "+" + atOnce},
	{"no choice", allowing("r", "require: [{name: a, choices: [x, y]}]"), ask(given("a", "z")), "r", `You must fill in "a".`},
	{"not even one that is optional", allowing("r", "require: [{name: a, choices: [x, y], optional: true}]"), ask(given("a", "z")), "r", `You must fill in "a".`},
	{"optional", allowing("r", "require: [{name: a, optional: true, condition: 'inputs.a == \"x\"'}]"), ask(), "r", "+" + atOnce},
	{"optional and wrong", allowing("r", "require: [{name: a, optional: true, condition: 'inputs.a == \"x\"'}]"), ask(given("a", "y")), "r", `You must fill in "a".`},
	{"a condition on another answer", allowing("r", "require: [{name: a, condition: 'inputs.b == \"x\"'}, {name: b, optional: true}]"), ask(given("a", "y"), given("b", "x")), "r", "+" + atOnce},
	{"a condition on an answer that is missing", allowing("r", "require: [{name: a, condition: 'inputs.b == \"x\"'}, {name: b, optional: true}]"), ask(given("a", "y")), "r", unchecked},
	{"an answer that nobody asked for is not seen", allowing("r", "when: [{condition: '!has(inputs.b) && inputs.size() == 1', message: m}]", "require: [{name: a}]"), ask(given("a", "y"), given("b", "x")), "r", "+" + atOnce},
	{"answers of another rule are not seen", allowing("r", "when: [{condition: 'false', message: m}]", "require: [{name: a}]") + allowing("s", "when: [{condition: 'inputs.size() == 0', message: m}]"), ask(given("a", "y")), "s", "+" + atOnce},

	// Several rules.
	{"the first that allows", allowing("a") + allowing("b"), ask(), "a", "+" + atOnce},
	{"the first that lacks nothing", allowing("a", "when: [{condition: 'false', message: m}]") + allowing("b"), ask(), "b", "+" + atOnce},
	{"the first that is about it explains", allowing("a", "when: [{condition: 'false', message: One}]") + allowing("b", "when: [{condition: 'false', message: Two}]"), ask(), "a", "One."},
	{"one that lacks a later thing", allowing("a", "when: [{condition: 'false', message: One}]") + allowing("b", ticket), ask(), "a", "One."},
	{"the duration of each rule", limiting("a", "  default_duration: 2h", "when: [{condition: 'request.duration != duration(\"2h\")', message: One}]") + limiting("b", "  default_duration: 3h", "when: [{condition: 'request.duration == duration(\"3h\") && request.total == duration(\"3h\")', message: Two}]"), ask(lasting(0)), "b", "+No approval is needed: you have access at once, for 3 hours."},

	// Denial.
	{"a denial", allowing("r") + denying("d"), ask(), "d", "Not with d."},
	{"a denial before", denying("d") + allowing("r"), ask(), "d", "Not with d."},
	{"a denial without anything else", denying("d"), ask(), "d", "Not with d."},
	{"a denial of what lacks something", allowing("r", ticket) + denying("d"), ask(), "d", "Not with d."},
	{"the first denial", denying("d", "when: [{condition: 'false'}]") + denying("e") + denying("f") + allowing("r"), ask(), "e", "Not with e."},
	{"a denial of another pool", allowing("r") + "  - {name: d, effect: deny, description: No, match: {pools: [prod/x]}}\n", ask(), "r", "+" + atOnce},
	{"a denial for others", allowing("r") + denying("d", "who: {groups: [ops]}"), ask(), "r", "+" + atOnce},
	{"a denial for them", allowing("r") + denying("d", "who: {groups: [ops]}"), ask(as("alice@example.com", "dev", "ops")), "d", "Not with d."},
	{"a denial for any agent", whom("{agents: ['*']}") + denying("d", "who: {agents: ['*']}"), ask(as("agent:a")), "d", "Not with d."},
	{"a message instead of the description", allowing("r") + denying("d", "when: [{condition: 'true'}, {condition: 'true', message: Never}]"), ask(), "d", "Never."},
	{"a denial whose conditions are not all met", allowing("r") + denying("d", "when: [{condition: 'true'}, {condition: 'false'}]"), ask(), "r", "+" + atOnce},
	{"a denial that cannot be checked", allowing("r") + denying("d", "when: [{condition: 'owner.name == \"x\"'}]"), ask(), "d", blind},
	{"a denial that cannot be checked, and more", allowing("r") + denying("d", "when: [{condition: 'owner.name == \"x\"'}, {condition: 'true'}]"), ask(), "d", blind},
	{"a denial that cannot be checked and is not met", allowing("r") + denying("d", "when: [{condition: 'owner.name == \"x\"'}, {condition: 'false'}]"), ask(), "r", "+" + atOnce},
	{"a denial that is not met and cannot be checked", allowing("r") + denying("d", "when: [{condition: 'false'}, {condition: 'owner.name == \"x\"'}]"), ask(), "r", "+" + atOnce},
	{"a denial of what the rule would give", limiting("r") + denying("d", "when: [{condition: 'request.duration > duration(\"2h\")'}]"), ask(lasting(0)), "d", "Not with d."},
	{"a denial of the total that the rule would give", limiting("r") + denying("d", "when: [{condition: 'request.total > duration(\"2h\")'}]"), ask(lasting(0)), "d", "Not with d."},
	{"a denial by an answer to the rule", allowing("r", "require: [{name: a}]") + denying("d", "when: [{condition: 'inputs.a == \"x\"'}]"), ask(given("a", "x")), "d", "Not with d."},
	{"no denial by an answer to the rule", allowing("r", "require: [{name: a}]") + denying("d", "when: [{condition: 'inputs.a == \"x\"'}]"), ask(given("a", "y")), "r", "+" + atOnce},
	{"a denial by an answer that nobody asked for", allowing("r") + denying("d", "when: [{condition: 'inputs.a == \"x\"'}]"), ask(given("a", "y")), "d", blind},
	{"a freeze but for emergencies", allowing("r", emergency) + denying("d", "when: [{condition: '!request.break_glass'}]"), ask(as("alice@example.com", "dev", "oncall")), "d", "Not with d."},

	// Emergencies.
	{"an emergency", allowing("r", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(30*time.Minute)), "r", "+You have access at once, in an emergency, for 30 minutes. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},
	{"an emergency of its own length", allowing("r", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(0)), "r", "+You have access at once, in an emergency, for 30 minutes. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},
	{"an emergency that is too long", allowing("r", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent), "r", "You must ask for at most 30 minutes."},
	{"an emergency longer than the rule", limiting("r", strings.Replace(emergency, "30m", "6h", 1)), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(6*time.Hour)), "r", "+You have access at once, in an emergency, for 6 hours. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},
	{"an emergency for somebody not on call", allowing("r", emergency), ask(urgent, lasting(time.Minute)), "r", "You must be a member of oncall to take access in an emergency."},
	{"an emergency for somebody on call alone", allowing("r", emergency), ask(as("alice@example.com", "oncall"), urgent, lasting(time.Minute)), "", "You must be a member of dev."},
	{"an emergency later", allowing("r", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute), startingIn(time.Hour)), "r", "You must begin at once in an emergency."},
	{"an emergency made longer", allowing("r", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute), longer), "r", "You must ask anew: access in an emergency is not made longer."},
	{"an emergency without telling anybody", allowing("r", strings.Replace(emergency, "notify: [security, boss@example.com], ", "", 1)), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "r", "+You have access at once, in an emergency, for 1 minute. A member of audit or sec will review it within 24 hours of its end."},
	{"an emergency past the approvals", allowing("r", "approve: {any_of: [{group: sre}]}", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "r", "+You have access at once, in an emergency, for 1 minute. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},
	{"no emergency", allowing("r"), ask(urgent), "", "No rule of the policy gives you access to this pool in an emergency."},
	{"no emergency here", matching("{pools: [prod/x]}"), ask(urgent), "", nothing},
	{"an emergency by the second rule", allowing("a") + allowing("b", emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "b", "+You have access at once, in an emergency, for 1 minute. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},
	{"an emergency is still asked for its inputs", allowing("r", ticket, emergency), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "r", "You must give a number."},
	{"an emergency is denied", allowing("r", emergency) + denying("d"), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "d", "Not with d."},
	{"a freeze in an emergency", allowing("r", emergency) + denying("d", "when: [{condition: '!request.break_glass'}]"), ask(as("alice@example.com", "dev", "oncall"), urgent, lasting(time.Minute)), "r", "+You have access at once, in an emergency, for 1 minute. security and boss@example.com will be told. A member of audit or sec will review it within 24 hours of its end."},

	// Approvals.
	{"one approval", allowing("r", "approve: {any_of: [{group: sre}]}"), ask(), "r", "+1 member of sre must approve; never yourself. The request waits for at most 24 hours."},
	{"one of two groups", allowing("r", "approve: {any_of: [{group: sre}, {group: ops, count: 2}]}"), ask(), "r", "+Either 1 member of sre or else 2 members of ops must approve; never yourself. The request waits for at most 24 hours."},
	{"two teams in order", allowing("r", "approve: {ordered: true, all_of: [{groups: [sre, ops], count: 2}, {group: security}]}"), ask(), "r", "+2 members of sre or ops and 1 member of security must approve, in this order; never yourself. The request waits for at most 24 hours."},
	{"two teams", allowing("r", "approve: {all_of: [{group: sre}, {group: security}]}"), ask(), "r", "+1 member of sre and 1 member of security must approve; never yourself. The request waits for at most 24 hours."},
	{"an order of one", allowing("r", "approve: {ordered: true, all_of: [{group: sre}]}"), ask(), "r", "+1 member of sre must approve; never yourself. The request waits for at most 24 hours."},
	{"three steps, one with a choice", allowing("r", "approve: {all_of: [{group: a}, {any_of: [{group: b}, {group: c}]}, {group: d}]}"), ask(), "r", "+1 member of a, either 1 member of b or else 1 member of c and 1 member of d must approve; never yourself. The request waits for at most 24 hours."},
	{"an agent's request", strings.Replace(allowing("r", "approve: {any_of: [{group: sre}]}"), "groups: [dev]", "agents: ['*']", 1), ask(as("agent:a"), owned("bob@example.com")), "r", "+1 member of sre must approve; never an agent or its owner. The request waits for at most 24 hours."},
	{"for a while", limiting("r", "  pending_for: 5400s", "approve: {any_of: [{group: sre}]}"), ask(), "r", "+1 member of sre must approve; never yourself. The request waits for at most 1 hour 30 minutes."},
	{"automatically", allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true', message: Short access is free}]"), ask(), "r", "+Short access is free. " + atOnce},
	{"automatically, without a word", allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true'}]"), ask(), "r", "+" + atOnce},
	{"automatically, with the first word", allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true'}, {condition: 'true', message: A}, {condition: 'true', message: B}]"), ask(), "r", "+A. " + atOnce},
	{"not automatically", allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'true'}, {condition: 'false'}]"), ask(), "r", "+1 member of sre must approve; never yourself. The request waits for at most 24 hours."},
	{"not automatically if it cannot be told", allowing("r", "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'owner.name == \"x\"'}]"), ask(), "r", "+1 member of sre must approve; never yourself. The request waits for at most 24 hours."},
	{"automatically by an answer", allowing("r", ticket, "approve: {any_of: [{group: sre}]}", "auto_approve: [{condition: 'inputs.ticket == \"INC1\"'}]") + denying("d", "when: [{condition: 'false'}]"), ask(given("ticket", "INC1")), "r", "+" + atOnce},
}

func TestDecisions(t *testing.T) {
	for _, c := range decisions {
		t.Run(c.name, func(t *testing.T) {
			p := compile(t, head+c.rules)
			d := p.Evaluate(t.Context(), c.request)
			got := d.Explanation
			if d.Allowed {
				got = "+" + got
			}
			if got != c.want || d.Rule != c.rule || d.TimedOut {
				t.Errorf("by %q: %s\nwant %q: %s", d.Rule, got, c.rule, c.want)
			}
			explained, findings := p.Explain(t.Context(), c.request)
			if diff := cmp.Diff(d, explained); diff != "" {
				t.Errorf("Explain decides otherwise: %s", diff)
			}
			if len(findings) != len(p.Rules()) {
				t.Errorf("%d findings for %d rules", len(findings), len(p.Rules()))
			}
			name, hash := p.Version()
			if d.Policy != name || d.Hash != hash || name != "t" || len(hash) != 64 {
				t.Errorf("policy %q %q, want %q %q", d.Policy, d.Hash, name, hash)
			}
			if !d.Allowed && (len(d.Steps) > 0 || d.BreakGlass) {
				t.Errorf("a refusal with %+v", d)
			}
		})
	}
}
