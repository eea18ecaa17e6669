package reconcile_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has the random test try more than rapid would: what it looks for shows once in some thousand tries, so that a
// nightly run tries 100 times as often. What rapid's own flag says counts more.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		checks := "1000"
		if os.Getenv("NIGHTLY") != "" {
			checks = "100000"
		}
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
