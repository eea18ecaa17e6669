package haproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

const (
	defaultReadInterval = time.Second
	defaultLookInterval = 5 * time.Second
	// lingering is how long a removed environment stays on the nodes, without pools that anybody could ask for: its grants
	// end by rows that go, which is seen, and not by its maps going under them.
	lingering = 30 * time.Second
)

// Observer is told of what a Watch finds. Its methods must not block, and errors hold no secret.
type Observer interface {
	// Discovered: a discovery was answered with nodes that are another set than before.
	Discovered(discovery string, nodes int)
	// DiscoveryFailed: an answer failed, was not believed, or in a part refused; the nodes that are known stay.
	DiscoveryFailed(discovery string, err error)
	// LeftOut: a node, an environment or a pool was found that the configuration cannot have.
	LeftOut(what string, err error)
	// Unanswered: a node did not say which backends it has; those of its last answer stay.
	Unanswered(node string, err error)
	// EnvironmentFound and EnvironmentGone: an environment came, or went, with its backends.
	EnvironmentFound(name string)
	EnvironmentGone(name string)
	// WatchFailed: the store could not be read or written.
	WatchFailed(err error)
}

// WatchOptions say what a Watch is made of. All but the intervals must be set; Environments may be nil where the
// configuration has no template.
type WatchOptions struct {
	Access       *accessv1.Config
	Keys         KeySource
	Environments store.Environments
	Observer     Observer
	// Changed is handed the nodes whenever the fleet has changed, one call at a time, the last with the newest.
	Changed func([]reconcile.Target)
	Now     func() time.Time
	// Read is how often the store is asked for environments, 1s if zero; Look how often the nodes for backends, 5s.
	Read, Look time.Duration
}

// Watch makes a Service that of the configuration and of what is found: nodes by discoveries, ephemeral environments by the
// store and by the backends of nodes. There may be one for a Service. It is access.Templates, and safe for concurrent use.
type Watch struct {
	*Service
	options WatchOptions
	loops   []*access.Loop

	changing sync.Mutex // held while Changed is called
	seen     sightings  // of look alone, of which one runs at a time

	mu       sync.Mutex // of all below, and of the Service's connections and its discoveries' memories
	rows     []store.Environment
	backends map[string][]string
	version  int    // of the backends
	built    string // of what the present snapshot was built
	loud     map[string]bool
}

// NewWatch checks the configuration as a whole. The fleet is that of the configuration alone until the first passes, which Start
// begins. The error joins all problems and names each field.
func NewWatch(s *Service, o WatchOptions) (*Watch, error) {
	if o.Access == nil || o.Keys == nil || o.Observer == nil || o.Changed == nil || o.Now == nil ||
		len(s.templates) > 0 && o.Environments == nil {
		return nil, errors.New("watch the fleet: a part is missing")
	}
	if o.Read == 0 {
		o.Read = defaultReadInterval
	}
	if o.Look == 0 {
		o.Look = defaultLookInterval
	}
	w := &Watch{Service: s, options: o, backends: map[string][]string{}, loud: map[string]bool{}, seen: sightings{}}
	if err := w.rebuild(); err != nil {
		return nil, err
	}
	for _, d := range s.discoveries {
		w.loops = append(w.loops, access.NewLoop(func(ctx context.Context) error { return w.resolve(ctx, d) }, d.interval, nil, o.Observer.WatchFailed))
	}
	if len(s.templates) > 0 {
		w.loops = append(w.loops, access.NewLoop(w.Refresh, o.Read, nil, o.Observer.WatchFailed),
			access.NewLoop(w.look, o.Look, nil, o.Observer.WatchFailed))
	}
	return w, nil
}

// Start begins to look. A second call does nothing, nor does one after Stop.
func (w *Watch) Start() {
	for _, l := range w.loops {
		l.Start()
	}
}

// Stop ends the loops and waits for them. It may be called twice, or without Start.
func (w *Watch) Stop() {
	for _, l := range w.loops {
		l.Stop()
	}
}

// resolve asks one discovery.
func (w *Watch) resolve(ctx context.Context, d *discoverer) error {
	lookup, cancel := context.WithTimeout(ctx, lookupTimeout)
	answer, failed := d.source.Lookup(lookup)
	cancel()
	if ctx.Err() != nil {
		return nil
	}
	w.mu.Lock()
	changed, problem := d.memory.Take(answer, failed)
	known := len(d.memory.Known())
	w.mu.Unlock()
	name := d.config.GetName()
	if problem != nil {
		w.options.Observer.DiscoveryFailed(name, problem)
	}
	if !changed {
		return nil
	}
	w.options.Observer.Discovered(name, known)
	return w.publish()
}

// Refresh implements access.Templates: it takes over what the store says of environments.
func (w *Watch) Refresh(ctx context.Context) error {
	if w.options.Environments == nil {
		return nil
	}
	rows, err := w.options.Environments.Environments(ctx, w.options.Now().Add(-lingering))
	if err != nil {
		return fmt.Errorf("read environments: %w", err)
	}
	w.mu.Lock()
	w.rows = inOrder(rows)
	w.mu.Unlock()
	return w.publish()
}

// inOrder puts those that are there before those that were removed, and the older ones first: they keep what they have.
func inOrder(rows []store.Environment) []store.Environment {
	slices.SortFunc(rows, func(a, b store.Environment) int {
		switch {
		case a.RemovedAt.IsZero() && !b.RemovedAt.IsZero():
			return -1
		case !a.RemovedAt.IsZero() && b.RemovedAt.IsZero():
			return 1
		}
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Name, b.Name))
	})
	return rows
}

// withNewest adds one behind all that are there, and before those that were removed.
func withNewest(rows []store.Environment, e store.Environment) []store.Environment {
	rows = slices.DeleteFunc(slices.Clone(rows), func(row store.Environment) bool { return row.Name == e.Name })
	i := slices.IndexFunc(rows, func(row store.Environment) bool { return !row.RemovedAt.IsZero() })
	if i < 0 {
		i = len(rows)
	}
	return slices.Insert(rows, i, e)
}

// Check implements access.Templates: it asks the nodes for their backends, and tries.
func (w *Watch) Check(ctx context.Context, environment string) error {
	t := w.template(environment)
	if t == nil {
		return fmt.Errorf("%w: no template has it", access.ErrEnvironment)
	}
	answers := w.ask(ctx, w.nodesOf(t))
	if len(answers.backends) == 0 {
		return errors.New("no node of the template answers")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remember(answers)
	f := w.found()
	f.environments = withNewest(f.environments, store.Environment{Name: environment, Template: t.config.GetPattern()})
	e := &effective{service: w.Service, access: w.options.Access}
	s, err := e.build(f)
	if err != nil {
		return err
	}
	if problems := s.problems[environment]; len(problems) > 0 {
		return fmt.Errorf("%w: %s", access.ErrEnvironment, strings.Join(problems, "; "))
	}
	return nil
}

// publish rebuilds the snapshot, and tells of it if it is another.
func (w *Watch) publish() error {
	before := w.present.Load()
	if err := w.rebuild(); err != nil {
		return err
	}
	w.changing.Lock()
	defer w.changing.Unlock()
	now := w.present.Load()
	if now == before {
		return nil
	}
	targets, err := w.Targets(haproxycfg.Input{}, w.options.Keys)
	if err != nil {
		return err
	}
	w.options.Changed(targets)
	return nil
}

func (w *Watch) rebuild() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.found()
	if what := f.String(); what == w.built && w.built != "" {
		return nil
	} else {
		w.built = what
	}
	e := &effective{service: w.Service, access: w.options.Access}
	s, err := e.build(f)
	if err != nil {
		w.built = ""
		return err
	}
	w.tell(e.left)
	w.present.Store(s)
	w.connections.keep(s.nodes)
	for node := range w.backends {
		if !slices.ContainsFunc(s.nodes, func(m *member) bool { return m.name == node }) {
			delete(w.backends, node) // it is in no template any more, so nothing changes by that
		}
	}
	return nil
}

// tell says what was left out, once as long as it stays so.
func (w *Watch) tell(out []left) {
	loud := map[string]bool{}
	for _, l := range out {
		key := l.what + ": " + l.err.Error()
		if !w.loud[key] {
			w.options.Observer.LeftOut(l.what, l.err)
		}
		loud[key] = true
	}
	w.loud = loud
}

// found is all that is known now.
func (w *Watch) found() found {
	f := found{environments: w.rows, backends: w.backends, version: w.version}
	for _, d := range w.discoveries {
		for _, at := range d.memory.Known() {
			f.nodes = append(f.nodes, foundNode{source: d.config.GetName(), node: d.node(at), at: at})
		}
	}
	return f
}

// String is all that a fleet is built of.
func (f found) String() string {
	var b strings.Builder
	for _, n := range f.nodes {
		fmt.Fprintln(&b, n.source, n.at)
	}
	for _, e := range f.environments {
		fmt.Fprintln(&b, e.Name, e.Template, e.At.UnixNano(), e.RemovedAt.IsZero())
	}
	return fmt.Sprintln("backends", f.version) + b.String()
}
