package policy

import (
	"strings"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// glob is a pattern in which * stands for any run of characters: what is between the stars.
type glob []string

func compileGlob(pattern string) glob { return strings.Split(pattern, "*") }

// match takes the first place for each part: if any choice of places fits, this one does.
func (g glob) match(s string) bool {
	first, last := g[0], g[len(g)-1]
	if len(g) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range g[1 : len(g)-1] {
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return true
}

// poolGlob is a pattern of full names. No star crosses the slash, since the parts are matched apart.
type poolGlob struct{ environment, name glob }

func compilePoolGlob(pattern string) poolGlob {
	environment, name, _ := strings.Cut(pattern, "/") // there is a slash, says Parse
	return poolGlob{compileGlob(environment), compileGlob(name)}
}

func (g poolGlob) match(p grant.Pool) bool {
	return g.environment.match(p.Environment) && g.name.match(p.Name)
}

// scope is a rule's match, compiled: every list that is given fits.
type scope struct {
	pools        []poolGlob
	environments []glob
	tags         []string
}

func compileScope(m matchSpec) scope {
	s := scope{tags: values(m.Tags)}
	for _, t := range m.Pools {
		s.pools = append(s.pools, compilePoolGlob(t.value))
	}
	for _, t := range m.Environments {
		s.environments = append(s.environments, compileGlob(t.value))
	}
	return s
}

// names reports whether the pool's name fits, whatever its tags.
func (s *scope) names(p grant.Pool) bool {
	return (len(s.pools) == 0 || anyPool(s.pools, p)) && (len(s.environments) == 0 || anyEnvironment(s.environments, p.Environment))
}

func (s *scope) fits(p grant.Pool, tags []string) bool {
	return s.names(p) && (len(s.tags) == 0 || intersect(s.tags, tags))
}

func anyPool(globs []poolGlob, p grant.Pool) bool {
	for i := range globs {
		if globs[i].match(p) {
			return true
		}
	}
	return false
}

func anyEnvironment(globs []glob, environment string) bool {
	for _, g := range globs {
		if g.match(environment) {
			return true
		}
	}
	return false
}

func intersect(a, b []string) bool {
	for _, s := range a {
		for _, t := range b {
			if s == t {
				return true
			}
		}
	}
	return false
}
