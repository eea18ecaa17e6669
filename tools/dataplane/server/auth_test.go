package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOnlyTheAccountPassesAndTheRefusalEchoesNothing(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ user, password string }{
		"wrong password": {username, "guess-93b1"},
		"wrong user":     {"root-93b1", password},
		"empty password": {username, ""},
		"prefix":         {username, password[:4]},
		"none":           {"", ""},
	} {
		for _, path := range []string{"/v2/info", services + "/runtime/maps", "/v2/no-such-route"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.api.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if name != "none" {
				request.SetBasicAuth(c.user, c.password)
			}
			got := do(t, w.api.Client(), request)
			if got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: %d", name, path, got.status)
			}
			if strings.Contains(got.body, "93b1") || strings.Contains(got.body, password[:4]) {
				t.Errorf("%s: the body echoes the credentials: %s", name, got.body)
			}
		}
	}
}

func TestUnlistedRoutesAnswer404WithCodeAndMessage(t *testing.T) {
	w := newWorld(t)
	for _, c := range [][2]string{
		{"GET", "/"},
		{"GET", "/v3/info"},
		{"GET", services + "/configuration/global"},
		{"POST", services + "/runtime/servers?backend=be_pool"},
		{"PATCH", services + "/runtime/maps"},
	} {
		w.want(t, 404, `"code":404,"message":"`, c[0], c[1], nil)
	}
}

func TestEveryAnswerTellsVersionAndDate(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v2/info", services + "/runtime/info", services + "/reloads", services + "/reloads/none", "/v2/none"} {
		got := w.call(t, "GET", path, nil)
		if got.header.Get("Configuration-Version") != "1" {
			t.Errorf("%s: version %q", path, got.header.Get("Configuration-Version"))
		}
		date, err := http.ParseTime(got.header.Get("Date"))
		if err != nil || time.Since(date).Abs() > time.Minute {
			t.Errorf("%s: date %q", path, got.header.Get("Date"))
		}
	}
}
