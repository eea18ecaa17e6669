package policy_test

import (
	"flag"
	"os"
	"testing"
)

// A decision is cheap, and rules have more corners than a hundred tries would find. Compiling a policy is not that cheap.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", "600"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
