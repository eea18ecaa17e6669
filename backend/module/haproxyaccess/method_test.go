package haproxyaccess

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Another method than POST is answered with 405 and what is allowed; a path that is none stays 404.
func TestAnotherMethodThanPOSTIsToldSo(t *testing.T) {
	conn, err := grpc.NewClient("passthrough:///nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	mux := runtime.NewServeMux()
	if err := registerJSON(t.Context(), mux, conn); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) *http.Response {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{")))
		return w.Result()
	}
	for _, path := range []string{"/v1/haproxyaccess/requestAccess", "/v1/haproxyaccess/listPools", "/v1/haproxyaccess/listEnvironments"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			if r := ask(method, path); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d, allowed %q", method, path, r.StatusCode, r.Header.Get("Allow"))
			}
		}
		if r := ask("POST", path); r.StatusCode != http.StatusBadRequest { // half a body: it came to the call
			t.Errorf("POST %s: %d", path, r.StatusCode)
		}
	}
	for _, method := range []string{"GET", "POST"} {
		if r := ask(method, "/v1/haproxyaccess/nope"); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s of what is no call: %d", method, r.StatusCode)
		}
	}
}
