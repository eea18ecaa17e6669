package server_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/nodeconfig"
	"github.com/haproxy-access/clutch-haproxy-access/internal/haproxyproc"
)

// part is the enforcement part for this HAProxy, with every setting that makes sections of its own.
func (w *world) part(t *testing.T) (p nodeconfig.Part, address string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	ours, err := haproxycfg.NewPublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := haproxyproc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	general := filepath.Join(w.dir, "general")
	p, err = haproxy.ConfigPart(haproxycfg.Input{
		Issuer: "https://clutch.example", ClutchURL: "https://clutch.example", NodeName: "n1", SignatureCache: true,
		Environments: []haproxycfg.Environment{{Name: "prod", Lease: 30 * time.Second, Pools: []haproxycfg.Pool{
			{Name: "db", Backend: "be_pool", Hosts: []string{"db.example"}},
		}}},
		Nodes:             []haproxycfg.Node{{Name: "n1", Environments: []string{"prod"}}},
		IdentityProviders: []haproxycfg.IdentityProvider{{Name: "idp", Issuer: "https://idp.example", Audience: "us", KIDs: []string{"k.1"}}},
		Keys:              []haproxycfg.PublicKey{ours, {Issuer: "idp", KID: "k.1", PEM: text}},
		MapsDir:           filepath.Dir(w.mapFile), KeysDir: general, PagesDir: general, HardStopAfter: 30 * time.Second,
		Binds: []haproxycfg.Bind{{Address: address}},
	}, "n1")
	if err != nil {
		t.Fatal(err)
	}
	return p, address
}

// load asks a frontend of the team, each time on a connection of its own, until it is told to end.
type load struct {
	ok, failed atomic.Int64
	first      atomic.Pointer[string]
	stop       context.CancelFunc
	all        sync.WaitGroup
}

func (w *world) load(t *testing.T) *load {
	t.Helper()
	l := &load{}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	for range 4 {
		l.all.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
			for ctx.Err() == nil {
				if err := w.ask(client); err != nil {
					text := err.Error()
					l.first.CompareAndSwap(nil, &text)
					l.failed.Add(1)
				} else {
					l.ok.Add(1)
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.all.Wait()
}

func (w *world) ask(client *http.Client) error {
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", w.port))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// refused asks our frontend, which must be there and let nobody through.
func refused(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "db.example"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	if got := do(t, client, request); got.status/100 != 4 && got.status/100 != 5 || !strings.Contains(got.header.Get("Content-Type"), "html") && !strings.Contains(got.body, "error") {
		t.Errorf("our frontend answers %d %.200s", got.status, got.body)
	}
}

// The enforcement part comes to a HAProxy that has none, under load: not one request of the team's own is lost. A second
// time nothing is written, and what somebody does to it is put right, with theirs as it was.
func TestI13TheEnforcementPartIsKeptOnARealHAProxyAndNoRequestIsLost(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	p, address := w.part(t)
	l := w.load(t)
	o, err := nodeconfig.Keep(t.Context(), c, p)
	if err != nil || !o.Changed || len(o.Wrote) != 7 {
		t.Fatalf("%v, wrote %v, error %v", o.Changed, o.Wrote, err)
	}
	refused(t, address)
	if o, err = nodeconfig.Keep(t.Context(), c, p); err != nil || o.Changed || len(o.Wrote) > 0 {
		t.Fatalf("a second time: %+v, error %v", o, err)
	}
	right, _, err := c.RawConfiguration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	denied := strings.Index(right, "backend be_haproxyaccess_denied")
	for what, changed := range map[string]string{
		"a line more":          strings.Replace(right, "  timeout http-request 5s\n", "  timeout http-request 5s\n  http-request allow\n", 1),
		"another value":        strings.Replace(right, "timeout http-request 5s", "timeout http-request 50s", 1),
		"the part is gone":     without(right),
		"a section is changed": right[:denied] + strings.Replace(right[denied:], "  http-request ", "  http-request deny if { src 10.0.0.1 }\n  http-request ", 1),
	} {
		if changed == right {
			t.Fatalf("%s: nothing is changed", what)
		}
		_, version, err := c.RawConfiguration(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.PutRawConfiguration(t.Context(), changed, version, false); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if o, err := nodeconfig.Keep(t.Context(), c, p); err != nil || !o.Changed || o.Diff == "" {
			t.Fatalf("%s: %+v, error %v", what, o, err)
		}
		now, _, err := c.RawConfiguration(t.Context())
		if err != nil || !equal(sorted(without(now)), sorted(without(right))) {
			t.Errorf("%s: error %v, the team has\n%s\nand had\n%s", what, err, without(now), without(right))
		}
		refused(t, address)
	}
	for deadline := time.Now().Add(30 * time.Second); l.ok.Load() < 2000 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	l.end()
	if l.failed.Load() > 0 || l.ok.Load() < 2000 {
		t.Errorf("%d requests passed, %d failed: %v", l.ok.Load(), l.failed.Load(), l.first.Load())
	}
	t.Logf("%d requests in nine reloads", l.ok.Load())
}

// without is a text without our sections.
func without(text string) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if line[0] != ' ' && line[0] != '\t' && line[0] != '\n' {
			inside = strings.Contains(line, "haproxyaccess")
		}
		if !inside {
			out.WriteString(line)
		}
	}
	return out.String()
}

func equal(a, b []string) bool { return strings.Join(a, "") == strings.Join(b, "") }

// A configuration that this HAProxy does not take stays out of its file, and what runs goes on.
func TestWhatARealHAProxyRefusesChangesNothing(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	p, _ := w.part(t)
	before, pid := w.read(t, w.file), w.haproxy.MasterPID()
	p.Sections = strings.Replace(p.Sections, "  mode http\n", "  mode http\n  nonsense\n", 1)
	if o, err := nodeconfig.Keep(t.Context(), c, p); err == nil || o.Changed {
		t.Fatalf("%+v, error %v", o, err)
	}
	if after := w.read(t, w.file); after != before || w.haproxy.MasterPID() != pid {
		t.Errorf("the file is\n%s", after)
	}
	if _, err := os.Stat(w.mapFile); err != nil {
		t.Error(err)
	}
}
