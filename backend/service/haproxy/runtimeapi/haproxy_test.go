package runtimeapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/runtimeapi"
)

// ways are how a node may be reached.
func (w *world) ways() map[string]runtimeapi.Options {
	unix, master, tcp := "unix:"+w.input.Standalone.StatsSocket, "unix:"+w.MasterSocket(), "tcp:"+w.tcp
	return map[string]runtimeapi.Options{
		"unix":            {Runtime: unix},
		"tcp":             {Runtime: tcp, MapsDir: w.input.MapsDir},
		"master":          {Master: master, MapsDir: w.input.MapsDir},
		"unix and master": {Runtime: unix, Master: master},
	}
}

func (w *world) options() runtimeapi.Options {
	return runtimeapi.Options{Runtime: "unix:" + w.input.Standalone.StatsSocket, Master: "unix:" + w.MasterSocket(), MapsDir: w.input.MapsDir}
}

func TestCutEndsEveryStreamOfTheRowAndNoOther(t *testing.T) {
	w := newWorld(t)
	gone, others := access{alice, billing}, []access{{alice, ops}, {bob, billing}}
	var kept []*flow
	for i := range 20 {
		kept = append(kept, w.open(t, others[i%2], i%4 < 2))
	}
	for name, o := range w.ways() {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, o)
			var flows []*flow
			for i := range 20 {
				flows = append(flows, w.open(t, gone, i%2 == 0))
			}
			if n, err := c.Cut(t.Context(), w.liveFor(everybody...)); n != 0 || err != nil {
				t.Errorf("while all live: cut %d, %v", n, err)
			}
			begin := time.Now()
			n, err := c.Cut(t.Context(), w.liveFor(others...))
			if n != 20 || err != nil {
				t.Errorf("cut %d, %v", n, err)
			}
			t.Logf("20 streams in %s", time.Since(begin))
			for _, f := range flows {
				f.over(t, "a stream of the row that is gone")
			}
			for _, f := range kept {
				f.runs(t, "another stream")
			}
			if n, err := c.Cut(t.Context(), w.liveFor(others...)); n != 0 || err != nil {
				t.Errorf("again: cut %d, %v", n, err)
			}
		})
	}
}

// A browser uses one HTTP/2 connection for several hosts, and a proxy in front may use one for several people.
func TestCutOnASharedConnection(t *testing.T) {
	w := newWorld(t)
	shared, own := w.dialHTTP2(t), w.dialHTTP2(t)
	get := func(c *h2, a access) *h2Flow {
		t.Helper()
		f, status := c.get(t, a)
		if status != "200" {
			t.Fatalf("%v: %s", a, status)
		}
		return f
	}
	first, second := get(shared, access{alice, billing}), get(shared, access{alice, billing})
	pool, person := get(shared, access{alice, ops}), get(shared, access{bob, billing})
	apart := get(own, access{bob, billing})
	n, err := newClient(t, w.options()).Cut(t.Context(), w.liveFor(access{alice, ops}, access{bob, billing}))
	if n != 3 || err != nil {
		t.Errorf("cut %d, %v", n, err)
	}
	first.over(t, "a stream of the row that is gone")
	second.over(t, "another stream of that row")
	person.over(t, "a stream to that pool on the same connection")
	pool.runs(t, "a stream to another pool on the same connection")
	apart.runs(t, "a stream on another connection")
	if _, status := shared.get(t, access{bob, billing}); status != "200" {
		t.Errorf("the connection goes on with %s", status)
	}
}

// Backends may have changed hands since the stream began: then pools.map spares the wrong one, but not for long.
func TestSparingEndsIfTheRowDoesNotComeToRest(t *testing.T) {
	w := newWorld(t)
	c := w.dialHTTP2(t)
	set := func(pool, backend string) {
		t.Helper()
		if answer := w.current(t, "set map "+w.input.MapsDir+"/pools.map "+pool+" "+backend); answer != "" {
			t.Fatal(answer)
		}
	}
	gone, status := c.get(t, access{alice, billing})
	set(ops, "be_billing")
	set(billing, "be_other")
	other, otherStatus := c.get(t, access{alice, ops})
	if status != "200" || otherStatus != "200" {
		t.Fatalf("%s and %s", status, otherStatus)
	}
	if n, err := newClient(t, w.options()).Cut(t.Context(), w.liveFor(access{alice, ops})); n != 2 || err != nil {
		t.Errorf("cut %d, %v", n, err)
	}
	gone.over(t, "the stream of the row that is gone")
	other.over(t, "the stream that cannot be told from it")
}

// I4 and I2: after a reload the worker of before keeps its maps as they were, and goes on to serve who stays with it.
func TestFrozenOldWorkerIsPurgedAndItsStreamsAreCut(t *testing.T) {
	w := newWorld(t)
	gone, rest := access{alice, billing}, []access{{alice, ops}, {bob, billing}}
	aliceConn, bobConn := w.dialHTTP2(t), w.dialHTTP2(t)
	running, status := aliceConn.get(t, gone)
	others, otherStatus := bobConn.get(t, access{bob, billing})
	if status != "200" || otherStatus != "200" {
		t.Fatalf("before: %s and %s", status, otherStatus)
	}
	old := w.reload(t)
	w.revoke(t, gone)
	more, status := aliceConn.get(t, gone)
	if status != "200" {
		t.Fatalf("the old worker answers %s: this test shows nothing", status)
	}
	c := newClient(t, w.options())
	before := w.current(t, "show map "+w.input.MapsDir+"/grants.map")

	workers, err := c.Purge(t.Context(), w.keep(rest...))
	if workers != 1 || err != nil {
		t.Fatalf("purge: %d, %v", workers, err)
	}
	if _, status := aliceConn.get(t, gone); status != "403" {
		t.Errorf("after the purge the old worker answers %s", status)
	}
	running.runs(t, "the stream that Purge does not cut")
	if _, status := bobConn.get(t, access{bob, billing}); status != "200" {
		t.Errorf("the row that is kept is worth %s", status)
	}
	if after := w.current(t, "show map "+w.input.MapsDir+"/grants.map"); after != before {
		t.Errorf("the running worker has %q, before %q", after, before)
	}

	n, err := c.Cut(t.Context(), w.liveFor(rest...))
	if n != 2 || err != nil {
		t.Errorf("cut %d, %v", n, err)
	}
	running.over(t, "the old worker's stream")
	more.over(t, "the old worker's second stream")
	others.runs(t, "another's stream in the old worker")
	if olds, err := w.OldWorkers(t.Context()); err != nil || !slices.Contains(olds, old) {
		t.Errorf("old workers %v, %v: the old one is gone, this test shows nothing", olds, err)
	}
}

// A withdrawn key too: the old worker knows it by its frozen kids.map.
func TestPurgeTakesAKeyFromOldWorkers(t *testing.T) {
	w := newWorld(t)
	connection := w.dialHTTP2(t)
	if _, status := connection.get(t, access{bob, billing}); status != "200" {
		t.Fatalf("before: %s", status)
	}
	w.reload(t)
	keep := w.keep(everybody...)
	keep[desired.KIDs] = desired.Table{}
	if workers, err := newClient(t, w.options()).Purge(t.Context(), keep); workers != 1 || err != nil {
		t.Fatalf("purge: %d, %v", workers, err)
	}
	if _, status := connection.get(t, access{bob, billing}); status != "401" {
		t.Errorf("a token of the withdrawn key is worth %s", status)
	}
}

// Rows that others have added, doubles, and keys that we would never send are removed as well, in every old worker.
func TestPurgeRemovesRowsOfAnyForm(t *testing.T) {
	w := newWorld(t)
	file := w.input.MapsDir + "/grants.map"
	held := []*flow{w.open(t, access{bob, billing}, false)}
	for _, row := range []string{
		`eve@example.com|prod/billing 9999999999:EVE`, `a\;b 1:x`, `a\ b 1:x`, `a"b 1:x`, `<<x 1:x`, `a=b,c 1:x`, `%41 1:x`, `é 1:x`, `# 1:x`,
		bob + `|prod/billing 9999999999:DOUBLE`, alice + `|prod/ops 9999999999:DOUBLE`,
	} {
		w.current(t, "add map "+file+" "+row)
	}
	for i := range 120 { // more than one line of commands
		w.current(t, fmt.Sprintf("add map %s x%d@example.com|prod/billing 9999999999:X", file, i))
	}
	if n := strings.Count(w.current(t, "show map "+file), "\n") + 1; n < 130 {
		t.Fatalf("there are %d rows only", n)
	}
	first := w.reload(t)
	held = append(held, w.open(t, access{bob, billing}, false))
	w.current(t, "set map "+file+" "+bob+"|prod/billing 9999999999:CHANGED")
	second := w.reload(t)

	c := newClient(t, w.options())
	if workers, err := c.Purge(t.Context(), w.keep(access{alice, ops}, access{bob, billing})); workers != 2 || err != nil {
		t.Fatalf("purge: %d, %v", workers, err)
	}
	for worker, want := range map[int][]string{
		first:  {alice + "|prod/ops 9999999999:" + access{alice, ops}.grant(), bob + "|prod/billing 9999999999:" + access{bob, billing}.grant()},
		second: {alice + "|prod/ops 9999999999:" + access{alice, ops}.grant()},
	} {
		var got []string
		for row := range strings.Lines(w.runtime(t, w.MasterSocket(), fmt.Sprintf("@!%d show map %s", worker, file))) {
			_, row, _ = strings.Cut(strings.TrimSpace(row), " ")
			got = append(got, row)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("worker %d has %q instead of %q", worker, got, want)
		}
	}
	for _, f := range held {
		f.runs(t, "a stream that nobody cut")
	}
}

// Without a reload there is no older worker.
func TestPurgeWithoutOldWorkers(t *testing.T) {
	w := newWorld(t)
	before := w.current(t, "show map "+w.input.MapsDir+"/grants.map")
	if workers, err := newClient(t, w.options()).Purge(t.Context(), keepNothing()); workers != 0 || err != nil {
		t.Errorf("purge: %d, %v", workers, err)
	}
	if after := w.current(t, "show map "+w.input.MapsDir+"/grants.map"); after != before || !strings.Contains(after, bob) {
		t.Errorf("the running worker has %q, before %q", after, before)
	}
}

func TestANodeThatIsDownIsAnError(t *testing.T) {
	w := newWorld(t)
	c := newClient(t, w.options())
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cut(t.Context(), nothingLives); err == nil {
		t.Error("cut has no error")
	}
	if _, err := c.Purge(t.Context(), keepNothing()); err == nil {
		t.Error("purge has no error")
	}
}
