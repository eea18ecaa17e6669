package discovery

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// patience is how many answers in a row must miss an endpoint before it is forgotten: some DNS servers answer with a part of
// a large set, each time another.
const patience = 3

// Memory is what is believed of one Source's answers. It forgets an endpoint only by complete answers that miss few, see
// Options. The zero value is not ready; make it with NewMemory. It is not safe for concurrent use.
type Memory struct {
	options Options
	known   map[netip.AddrPort]int // in how many answers in a row it was missing
}

// Options say what is believed.
type Options struct {
	// MaxLossPercent is how many of the known endpoints an answer may miss, from 0 to 100. One that misses more is not
	// believed at all, however often it is repeated: a zone that is broken, or in other hands, stays so, and repeats itself.
	// To believe it wrongly means that nodes are given up, and the password is sent elsewhere; not to believe it means that nodes that
	// are gone are reported as failing until an operator looks.
	MaxLossPercent int
	// Networks are those in which endpoints may be. Empty: all, but loopback and link-local addresses.
	Networks []netip.Prefix
}

// NewMemory makes one that knows nothing.
func NewMemory(o Options) *Memory { return &Memory{options: o, known: map[netip.AddrPort]int{}} }

// Known are the endpoints that are believed to be there, sorted.
func (m *Memory) Known() []netip.AddrPort {
	all := make([]netip.AddrPort, 0, len(m.known))
	for e := range m.known {
		all = append(all, e)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all
}

// Take takes what a Source said. changed says that Known is another than before; err is what was wrong with the answer,
// also where a part of it was taken: failed or empty (nothing changes), incomplete (nothing is forgotten), endpoints that
// are refused (the others count), too many missing (nothing changes).
func (m *Memory) Take(a Answer, lookup error) (changed bool, err error) {
	if lookup != nil {
		return false, lookup
	}
	found, refused := m.allowed(a.Endpoints)
	if len(found) == 0 {
		return false, errors.Join(ErrEmpty, refused, a.Incomplete)
	}
	if a.Incomplete != nil {
		return m.add(found), errors.Join(fmt.Errorf("the answer is incomplete: %w", a.Incomplete), refused)
	}
	if missing := m.missing(found); missing*100 > m.options.MaxLossPercent*len(m.known) {
		return false, errors.Join(fmt.Errorf("%d of %d known nodes are missing in the answer, which is not believed",
			missing, len(m.known)), refused)
	}
	forgot := m.forget(found)
	return m.add(found) || forgot, refused
}

func (m *Memory) missing(found map[netip.AddrPort]bool) int {
	n := 0
	for e := range m.known {
		if !found[e] {
			n++
		}
	}
	return n
}

func (m *Memory) add(found map[netip.AddrPort]bool) (changed bool) {
	for e := range found {
		if _, known := m.known[e]; !known {
			changed = true
		}
		m.known[e] = 0
	}
	return changed
}

func (m *Memory) forget(found map[netip.AddrPort]bool) (changed bool) {
	for e := range m.known {
		if found[e] {
			continue
		}
		if m.known[e]++; m.known[e] >= patience {
			delete(m.known, e)
			changed = true
		}
	}
	return changed
}

// allowed are the endpoints at which a node may be, each once and in its one form, and what is wrong with the others.
func (m *Memory) allowed(endpoints []netip.AddrPort) (map[netip.AddrPort]bool, error) {
	found := map[netip.AddrPort]bool{}
	var refused []error
	for _, e := range endpoints {
		e = netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
		if err := m.check(e); err != nil {
			refused = append(refused, fmt.Errorf("%s is refused: %w", e, err))
			continue
		}
		found[e] = true
	}
	return found, errors.Join(refused...)
}

func (m *Memory) check(e netip.AddrPort) error {
	a := e.Addr()
	switch {
	case e.Port() == 0:
		return errors.New("it has no port")
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("no node can have this address")
	case a.Zone() != "":
		return errors.New("it has a zone")
	case slices.ContainsFunc(m.options.Networks, func(n netip.Prefix) bool { return n.Contains(a) }):
		return nil
	case len(m.options.Networks) > 0:
		return errors.New("it is in none of the networks")
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return errors.New("a loopback or link-local address must be in one of the networks")
	}
	return nil
}
