package decisions

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// A normal run is short and always the same; a nightly one is long and never is. What rapid's flags say counts more.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	set := func(name, value string) {
		if !given[name] {
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	if os.Getenv("NIGHTLY") == "" {
		set("rapid.seed", "20260302")
		set("rapid.checks", "30")
	} else {
		set("rapid.checks", "1500")
	}
	goleak.VerifyTestMain(m)
}
