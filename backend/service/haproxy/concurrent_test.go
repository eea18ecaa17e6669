package haproxy

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/access"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var _ access.Templates = (*Watch)(nil)

// Whoever reads sees one whole fleet, whatever comes and goes meanwhile: each pool's environment is on every target of the
// template, and what is handed on last is what there is.
func TestReadersSeeOneFleetWhileItChanges(t *testing.T) {
	one := dataplanetest.New(t)
	backends(one, "pr-1_web", "pr-2_web", "pr-3_web")
	w := watch(t, withDiscovery(t, withTemplate(whole(t, one.URL), nil), nil))
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				now := w.present.Load()
				for _, p := range now.pools {
					if strings.HasPrefix(p.Name.Environment, "pr-") && (len(now.serving(p.Name.Environment)) != 1 || now.backends[p.Name] == "") {
						t.Errorf("pool %s has no node or no backend", p.Name)
					}
				}
				w.Describe("pr-1")
				if _, err := w.Targets(*now.input, w.options.Keys); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const rounds = 20
	writers.Go(func() {
		for i := range rounds {
			name := fmt.Sprintf("pr-%d", i%3+1)
			err := w.db.RegisterEnvironment(t.Context(), store.Environment{Name: name, Template: "pr-*", At: w.now()})
			if err == nil {
				err = w.Refresh(t.Context())
			}
			w.pass(time.Minute)
			if err == nil {
				err = w.db.RemoveEnvironment(t.Context(), name, "", w.now())
			}
			if err == nil {
				err = w.Refresh(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	writers.Go(func() {
		for i := range rounds {
			w.sources["edge"].answer.Endpoints = []netip.AddrPort{
				netip.MustParseAddrPort(fmt.Sprintf("127.0.0.%d:9", i+1)), netip.MustParseAddrPort(fmt.Sprintf("127.0.0.%d:9", i+2)),
			}
			if err := w.resolve(t.Context(), w.discoveries[0]); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Go(func() {
		for range rounds {
			if err := w.look(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Go(func() {
		for range rounds {
			if err := w.Check(t.Context(), "pr-9"); err != nil {
				t.Error(err)
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	targets, err := w.Targets(*w.present.Load().input, w.options.Keys)
	if err != nil || len(targets) != len(w.targets) {
		t.Errorf("handed on were %d targets, there are %d: %v", len(w.targets), len(targets), err)
	}
}
