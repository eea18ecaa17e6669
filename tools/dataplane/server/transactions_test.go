package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

const (
	transactions = services + "/transactions"
	servers      = services + "/configuration/servers"
	ofPool       = "parent_type=backend&parent_name=be_pool"
)

// begin opens a transaction at a version and returns its id.
func (w *world) begin(t *testing.T, version int) string {
	t.Helper()
	got := w.want(t, 201, "in_progress", "POST", fmt.Sprintf("%s?version=%d", transactions, version), nil)
	var transaction struct{ ID string }
	if err := json.Unmarshal([]byte(got.body), &transaction); err != nil {
		t.Fatal(err)
	}
	return transaction.ID
}

// service is a server of the pool; its answer proves that it was reached.
func service(t *testing.T) map[string]any {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "reached")
	}))
	t.Cleanup(s.Close)
	address := s.Listener.Addr().(*net.TCPAddr)
	return map[string]any{"name": "s1", "address": "127.0.0.1", "port": address.Port}
}

func TestAServerOfACommittedTransactionServesTraffic(t *testing.T) {
	w := newWorld(t)
	if got := w.get(t, "/pool", ""); got.status != 503 {
		t.Fatalf("before: %d", got.status)
	}
	id := w.begin(t, 1)
	w.want(t, 202, "s1", "POST", servers+"?"+ofPool+"&transaction_id="+id, service(t))
	w.want(t, 200, `"data":[]`, "GET", servers+"?"+ofPool, nil)
	w.want(t, 200, `"s1"`, "GET", servers+"?"+ofPool+"&transaction_id="+id, nil)
	got := w.want(t, 200, "success", "PUT", transactions+"/"+id+"?force_reload=true", nil)
	if v := got.header.Get("Configuration-Version"); v != "2" {
		t.Errorf("version after the commit: %s", v)
	}
	if got := w.get(t, "/pool", ""); got.body != "reached" {
		t.Fatalf("after: %d %s", got.status, got.body)
	}
	w.want(t, 200, "2\n", "GET", services+"/configuration/version", nil)
	w.want(t, 200, `"_version":2`, "GET", servers+"/s1?"+ofPool, nil)
	w.want(t, 200, `"admin_state":"ready"`, "GET", services+"/runtime/servers/s1?backend=be_pool", nil)
	w.want(t, 200, `"admin_state":"maint"`, "PUT", services+"/runtime/servers/s1?backend=be_pool", map[string]string{"admin_state": "maint"})
	if got := w.get(t, "/pool", ""); got.status != 503 {
		t.Errorf("in maintenance: %d", got.status)
	}
	w.want(t, 404, "", "GET", services+"/runtime/servers/absent?backend=be_pool", nil)
	w.want(t, 204, "", "DELETE", servers+"/s1?"+ofPool+"&version=2&force_reload=true", nil)
	if got := w.get(t, "/pool", ""); got.status != 503 {
		t.Errorf("after the removal: %d", got.status)
	}
}

func TestAnInvalidConfigurationChangesNothingAndTheTransactionStaysFailed(t *testing.T) {
	w := newWorld(t)
	before := w.read(t, w.file)
	id := w.begin(t, 1)
	w.want(t, 202, "", "POST", services+"/configuration/backends?transaction_id="+id, map[string]any{"name": "be_new", "from": "unnamed_defaults_1"})
	w.want(t, 202, "", "POST", servers+"?parent_type=backend&parent_name=be_new&transaction_id="+id,
		map[string]any{"name": "s1", "address": "127.0.0.1", "port": 80, "ssl": "enabled", "ssl_cafile": "/nonexistent.pem", "verify": "required"})
	w.want(t, 400, "", "PUT", transactions+"/"+id+"?force_reload=true", nil)
	if after := w.read(t, w.file); after != before {
		t.Errorf("the file changed:\n%s", after)
	}
	w.want(t, 200, "1\n", "GET", services+"/configuration/version", nil)
	w.want(t, 200, "failed", "GET", transactions+"/"+id, nil)
	w.want(t, 406, "failed", "PUT", transactions+"/"+id, nil)
	w.want(t, 204, "", "DELETE", transactions+"/"+id, nil)
	w.want(t, 404, "does not exist", "GET", transactions+"/"+id, nil)
	w.want(t, 404, "does not exist", "PUT", transactions+"/"+id, nil)
}

func TestStaleVersionsAndOutdatedTransactions(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin(t, 1), w.begin(t, 1)
	w.want(t, 202, "", "POST", servers+"?"+ofPool+"&transaction_id="+first, service(t))
	w.want(t, 200, "success", "PUT", transactions+"/"+first+"?force_reload=true", nil)
	w.want(t, 406, "outdated", "PUT", transactions+"/"+second, nil)
	w.want(t, 409, "", "POST", transactions+"?version=1", nil)
	w.want(t, 409, "", "DELETE", servers+"/s1?"+ofPool+"&version=1", nil)
	w.want(t, 409, "", "POST", servers+"?"+ofPool+"&version=2", service(t)) // exists
	w.want(t, 422, `"code":602`, "POST", transactions, nil)
	w.want(t, 400, "", "DELETE", servers+"/s1?"+ofPool, nil)
	w.want(t, 400, "", "DELETE", servers+"/s1?"+ofPool+"&version=2&transaction_id=x", nil)
	w.want(t, 400, "", "DELETE", servers+"/s1?"+ofPool+"&force_reload=true&transaction_id=x", nil)
	w.want(t, 404, "", "DELETE", servers+"/absent?"+ofPool+"&version=2", nil)
	w.want(t, 422, "", "POST", servers+"?"+ofPool+"&version=2", map[string]any{"name": "a b", "address": "127.0.0.1"})
}

func TestTheTwentyFirstTransactionIsRefused(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.begin(t, 1)
	}
	w.want(t, 429, "20", "POST", transactions+"?version=1", nil)
}

func TestAChangeWithoutForceIsReloadedLaterUnderItsID(t *testing.T) {
	w := newWorld(t)
	got := w.want(t, 202, "s1", "POST", servers+"?"+ofPool+"&version=1", service(t))
	id := got.header.Get("Reload-Id")
	if id == "" {
		t.Fatal("no Reload-Id")
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		got := w.want(t, 200, id, "GET", services+"/reloads/"+id, nil)
		var reload struct{ Status string }
		if err := json.Unmarshal([]byte(got.body), &reload); err != nil {
			t.Fatal(err)
		}
		if reload.Status == "succeeded" {
			break
		}
		if reload.Status != "in_progress" || time.Now().After(deadline) {
			t.Fatalf("reload: %s", got.body)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := w.get(t, "/pool", ""); got.body != "reached" {
		t.Fatalf("after the reload: %d", got.status)
	}
	w.want(t, 404, "does not exist", "GET", services+"/reloads/2000-01-01-7", nil)
}

// A HAProxy that is down cannot reload; the configuration is valid all the same.
func TestAFailedReloadPutsTheOldFileBackButTheAPIRemembersTheChange(t *testing.T) {
	w := newWorld(t)
	before := w.read(t, w.file)
	if err := w.haproxy.Stop(); err != nil {
		t.Fatal(err)
	}
	got := w.want(t, 400, "Reload failed", "POST", servers+"?"+ofPool+"&version=1&force_reload=true", service(t))
	if after := w.read(t, w.file); after != before {
		t.Errorf("the file kept the change:\n%s", after)
	}
	if v := got.header.Get("Configuration-Version"); v != "2" {
		t.Errorf("version in memory: %s", v)
	}
	w.want(t, 200, `"s1"`, "GET", servers+"/s1?"+ofPool, nil)
}
