package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
)

const (
	environmentMark = "{environment}"
	poolMark        = "{pool}"
	addressMark     = "{address}"

	defaultMaxEnvironments = 100
)

// template is a pattern of ephemeral environments.
type template struct {
	config *haproxyv1.EnvironmentTemplate
	// head is what the environments' names begin with.
	head string
	// before and after stand around the environment's name in the prefix of its backends.
	before, after string
	max           int
}

// newTemplates reads them. Patterns must not overlap: else it would not be clear whose an environment is.
func newTemplates(config *haproxyv1.Config) ([]*template, error) {
	var all []*template
	var errs []error
	for i, c := range config.GetEnvironmentTemplates() {
		field := fmt.Sprintf("environment_templates[%d]", i)
		t, err := newTemplate(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", field, err))
			continue
		}
		for _, other := range all {
			if strings.HasPrefix(t.head, other.head) || strings.HasPrefix(other.head, t.head) {
				errs = append(errs, fmt.Errorf("%s.pattern: it overlaps with %s", field, other.config.GetPattern()))
			}
		}
		for _, name := range c.GetNodes() {
			if !knownNode(config, name) {
				errs = append(errs, fmt.Errorf("%s.nodes: there is no node or discovery %q", field, name))
			}
		}
		all = append(all, t)
	}
	return all, errors.Join(errs...)
}

func newTemplate(c *haproxyv1.EnvironmentTemplate) (*template, error) {
	t := &template{config: c, max: int(c.GetMaxEnvironments())}
	if t.max == 0 {
		t.max = defaultMaxEnvironments
	}
	var starred, marked bool
	t.head, starred = strings.CutSuffix(c.GetPattern(), "*")
	if !starred || strings.Contains(t.head, "*") {
		return nil, errors.New("pattern: want one star, at its end")
	}
	if t.before, t.after, marked = strings.Cut(c.GetBackendPrefix(), environmentMark); !marked {
		return nil, fmt.Errorf("backend_prefix: want %s in it", environmentMark)
	}
	if c.GetDiscover() && t.after == "" {
		return nil, fmt.Errorf("backend_prefix: with discover, want something after %s", environmentMark)
	}
	if !strings.Contains(c.GetHost(), environmentMark) || !strings.Contains(c.GetHost(), poolMark) {
		return nil, fmt.Errorf("host: want %s and %s in it", poolMark, environmentMark)
	}
	if _, err := haproxycfg.ParseLease(c.GetLease()); err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	if _, err := parseNetworks(c.GetServerNetworks()); err != nil {
		return nil, fmt.Errorf("server_networks%w", err)
	}
	for i, r := range c.GetRegistrars() {
		if strings.HasPrefix(r, "service:") {
			if s, err := grant.ParseSubject(r); err != nil || !s.IsService() {
				return nil, fmt.Errorf("registrars[%d]: want service:name", i)
			}
		}
	}
	return t, nil
}

func knownNode(config *haproxyv1.Config, name string) bool {
	found, ofDiscovery := discoveryOf(name)
	return ofDiscovery && slices.ContainsFunc(config.GetDiscovery(), func(d *haproxyv1.Discovery) bool { return d.GetName() == found }) ||
		slices.ContainsFunc(config.GetNodes(), func(n *haproxyv1.Node) bool { return n.GetName() == name })
}

// discoveryOf is the discovery whose nodes a word of a template's nodes stands for: "edge-*" for those of edge.
func discoveryOf(word string) (string, bool) { return strings.CutSuffix(word, "-*") }

// has reports whether a node, of a source, serves the template's environments.
func (t *template) has(node, source string) bool {
	return slices.ContainsFunc(t.config.GetNodes(), func(word string) bool {
		of, found := discoveryOf(word)
		return word == node && source == fromConfiguration || found && of == source
	})
}

// fits reports whether the pattern has an environment of this name.
func (t *template) fits(name string) bool {
	if len(name) <= len(t.head) || !strings.HasPrefix(name, t.head) {
		return false
	}
	_, err := grant.NewPool(name, "any")
	return err == nil
}

// prefix is what the backends of an environment begin with.
func (t *template) prefix(environment string) string { return t.before + environment + t.after }

// environmentOf is the environment that a backend makes known where they are found: its name ends at the first place at
// which what follows it stands, so that no two environments can claim a backend.
func (t *template) environmentOf(backend string) (string, bool) {
	rest, ours := strings.CutPrefix(backend, t.before)
	if !ours {
		return "", false
	}
	name, pool, whole := strings.Cut(rest, t.after)
	return name, whole && pool != "" && t.fits(name)
}

// pool is the pool that a backend of an environment is.
func (t *template) pool(environment, backend string) *haproxyv1.Pool {
	name := strings.TrimPrefix(backend, t.prefix(environment))
	host := strings.NewReplacer(poolMark, name, environmentMark, environment).Replace(t.config.GetHost())
	return &haproxyv1.Pool{Name: name, Backend: backend, Hosts: []string{host}}
}

// environment is an environment of the template, without pools.
func (t *template) environment(name string) *haproxyv1.Environment {
	return &haproxyv1.Environment{
		Name: name, Lease: t.config.GetLease(), ServerNetworks: t.config.GetServerNetworks(), Tags: t.config.GetTags(),
	}
}

// Template implements access.Templates. A name that the configuration gives to an environment of its own is of no template.
func (s *Service) Template(name string) (access.Template, bool) {
	t := s.template(name)
	if t == nil {
		return access.Template{}, false
	}
	return access.Template{
		Pattern: t.config.GetPattern(), Registrars: t.config.GetRegistrars(), Max: t.max, Found: t.config.GetDiscover(),
	}, true
}

func (s *Service) template(name string) *template {
	if slices.ContainsFunc(s.static.GetEnvironments(), func(e *haproxyv1.Environment) bool { return e.GetName() == name }) {
		return nil
	}
	i := slices.IndexFunc(s.templates, func(t *template) bool { return t.fits(name) })
	if i < 0 {
		return nil
	}
	return s.templates[i]
}

// Describe implements access.Templates.
func (s *Service) Describe(name string) (pools, problems []string) {
	now := s.present.Load()
	for _, p := range now.pools {
		if p.Name.Environment == name {
			pools = append(pools, p.Name.Name)
		}
	}
	return pools, slices.Clone(now.problems[name])
}
