package lab

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

const (
	// takeover is how soon another gateway should write after a writer's death, and heard how soon a writer should hear of
	// another gateway's change. They are printed beside what was measured; a test fails only far beyond them.
	takeover = 10 * time.Second
	heard    = 250 * time.Millisecond
	// busy is what a machine that does much else may take longer.
	busy = 4
)

// Two gateways on one store: one of them writes to each node, and each scenario takes that one away or goes past it.
func TestFleetOfTwoGateways(t *testing.T) {
	_, db := stage.Database(t)
	l := open(t, world.Options{Postgres: db, Gateways: 2})
	for _, s := range []struct {
		name string
		run  func(*testing.T, *lab)
	}{
		{"I1 a change made at another gateway", changeAtAnotherGateway},
		{"I4 a stopped writer that goes on brings nothing back", stoppedWriterGoesOn},
		{"I2 the writer killed", writerKilled},
	} {
		l.scenario(t, s.name, s.run)
	}
}

// writers are the numbers of the gateways that write to some node, as the nodes' status says; it waits until each node has one.
func (l *lab) writers() []int {
	l.T.Helper()
	var found []int
	stage.Eventually(l.T, "each node has a writer", func() bool {
		found = found[:0]
		for _, n := range l.nodeStatuses() {
			name, _ := n["writer"].(string)
			found = append(found, slices.IndexFunc(l.Gateways, func(g *world.Component) bool { return strings.HasSuffix(name, fmt.Sprint("-", g.PID())) }))
		}
		slices.Sort(found)
		found = slices.Compact(found)
		return len(found) > 0 && found[0] >= 0
	})
	return found
}

// writer is the number of the one gateway that writes to every node. Where each writes to some, as happens when they start
// together, the second is stopped until the first writes to all.
func (l *lab) writer() int {
	l.T.Helper()
	if writers := l.writers(); len(writers) == 1 {
		return writers[0]
	}
	l.Gateways[1].Stop()
	first := l.at(0)
	stage.Eventually(l.T, "the first writes to every node", func() bool { return slices.Equal(first.writers(), []int{0}) })
	require.NoError(l.T, l.Gateways[1].Start(l.T.Context()))
	return 0
}

// awaitWriter waits until a gateway writes to every node: each is taken over by itself.
func (l *lab) awaitWriter(gateway int) {
	l.T.Helper()
	stage.Eventually(l.T, "one gateway has taken every node over", func() bool { return slices.Equal(l.writers(), []int{gateway}) })
}

// at is the same lab with calls going to the nth gateway.
func (l *lab) at(gateway int) *lab { return &lab{Stage: l.At(gateway), lines: l.lines} }

// A change that is made at a gateway which writes to no node reaches every node soon, both ways.
func changeAtAnotherGateway(t *testing.T, l *lab) {
	other := l.at(1 - l.writer())
	p := other.probe()
	var opened, closed, answered []time.Duration
	for range times(10) {
		g, token := other.Open(stage.Alice, "prod", "billing", 10*time.Minute)
		p.with(stage.ProdBilling, token)
		other.admitted(stage.ProdBilling, token)
		begin := time.Now()
		other.Revoke(stage.Alice, g)
		answered = append(answered, time.Since(begin))
		other.AwaitEnforced(g)
		w := other.ledger()[g["id"].(string)]
		for node, last := range p.lastAdmitted(g) {
			closed = append(closed, max(0, last.Sub(w.to)))
			r := other.nodeReports(g)[node]
			opened = append(opened, other.Time(r["writeTime"]).Sub(w.from))
		}
	}
	p.join(reach, false)
	slices.Sort(opened)
	slices.Sort(closed)
	slices.Sort(answered)
	t.Logf("a revocation was answered after %s (median; most %s)", answered[len(answered)/2], answered[len(answered)-1])
	t.Logf("%d times: a row was written %s after its grant opened (median; most %s), and admitted last %s after the revocation (median; most %s); goal %s",
		len(opened), opened[len(opened)/2], opened[len(opened)-1], closed[len(closed)/2], closed[len(closed)-1], heard)
	require.Less(t, opened[len(opened)/2], busy*heard)
	require.Less(t, closed[len(closed)/2], busy*heard)
}

// A writer that is stopped, passed over and continued writes nothing of what it believed: what the other has closed
// meanwhile stays closed.
func stoppedWriterGoesOn(t *testing.T, l *lab) {
	first := l.writer()
	other := l.at(1 - first)
	p := other.probe()
	_, keptToken := other.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	g, token := other.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	for _, one := range []string{keptToken, token} {
		p.with(stage.ProdBilling, one)
		other.admitted(stage.ProdBilling, one)
	}
	require.NoError(t, l.Gateways[first].Suspend(t.Context()))
	defer l.Gateways[first].Resume()
	begin := time.Now()
	// It may have been stopped within a transaction, whose locks the other waits for until Postgres ends it.
	revocation := object{"grantId": g["id"], "reason": "done", "idempotencyKey": stage.NewKey()}
	stage.Eventually(t, "the other can write to the store", func() bool {
		status, answer := other.Call(stage.Alice, "haproxyaccess/revokeAccess", revocation)
		if status != http.StatusOK {
			t.Logf("%s after the writer was stopped: %v", time.Since(begin).Round(time.Millisecond), answer["message"])
		}
		return status == http.StatusOK
	})
	other.AwaitEnforced(g)
	t.Logf("the other writes, and has enforced a revocation, %s after the writer was stopped; goal %s", time.Since(begin).Round(time.Millisecond), takeover)
	other.awaitWriter(1 - first)
	l.Gateways[first].Resume()
	// It has read the store and looked at the nodes anew: it knows of a grant that is younger than its pause.
	fresh, freshToken := other.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	p.with(stage.ProdBilling, freshToken)
	other.admitted(stage.ProdBilling, freshToken)
	resumed := l.at(first)
	stage.Eventually(t, "the one that was stopped knows who writes", func() bool {
		enforced, total := stage.Enforcement(resumed.Get(stage.Audrey, fresh))
		return enforced == total && slices.Equal(resumed.writers(), []int{1 - first})
	})
	for range 50 {
		a := other.Visit(http.DefaultClient, stage.ProdBilling, token)
		require.NotEqual(t, http.StatusOK, a.Status)
	}
	other.admitted(stage.ProdBilling, keptToken)
	p.join(lease+reach, false)
}

// After kill -9 of the writer the other gateway writes to every node: what it closes is closed, what it opens opens.
func writerKilled(t *testing.T, l *lab) {
	first := l.writer()
	other := l.at(1 - first)
	p := other.probe()
	_, keptToken := other.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	g, token := other.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	for _, one := range []string{keptToken, token} {
		p.with(stage.ProdBilling, one)
		other.admitted(stage.ProdBilling, one)
	}
	l.Gateways[first].Kill()
	begin := time.Now()
	other.Revoke(stage.Alice, g)
	other.AwaitEnforced(g)
	took := time.Since(begin)
	t.Logf("the other writes, and has enforced a revocation, %s after the writer was killed; goal %s", took.Round(time.Millisecond), takeover)
	require.Less(t, took, busy*takeover)
	other.awaitWriter(1 - first)
	other.admitted(stage.ProdBilling, keptToken)
	p.join(lease+reach, false)
	require.NoError(t, l.Gateways[first].Start(t.Context()))
	other.awaitWriter(1 - first) // the one that came back writes to no node while the other does
}
