package bench

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// manyConfig are nodes that are doubles in a process of their own.
func manyConfig(t *testing.T, urls []string) (*haproxyv1.Config, haproxycfg.Input) {
	t.Helper()
	file := t.TempDir() + "/password"
	writeFile(t, file, []byte(dataplanetest.Password+"\n"))
	input := render(t, settings{}, 1).input
	input.Nodes = nil
	config := &haproxyv1.Config{
		Environments: []*haproxyv1.Environment{environment()},
		Enforcement:  &haproxyv1.Enforcement{MapsDir: "/etc/haproxy/maps", KeysDir: "/etc/haproxy/keys", PagesDir: "/etc/haproxy/pages"},
	}
	for i, url := range urls {
		name := fmt.Sprintf("n%d", i+1)
		input.Nodes = append(input.Nodes, haproxycfg.Node{Name: name, Environments: []string{tokencorpus.Environment}})
		config.Nodes = append(config.Nodes, &haproxyv1.Node{
			Name: name, Environments: []string{tokencorpus.Environment},
			Dataplane: &haproxyv1.DataPlane{Url: url, Username: dataplanetest.Username, PasswordFile: file},
		})
	}
	return config, input
}

// measureMany measures a change on all of many nodes that hold few grants, and that hold many; and what it costs that
// nothing happens.
func measureMany(t *testing.T, r *report, size sizes) {
	measureNodes(t, r, size, size.background, max(1, size.cycles/4), false)
	measureNodes(t, r, size, size.many, max(1, size.cycles/10), true)
}

func measureNodes(t *testing.T, r *report, size sizes, rows, cycles int, steady bool) {
	t.Helper()
	d := startDoubles(t, size.nodes)
	config, input := manyConfig(t, d.urls)
	s := newSource()
	_, revision := s.give(rows)
	g := newGateway(t, config, input, s)
	defer g.fleet.Stop()
	begin := time.Now()
	g.fleet.Start()
	g.settled(revision)
	what := fmt.Sprintf("%d nodes, %d grants: ", size.nodes, rows)
	r.add(what+"cold start", time.Since(begin).Seconds(), "s")
	if steady {
		measureSteady(t, r, size, g, d, what)
	}
	var opened, closed []float64
	for range cycles {
		begin := time.Now()
		grants, revision := s.give(1)
		g.fleet.Wake()
		g.enforced(grants[0], revision, true)
		opened = append(opened, ms(time.Since(begin)))
		begin = time.Now()
		revision = s.end(grants[0])
		g.fleet.Wake()
		g.enforced(grants[0], revision, false)
		closed = append(closed, ms(time.Since(begin)))
	}
	r.add(what+"grant to open on all, p50", median(opened), "ms")
	r.atMost(what+"grant to open on all, p99", quantile(opened, 0.99), "ms", 1000)
	r.add(what+"revoke to enforced on all, p50", median(closed), "ms")
	r.atMost(what+"revoke to enforced on all, p99", quantile(closed, 0.99), "ms", 1000)
	g.noDrift()
}

// measureSteady measures what it costs that nothing happens, and fails the test if a pass writes something but a lease
// (I8).
func measureSteady(t *testing.T, r *report, size sizes, g *gateway, d *doubles, what string) {
	t.Helper()
	passes, writes := g.observer.full.Load(), g.observer.writes.Load()
	calls, spent, begin := d.calls(t), ownCPU(t), time.Now()
	time.Sleep(size.steady)
	took := time.Since(begin)
	r.add(what+"steady CPU of the gateway", 100*(ownCPU(t)-spent).Seconds()/took.Seconds(), "% core")
	r.add(what+"steady calls", float64(d.calls(t)-calls)/took.Seconds(), "1/s")
	g.until("a full pass on every node", func() bool { return g.observer.full.Load()-passes >= int64(size.nodes) })
	r.add(what+"full passes", float64(g.observer.full.Load()-passes)/time.Since(begin).Seconds(), "1/s")
	if n := g.observer.writes.Load() - writes; n != 0 {
		t.Errorf("I8: %d calls changed something though nothing had changed", n)
	}
	if n := g.observer.failed.Load(); n != 0 {
		t.Logf("%d passes failed: %v", n, g.observer.lastError())
	}
}

// ownCPU is the time that this process has run on all its threads.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
