package main

import (
	"fmt"
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
)

// known is what the command line and the gateway's configuration say of pools and people.
type known struct {
	pools  []grant.Pool // configured, in order
	tags   map[grant.Pool][]string
	groups map[grant.Subject][]string
}

func (s *scope) facts() (*known, error) {
	k := &known{tags: map[grant.Pool][]string{}, groups: map[grant.Subject][]string{}}
	for full, list := range s.tags {
		pool, err := grant.ParsePool(full)
		if err != nil {
			return nil, fmt.Errorf("--tags: %w", err)
		}
		var tags names
		if err := tags.Set(list); err != nil {
			return nil, fmt.Errorf("--tags: %w", err)
		}
		k.tags[pool] = tags.list
	}
	for name, list := range s.known {
		subject, err := grant.ParseSubject(name)
		if err != nil {
			return nil, fmt.Errorf("--groups-of: %w", err)
		}
		var groups names
		if err := groups.Set(list); err != nil {
			return nil, fmt.Errorf("--groups-of: %w", err)
		}
		k.groups[subject] = groups.list
	}
	return k, nil
}

// configured adds the pools of a gateway. A pool has its own tags and those of its environment; what the command line
// says of it counts instead.
func (k *known) configured(fleet *haproxyv1.Config) {
	for _, environment := range fleet.GetEnvironments() {
		for _, p := range environment.GetPools() {
			pool := grant.Pool{Environment: environment.GetName(), Name: p.GetName()}
			k.pools = append(k.pools, pool)
			if _, given := k.tags[pool]; !given {
				k.tags[pool] = append(slices.Clone(environment.GetTags()), p.GetTags()...)
			}
		}
	}
}
