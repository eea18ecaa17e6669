package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// zone is a DNS server of the test's own on loopback, over UDP and TCP.
type zone struct {
	t       *testing.T
	address netip.AddrPort
	mu      sync.Mutex
	records []dns.RR
	spoil   func(tcp bool, answer *dns.Msg) *dns.Msg // nil: no answer at all
}

func newZone(t *testing.T, records ...string) *zone {
	t.Helper()
	z := &zone{t: t}
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		z.records = append(z.records, rr)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.address = netip.MustParseAddrPort(packets.LocalAddr().String())
	stream, err := net.Listen("tcp", z.address.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z.handler(false)}, {Listener: stream, Handler: z.handler(true)}} {
		up, down := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(up) }
		go func() { down <- s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() {
			if err := errors.Join(s.Shutdown(), <-down); err != nil {
				t.Error(err)
			}
		})
	}
	return z
}

func (z *zone) answer(spoil func(tcp bool, answer *dns.Msg) *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.spoil = spoil
}

func (z *zone) handler(tcp bool) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		z.mu.Lock()
		defer z.mu.Unlock()
		a := new(dns.Msg)
		a.SetReply(q)
		for _, r := range z.records {
			if h := r.Header(); h.Rrtype == dns.TypeCNAME || strings.EqualFold(h.Name, q.Question[0].Name) && h.Rrtype == q.Question[0].Qtype {
				a.Answer = append(a.Answer, r)
			}
		}
		if z.spoil != nil {
			a = z.spoil(tcp, a)
		}
		if a != nil {
			_ = w.WriteMsg(a) // the client may have gone
		}
	}
}

func (z *zone) resolver() Server { return Server{Address: z.address, Timeout: 300 * time.Millisecond} }

func (z *zone) lookup(s Source) (string, error) {
	a, err := s.Lookup(z.t.Context())
	return text(a.Endpoints), errors.Join(err, a.Incomplete)
}

const service = "_dataplane._tcp.edge.example."

func (z *zone) srv() Source { return SRV{Name: "_Dataplane._tcp.edge.example", Resolver: z.resolver()} }

func TestRecordsBecomeEndpoints(t *testing.T) {
	z := newZone(t,
		service+" SRV 0 0 5555 a.example.", service+" SRV 0 0 5556 A.example.", service+" SRV 1 0 5555 six.example.",
		service+" SRV 0 0 5555 .", service+" SRV 0 0 0 b.example.",
		"a.example. A 10.0.0.1", "six.example. AAAA 2001:db8::6", "b.example. A 10.0.0.2",
		"both.example. A 10.0.0.3", "both.example. AAAA 2001:db8::3",
	)
	got, err := z.lookup(z.srv())
	if want := "10.0.0.1:5555 10.0.0.1:5556 [2001:db8::6]:5555"; got != want || err != nil {
		t.Errorf("srv: %s, %v; want %s", got, err, want)
	}
	got, err = z.lookup(Host{Name: "both.example", Port: 7, Resolver: z.resolver()})
	if want := "10.0.0.3:7 [2001:db8::3]:7"; got != want || err != nil {
		t.Errorf("host: %s, %v; want %s", got, err, want)
	}
}

func TestAnAliasIsFollowedAndNothingElseIsBelieved(t *testing.T) {
	z := newZone(t, "edge.example. CNAME real.example.", "x.example. CNAME y.example.", "loop.example. CNAME loop.example.")
	extra := func(records ...string) {
		z.answer(func(_ bool, a *dns.Msg) *dns.Msg {
			if a.Question[0].Qtype == dns.TypeA {
				for _, r := range records {
					rr, _ := dns.NewRR(r)
					a.Answer = append(a.Answer, rr)
				}
			}
			return a
		})
	}
	host := Host{Name: "edge.example", Port: 7, Resolver: z.resolver()}
	extra("real.example. A 10.0.0.1", "y.example. A 10.6.6.6", "other.example. A 10.6.6.7", "real.example. CH A 10.6.6.8")
	if got, err := z.lookup(host); got != "10.0.0.1:7" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	extra("other.example. A 10.6.6.7")
	if got, err := z.lookup(host); got != "" || !errors.Is(err, ErrEmpty) {
		t.Errorf("a foreign record alone: got %s, %v", got, err)
	}
}

// Each bad answer to the question for SRV records or addresses, and whether it is an error or only incomplete.
func TestABadAnswerOfDNSIsAnErrorOrIncomplete(t *testing.T) {
	records := []string{
		service + " SRV 0 0 5555 a.example.", service + " SRV 0 0 5555 b.example.",
		"a.example. A 10.0.0.1", "b.example. A 10.0.0.2",
	}
	rcode := func(code int) func(bool, *dns.Msg) *dns.Msg {
		return func(_ bool, a *dns.Msg) *dns.Msg {
			a.Rcode, a.Answer = code, nil
			return a
		}
	}
	of := func(name string, kind uint16, spoil func(bool, *dns.Msg) *dns.Msg) func(bool, *dns.Msg) *dns.Msg {
		return func(tcp bool, a *dns.Msg) *dns.Msg {
			if q := a.Question[0]; q.Qtype == kind && (name == "" || q.Name == name) {
				return spoil(tcp, a)
			}
			return a
		}
	}
	truncate := func(onTCP bool) func(bool, *dns.Msg) *dns.Msg {
		return func(tcp bool, a *dns.Msg) *dns.Msg {
			if !tcp || onTCP {
				a.Truncated, a.Answer = true, a.Answer[:1]
			}
			return a
		}
	}
	silent := func(bool, *dns.Msg) *dns.Msg { return nil }
	const all, one = "10.0.0.1:5555 10.0.0.2:5555", "10.0.0.1:5555"
	for name, c := range map[string]struct {
		spoil func(bool, *dns.Msg) *dns.Msg
		want  string
		bad   bool
	}{
		"good":                      {nil, all, false},
		"no such name":              {of("", dns.TypeSRV, rcode(dns.RcodeNameError)), "", true},
		"server failure":            {of("", dns.TypeSRV, rcode(dns.RcodeServerFailure)), "", true},
		"refused":                   {of("", dns.TypeSRV, rcode(dns.RcodeRefused)), "", true},
		"no records":                {of("", dns.TypeSRV, rcode(dns.RcodeSuccess)), "", true},
		"no answer":                 {of("", dns.TypeSRV, silent), "", true},
		"cut short over udp":        {of("", dns.TypeSRV, truncate(false)), all, false},
		"cut short over tcp too":    {of("", dns.TypeSRV, truncate(true)), "", true},
		"not an answer":             {of("", dns.TypeSRV, func(_ bool, a *dns.Msg) *dns.Msg { a.Response = false; return a }), "", true},
		"to another question":       {of("", dns.TypeSRV, func(_ bool, a *dns.Msg) *dns.Msg { a.Question[0].Name = "x."; return a }), "", true},
		"of another kind":           {of("", dns.TypeSRV, func(_ bool, a *dns.Msg) *dns.Msg { a.Question[0].Qtype = dns.TypeTXT; return a }), "", true},
		"with another id":           {of("", dns.TypeSRV, func(_ bool, a *dns.Msg) *dns.Msg { a.Id++; return a }), "", true},
		"too many":                  {of("", dns.TypeSRV, flood), "", true},
		"one target unknown":        {of("b.example.", dns.TypeA, rcode(dns.RcodeNameError)), one, true},
		"one target fails":          {of("b.example.", dns.TypeA, rcode(dns.RcodeServerFailure)), one, true},
		"one target silent":         {of("b.example.", dns.TypeA, silent), one, true},
		"one family of one fails":   {of("b.example.", dns.TypeAAAA, rcode(dns.RcodeServerFailure)), all, true},
		"one family is not there":   {of("", dns.TypeAAAA, rcode(dns.RcodeNameError)), all, false},
		"no target has any address": {of("", dns.TypeA, rcode(dns.RcodeSuccess)), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZone(t, records...)
			z.answer(c.spoil)
			got, err := z.lookup(z.srv())
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("got %q, %v; want %q, bad %t", got, err, c.want, c.bad)
			}
		})
	}
}

func flood(_ bool, a *dns.Msg) *dns.Msg {
	a.Compress = true
	for i := range maxRecords {
		rr, _ := dns.NewRR(fmt.Sprintf("%s SRV 0 0 %d a.example.", service, i+1))
		a.Answer = append(a.Answer, rr)
	}
	if a.Len() > dns.MaxMsgSize {
		panic("the flood does not fit into a message")
	}
	return a
}

func TestALookupEndsWithItsContext(t *testing.T) {
	z := newZone(t)
	z.answer(func(bool, *dns.Msg) *dns.Msg { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := SRV{Name: service, Resolver: Server{Address: z.address, Timeout: time.Hour}}
	if _, err := s.Lookup(ctx); err == nil {
		t.Error("no error")
	}
}

// The machine's own names are there without any DNS server.
func TestTheMachinesResolverKnowsItself(t *testing.T) {
	a, err := Host{Name: "localhost", Port: 9, Resolver: System{}}.Lookup(t.Context())
	if err != nil || !strings.Contains(text(a.Endpoints), "127.0.0.1:9") {
		t.Errorf("%s, %v", text(a.Endpoints), err)
	}
}
