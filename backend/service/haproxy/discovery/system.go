package discovery

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// System is the Resolver of the machine.
type System struct{}

// Targets implements Resolver. Records with a name that none can be are left out by the standard library with an error:
// they make the answer incomplete.
func (System) Targets(ctx context.Context, name string) (Targets, error) {
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
	if len(records) == 0 {
		return Targets{}, emptyOr(err)
	}
	if len(records) > maxRecords {
		return Targets{}, ErrTooMany
	}
	t := Targets{Incomplete: err}
	for _, r := range records {
		t.All = append(t.All, Target{Name: r.Target, Port: r.Port})
	}
	return t, nil
}

// Addresses implements Resolver. Each family is asked for by itself: asked for both, the standard library hides that one of
// the two failed.
func (System) Addresses(ctx context.Context, name string) (Addresses, error) {
	return bothFamilies(func(v6 bool) ([]netip.Addr, error) {
		network := "ip4"
		if v6 {
			network = "ip6"
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
		if len(found) == 0 {
			return nil, emptyOr(err)
		}
		for i := range found {
			found[i] = found[i].Unmap()
		}
		return found, err
	})
}

// emptyOr is ErrEmpty where an error says that there is no such record.
func emptyOr(err error) error {
	var of *net.DNSError
	if err == nil || errors.As(err, &of) && of.IsNotFound {
		return ErrEmpty
	}
	return err
}

// bothFamilies joins two questions. That a family has no records is no error as long as the other one has; that it could not
// be asked makes the answer incomplete.
func bothFamilies(ask func(v6 bool) ([]netip.Addr, error)) (Addresses, error) {
	var both Addresses
	for _, v6 := range []bool{false, true} {
		some, failed := ask(v6)
		both.All = append(both.All, some...)
		if failed != nil && !errors.Is(failed, ErrEmpty) {
			both.Incomplete = errors.Join(both.Incomplete, failed)
		}
	}
	switch {
	case len(both.All) > maxRecords:
		return Addresses{}, ErrTooMany
	case len(both.All) > 0:
		return both, nil
	case both.Incomplete != nil:
		return Addresses{}, both.Incomplete
	}
	return Addresses{}, ErrEmpty
}
