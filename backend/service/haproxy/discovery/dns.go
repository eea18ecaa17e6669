package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Resolver asks DNS. An answer that is cut short is an error, and so is one of no record (see ErrEmpty).
type Resolver interface {
	// Targets are a name's SRV records.
	Targets(ctx context.Context, name string) (Targets, error)
	// Addresses are a name's A and AAAA records.
	Addresses(ctx context.Context, name string) (Addresses, error)
}

// Addresses are A and AAAA records.
type Addresses struct {
	All []netip.Addr
	// Incomplete says why there may be more; nil: these are all.
	Incomplete error
}

// Targets are SRV records.
type Targets struct {
	All []Target
	// Incomplete says why there may be more; nil: these are all.
	Incomplete error
}

// Target is an SRV record.
type Target struct {
	Name string
	Port uint16
}

// SRV is a Source by SRV records: each target's addresses, with the record's port.
type SRV struct {
	Name     string
	Resolver Resolver
}

// Lookup implements Source. A target whose addresses are not known makes the answer incomplete.
func (s SRV) Lookup(ctx context.Context) (Answer, error) {
	targets, err := s.Resolver.Targets(ctx, s.Name)
	if err != nil {
		return Answer{}, fmt.Errorf("look up %s: %w", s.Name, err)
	}
	answer := Answer{}
	problems := []error{targets.Incomplete}
	addresses := map[string][]netip.Addr{} // each name is asked for once
	for _, t := range targets.All {
		name := strings.ToLower(strings.TrimSuffix(t.Name, "."))
		if name == "" || t.Port == 0 {
			continue // by RFC 2782 the service is decidedly not available there; what has no port is none
		}
		if _, asked := addresses[name]; !asked {
			found, err := s.Resolver.Addresses(ctx, name+".")
			addresses[name] = found.All
			if err = errors.Join(found.Incomplete, err); err != nil {
				problems = append(problems, fmt.Errorf("look up %s: %w", name, err))
			}
		}
		for _, a := range addresses[name] {
			answer.Endpoints = append(answer.Endpoints, netip.AddrPortFrom(a, t.Port))
		}
		if len(answer.Endpoints) > maxRecords {
			return Answer{}, fmt.Errorf("look up %s: %w", s.Name, ErrTooMany)
		}
	}
	answer.Incomplete = errors.Join(problems...)
	if len(answer.Endpoints) == 0 {
		return Answer{}, fmt.Errorf("look up %s: %w", s.Name, errors.Join(ErrEmpty, answer.Incomplete))
	}
	return answer, nil
}

// Host is a Source by a name's A and AAAA records.
type Host struct {
	Name     string
	Port     uint16
	Resolver Resolver
}

// Lookup implements Source.
func (h Host) Lookup(ctx context.Context) (Answer, error) {
	found, err := h.Resolver.Addresses(ctx, h.Name)
	if err != nil {
		return Answer{}, fmt.Errorf("look up %s: %w", h.Name, err)
	}
	answer := Answer{Incomplete: found.Incomplete}
	for _, a := range found.All {
		answer.Endpoints = append(answer.Endpoints, netip.AddrPortFrom(a, h.Port))
	}
	return answer, nil
}
