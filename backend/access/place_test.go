package access_test

import (
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// What leaves the server names a policy's files, never where they lie.
func TestNobodyIsShownWhereThePolicyLies(t *testing.T) {
	for _, dir := range []string{"/etc/clutch/policy/", "conf/policy/", "./policies/", "/srv/our policies/"} {
		w := newWorld(t)
		doc, err := policy.Parse(dir+"prod.yaml", []byte(`{version: 1, name: prod, rules: [
		  {name: some, match: {pools: ["*/*"]}, who: {groups: [eng]}, limits: {max_duration: 1h},
		    when: [{condition: "'x' in owner.groups", message: "You must read /docs/prod or prod/db"}]},
		  {name: not, effect: deny, description: no, match: {pools: ["*/*"]}, when: [{condition: "request.break_glass"}]}]}`))
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		w.policy.Set(p)
		v, err := w.service.Preview(t.Context(), alice, ask("prod", "db"))
		w.equal("preview", code(err), ok)
		all := ""
		for _, f := range v.Findings {
			w.equal("file", f.File[:len("prod.yaml:")], "prod.yaml:")
			all += f.File + " " + strings.Join(f.Reasons, " ")
		}
		if strings.Contains(all, dir) || !strings.Contains(all, "The condition at prod.yaml:") {
			t.Errorf("shown: %s", all)
		}
	}
}

func TestThePolicysStatusNamesFilesWithoutTheirFolders(t *testing.T) {
	w := newWorld(t)
	w.source.status = access.PolicyStatus{
		Files: []string{"/etc/clutch/policy/a.yaml", "conf/b.yaml", "/srv/our own/c.yaml"},
		Error: "/etc/clutch/policy/a.yaml:3:4: no such pool \"a/b\"\nconf/b.yaml:1:1: prod/* or /x\n" +
			"/srv/our own/c.yaml:2:2: bad\nopen /etc/clutch/policy/new.yaml: permission denied\n/etc/clutch/policy: anybody may put files",
	}
	got, err := w.service.PolicyStatus(t.Context(), audrey)
	w.equal("code", code(err), ok)
	w.equal("files", got.Files, []string{"a.yaml", "b.yaml", "c.yaml"})
	w.equal("error", got.Error, "a.yaml:3:4: no such pool \"a/b\"\nb.yaml:1:1: prod/* or x\nc.yaml:2:2: bad\n"+
		"open new.yaml: permission denied\npolicy: anybody may put files")
	w.equal("what the log has", w.source.status.Files[0], "/etc/clutch/policy/a.yaml")
}
