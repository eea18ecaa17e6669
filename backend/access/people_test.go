package access_test

import (
	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// The people of these tests, whose groups were read when the test began. Members of eng may ask for every pool; members of
// sre approve for prod.
var (
	alice    = person("alice", "eng")
	aliceSRE = person("alice", "eng", "sre")
	bob      = person("bob", "eng", "sre")
	carol    = person("carol", "sre")
	dave     = person("dave", "eng")
	nobody   = person("nobody")
	audrey   = person("audrey", "auditors")
	oscar    = person("oscar", "operators")
	robot    = access.Caller{Subject: "service:robot", Groups: []string{"eng", "sre"}, GroupsAt: begin}
	// triage is an agent, for which dave answers.
	triage = access.Caller{
		Subject: "agent:triage", Owner: dave.Subject, OwnerGroups: []string{"eng"}, GroupsAt: begin, GroupsSource: "login",
	}
)

func person(name string, groups ...string) access.Caller {
	s := grant.Subject(name + "@example.com")
	return access.Caller{Subject: s, Groups: groups, GroupsAt: begin, GroupsSource: "login"}
}

// basePolicy is in force where a test puts no other in force.
const basePolicy = `
version: 1
name: base
rules:
  - name: prod
    match: {pools: ["prod/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h, default_duration: 15m, pending_for: 2h}
    approve: {all_of: [{group: sre}]}
  - name: staging
    match: {pools: ["staging/*"]}
    who: {groups: [eng]}
    limits: {max_duration: 1h}
`

var (
	prodDB     = grant.Pool{Environment: "prod", Name: "db"}
	stagingDB  = grant.Pool{Environment: "staging", Name: "db"}
	stagingApp = grant.Pool{Environment: "staging", Name: "app"}
)
