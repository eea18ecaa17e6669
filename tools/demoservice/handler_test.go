package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func get(t *testing.T, url string, headers map[string]string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestProgramsGetJSONAndPeopleAPage(t *testing.T) {
	server := httptest.NewServer(handler("staging/billing"))
	t.Cleanup(server.Close) // after the clients have gone, for which Close waits
	headers := map[string]string{
		"X-Forwarded-User": "alice@example.com", "X-Forwarded-Groups": "engineering,prod-approvers",
		"X-Clutch-Grant": "g1", "X-Clutch-Pool": "staging/billing", "X-Request-ID": "r1",
	}
	var answer map[string]any
	if err := json.NewDecoder(get(t, server.URL, headers).Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"service": "staging/billing", "pool": "staging/billing", "user": "alice@example.com",
		"groups": "engineering,prod-approvers", "grant": "g1", "request_id": "r1",
	} {
		if answer[name] != want {
			t.Errorf("%s is %v, want %q", name, answer[name], want)
		}
	}
	headers["Accept"] = "text/html"
	headers["X-Forwarded-User"] = "<b>alice</b>"
	response := get(t, server.URL, headers)
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "&lt;b&gt;alice&lt;/b&gt;") || strings.Contains(string(page), "<b>alice") {
		t.Errorf("page: %s", page)
	}
}

func TestStreamSendsWhileItRuns(t *testing.T) {
	server := httptest.NewServer(handler("p"))
	t.Cleanup(server.Close) // after the clients have gone, for which Close waits
	response := get(t, server.URL+"/stream?seconds=600", nil)
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || line != "0\n" {
		t.Errorf("first line %q, %v", line, err)
	}
}

func TestStreamIsBounded(t *testing.T) {
	server := httptest.NewServer(handler("p"))
	t.Cleanup(server.Close) // after the clients have gone, for which Close waits
	for _, seconds := range []string{"", "0", "-1", "601", "9223372036854775807", "x"} {
		if status := get(t, server.URL+"/stream?seconds="+seconds, nil).StatusCode; status != http.StatusBadRequest {
			t.Errorf("seconds=%s: status %d", seconds, status)
		}
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "localhost:0", "192.0.2.1:0"} {
		if _, err := parse([]string{"-serve", "p=" + address}); err == nil {
			t.Errorf("%s was accepted", address)
		}
	}
	if _, err := parse([]string{"-serve", "p=127.0.0.1:0"}); err != nil {
		t.Error(err)
	}
}
