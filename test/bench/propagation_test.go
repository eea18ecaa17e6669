package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// pause is how long the prober waits between two requests: what it sees is as exact as that.
const pause = 200 * time.Microsecond

// measureNode gives and revokes grants on one node, one after the other, and does bare changes of a map in between.
func measureNode(t *testing.T, r *report, size sizes) {
	s := newSource()
	background, _ := s.give(size.background)
	table := desired.Table{}
	for _, g := range background {
		table[desired.RowKey(g.Subject, g.Pool)] = desired.RowValue(g)
	}
	n := startNode(t, table.Text())
	g := newGateway(t, n.config, n.input, s)
	g.fleet.Start()
	g.settled(1)
	l := dial(t, n.address)
	var admitted, refused, reported, bare, file []float64
	for i := range size.cycles {
		bare = append(bare, n.bareChange(t, i)...)
		file = append(file, n.putFile(t, table.Text()))

		grants, revision := s.give(1)
		one := grants[0]
		request := requestText(n.token(one)) // whoever signs it does so beside
		begin := time.Now()
		g.fleet.Wake()
		n.await(t, l, request, http.StatusOK)
		admitted = append(admitted, ms(time.Since(begin)))
		g.enforced(one, revision, true)

		begin = time.Now()
		revision = s.end(one)
		g.fleet.Wake()
		refused = append(refused, ms(n.await(t, l, request, http.StatusForbidden).Sub(begin)))
		g.enforced(one, revision, false)
		reported = append(reported, ms(time.Since(begin)))
	}
	change := median(bare)
	r.add("one node: a bare change by the API, p50", change, "ms")
	r.add("one node: the file PUT, p50", median(file), "ms")
	for _, f := range []struct {
		name   string
		sample []float64
	}{{"grant to admitted", admitted}, {"revoke to last admitted", refused}} {
		r.times("one node: "+f.name+", p50", median(f.sample), "ms", "a bare change", change, 2)
		r.atMost("one node: "+f.name+", p99", quantile(f.sample, 0.99), "ms", 250)
	}
	r.times("one node: revoke to reported as enforced, p50", median(reported), "ms", "the file PUT and four bare changes", median(file)+4*change, 1)
	r.add("one node: revoke to reported as enforced, p99", quantile(reported, 0.99), "ms")
	g.noDrift()
}

// await asks until the status is there, and returns when the last other answer had come; the call's beginning if none had. A
// connection that is cut meanwhile, as those of an ended grant are, counts as an answer, and another takes its place.
func (n *node) await(t *testing.T, l *line, request string, status int) time.Time {
	t.Helper()
	last := time.Now()
	for deadline := last.Add(hang); ; time.Sleep(pause) {
		got, err := l.try(request)
		if err == nil && got == status {
			return last
		}
		if last = time.Now(); last.After(deadline) {
			t.Fatalf("the status is %d, not %d; %v", got, status, err)
		}
		if err != nil {
			*l = *dial(t, n.address)
		}
	}
}

// bareChange adds a row to a map that nobody reconciles, and takes it out again: two changes.
func (n *node) bareChange(t *testing.T, i int) []float64 {
	t.Helper()
	entry := dataplane.Entry{Key: fmt.Sprintf("bare%d@example.com|prod/billing", i), Value: "1767323045:01J00000000000000000000000"}
	begin := time.Now()
	if err := n.client.AddEntry(t.Context(), bareMap, entry); err != nil {
		t.Fatal(err)
	}
	added := time.Now()
	if err := n.client.DeleteEntry(t.Context(), bareMap, entry.Key); err != nil {
		t.Fatal(err)
	}
	return []float64{ms(added.Sub(begin)), ms(time.Since(added))}
}

func (n *node) putFile(t *testing.T, text []byte) float64 {
	t.Helper()
	begin := time.Now()
	if err := n.client.PutMapFile(t.Context(), bareMap, text); err != nil {
		t.Fatal(err)
	}
	return ms(time.Since(begin))
}

// noDrift fails the test if a pass found what nobody had done.
func (g *gateway) noDrift() {
	g.t.Helper()
	g.observer.mu.Lock()
	defer g.observer.mu.Unlock()
	if len(g.observer.drift) > 0 {
		g.t.Errorf("there was drift: %q", g.observer.drift)
	}
}
