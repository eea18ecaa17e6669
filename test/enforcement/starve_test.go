package enforcement

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// With a limit on the memory of variables (tune.vars.*, a team's own setting) a set-var fails without a word, also the
// one that refuses, while a later and smaller one may succeed. Around the limit at which a good request just passes, the
// bad ones are tried in small steps. The backend's name is as short as can be: it is the last variable, and must not fit
// where the reason did not.
func TestNothingPassesWhenVariablesCannotBeStored(t *testing.T) { eachMode(t, testVariables) }

func testVariables(t *testing.T, s *set) {
	s.config = bytes.ReplaceAll(s.config, []byte("be_prod_billing"), []byte("b"))
	pools := filepath.Join(s.input.MapsDir, "pools.map")
	text, err := os.ReadFile(pools)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pools, bytes.ReplaceAll(text, []byte("be_prod_billing"), []byte("b")), 0o600); err != nil {
		t.Fatal(err)
	}
	edge := s.smallestLimit(t)
	t.Logf("a good request needs %d bytes", edge)
	var bad []string
	for _, c := range tokencorpus.Cases() {
		if statuses[c.Why] == http.StatusForbidden || c.Why == "bad_sub" || c.Why == "expired" || c.Why == "bad_aud" || c.Why == "duplicate_claim" || c.Why == "bad_header" {
			bad = append(bad, get(host, bearer(s.token(c))))
		}
	}
	for limit := edge - 150; limit < edge+200; limit += 5 {
		s.limited(t, limit, func(w *world) {
			for _, r := range bad {
				if a, err := w.send(r); err != nil || a.status == http.StatusOK {
					t.Errorf("limit %d: status %d, %v: %.300s", limit, a.status, err, a.body)
				}
			}
		})
	}
	if n := s.upstream.count.Load(); n == 0 || n > 20 {
		t.Errorf("%d requests reached the service, want the few good ones", n)
	}
}

// smallestLimit is where a good request begins to pass.
func (s *set) smallestLimit(t *testing.T) int {
	low, high := 64, 16<<10
	for low < high {
		middle := (low + high) / 2
		s.limited(t, middle, func(w *world) {
			if a, err := w.send(get(host, bearer(w.good()))); err == nil && a.status == http.StatusOK {
				high = middle
			} else {
				low = middle + 1
			}
		})
	}
	return low
}

// limited runs f with an HAProxy whose variables have so many bytes a transaction.
func (s *set) limited(t *testing.T, limit int, f func(*world)) {
	t.Helper()
	config := bytes.Replace(s.config, []byte("\nglobal\n"), fmt.Appendf(nil, "\nglobal\n  tune.vars.txn-max-size %d\n", limit), 1)
	w, err := s.start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	f(w)
	if err := w.process.Kill(); err != nil {
		t.Fatal(err)
	}
}
