package policy_test

import (
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/policy"
)

// compile makes a policy of documents, each of which is a file of its own: 0.yaml, 1.yaml and so on.
func compile(t testing.TB, texts ...string) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(parse(t, texts...)...)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return p
}

func parse(t testing.TB, texts ...string) []*policy.Document {
	t.Helper()
	var docs []*policy.Document
	for i, text := range texts {
		doc, err := policy.Parse(string(rune('0'+i))+".yaml", []byte(text))
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		docs = append(docs, doc)
	}
	return docs
}
