package robustness

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone")
	seeds   = flag.Int("seeds", 0, "run this many seeds")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestInvariantsHoldWhateverBreaks runs the seeds that ever failed, and 200 more, or 10,000 where NIGHTLY is set.
func TestInvariantsHoldWhateverBreaks(t *testing.T) {
	if *oneSeed != 0 {
		judged(t, *oneSeed)
		return
	}
	count := 200
	switch {
	case *seeds > 0:
		count = *seeds
	case os.Getenv("NIGHTLY") != "":
		count = 10_000
	case testing.Short():
		count = 20
	}
	all := known(t)
	for i := range count {
		all = append(all, uint64(i+1))
	}
	for _, seed := range all {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			judged(t, seed)
		})
	}
}

func judged(t *testing.T, seed uint64) {
	t.Helper()
	if failure := run(t, seed); failure != "" {
		t.Errorf("%s\nrun it again: go test ./test/robustness -seed %d", failure, seed)
	}
}

// known are the seeds that ever failed.
func known(t *testing.T) []uint64 {
	t.Helper()
	f, err := os.Open("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, seed)
	}
	return all
}
