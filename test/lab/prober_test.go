package lab

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

const (
	// probeInterval is how often each node is asked: 200 times a second.
	probeInterval = 5 * time.Millisecond
	// probeTimeout bounds one request.
	probeTimeout = 3 * time.Second
)

// probe is one request and its answer.
type probe struct {
	node, host string
	sent, got  time.Time
	// status is 0 where nothing answered.
	status int
	// why is the reason of a refusal; user, grant and pool are what a service was told of an admitted one.
	why, user, grant, pool string
}

// prober asks every node all the time, until stop.
type prober struct {
	l     *lab
	begin time.Time
	end   context.CancelFunc
	done  sync.WaitGroup

	mu      sync.Mutex
	targets []target
	log     []probe
}

type target struct{ host, token string }

// probe begins to ask the nodes. It ends with join, or with the test.
func (l *lab) probe() *prober {
	l.T.Helper()
	ctx, end := context.WithCancel(context.Background())
	p := &prober{l: l, begin: time.Now(), end: end}
	for _, n := range l.Nodes {
		p.done.Go(func() { p.ask(ctx, n) })
	}
	l.T.Cleanup(p.stop)
	return p
}

// with has the token used from now on, by turns with the others, on every node of its host.
func (p *prober) with(host, token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = append(p.targets, target{host, token})
}

func (p *prober) stop() {
	p.end()
	p.done.Wait()
}

// ask asks one node on connections of its own.
func (p *prober) ask(ctx context.Context, n *world.Node) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: probeTimeout}
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if t, ok := p.target(n, turn); ok {
			p.one(n, client, t)
		}
	}
}

// target is the token whose turn it is at a node.
func (p *prober) target(n *world.Node, turn int) (target, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var its []target
	for _, t := range p.targets {
		if slices.ContainsFunc(p.l.ServingHost(t.host), func(other *world.Node) bool { return other == n }) {
			its = append(its, t)
		}
	}
	if len(its) == 0 {
		return target{}, false
	}
	return its[turn%len(its)], true
}

func (p *prober) one(n *world.Node, client *http.Client, t target) {
	one := probe{node: n.Name, host: t.host, sent: time.Now()}
	a, err := p.l.VisitAt(n, client, t.host, t.token)
	one.got = time.Now()
	if err == nil {
		one.status, one.why = a.Status, a.Why
		one.user, _ = a.Body["user"].(string)
		one.grant, _ = a.Body["grant"].(string)
		one.pool, _ = a.Body["pool"].(string)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, one)
}

// probes are those of the log until now that fit.
func (p *prober) probes(fits func(probe) bool) []probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []probe
	for _, one := range p.log {
		if fits(one) {
			all = append(all, one)
		}
	}
	return all
}

// lastAdmitted is when a request was sent that the grant's row admitted last, by node.
func (p *prober) lastAdmitted(grant object) map[string]time.Time {
	last := map[string]time.Time{}
	for _, one := range p.probes(func(one probe) bool { return one.status == http.StatusOK && one.grant == grant["id"] }) {
		last[one.node] = one.sent
	}
	return last
}
