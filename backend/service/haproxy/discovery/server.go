package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Server is a Resolver that asks one DNS server, which must resolve recursively.
type Server struct {
	// Address is ip:port.
	Address netip.AddrPort
	// Timeout bounds each question over each transport.
	Timeout time.Duration
}

// Targets implements Resolver.
func (s Server) Targets(ctx context.Context, name string) (Targets, error) {
	records, err := s.ask(ctx, name, dns.TypeSRV)
	if err != nil {
		return Targets{}, err
	}
	t := Targets{}
	for _, r := range records {
		if srv, ok := r.(*dns.SRV); ok {
			t.All = append(t.All, Target{Name: srv.Target, Port: srv.Port})
		}
	}
	return t, nil
}

// Addresses implements Resolver.
func (s Server) Addresses(ctx context.Context, name string) (Addresses, error) {
	return bothFamilies(func(v6 bool) ([]netip.Addr, error) {
		kind := dns.TypeA
		if v6 {
			kind = dns.TypeAAAA
		}
		records, err := s.ask(ctx, name, kind)
		if err != nil {
			return nil, err
		}
		var found []netip.Addr
		for _, r := range records {
			switch r := r.(type) {
			case *dns.A:
				a, ok := netip.AddrFromSlice(r.A.To4())
				if !ok {
					return nil, errors.New("an A record without an address")
				}
				found = append(found, a)
			case *dns.AAAA:
				a, ok := netip.AddrFromSlice(r.AAAA.To16())
				if !ok {
					return nil, errors.New("an AAAA record without an address")
				}
				found = append(found, a)
			}
		}
		return found, nil
	})
}

// ask asks for records of one type: over UDP, and over TCP where the answer was cut. It answers the records that the name
// has, by way of its aliases; ErrEmpty if there is none.
func (s Server) ask(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return nil, fmt.Errorf("%q is no domain name", name)
	}
	question := new(dns.Msg)
	question.SetQuestion(dns.CanonicalName(name), kind)
	question.SetEdns0(1232, false)
	var answer *dns.Msg
	for _, transport := range []string{"udp", "tcp"} {
		client := dns.Client{Net: transport, Timeout: s.Timeout}
		var err error
		if answer, _, err = client.ExchangeContext(ctx, question, s.Address.String()); err != nil {
			return nil, fmt.Errorf("ask %s over %s: %w", s.Address, transport, err)
		}
		if !answer.Truncated {
			break
		}
	}
	if err := fits(answer, question.Question[0]); err != nil {
		return nil, err
	}
	records := owned(answer, question.Question[0])
	switch {
	case len(records) == 0:
		return nil, ErrEmpty
	case len(records) > maxRecords:
		return nil, ErrTooMany
	}
	return records, nil
}

// fits refuses what is not a whole answer to the question.
func fits(answer *dns.Msg, question dns.Question) error {
	switch {
	case !answer.Response || answer.Opcode != dns.OpcodeQuery:
		return errors.New("what came is no answer")
	case answer.Truncated:
		return errors.New("the answer is cut short, over tcp too")
	case answer.Rcode == dns.RcodeNameError:
		return ErrEmpty
	case answer.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("the server answers %s", dns.RcodeToString[answer.Rcode])
	case len(answer.Question) != 1 || answer.Question[0].Qtype != question.Qtype || answer.Question[0].Qclass != question.Qclass ||
		!strings.EqualFold(answer.Question[0].Name, question.Name):
		return errors.New("the answer is to another question")
	}
	return nil
}

// maxAliases is how long a chain of aliases may be.
const maxAliases = 16

// owned are the records of the type that the name has, or what it is an alias of: whatever else stands in an answer was not
// asked for.
func owned(answer *dns.Msg, question dns.Question) []dns.RR {
	names := map[string]bool{question.Name: true}
	for range maxAliases { // they may stand in any order
		grown := false
		for _, r := range answer.Answer {
			alias, ok := r.(*dns.CNAME)
			if ok && names[dns.CanonicalName(alias.Hdr.Name)] && !names[dns.CanonicalName(alias.Target)] {
				names[dns.CanonicalName(alias.Target)], grown = true, true
			}
		}
		if !grown {
			break
		}
	}
	var records []dns.RR
	for _, r := range answer.Answer {
		h := r.Header()
		if h.Rrtype == question.Qtype && h.Class == question.Qclass && names[dns.CanonicalName(h.Name)] {
			records = append(records, r)
		}
	}
	return records
}
