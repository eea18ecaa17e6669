package haproxy

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	haproxyv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/config/service/haproxy/v1"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// publicKeys are made once: RSA keys are slow to make.
var publicKeys = sync.OnceValue(func() (all []haproxycfg.PublicKey) {
	for range 2 {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
		if err != nil {
			panic(err)
		}
		key, err := haproxycfg.NewPublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if err != nil {
			panic(err)
		}
		all = append(all, key)
	}
	return all
})

// kept is a Manager of the nodes n1 (managed) and n2 (not), of which the test does the passes by itself.
type kept struct {
	*Manager
	t       *testing.T
	one     *dataplanetest.Server
	two     *dataplanetest.Server
	clock   time.Time
	keys    []haproxycfg.PublicKey
	keysErr error
	told    []string
	wakes   int
}

// theirs is what a team has in haproxy.cfg; the API has laid it out.
const theirs = "global\n  daemon\n\n# of the team\nbackend be_app\n  server s1 127.0.0.1:8081 # theirs\n\nbackend be_haproxyaccess_denied_2\n  mode http\n"

func manageConfig(t *testing.T, writers store.Writers) *kept {
	t.Helper()
	k := &kept{t: t, one: dataplanetest.New(t), two: dataplanetest.New(t), clock: time.Unix(1_800_000_000, 0), keys: publicKeys()[:1]}
	k.one.EditConfiguration(theirs)
	k.Manager = k.another(writers)
	return k
}

// managedFleet has one managed node, and one that is not.
func managedFleet(t *testing.T, urls ...string) *haproxyv1.Config {
	t.Helper()
	config := whole(t, urls...)
	config.Nodes[0].ManageConfig = true
	config.Enforcement.KeysDir, config.Enforcement.PagesDir = dataplanetest.GeneralDir, dataplanetest.GeneralDir
	return config
}

// another is a Manager of another gateway, over the same nodes.
func (k *kept) another(writers store.Writers) *Manager {
	k.t.Helper()
	config := managedFleet(k.t, k.one.URL, k.two.URL)
	s, err := NewService(config)
	if err != nil {
		k.t.Fatal(err)
	}
	in, err := haproxycfg.FromConfig(config, checked, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	m, err := s.NewManager(ManagerOptions{
		Input: in, Writers: writers, Observer: k, Now: func() time.Time { return k.clock }, Changed: func() { k.wakes++ },
		Keys: func(context.Context) ([]haproxycfg.PublicKey, error) { return k.keys, k.keysErr },
	})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(m.Stop)
	return m
}

func (k *kept) ConfigChanged(node string, o nodeconfig.Outcome, drift bool) {
	k.told = append(k.told, fmt.Sprintf("%s changed %v wrote %d drift %v", node, o.Changed, len(o.Wrote), drift))
	if o.Changed && !strings.Contains(o.Diff, "fe_haproxyaccess") && !strings.Contains(o.Diff, "@@") || strings.Contains(o.Diff, "daemon") {
		k.t.Errorf("diff:\n%s", o.Diff)
	}
}
func (k *kept) ConfigFailed(node string, err error) {
	k.told = append(k.told, node+" failed "+err.Error())
}
func (k *kept) ConfigState(node string, kept bool) {}

// after passes once, some time later, and wants what the observer is told.
func (k *kept) after(d time.Duration, m *Manager, want ...string) {
	k.t.Helper()
	k.clock, k.told = k.clock.Add(d), nil
	if err := m.pass(k.t.Context()); err != nil {
		k.t.Error(err)
	}
	if len(k.told) != len(want) {
		k.t.Fatalf("told %q, want %q", k.told, want)
	}
	for i, w := range want {
		if !strings.Contains(k.told[i], w) {
			k.t.Fatalf("told %q, want %q", k.told, want)
		}
	}
}

// is wants the status of the managed node, with a part of the error.
func (k *kept) is(m *Manager, kept bool, text string) {
	k.t.Helper()
	got, err := m.Status("n1")
	if got != kept || text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		k.t.Errorf("status %v, %v; want %v, %q", got, err, kept, text)
	}
}

// writes are the calls since the last look that change something.
func writes(s *dataplanetest.Server) (n int) {
	for _, c := range s.Calls() {
		if c.Method != "GET" && !strings.Contains(c.Query, "only_validate") {
			n++
		}
	}
	s.ResetCalls()
	return n
}

// hasTheirs reports whether a text begins with what the team has, in the API's layout.
func hasTheirs(text string) bool {
	return strings.HasPrefix(strings.ReplaceAll(text, "\n\n", "\n"), strings.ReplaceAll(theirs, "\n\n", "\n"))
}

const first = "n1 changed true wrote 6 drift false" // a key and five pages

func TestManagedNodeGetsFilesAndSectionsAndI8NothingElse(t *testing.T) {
	k := manageConfig(t, nil)
	k.is(k.Manager, false, "")
	k.after(0, k.Manager, first)
	k.is(k.Manager, true, "")
	if text := k.one.Configuration(); !hasTheirs(text) || strings.Count(text, "frontend fe_haproxyaccess\n") != 1 {
		t.Errorf("haproxy.cfg is\n%.2000s", text)
	}
	if k.wakes != 1 || k.one.StoredFile(publicKeys()[0].KID+".pem") == "" || k.one.StoredFile("403.html") == "" {
		t.Errorf("%d wakes, key %q", k.wakes, k.one.StoredFile(publicKeys()[0].KID+".pem"))
	}
	for _, name := range []string{"grants.map", "leases.map", "hosts.map", "pools.map", "kids.map"} {
		if got := k.one.File(name); got != "\n" {
			t.Errorf("%s is %q", name, got)
		}
	}
	// I8: a second look writes nothing; there is none before its time.
	writes(k.one)
	k.after(time.Second, k.Manager)
	if calls := k.one.Calls(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
	k.after(keepInterval, k.Manager)
	if n := writes(k.one); n != 0 || k.wakes != 1 {
		t.Errorf("%d writes, %d wakes", n, k.wakes)
	}
	if calls := k.two.Calls(); len(calls) != 0 {
		t.Errorf("the node that is not managed got %v", calls)
	}
	if kept, err := k.Status("n2"); kept || err != nil {
		t.Errorf("the node that is not managed: %v, %v", kept, err)
	}
}

// I13: whatever somebody does to our sections is put right, and their own stay.
func TestI13DriftOfTheConfigurationIsPutRightAndTheirsStays(t *testing.T) {
	k := manageConfig(t, nil)
	k.after(0, k.Manager, first)
	right := k.one.Configuration()
	for name, change := range map[string]func(string) string{
		"a directive is another": func(s string) string {
			return strings.Replace(s, "default_backend be_haproxyaccess_denied", "default_backend be_app", 1)
		},
		"a line is added": func(s string) string {
			return strings.Replace(s, "frontend fe_haproxyaccess\n", "frontend fe_haproxyaccess\n  use_backend be_app if { src 10.0.0.1 }\n", 1)
		},
		"a section is gone":    func(s string) string { return s[:strings.Index(s, "backend be_haproxyaccess_denied\n")] },
		"all of them are gone": func(string) string { return theirs },
		"one that is not wanted": func(s string) string {
			return s + "\nbackend st_haproxyaccess_signatures\n  stick-table type ip size 1k store gpt0\n"
		},
	} {
		changed := change(right)
		if changed == right {
			t.Fatalf("%s: nothing is changed", name)
		}
		k.one.EditConfiguration(changed)
		k.after(keepInterval, k.Manager, "n1 changed true wrote 0 drift true")
		k.is(k.Manager, true, "")
		if got := k.one.Configuration(); got != right {
			t.Errorf("%s: haproxy.cfg is\n%.500s", name, got)
		}
		k.after(keepInterval, k.Manager)
	}
	k.one.EditStoredFile("403.html", "theirs")
	k.after(keepInterval, k.Manager, "n1 changed false wrote 1 drift true")
	// What they change of their own is no drift, and stays.
	other := strings.Replace(k.one.Configuration(), "daemon", "nbthread 2", 1)
	k.one.EditConfiguration(other)
	k.after(keepInterval, k.Manager)
	if k.one.Configuration() != other {
		t.Errorf("haproxy.cfg is\n%.500s", k.one.Configuration())
	}
}

func TestAConfigurationThatHAProxyRefusesChangesNothingAndIsLoud(t *testing.T) {
	k := manageConfig(t, nil)
	k.one.RefuseConfigurations(func(string) string { return "unknown keyword" })
	before := k.one.Configuration()
	k.after(0, k.Manager, "n1 changed false wrote 6", "n1 failed let haproxy check our sections")
	k.is(k.Manager, false, "let haproxy check")
	if k.one.Configuration() != before || k.wakes != 0 {
		t.Errorf("%d wakes, haproxy.cfg is\n%s", k.wakes, k.one.Configuration())
	}
	k.after(time.Second, k.Manager) // not at once again
	k.one.RefuseConfigurations(nil)
	k.after(retryInterval, k.Manager, "n1 changed true wrote 0 drift false")
	k.is(k.Manager, true, "")
}

func TestAKeyThatIsNewComesAtOnceAndAKeyFileIsNeverOverwritten(t *testing.T) {
	k := manageConfig(t, nil)
	k.after(0, k.Manager, first)
	k.keys = publicKeys()
	k.after(time.Second, k.Manager, "n1 changed true wrote 1 drift false")
	if !strings.Contains(k.one.Configuration(), publicKeys()[1].KID) {
		t.Error("the sections do not name the key")
	}
	k.one.EditStoredFile(publicKeys()[1].KID+".pem", "another key")
	k.after(keepInterval, k.Manager, "n1 failed")
	k.is(k.Manager, false, nodeconfig.ErrFixed.Error())
	k.keysErr = errors.New("the store is away")
	k.after(keepInterval, k.Manager, "read keys: the store is away")
}

// seats elects by name, as one store for all.
type seats map[string]string

type seat struct {
	seats    seats
	who      string
	name     string
	released *bool
}

func (s seats) of(who string) store.Writers { return gateway{s, who} }

type gateway struct {
	seats seats
	who   string
}

func (g gateway) Claim(_ context.Context, name string) (store.Tenure, error) {
	if have := g.seats[name]; have != "" && have != g.who {
		return nil, store.ErrHeld
	}
	g.seats[name] = g.who
	return seat{seats: g.seats, who: g.who, name: name}, nil
}

func (s seat) Check(context.Context) error {
	if s.seats[s.name] != s.who {
		return store.ErrHeld
	}
	return nil
}

func (s seat) Since() time.Time { return time.Time{} } // the manager does not ask

func (s seat) Release() { delete(s.seats, s.name) }

func TestOneOfSeveralGatewaysWritesAndTheOthersKnow(t *testing.T) {
	all := seats{}
	k := manageConfig(t, all.of("a"))
	b := k.another(all.of("b"))
	all["config/n1"] = "a" // a was faster
	k.after(0, b, "n1 failed another gateway keeps it")
	if n := writes(k.one); n != 0 {
		t.Errorf("the other gateway wrote %d times", n)
	}
	k.after(0, k.Manager, first)
	k.after(retryInterval, b)
	k.is(k.Manager, true, "")
	k.is(b, true, "")
	// It is passed over in the middle: what it has not begun yet it does not do.
	k.one.EditConfiguration(theirs)
	writes(k.one)
	k.one.SetFault(func(c dataplanetest.Call) dataplanetest.Fault {
		all["config/n1"] = "b"
		return dataplanetest.None
	})
	k.after(keepInterval, k.Manager, "n1 failed")
	k.one.SetFault(nil)
	if n := writes(k.one); n != 0 {
		t.Errorf("it wrote %d times after that", n)
	}
	k.after(retryInterval, k.Manager, "n1 failed another gateway keeps it")
	k.after(keepInterval, b, "n1 changed true wrote 0")
	b.Stop()
	if all["config/n1"] != "" {
		t.Error("the node was not given back")
	}
}

func TestManagedNodesNeedOneStorageForKeysAndPages(t *testing.T) {
	for want, spoil := range map[string]func(*haproxyv1.Config){
		"nodes[0].manage_config: ": func(*haproxyv1.Config) {},
		"discovery[0].node.manage_config: ": func(c *haproxyv1.Config) {
			c.Nodes[0].ManageConfig = false
			c.Discovery = []*haproxyv1.Discovery{{Node: &haproxyv1.Node{ManageConfig: true}}}
		},
	} {
		config := managedFleet(t, "http://127.0.0.1:1")
		config.Enforcement.PagesDir = "/etc/haproxy/pages"
		spoil(config)
		if _, err := NewService(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestANodeThatIsGoneIsForgottenAndGivenBack(t *testing.T) {
	all := seats{}
	k := manageConfig(t, all.of("a"))
	k.after(0, k.Manager, first)
	now := *k.service.present.Load()
	now.nodes = now.nodes[1:]
	k.service.present.Store(&now)
	k.after(keepInterval, k.Manager)
	k.is(k.Manager, false, "")
	if all["config/n1"] != "" {
		t.Error("the node was not given back")
	}
}

// A node may serve nothing but ephemeral environments, of which there is none at first.
func TestANodeOfATemplateAloneHasItsPart(t *testing.T) {
	config := managedFleet(t, "http://127.0.0.1:1")
	in, err := haproxycfg.FromConfig(config, checked, publicKeys())
	if err != nil {
		t.Fatal(err)
	}
	in.Nodes[0].Environments = nil
	if p, err := ConfigPart(in, "n1"); err != nil || !strings.Contains(p.Sections, "frontend fe_haproxyaccess\n") || len(p.Maps) != 5 {
		t.Errorf("maps %v, error %v", p.Maps, err)
	}
	if _, err := ConfigPart(in, "n9"); err == nil {
		t.Error("there is a node n9")
	}
}
