package policy

import (
	"flag"
	"os"
	"testing"

	_ "pgregory.net/rapid" // whose flag is set below
)

// A decision is cheap, and rules have more corners than a hundred tries would find.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	if !chosen {
		if err := flag.Set("rapid.checks", "3000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
