package haproxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// there are the names of the environments that the store has.
func (w *watched) there() string {
	w.t.Helper()
	rows, err := w.db.Environments(w.t.Context(), w.now().Add(time.Hour))
	w.must(err)
	text := ""
	for _, row := range rows {
		text += row.Name + " "
	}
	return text
}

func TestEnvironmentsAreFoundByTheirBackends(t *testing.T) {
	one, two := dataplanetest.New(t), dataplanetest.New(t)
	backends(one, "pr-1_web", "pr-1_api", "pr-2_", "pr-_web", "pr-3", "xpr-4_web", "pr-5_a_b")
	w := watch(t, withTemplate(whole(t, one.URL, two.URL), discover))
	w.looks(1)
	if got := w.there(); got != "pr-1 pr-5 " {
		t.Errorf("there are %s", got)
	}
	w.loud("found", "found pr-1")
	w.loud0("once")
	if got := w.names(); got != "pr-1/api pr-1/web" { // a host with an underscore is none
		t.Errorf("pools %s", got)
	}
	if found, ok := w.Template("pr-1"); !ok || !found.Found {
		t.Error("it could be registered by a call")
	}
}

// loud0 is quiet after another look.
func (w *watched) loud0(when string) {
	w.t.Helper()
	w.told()
	w.looks(1)
	w.quiet(when)
}

// What becomes of pr-1, which both nodes had, after some looks; by hand. I4's other side: nothing ends because nodes are
// out of reach.
func TestAnEnvironmentGoesOnlyWithItsBackends(t *testing.T) {
	type nodes struct{ one, two string } // "has", "has not", "down"
	for name, c := range map[string]struct {
		looks []nodes
		there bool
	}{
		"both keep it":                    {[]nodes{{"has", "has"}, {"has", "has"}, {"has", "has"}}, true},
		"both lose it, one look":          {[]nodes{{"has not", "has not"}}, true},
		"both lose it, two looks":         {[]nodes{{"has not", "has not"}, {"has not", "has not"}}, false},
		"lost, back, lost":                {[]nodes{{"has not", "has not"}, {"has", "has not"}, {"has not", "has not"}}, true},
		"one keeps it":                    {[]nodes{{"has", "has not"}, {"has", "has not"}, {"has", "has not"}}, true},
		"both are down":                   {[]nodes{{"down", "down"}, {"down", "down"}, {"down", "down"}}, true},
		"one is down, the other keeps it": {[]nodes{{"down", "has"}, {"down", "has"}, {"down", "has"}}, true},
		"one is down, the other lost it":  {[]nodes{{"down", "has not"}, {"down", "has not"}}, false},
		"lost, down, lost":                {[]nodes{{"has not", "has not"}, {"down", "down"}, {"has not", "has not"}}, false},
		"lost, down, down":                {[]nodes{{"has not", "has not"}, {"down", "down"}, {"down", "down"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := dataplanetest.New(t), dataplanetest.New(t)
			set := func(node *dataplanetest.Server, state string) {
				node.SetFault(nil)
				switch state {
				case "has":
					backends(node, "pr-1_web", "pr-2_web")
				case "has not":
					backends(node, "pr-2_web")
				default:
					node.SetFault(broken)
				}
			}
			set(one, "has")
			set(two, "has")
			w := watch(t, withTemplate(whole(t, one.URL, two.URL), discover))
			w.looks(1)
			pool := nodes{"has", "has"} // by the last answers
			for _, look := range c.looks {
				w.pass(time.Second)
				if look.one != "down" {
					pool.one = look.one
				}
				if look.two != "down" {
					pool.two = look.two
				}
				set(one, look.one)
				set(two, look.two)
				w.looks(1)
			}
			want := "pr-2 "
			if c.there {
				want = "pr-1 pr-2 "
			}
			if got := w.there(); got != want {
				t.Errorf("there are %s, want %s", got, want)
			}
			if heard := w.told(); c.there == slices.Contains(heard, "gone pr-1") {
				t.Errorf("told %q", heard)
			}
			if _, ok := w.Pool(pr1web); ok != (c.there && (pool.one == "has" || pool.two == "has")) {
				t.Errorf("its pool is there: %t", ok)
			}
		})
	}
}

// An environment that one node alone had does not go because that node is out of reach, whatever the others say.
func TestAnEnvironmentOfOneNodeStaysWhileItIsOutOfReach(t *testing.T) {
	one, two := dataplanetest.New(t), dataplanetest.New(t)
	backends(one, "pr-1_web")
	config := withTemplate(whole(t, one.URL, two.URL), discover)
	w := watch(t, config)
	w.looks(1)
	one.SetFault(broken)
	w.looks(3)
	if got := w.there(); got != "pr-1 " {
		t.Errorf("there are %s", got)
	}
	// A gateway that is new does not know which node had it: all must answer.
	later := watchOn(t, config, w.db)
	later.looks(3)
	if got := later.there(); got != "pr-1 " {
		t.Errorf("by a new gateway: there are %s", got)
	}
	backends(one)
	one.SetFault(nil)
	later.pass(time.Minute)
	later.looks(2)
	if got := later.there(); got != "" {
		t.Errorf("once all answer: there are %s", got)
	}
	backends(one, "pr-1_web")
	w.pass(2 * time.Minute)
	w.looks(1)
	if got := w.there(); got != "pr-1 " {
		t.Errorf("back again: there are %s", got)
	}
}

func TestNoMoreEnvironmentsAreFoundThanTheTemplateAllows(t *testing.T) {
	one := dataplanetest.New(t)
	backends(one, "pr-1_web", "pr-2_web", "pr-3_web", "prod_web")
	config := withTemplate(whole(t, one.URL), discover)
	config.EnvironmentTemplates[0].MaxEnvironments = 2
	w := watch(t, config)
	w.looks(1)
	if got := w.there(); got != "pr-1 pr-2 " {
		t.Errorf("there are %s", got)
	}
	w.loud("one more", "environment pr-3", "no more")
}

// The loops do by themselves what the tests above do by hand, and end.
func TestAWatchFollowsUntilItIsStopped(t *testing.T) {
	one := dataplanetest.New(t)
	backends(one, "pr-1_web")
	config := withDiscovery(t, withTemplate(whole(t, one.URL), nil), nil)
	w := watch(t, config)
	w.Start()
	w.Start()
	w.must(w.db.RegisterEnvironment(t.Context(), store.Environment{Name: "pr-1", Template: "pr-*", By: "service:ci", At: w.now()}))
	deadline := time.Now().Add(30 * time.Second)
	asked := false
	for w.names() != "pr-1/web" || !asked {
		asked = asked || slices.ContainsFunc(w.told(), func(line string) bool { return strings.HasPrefix(line, "discovery edge: ") })
		if time.Now().After(deadline) {
			t.Fatalf("the environment does not come, or the discovery is not asked: %t", asked)
		}
		time.Sleep(time.Millisecond)
	}
	w.Stop()
	w.Stop()
	w.must(w.db.RemoveEnvironment(t.Context(), "pr-1", "service:ci", w.now()))
	w.Start()
	if w.names() != "pr-1/web" {
		t.Error("a stopped watch goes on") // that it has ended is goleak's to see
	}
}
