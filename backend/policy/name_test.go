package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The name stands in every grant and event: that of many documents is cut, and says so.
func TestTheNameOfManyDocumentsIsBounded(t *testing.T) {
	var docs []*policy.Document
	for i := range 30 {
		name := fmt.Sprintf("team-%02d-of-the-company", i)
		doc, err := policy.Parse(name+".yaml", []byte("version: 1\nname: "+name+"\nrules: []\n"))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	p, err := policy.Compile(docs...)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := p.Version()
	if len(name) > 210 || !strings.HasPrefix(name, "team-00-of-the-company+team-01-") || !strings.HasSuffix(name, "+22 more") {
		t.Errorf("the name is %q, of %d bytes", name, len(name))
	}
	p, err = policy.Compile(docs[1], docs[0])
	if err != nil {
		t.Fatal(err)
	}
	if name, _ := p.Version(); name != "team-00-of-the-company+team-01-of-the-company" {
		t.Errorf("the name of two is %q", name)
	}
}

// 200 bytes fit, with the signs between the names.
func TestTheNameOfDocumentsIsCutBeyond200Bytes(t *testing.T) {
	long := []string{strings.Repeat("a", 63), strings.Repeat("b", 63), strings.Repeat("c", 63)}
	three := strings.Join(long, "+") // 191
	for last, want := range map[string]string{"dddddddd": three + "+dddddddd", "ddddddddd": three + "+1 more"} {
		var docs []*policy.Document
		for _, name := range append([]string{last}, long...) {
			docs = append(docs, named(t, name, name, "  - {name: r"+name[:1]+", effect: deny, description: No, match: {pools: [a/b]}}\n"))
		}
		p, err := policy.Compile(docs...)
		if err != nil {
			t.Fatal(err)
		}
		if name, _ := p.Version(); name != want {
			t.Errorf("%s: the name is %q, of %d bytes", last, name, len(name))
		}
	}
}
