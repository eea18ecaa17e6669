package server_test

import (
	"strings"
	"testing"
)

// With HAProxy down the answers look much like those for an absent key: that is
// what the client of this API must tell apart.
func TestHAProxyDownAnswersAsTheRealAPIDoes(t *testing.T) {
	w := newWorld(t)
	w.want(t, 200, `"up"`, "GET", "/v2/health", nil)
	if err := w.haproxy.Stop(); err != nil {
		t.Fatal(err)
	}
	list := entries + "?map=grants.map"
	w.want(t, 404, "dial unix", "GET", list, nil)
	w.want(t, 404, "dial unix", "GET", services+"/runtime/maps", nil)
	got := w.want(t, 404, "dial unix", "DELETE", entryPath("infile"), nil)
	if strings.Contains(got.body, "Key not found") {
		t.Errorf("an unreachable HAProxy looks like an absent key: %s", got.body)
	}
	w.want(t, 400, "dial unix", "POST", list, entry{"k", "v"})
	w.want(t, 400, "", "PUT", services+"/runtime/maps/grants.map", rows(3))
	info := w.want(t, 200, `"error":`, "GET", services+"/runtime/info", nil)
	if !strings.HasPrefix(info.body, "[") {
		t.Errorf("runtime info is no list: %s", info.body)
	}
	w.want(t, 200, "[]", "GET", services+"/runtime/servers?backend=be_pool", nil)
	w.want(t, 200, `"down"`, "GET", "/v2/health", nil)
	// The configuration needs no HAProxy, a reload does.
	w.want(t, 200, "be_pool", "GET", services+"/configuration/backends", nil)
	w.want(t, 400, "Reload failed", "PUT", services+"/storage/maps/grants.map?force_reload=true", "a b\n")
}
