package lab

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// Nodes that DNS names are filled and given a lease, one that it names no more is forgotten and closes by its lease, and
// opens when it is named again, with what was granted meanwhile and without what was revoked.
func TestI3NodesComeAndGoByDNS(t *testing.T) {
	const srv = "_dataplane._tcp.edge.test."
	z := newZone(t, srv)
	ports := map[string]string{}
	l := open(t, world.Options{
		Discovery: &world.Discovery{SRV: srv, Resolver: z.address},
		DataPlaneVia: func(node, address string) (string, error) {
			_, ports[node], _ = net.SplitHostPort(address)
			if node != "edge-3" {
				z.add(node, ports[node])
			}
			return address, nil
		},
	})
	found := func(node string) string { return "found-127-0-0-1-" + ports[node] }
	statuses := l.nodeStatuses()
	require.Contains(t, statuses, found("edge-1"))
	require.Contains(t, statuses, found("edge-2"))
	require.Equal(t, "found", statuses[found("edge-2")]["source"])

	p := l.probe()
	g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
	p.with(stage.ProdBilling, token)
	l.admitted(stage.ProdBilling, token)

	z.remove("edge-2")
	begin := time.Now()
	stage.Eventually(t, "it is forgotten", func() bool { return l.nodeStatuses()[found("edge-2")] == nil })
	t.Logf("forgotten %s after its record went", time.Since(begin).Round(time.Millisecond))
	l.Revoke(stage.Alice, g)
	l.AwaitEnforced(g) // nobody waits for a node that there is not
	_, refusal := l.UntilRefused(l.Node("edge-2"), stage.ProdBilling, token)
	require.Contains(t, []string{"stale", "no_grant"}, refusal.Why)
	_, fresh := l.Open(stage.Bob, "prod", "billing", 10*time.Minute)
	p.with(stage.ProdBilling, fresh)

	z.add("edge-2", ports["edge-2"])
	begin = time.Now()
	l.admitted(stage.ProdBilling, fresh)
	t.Logf("it admits by what was granted meanwhile %s after its record came", time.Since(begin).Round(time.Millisecond))
	l.refusedSoon(stage.ProdBilling, token)
	require.Contains(t, l.nodeStatuses(), found("edge-2"))
	p.join(lease+reach, true) // a node that is forgotten is not reported of
}

// zone is a DNS server of the test's own, of one name of SRV records; every other name is loopback.
type zone struct {
	t       *testing.T
	name    string
	address string
	mu      sync.Mutex
	targets map[string]string // ports by the targets' names
}

func newZone(t *testing.T, name string) *zone {
	t.Helper()
	z := &zone{t: t, name: name, targets: map[string]string{}}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	z.address = packets.LocalAddr().String()
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(z.answer)}
	up, down := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(up) }
	go func() { down <- server.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-down); err != nil {
			t.Error(err)
		}
	})
	return z
}

func (z *zone) add(node, port string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.targets[node] = port
}

func (z *zone) remove(node string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.targets, node)
}

func (z *zone) answer(w dns.ResponseWriter, question *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(question)
	var records []string
	switch q := question.Question[0]; {
	case q.Qtype == dns.TypeSRV && strings.EqualFold(q.Name, z.name):
		for node, port := range z.targets {
			records = append(records, fmt.Sprintf("%s 1 IN SRV 0 0 %s %s.edge.test.", z.name, port, node))
		}
	case q.Qtype == dns.TypeA:
		records = []string{q.Name + " 1 IN A 127.0.0.1"}
	}
	for _, text := range records {
		record, err := dns.NewRR(text)
		if err != nil {
			z.t.Error(err)
			return
		}
		reply.Answer = append(reply.Answer, record)
	}
	_ = w.WriteMsg(reply) // who asked may have gone
}
