package archtest

import "testing"

const module = "github.com/haproxy-access/clutch-haproxy-access"

func TestTheProjectKeepsItsRules(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	all, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range check(all) {
		t.Error(b)
	}
	for _, u := range unused(all) {
		t.Error(u)
	}
}
