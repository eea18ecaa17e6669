package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxStream bounds /stream.
const maxStream = 10 * time.Minute

//go:embed page.html
var pageHTML string

var page = template.Must(template.New("page").Parse(pageHTML))

// seen is what HAProxy tells the service about a request.
type seen struct {
	// Service is the service's own name; Pool is what HAProxy calls it.
	Service   string `json:"service"`
	Pool      string `json:"pool"`
	User      string `json:"user"`
	Groups    string `json:"groups"`
	Grant     string `json:"grant"`
	RequestID string `json:"request_id"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	// Headers are all of the request's headers, so that one sees what HAProxy lets through.
	Headers http.Header `json:"headers"`
}

// handler serves one service: GET /stream?seconds=N answers a line a second, everything else shows the request.
func handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { show(w, r, name) })
	return mux
}

func show(w http.ResponseWriter, r *http.Request, name string) {
	view := seen{
		Service: name, Pool: r.Header.Get("X-Clutch-Pool"), User: r.Header.Get("X-Forwarded-User"),
		Groups: r.Header.Get("X-Forwarded-Groups"), Grant: r.Header.Get("X-Clutch-Grant"),
		RequestID: r.Header.Get("X-Request-ID"), Method: r.Method, Path: r.URL.Path, Headers: r.Header,
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// A broken connection is all that can go wrong with these, and nobody is left to be told.
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		_ = page.Execute(w, view)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(view)
}

// stream writes the number of each second, for trying what happens to an answer that is under way.
func stream(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	if err != nil || seconds < 1 || seconds > int(maxStream.Seconds()) {
		http.Error(w, fmt.Sprintf("seconds must be a number from 1 to %d", int(maxStream.Seconds())), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	flusher := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := range seconds {
		if _, err := fmt.Fprintln(w, second); err != nil {
			return
		}
		if err := flusher.Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
