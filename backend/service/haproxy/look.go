package haproxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	// askers is how many nodes are asked at a time.
	askers = 16
	// looksToGo is how many looks in a row must miss an environment that is found by its backends before it counts as gone:
	// a deployment may take a backend away and bring it back.
	looksToGo = 2
)

// answers are the backends of the nodes that answered.
type answers struct {
	backends map[string][]string
	asked    int
}

// ask asks nodes for their backends.
func (w *Watch) ask(ctx context.Context, nodes []*member) answers {
	a := answers{backends: map[string][]string{}, asked: len(nodes)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	free := make(chan struct{}, askers)
	for _, m := range nodes {
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			names, err := m.client.Backends(ctx)
			if err != nil {
				if ctx.Err() == nil {
					w.options.Observer.Unanswered(m.name, err)
				}
				return
			}
			slices.Sort(names)
			mu.Lock()
			defer mu.Unlock()
			a.backends[m.name] = names
		})
	}
	wg.Wait()
	return a
}

// remember keeps the answers; what did not answer keeps its last one.
func (w *Watch) remember(a answers) {
	for node, names := range a.backends {
		if !slices.Equal(w.backends[node], names) {
			w.backends[node] = names
			w.version++
		}
	}
}

// nodesOf are the nodes that serve a template's environments.
func (w *Watch) nodesOf(t *template) []*member {
	return slices.DeleteFunc(slices.Clone(w.present.Load().nodes), func(m *member) bool { return !t.has(m.name, m.source) })
}

// look asks the nodes of all templates for their backends, and takes over what came and went.
func (w *Watch) look(ctx context.Context) error {
	var nodes []*member
	for _, t := range w.templates {
		for _, m := range w.nodesOf(t) {
			if !slices.Contains(nodes, m) {
				nodes = append(nodes, m)
			}
		}
	}
	a := w.ask(ctx, nodes)
	if ctx.Err() != nil {
		return nil
	}
	w.mu.Lock()
	w.remember(a)
	w.mu.Unlock()
	changed, err := w.follow(ctx, a)
	if changed {
		return errors.Join(err, w.Refresh(ctx))
	}
	return errors.Join(err, w.publish())
}

// follow registers environments that were found by their backends, and removes those whose backends are gone.
func (w *Watch) follow(ctx context.Context, a answers) (changed bool, err error) {
	if !slices.ContainsFunc(w.templates, func(t *template) bool { return t.config.GetDiscover() }) {
		return false, nil
	}
	rows, err := w.options.Environments.Environments(ctx, w.options.Now())
	if err != nil {
		return false, fmt.Errorf("read environments: %w", err)
	}
	var errs []error
	for _, t := range w.templates {
		if !t.config.GetDiscover() {
			continue
		}
		there := map[string]bool{}
		for _, row := range rows {
			if row.Template == t.config.GetPattern() && row.RemovedAt.IsZero() {
				there[row.Name] = true
			}
		}
		came, err := w.register(ctx, t, there, w.sight(t, a))
		errs = append(errs, err)
		gone, err := w.forget(ctx, t, there, a)
		errs = append(errs, err)
		changed = changed || came || gone
	}
	return changed, errors.Join(errs...)
}

// sightings are where environments that are found by their backends were seen.
type sightings map[string]*sighting

type sighting struct {
	nodes  map[string]bool // that ever had it
	now    bool            // a node that answered has it
	missed int             // in how many looks in a row it was gone
}

// sight notes what the nodes of a template answered, and lists the environments that are there, sorted.
func (w *Watch) sight(t *template, a answers) []string {
	for name, s := range w.seen {
		if t.fits(name) {
			s.now = false
		}
	}
	var names []string
	for _, m := range w.nodesOf(t) {
		for _, backend := range a.backends[m.name] {
			name, ok := t.environmentOf(backend)
			if !ok || w.template(name) != t {
				continue
			}
			s := w.seen[name]
			if s == nil {
				s = &sighting{nodes: map[string]bool{}}
				w.seen[name] = s
			}
			s.nodes[m.name], s.now, s.missed = true, true, 0
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (w *Watch) register(ctx context.Context, t *template, there map[string]bool, names []string) (changed bool, err error) {
	var errs []error
	for _, name := range names {
		if there[name] {
			continue
		}
		if len(there) >= t.max {
			w.options.Observer.LeftOut("environment "+name, fmt.Errorf("%s has %d environments, and may have no more", t.config.GetPattern(), t.max))
			continue
		}
		err := w.options.Environments.RegisterEnvironment(ctx, store.Environment{
			Name: name, Template: t.config.GetPattern(), At: w.options.Now(),
		})
		switch {
		case err == nil:
			w.options.Observer.EnvironmentFound(name)
		case !errors.Is(err, store.ErrConflict): // that another gateway was faster
			errs = append(errs, fmt.Errorf("register environment %s: %w", name, err))
			continue
		}
		there[name], changed = true, true
	}
	return changed, errors.Join(errs...)
}

// forget removes environments that no node has that answers, if one of these had it or all of the template's nodes
// answer: that nodes cannot be reached never takes an environment away.
func (w *Watch) forget(ctx context.Context, t *template, there map[string]bool, a answers) (changed bool, err error) {
	all, answered := 0, map[string]bool{}
	for _, m := range w.nodesOf(t) {
		all++
		if _, ok := a.backends[m.name]; ok {
			answered[m.name] = true
		}
	}
	var errs []error
	for name := range there {
		s := w.seen[name]
		if s == nil { // known by the store alone: this gateway is new
			s = &sighting{nodes: map[string]bool{}}
			w.seen[name] = s
		}
		lost := all > 0 && len(answered) == all
		for node := range s.nodes {
			lost = lost || answered[node]
		}
		if s.now || !lost {
			continue
		}
		if s.missed++; s.missed < looksToGo {
			continue
		}
		err := w.options.Environments.RemoveEnvironment(ctx, name, "", w.options.Now())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, fmt.Errorf("remove environment %s: %w", name, err))
			continue
		}
		if err == nil {
			w.options.Observer.EnvironmentGone(name)
		}
		delete(w.seen, name)
		changed = true
	}
	return changed, errors.Join(errs...)
}
