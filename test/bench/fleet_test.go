package bench

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// sizes are how much is measured.
type sizes struct {
	cycles      int // grants that are given and revoked, one after the other
	background  int // grants that a node holds meanwhile
	cold        []int
	group, from int // grants that end at once, of how many
	nodes       int
	many        int // grants on each of the nodes
	steady      time.Duration
	rounds      int // of CPU measurements
	requests    int // of each round
}

var (
	whole = sizes{
		cycles: 100, background: 1000, cold: []int{10_000, 100_000}, group: 2000, from: 10_000,
		nodes: 100, many: 10_000, steady: 30 * time.Second, rounds: 30, requests: 1200,
	}
	small = sizes{
		cycles: 3, background: 50, cold: []int{500}, group: 100, from: 500,
		nodes: 4, many: 200, steady: 3 * time.Second, rounds: 2, requests: 80,
	}
)

// outVariable names the file for the lines of a whole run; without it the run is a small one, and nothing is written.
const outVariable = "BENCH_FLEET"

// A figure is no test: a goal that is missed fails nothing. That all of it works, and that a second pass writes nothing
// but the lease (I8), does.
func TestFiguresOfTheFleet(t *testing.T) {
	size, out := small, os.Getenv(outVariable)
	if out != "" {
		size = whole
	}
	r := &report{t: t}
	begin := time.Now()
	for _, part := range []struct {
		name    string
		measure func(*testing.T, *report, sizes)
	}{
		{"a request", measureRequest}, {"one node", measureNode}, {"cold start", measureCold}, {"a group", measureGroup}, {"many nodes", measureMany},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.measure(t, r, size) }) {
			return
		}
		t.Logf("%s: until %.0f s", part.name, time.Since(begin).Seconds())
		if out != "" {
			r.write(out)
		}
	}
	if len(r.all) < 20 {
		t.Errorf("there are %d figures only", len(r.all))
	}
	text := fmt.Sprintf("%s\n\n%s", machine(t), r.table())
	if out == "" {
		t.Logf("\n%s", text)
		return
	}
	fmt.Println(text)
}
