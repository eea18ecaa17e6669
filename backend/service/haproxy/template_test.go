package haproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// An ephemeral environment is made, used and removed by maps alone: nothing changes a node's configuration.
func TestAnEnvironmentComesAndGoesWithoutAReload(t *testing.T) {
	one, two := dataplanetest.New(t), dataplanetest.New(t)
	backends(one, "pr-1_web", "pr-1_api", "pr-11_web", "other")
	backends(two, "pr-1_web")
	w := watch(t, withTemplate(whole(t, one.URL, two.URL), nil))
	if err := w.Check(t.Context(), "pr-1"); err != nil {
		t.Fatal(err)
	}
	w.register("pr-1", "pr-*")
	if got := w.names(); got != "pr-1/api pr-1/web" {
		t.Fatalf("pools %s", got)
	}
	p, ok := w.Pool(pr1web)
	if !ok || p.Hosts[0] != "web.pr-1.preview.example" || p.Tags[0] != "preview" {
		t.Errorf("pool %+v", p)
	}
	if got := w.nodes(); got != "n1 prod pr-1, n2 prod pr-1" || w.targets[0].Environments[1].Lease != 10*time.Second {
		t.Errorf("targets %s", got)
	}
	state := w.fixedOf("n2")
	if state[desired.Hosts]["web.pr-1.preview.example"] != "pr-1/web" || state[desired.Pools]["pr-1/web"] != "pr-1_web" {
		t.Errorf("the node holds %v", state)
	}
	pools, problems := w.Describe("pr-1")
	if fmt.Sprint(pools, problems) != "[api web] []" {
		t.Errorf("described as %v, %v", pools, problems)
	}
	w.quiet("all is well")
	for _, node := range []*dataplanetest.Server{one, two} {
		for _, call := range node.Calls() {
			if call.Method != "GET" {
				t.Errorf("%s %s", call.Method, call.Path)
			}
		}
	}

	// A loop that runs already sees what comes later.
	before := w.targets[1]
	backends(two, "pr-1_web", "pr-1_new")
	w.looks(1)
	if state, err := before.Fixed(t.Context()); err != nil || state[desired.Pools]["pr-1/new"] != "pr-1_new" {
		t.Errorf("the node holds %v, %v", state, err)
	}

	w.remove("pr-1")
	if got := w.names(); got != "" || w.nodes() != "n1 prod pr-1, n2 prod pr-1" {
		t.Errorf("once removed: pools %q, targets %s", got, w.nodes())
	}
	w.pass(lingering + time.Second)
	w.must(w.Refresh(t.Context()))
	if got := w.nodes(); got != "n1 prod, n2 prod" || len(w.fixedOf("n1")[desired.Hosts]) != 1 {
		t.Errorf("a while later: targets %s", got)
	}
	w.register("pr-1", "pr-*")
	if got := w.names(); got != "pr-1/api pr-1/new pr-1/web" {
		t.Errorf("registered again: pools %s", got)
	}
}

// The rules for servers hold in an ephemeral environment as well.
func TestServersOfAnEphemeralEnvironment(t *testing.T) {
	one := dataplanetest.New(t)
	backends(one, "pr-1_web")
	w := watch(t, withTemplate(whole(t, one.URL), nil))
	w.looks(1)
	w.register("pr-1", "pr-*")
	for name, c := range map[string]struct {
		server access.Server
		want   error
	}{
		"in the networks":           {access.Server{Name: "s1", Address: "127.0.0.1", Port: 8082}, nil},
		"outside of the networks":   {access.Server{Name: "s2", Address: "10.0.0.1", Port: 8082}, access.ErrServerAddress},
		"a server of another pool":  {access.Server{Name: "s3", Address: "127.0.0.1", Port: 8081}, access.ErrServerAddress},
		"another with another port": {access.Server{Name: "s4", Address: "127.0.0.1", Port: 8083}, nil},
	} {
		if err := w.AddServer(t.Context(), pr1web, c.server); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAServerIsDrainedOnEveryNodeAndReadyAgain(t *testing.T) {
	s, one, other := two(t)
	state := func(node *dataplanetest.Server) string { return node.RunningServers("be_app")[0].AdminState }
	for _, c := range []struct {
		ready bool
		want  string
	}{{false, "drain"}, {false, "drain"}, {true, "ready"}, {true, "ready"}} {
		if err := s.DrainServer(t.Context(), db, "s1", c.ready); err != nil {
			t.Fatal(err)
		}
		if state(one) != c.want || state(other) != c.want {
			t.Errorf("ready %t: %s and %s", c.ready, state(one), state(other))
		}
		for _, server := range s.Servers(t.Context(), db) {
			if server.AdminState != c.want {
				t.Errorf("listed as %+v", server)
			}
		}
	}
	if err := s.DrainServer(t.Context(), db, "s9", false); !errors.Is(err, access.ErrNoServer) || !strings.Contains(err.Error(), "node n2: ") {
		t.Errorf("a server that is not there: %v", err)
	}
	one.SetFault(broken)
	if err := s.DrainServer(t.Context(), db, "s1", false); err == nil || errors.Is(err, access.ErrNoServer) || state(other) != "drain" {
		t.Errorf("a node that fails: %v; the other is %s", err, state(other))
	}
}

// What an environment would take that is another's is left out alone, said, and refused before it is registered.
func TestWhatAnEnvironmentMayNotHaveIsLeftOutAlone(t *testing.T) {
	for name, c := range map[string]struct {
		backends []string
		change   func(*haproxyv1.Config)
		pools    string
		word     string
	}{
		"nothing": {[]string{"pr-1_web", "pr-1_api"}, func(*haproxyv1.Config) {}, "pr-1/api pr-1/web", ""},
		"the host of a configured pool": {[]string{"pr-1_web", "pr-1_api"}, func(c *haproxyv1.Config) {
			c.Environments[0].Pools[0].Hosts = []string{"web.pr-1.preview.example"}
		}, "pr-1/api", "web.pr-1.preview.example"},
		"the backend of a configured pool": {[]string{"pr-1_web", "pr-1_api"}, func(c *haproxyv1.Config) {
			c.Environments[0].Pools[0].Backend = "pr-1_web"
		}, "pr-1/api", "backend pr-1_web is taken by staging/db"},
		"a name that no pool has": {[]string{"pr-1_Web", "pr-1_api"}, func(*haproxyv1.Config) {}, "pr-1/api", "pool pr-1/Web"},
		"a host that none can be": {[]string{"pr-1_we_b", "pr-1_api"}, func(*haproxyv1.Config) {}, "pr-1/api", "we_b.pr-1"},
		"only such":               {[]string{"pr-1_Web"}, func(*haproxyv1.Config) {}, "", "pool pr-1/Web"},
	} {
		t.Run(name, func(t *testing.T) {
			one := dataplanetest.New(t)
			backends(one, append(c.backends, "pr-2_web")...)
			config := withTemplate(whole(t, one.URL), nil)
			c.change(config)
			w := watch(t, config)
			w.register("pr-2", "pr-*")
			if err := w.Check(t.Context(), "pr-1"); (err == nil) != (c.word == "") ||
				err != nil && (!errors.Is(err, access.ErrEnvironment) || !strings.Contains(err.Error(), c.word)) {
				t.Errorf("check: %v", err)
			}
			w.told()
			w.register("pr-1", "pr-*")
			if got := w.names(); got != strings.TrimSpace(c.pools+" pr-2/web") {
				t.Errorf("pools %s", got)
			}
			_, problems := w.Describe("pr-1")
			if c.word == "" {
				w.quiet("all is well")
			} else {
				w.loud("left out", "left out", c.word)
			}
			if (len(problems) > 0) != (c.word != "") {
				t.Errorf("problems %q", problems)
			}
		})
	}
}

// Whoever was first keeps its backends: nobody registers an environment that reaches into another one.
func TestNoEnvironmentReachesIntoAnother(t *testing.T) {
	one := dataplanetest.New(t)
	backends(one, "pr-1.web", "pr-1.a.web")
	w := watch(t, withTemplate(whole(t, one.URL), func(e *haproxyv1.EnvironmentTemplate) {
		e.BackendPrefix, e.MaxEnvironments = "{environment}.", 2
	}))
	w.looks(1)
	w.register("pr-1.a", "pr-*")
	for _, name := range []string{"pr-1", "pr-1.a.web"} {
		if err := w.Check(t.Context(), name); !errors.Is(err, access.ErrEnvironment) || !strings.Contains(err.Error(), "pr-1.a") {
			t.Errorf("check %s: %v", name, err)
		}
	}
	w.register("pr-1", "pr-*")
	w.loud("the later one", "environment pr-1:", "pr-1.a")
	w.register("pr-2", "pr-*")
	w.register("pr-3", "pr-*")
	w.loud("one more than the template allows", "environment pr-3:", "no more than 2")
	w.register("qa-1", "qa-*")
	w.loud("of a template that is not there", "environment qa-1:", "qa-*")
	if got := w.names(); got != "pr-1.a/web" {
		t.Errorf("pools %s", got)
	}
}

func TestWhatIsNotAnsweredIsNotChecked(t *testing.T) {
	one, other := dataplanetest.New(t), dataplanetest.New(t)
	backends(one, "pr-1_web")
	w := watch(t, withTemplate(whole(t, one.URL, other.URL), nil))
	other.SetFault(broken)
	if err := w.Check(t.Context(), "pr-1"); err != nil {
		t.Errorf("one node answers: %v", err)
	}
	w.loud("the other", "unanswered n2")
	one.SetFault(broken)
	if err := w.Check(t.Context(), "pr-1"); err == nil || errors.Is(err, access.ErrEnvironment) {
		t.Errorf("no node answers: %v", err)
	}
	w.register("pr-1", "pr-*")
	w.looks(3)
	if got := w.names(); got != "pr-1/web" {
		t.Errorf("a node that does not answer keeps its backends: pools %q", got)
	}
}

func TestTemplateErrorsNameTheField(t *testing.T) {
	for want, change := range map[string]func(*haproxyv1.EnvironmentTemplate){
		".pattern: want one star":    func(e *haproxyv1.EnvironmentTemplate) { e.Pattern = "pr-" },
		".pattern: want one":         func(e *haproxyv1.EnvironmentTemplate) { e.Pattern = "p*r-*" },
		".backend_prefix: want {env": func(e *haproxyv1.EnvironmentTemplate) { e.BackendPrefix = "pr_" },
		".backend_prefix: with":      func(e *haproxyv1.EnvironmentTemplate) { e.BackendPrefix, e.Discover = "x_{environment}", true },
		".host: ":                    func(e *haproxyv1.EnvironmentTemplate) { e.Host = "{pool}.example" },
		".lease: ":                   func(e *haproxyv1.EnvironmentTemplate) { e.Lease = "1ms" },
		".server_networks[0]: ":      func(e *haproxyv1.EnvironmentTemplate) { e.ServerNetworks[0] = "127.0.0.1" },
		".registrars[1]: ":           func(e *haproxyv1.EnvironmentTemplate) { e.Registrars[1] = "service:" },
		`.nodes: there is no node or discovery "n9"`: func(e *haproxyv1.EnvironmentTemplate) {
			e.Nodes = append(e.Nodes, "n9")
		},
		`no node or discovery "edge-*"`: func(e *haproxyv1.EnvironmentTemplate) { e.Nodes = append(e.Nodes, "edge-*") },
	} {
		_, err := NewService(withTemplate(whole(t, "http://127.0.0.1:1"), change))
		if err == nil || !strings.Contains(err.Error(), "environment_templates[0]") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	config := withTemplate(withTemplate(whole(t, "http://127.0.0.1:1"), nil), func(e *haproxyv1.EnvironmentTemplate) { e.Pattern = "pr-a*" })
	if _, err := NewService(config); err == nil || !strings.Contains(err.Error(), "environment_templates[1].pattern: it overlaps with pr-*") {
		t.Errorf("overlapping patterns: %v", err)
	}
	config = whole(t, "http://127.0.0.1:1")
	config.Nodes[0].Environments = nil
	if _, err := NewService(config); err == nil || !strings.Contains(err.Error(), "nodes[0].environments: ") {
		t.Errorf("a node that serves nothing: %v", err)
	}
	config = withDiscovery(t, config, func(d *haproxyv1.Discovery) { d.Node.Environments = nil })
	if _, err := NewService(withTemplate(config, func(e *haproxyv1.EnvironmentTemplate) { e.Nodes = append(e.Nodes, "edge-*") })); err != nil {
		t.Errorf("a node that serves a template's environments alone: %v", err)
	}
}

func TestWhoseEnvironmentANameIs(t *testing.T) {
	config := withTemplate(whole(t, "http://127.0.0.1:1"), nil)
	config.Environments[0].Name = "pr-static"
	s, err := NewService(config)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"pr-1": true, "pr-static": false, "pr-": false, "pr": false, "prod": false, "pr-A": false, "pr-1|x": false, "pr-1/web": false,
		"pr-" + strings.Repeat("x", 28): true, "pr-" + strings.Repeat("x", 29): false,
	} {
		found, ok := s.Template(name)
		if ok != want || ok && (found.Pattern != "pr-*" || found.Max != 100 || !slices.Equal(found.Registrars, []string{"service:ci", "releasers"})) {
			t.Errorf("%s: %t, %+v", name, ok, found)
		}
	}
}

// In halves comes out what comes out one by one: with hosts that clash at random.
func TestUnitsAreAddedInHalvesAsOneByOne(t *testing.T) {
	s, err := NewService(withTemplate(whole(t, "http://127.0.0.1:1"), nil))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		halves := &effective{service: s, access: checked, config: s.static, sources: map[string]string{"n1": fromConfiguration}}
		single := &effective{service: s, access: checked, config: s.static, sources: halves.sources}
		units := func(e *effective) (all []unit) {
			random := rand.New(rand.NewPCG(seed, 2))
			for i := range 20 {
				host := fmt.Sprintf("h%d.example", random.IntN(12))
				all = append(all, e.poolUnit(s.templates[0], fmt.Sprintf("pr-%d", i%3), &haproxyv1.Pool{
					Name: fmt.Sprintf("p%d", i), Backend: fmt.Sprintf("b%d", i), Hosts: []string{host},
				}))
			}
			all[random.IntN(20)].err = errNoAnswer
			return all
		}
		halves.add(units(halves))
		for _, u := range units(single) {
			single.add([]unit{u})
		}
		if fmt.Sprint(halves.config) != fmt.Sprint(single.config) || len(halves.left) != len(single.left) || len(halves.left) == 0 {
			t.Fatalf("seed %d: %d and %d left out", seed, len(halves.left), len(single.left))
		}
	}
}
