package decisions

import (
	"math/bits"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-access/clutch-haproxy-access/test/decisions/oracle"
)

const (
	alice  = "alice@example.com"
	bob    = "bob@example.com"
	carol  = "carol@example.com"
	audrey = "audrey@example.com"
)

var (
	people = []string{alice, bob, carol, audrey}
	// accounts log in as services. The first two act as agents.
	accounts = []string{"service:triage-login", "service:watch-login", "service:deployer"}
	groups   = []string{"eng", "sre", "leads", "security"}
	places   = []oracle.Place{
		{Environment: "prod", Pool: "billing"}, {Environment: "prod", Pool: "web"},
		{Environment: "staging", Pool: "web"}, {Environment: "lab", Pool: "box"},
	}
)

// organisation is who there is by the identity provider, which the gateway learns of by logins alone.
type organisation struct {
	groups map[string][]string // of each person, now
	agents map[string]oracle.Agent
	tags   map[oracle.Place][]string
	logins map[string][]login // of each person, oldest first
}

// login is what a token says.
type login struct {
	groups []string
	at     time.Time
}

func drawOrganisation(t *rapid.T) *organisation {
	o := &organisation{
		groups: map[string][]string{}, tags: map[oracle.Place][]string{}, logins: map[string][]login{},
		agents: map[string]oracle.Agent{
			accounts[0]: {Name: "agent:triage", Owner: pick(t, "owner of triage", people...)},
			accounts[1]: {Name: "agent:watch", Owner: pick(t, "owner of watch", people...)},
		},
	}
	for _, who := range people {
		o.groups[who] = drawGroups(t, who)
	}
	for _, p := range places {
		o.tags[p] = subset(t, "tags", []string{"pci", "pii"})
	}
	return o
}

// drawGroups draws what somebody is in. Audrey is the one who always may operate; most are engineers.
func drawGroups(t *rapid.T, who string) []string {
	in := subset(t, "groups of "+who, groups)
	if chance(t, "engineer", 70) && (len(in) == 0 || in[0] != "eng") {
		in = append([]string{"eng"}, in...)
	}
	if who == audrey {
		in = append(in, "operators")
	}
	if chance(t, "auditor", 5) {
		in = append(in, "auditors")
	}
	return in
}

// subset keeps the order.
func subset(t *rapid.T, label string, of []string) []string {
	var some []string
	chosen := below(t, label, 1<<len(of))
	for i, s := range of {
		if chosen>>i&1 == 1 {
			some = append(some, s)
		}
	}
	return some
}

// some is a subset that is not empty.
func some(t *rapid.T, label string, of []string) []string {
	if all := subset(t, label, of); len(all) > 0 {
		return all
	}
	return of[:1]
}

// chance is true percent times of a hundred; small cases are those in which it is not.
func chance(t *rapid.T, label string, percent int) bool { return below(t, label, 100) >= 100-percent }

// pick is one of these, the first in the smallest case.
func pick[T any](t *rapid.T, label string, of ...T) T { return of[below(t, label, len(of))] }

// below is a number from 0 to n-1, each as likely as the others. Rapid's own numbers are mostly small, and so would be the
// life of a grant.
func below(t *rapid.T, label string, n int) int {
	return rapid.Custom(func(t *rapid.T) int {
		number := 0
		for range bits.Len(uint(n)) + 3 {
			if number *= 2; rapid.Bool().Draw(t, "bit") {
				number++
			}
		}
		return number % n
	}).Draw(t, label)
}
