package robustness

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var (
	oneSeed = flag.Uint64("seed", 0, "run this seed alone")
	size    = flag.Int("nodes", 0, "with so many nodes, whatever the seed says")
	seeds   = flag.Int("seeds", 0, "run this many seeds")
)

// trial is a seed, with how many nodes it has.
type trial struct {
	seed  uint64
	nodes int
}

// of is a seed's own trial. One in three has a large fleet; in a small one more happens to each node, and for longer.
func of(seed uint64) trial {
	t := trial{seed, smallFleet}
	if seed%3 == 1 {
		t.nodes = largeFleet
	}
	if *size > 0 {
		t.nodes = *size
	}
	return t
}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // there is little that lives, and much that is made
	goleak.VerifyTestMain(m)
}

// TestInvariantsHoldWhateverBreaks runs the seeds that ever failed, and 200 more, or 10,000 where NIGHTLY is set.
func TestInvariantsHoldWhateverBreaks(t *testing.T) {
	if *oneSeed != 0 {
		judged(t, of(*oneSeed))
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
		all = append(all, of(uint64(i+1)))
	}
	for _, one := range all {
		t.Run(fmt.Sprintf("%d_%d", one.seed, one.nodes), func(t *testing.T) {
			t.Parallel()
			judged(t, one)
		})
	}
}

func judged(t *testing.T, one trial) {
	t.Helper()
	if failure := run(t, one); failure != "" {
		t.Errorf("%s\nrun it again: go test ./test/robustness -seed %d -nodes %d", failure, one.seed, one.nodes)
	}
}

// known are the seeds that ever failed.
func known(t *testing.T) []trial {
	t.Helper()
	f, err := os.Open("testdata/seeds")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []trial
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		var one trial
		if _, err := fmt.Sscan(text, &one.seed, &one.nodes); err != nil {
			t.Fatalf("%q: want a seed and a number of nodes: %v", text, err)
		}
		all = append(all, one)
	}
	return all
}
