package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// found is what is to be added to the configuration.
type found struct {
	// nodes are those that discoveries know, in order.
	nodes []foundNode
	// environments are the ephemeral ones, those that came first at the front; those that were removed stay on the nodes
	// for a while, so that the end of their grants is carried out there.
	environments []store.Environment
	// backends are those of each node as it answered last, sorted; version is another whenever one of them is.
	backends map[string][]string
	version  int
}

type foundNode struct {
	source string
	node   *haproxyv1.Node
	at     netip.AddrPort
}

// left is what of it was left out, and why.
type left struct {
	what        string
	environment string // whose it is; empty for a node
	err         error
}

// effective builds a fleet out of the configuration and what was found.
type effective struct {
	service *Service
	access  *accessv1.Config
	config  *haproxyv1.Config
	sources map[string]string // of nodes, by name
	left    []left
}

// build adds what was found to the configuration. Whatever the configuration could not have is left out, and the rest stays. The
// error is that of the configuration itself.
func (e *effective) build(f found) (*snapshot, error) {
	e.config = e.service.static
	if err := e.check(e.config); err != nil {
		return nil, err
	}
	e.sources = map[string]string{}
	for _, n := range e.config.GetNodes() {
		e.sources[n.GetName()] = fromConfiguration
	}
	e.add(e.nodeUnits(f.nodes))
	e.add(e.poolUnits(f))
	removed, problems := map[string]bool{}, map[string][]string{}
	for _, row := range f.environments {
		removed[row.Name] = !row.RemovedAt.IsZero()
	}
	for _, l := range e.left {
		problems[l.environment] = append(problems[l.environment], l.what+": "+l.err.Error())
	}
	s, err := newSnapshot(e.config, removed, e.service.connections.to)
	if err != nil {
		return nil, err
	}
	in, err := haproxycfg.FromConfig(e.config, e.access, nil)
	if err != nil {
		return nil, err
	}
	for _, m := range s.nodes {
		m.source = e.sources[m.name]
	}
	s.input, s.problems = &in, problems
	return s, nil
}

func (e *effective) check(config *haproxyv1.Config) error {
	_, err := haproxycfg.FromConfig(config, e.access, nil)
	return err
}

// unit is one thing to add, by itself.
type unit struct {
	left  // what it is; err is set where it cannot be added whatever else there is
	apply func(*haproxyv1.Config)
}

// add adds the units that the configuration can have: all at once where it can, else in halves, so that few that cannot are
// found fast. Of two that exclude each other the first counts.
func (e *effective) add(units []unit) {
	if len(units) == 0 {
		return
	}
	next := proto.Clone(e.config).(*haproxyv1.Config)
	var err error
	for _, u := range units {
		if err = u.err; err != nil {
			break
		}
		u.apply(next)
	}
	if err == nil {
		err = e.check(next)
	}
	switch {
	case err == nil:
		e.config = next
	case len(units) == 1:
		units[0].err = err
		e.left = append(e.left, units[0].left)
	default:
		e.add(units[:len(units)/2])
		e.add(units[len(units)/2:])
	}
}

// nodeUnits are the nodes that were found. One at the address of another would be written to by two loops that may want
// different things.
func (e *effective) nodeUnits(nodes []foundNode) []unit {
	taken := map[netip.AddrPort]string{}
	for _, n := range e.config.GetNodes() {
		if u, err := url.Parse(n.GetDataplane().GetUrl()); err == nil {
			if at, err := netip.ParseAddrPort(u.Host); err == nil {
				taken[netip.AddrPortFrom(at.Addr().Unmap(), at.Port())] = n.GetName()
			}
		}
	}
	var units []unit
	for _, n := range nodes {
		u := unit{left: left{what: "node " + n.node.GetName()}}
		if other := taken[n.at]; other != "" {
			u.err = fmt.Errorf("its address is that of node %s", other)
		} else if _, err := e.service.connections.to(n.node); err != nil {
			u.err = err
		} else {
			taken[n.at] = n.node.GetName()
		}
		if u.err == nil {
			if _, have := e.sources[n.node.GetName()]; !have {
				e.sources[n.node.GetName()] = n.source
			}
		}
		u.apply = func(c *haproxyv1.Config) { c.Nodes = append(c.Nodes, proto.Clone(n.node).(*haproxyv1.Node)) }
		units = append(units, u)
	}
	return units
}

// poolUnits are the pools of the ephemeral environments.
func (e *effective) poolUnits(f found) []unit {
	backends := map[*template][]string{}
	for _, t := range e.service.templates {
		backends[t] = union(f.backends, e.nodesOf(t))
	}
	count, prefixes, taken := map[*template]int{}, prefixes{}, takenBy(e.config)
	var units []unit
	for _, row := range f.environments {
		t := e.service.template(row.Name)
		refuse := func(err error) {
			e.left = append(e.left, left{what: "environment " + row.Name, environment: row.Name, err: err})
		}
		switch {
		case t == nil || t.config.GetPattern() != row.Template:
			refuse(fmt.Errorf("the configuration has no template %s for it", row.Template))
			continue
		case count[t] >= t.max:
			refuse(fmt.Errorf("%s may have no more than %d environments", row.Template, t.max))
			continue
		}
		if err := prefixes.claim(t.prefix(row.Name), row.Name); err != nil {
			refuse(err)
			continue
		}
		if row.RemovedAt.IsZero() {
			count[t]++
		}
		var pools []*haproxyv1.Pool
		for _, backend := range withPrefix(backends[t], t.prefix(row.Name)) {
			pools = append(pools, t.pool(row.Name, backend))
		}
		sound := e.alone(t, row.Name, pools...) == nil
		for _, pool := range pools {
			u := e.poolUnit(t, row.Name, pool)
			if !sound {
				u.err = e.alone(t, row.Name, pool)
			}
			if u.err == nil {
				u.err = taken.claim(row.Name, pool)
			}
			units = append(units, u)
		}
	}
	// What is known to be wrong goes first, so that the rest is added at once.
	return slices.DeleteFunc(units, func(u unit) bool {
		if u.err != nil {
			e.left = append(e.left, u.left)
		}
		return u.err != nil
	})
}

// alone says what is wrong with pools of an environment whatever else there is.
func (e *effective) alone(t *template, environment string, pools ...*haproxyv1.Pool) error {
	for _, p := range pools {
		if _, err := grant.NewPool(environment, p.GetName()); err != nil {
			return err
		}
	}
	own := t.environment(environment)
	own.Pools = pools
	if len(pools) == 0 {
		return nil
	}
	return e.check(&haproxyv1.Config{Environments: []*haproxyv1.Environment{own}, Enforcement: e.config.GetEnforcement()})
}

// taken are hosts and backends that somebody has.
type taken map[string]string

func takenBy(config *haproxyv1.Config) taken {
	t := taken{}
	for _, environment := range config.GetEnvironments() {
		for _, p := range environment.GetPools() {
			_ = t.claim(environment.GetName(), p) // the configuration itself has no doubles
		}
	}
	return t
}

func (t taken) claim(environment string, p *haproxyv1.Pool) error {
	keys := []string{"backend " + p.GetBackend()}
	for _, host := range p.GetHosts() {
		keys = append(keys, "host "+host)
	}
	for _, key := range keys {
		if other, have := t[key]; have {
			return fmt.Errorf("%s is taken by %s", key, other)
		}
	}
	for _, key := range keys {
		t[key] = environment + "/" + p.GetName()
	}
	return nil
}

func (e *effective) poolUnit(t *template, environment string, pool *haproxyv1.Pool) unit {
	u := unit{left: left{what: "pool " + environment + "/" + pool.GetName(), environment: environment}}
	u.apply = func(c *haproxyv1.Config) {
		for _, have := range c.Environments {
			if have.GetName() == environment {
				have.Pools = append(have.Pools, pool)
				return
			}
		}
		added := t.environment(environment)
		added.Pools = []*haproxyv1.Pool{pool}
		c.Environments = append(c.Environments, added)
		for _, n := range c.Nodes {
			if t.has(n.GetName(), e.sources[n.GetName()]) {
				n.Environments = append(n.Environments, environment)
			}
		}
	}
	return u
}

// nodesOf are the names of the nodes that serve a template's environments.
func (e *effective) nodesOf(t *template) []string {
	var names []string
	for _, n := range e.config.GetNodes() {
		if t.has(n.GetName(), e.sources[n.GetName()]) {
			names = append(names, n.GetName())
		}
	}
	return names
}

// union are the backends of some nodes, sorted.
func union(backends map[string][]string, nodes []string) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, backends[n]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// withPrefix are those of sorted names that begin with prefix and go on.
func withPrefix(names []string, prefix string) []string {
	from := sort.SearchStrings(names, prefix)
	to := from
	for to < len(names) && strings.HasPrefix(names[to], prefix) {
		to++
	}
	if from < to && names[from] == prefix {
		from++
	}
	return names[from:to]
}

// prefixes are those by which environments claim backends: no two may claim the same one.
type prefixes struct {
	whole map[string]string // whose it is
	part  map[string]string // what a whole one begins with
}

func (p *prefixes) claim(prefix, environment string) error {
	if p.whole == nil {
		p.whole, p.part = map[string]string{}, map[string]string{}
	}
	other := p.part[prefix]
	for i := 1; i <= len(prefix) && other == ""; i++ {
		other = p.whole[prefix[:i]]
	}
	if other != "" {
		return errors.New("its backends would be those of environment " + other)
	}
	p.whole[prefix] = environment
	for i := range prefix {
		p.part[prefix[:i+1]] = environment
	}
	return nil
}
