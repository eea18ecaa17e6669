package policy_test

import (
	"os"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// The document of the manual, with every field, and its tests.
func TestADocumentWithEveryFieldCompilesAndPassesItsTests(t *testing.T) {
	raw, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.Parse("example.yaml", raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Compile(doc); err != nil {
		t.Fatal(err)
	}
}
