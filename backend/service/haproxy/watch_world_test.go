package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	accessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxyaccess/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/discovery"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store/sqlite"
)

// watched is a Watch on the fleet of a configuration, of which the test does the passes by itself.
type watched struct {
	*Watch
	t       *testing.T
	db      *sqlite.DB
	sources map[string]*source

	mu      sync.Mutex
	clock   time.Time
	heard   []string // what the observer was told
	targets []reconcile.Target
	changes int
}

// source is a discovery's answer.
type source struct {
	answer discovery.Answer
	err    error
}

func (s *source) Lookup(context.Context) (discovery.Answer, error) { return s.answer, s.err }

var checked = &accessv1.Config{ClutchUrl: "https://clutch.example", Token: &accessv1.Token{Issuer: "https://clutch.example"}}

// whole is fleet as a configuration that passes every check.
func whole(t *testing.T, urls ...string) *haproxyv1.Config {
	t.Helper()
	config := fleet(t, urls...)
	config.Enforcement = &haproxyv1.Enforcement{
		MapsDir: "/etc/haproxy/maps", KeysDir: "/etc/haproxy/keys", PagesDir: "/etc/haproxy/pages",
		Binds: []*haproxyv1.Bind{{Address: ":8080"}},
	}
	return config
}

func watch(t *testing.T, config *haproxyv1.Config) *watched {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return watchOn(t, config, db)
}

func watchOn(t *testing.T, config *haproxyv1.Config, db *sqlite.DB) *watched {
	t.Helper()
	w := &watched{t: t, db: db, sources: map[string]*source{}, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s, err := NewService(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.discoveries {
		from := &source{}
		d.source, w.sources[d.config.GetName()] = from, from
	}
	keys := func(context.Context) ([]haproxycfg.PublicKey, error) { return nil, nil }
	w.Watch, err = NewWatch(s, WatchOptions{
		Access: checked, Keys: keys, Environments: db, Observer: observer{w}, Changed: w.changed, Now: w.now,
		Read: time.Millisecond, Look: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func (w *watched) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *watched) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *watched) changed(targets []reconcile.Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets = targets
	w.changes++
}

func (w *watched) hear(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, fmt.Sprintf(format, args...))
}

// told takes what the observer was told since the last call.
func (w *watched) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := w.heard
	w.heard = nil
	return heard
}

// quiet fails if the observer was told anything since the last call.
func (w *watched) quiet(when string) {
	w.t.Helper()
	if heard := w.told(); len(heard) > 0 {
		w.t.Errorf("%s: %q", when, heard)
	}
}

// loud fails unless one thing that the observer was told has all of the words.
func (w *watched) loud(when string, words ...string) {
	w.t.Helper()
	heard := w.told()
	if !slices.ContainsFunc(heard, func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) })
	}) {
		w.t.Errorf("%s: want %q in one of %q", when, words, heard)
	}
}

// observer is what hears.
type observer struct{ w *watched }

func (o observer) Discovered(name string, n int)          { o.w.hear("discovered %s %d", name, n) }
func (o observer) DiscoveryFailed(name string, err error) { o.w.hear("discovery %s: %v", name, err) }
func (o observer) LeftOut(what string, err error)         { o.w.hear("left out %s: %v", what, err) }
func (o observer) Unanswered(node string, err error)      { o.w.hear("unanswered %s: %v", node, err) }
func (o observer) EnvironmentFound(name string)           { o.w.hear("found %s", name) }
func (o observer) EnvironmentGone(name string)            { o.w.hear("gone %s", name) }
func (o observer) WatchFailed(err error)                  { o.w.hear("failed: %v", err) }

// answers makes a discovery's next answer, and takes it.
func (w *watched) answers(name string, endpoints ...string) {
	w.t.Helper()
	var all []netip.AddrPort
	for _, e := range endpoints {
		all = append(all, netip.MustParseAddrPort(strings.TrimPrefix(e, "http://")))
	}
	w.sources[name].answer = discovery.Answer{Endpoints: all}
	i := slices.IndexFunc(w.discoveries, func(d *discoverer) bool { return d.config.GetName() == name })
	w.must(w.resolve(w.t.Context(), w.discoveries[i]))
}

func (w *watched) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// looks does so many passes over the nodes' backends.
func (w *watched) looks(n int) {
	w.t.Helper()
	for range n {
		w.must(w.look(w.t.Context()))
	}
}

func (w *watched) register(name, pattern string) {
	w.t.Helper()
	w.pass(time.Second)
	w.must(w.db.RegisterEnvironment(w.t.Context(), store.Environment{Name: name, Template: pattern, By: "service:ci", At: w.now()}))
	w.must(w.Refresh(w.t.Context()))
}

func (w *watched) remove(name string) {
	w.t.Helper()
	w.must(w.db.RemoveEnvironment(w.t.Context(), name, "service:ci", w.now()))
	w.must(w.Refresh(w.t.Context()))
}

// nodes are the names of the targets, each with its environments.
func (w *watched) nodes() string {
	var all []string
	for _, target := range w.targets {
		text := target.Name
		for _, e := range target.Environments {
			text += " " + e.Name
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// names are the pools that there are, but for those of fleet.
func (w *watched) names() string {
	var all []string
	for _, p := range w.Pools() {
		if p.Name.Environment != "prod" && p.Name.Environment != "staging" {
			all = append(all, p.Name.String())
		}
	}
	return strings.Join(all, " ")
}

// fixedOf is what a target's node holds beside grants.
func (w *watched) fixedOf(node string) desired.State {
	w.t.Helper()
	for _, target := range w.targets {
		if target.Name == node {
			state, err := target.Fixed(w.t.Context())
			w.must(err)
			return state
		}
	}
	w.t.Fatalf("no target %s", node)
	return nil
}

// backends gives a node these backends beside be_app.
func backends(node *dataplanetest.Server, names ...string) {
	text := "global\n  daemon\n\nbackend be_app\n  server s1 127.0.0.1:8081\n"
	for _, name := range names {
		text += "\nbackend " + name + "\n  mode http\n"
	}
	node.EditConfiguration(text)
	node.Reload()
}

// template is pr-*, on all nodes of the configuration.
func withTemplate(config *haproxyv1.Config, change func(*haproxyv1.EnvironmentTemplate)) *haproxyv1.Config {
	t := &haproxyv1.EnvironmentTemplate{
		Pattern: "pr-*", BackendPrefix: "{environment}_", Host: "{pool}.{environment}.preview.example", Lease: "10s",
		ServerNetworks: []string{"127.0.0.0/8"}, Tags: []string{"preview"}, Registrars: []string{"service:ci", "releasers"},
	}
	for _, n := range config.Nodes {
		t.Nodes = append(t.Nodes, n.GetName())
	}
	if change != nil {
		change(t)
	}
	config.EnvironmentTemplates = append(config.EnvironmentTemplates, t)
	return config
}

func discover(t *haproxyv1.EnvironmentTemplate) { t.Discover = true }

// withDiscovery is edge, whose nodes serve prod.
func withDiscovery(t *testing.T, config *haproxyv1.Config, change func(*haproxyv1.Discovery)) *haproxyv1.Config {
	d := &haproxyv1.Discovery{
		Name: "edge", Record: &haproxyv1.Discovery_Srv{Srv: "_dataplane._tcp.edge.example"}, Networks: []string{"127.0.0.0/8", "10.0.0.0/8"},
		Node: &haproxyv1.Node{
			Environments: []string{"prod"},
			Dataplane: &haproxyv1.DataPlane{
				Username: dataplanetest.Username, PasswordFile: write(t, dataplanetest.Password), Scheme: "http",
			},
		},
	}
	if change != nil {
		change(d)
	}
	config.Discovery = append(config.Discovery, d)
	return config
}

var errNoAnswer = errors.New("no answer")

var pr1web = grant.Pool{Environment: "pr-1", Name: "web"}
