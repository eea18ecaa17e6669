package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

// fromConfiguration is the source of nodes that the configuration names itself.
const fromConfiguration = "configuration"

// snapshot is the fleet as it is at one time: the configuration, with what was found. It is never changed.
type snapshot struct {
	config *haproxyv1.Config
	// input is config, checked as a whole; nil before there is a Watch.
	input *haproxycfg.Input
	pools []access.Pool
	// backends are the pools' names in haproxy.cfg.
	backends map[grant.Pool]string
	// networks are those in which an environment's servers may be.
	networks map[string][]netip.Prefix
	nodes    []*member
	// problems say what of an ephemeral environment was left out.
	problems map[string][]string
}

// member is a node, with the environments that it serves.
type member struct {
	*connection
	name         string
	source       string
	environments []string
}

// newSnapshot reads a configuration. removed are environments that are still on the nodes, but have no pools for anybody.
// connect makes or finds the connection of a node. The error joins all problems and names each field.
func newSnapshot(
	config *haproxyv1.Config, removed map[string]bool, connect func(*haproxyv1.Node) (*connection, error),
) (*snapshot, error) {
	s := &snapshot{config: config, backends: map[grant.Pool]string{}, networks: map[string][]netip.Prefix{}}
	var errs []error
	for i, e := range config.GetEnvironments() {
		networks, err := parseNetworks(e.GetServerNetworks())
		if err != nil {
			errs = append(errs, fmt.Errorf("environments[%d].server_networks%w", i, err))
		}
		s.networks[e.GetName()] = networks
		for j, p := range e.GetPools() {
			name, err := grant.NewPool(e.GetName(), p.GetName())
			if err != nil {
				errs = append(errs, fmt.Errorf("environments[%d].pools[%d].name: %w", i, j, err))
				continue
			}
			s.backends[name] = p.GetBackend()
			if removed[e.GetName()] {
				continue
			}
			tags := slices.Concat(e.GetTags(), p.GetTags())
			slices.Sort(tags)
			s.pools = append(s.pools, access.Pool{
				Name: name, Description: p.GetDescription(), Hosts: p.GetHosts(), Tags: slices.Compact(tags),
			})
		}
	}
	slices.SortFunc(s.pools, func(a, b access.Pool) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	for i, n := range config.GetNodes() {
		c, err := connect(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("nodes[%d].%w", i, err))
			continue
		}
		s.nodes = append(s.nodes, &member{connection: c, name: n.GetName(), environments: n.GetEnvironments()})
	}
	return s, errors.Join(errs...)
}

// parseNetworks reads networks; the error begins with the place of the one that is none: "[2]: ...".
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for i, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("[%d]: want a network such as 10.0.0.0/16", i)
		}
		all = append(all, network)
	}
	return all, nil
}

func (s *snapshot) serving(environment string) []*member {
	var nodes []*member
	for _, m := range s.nodes {
		if slices.Contains(m.environments, environment) {
			nodes = append(nodes, m)
		}
	}
	return nodes
}
