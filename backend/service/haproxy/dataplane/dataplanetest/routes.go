package dataplanetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	root   = "/v2/services/haproxy/"
	socket = "/run/haproxy/admin.sock"
)

// call is a request on its way through the routes.
type call struct {
	method string
	name   string // the last segment, decoded once; empty for a collection
	query  url.Values
	body   []byte
	half   bool
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c := Call{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Body: string(body)}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	fault, passwords := s.fault, slices.Clone(s.passwords)
	s.mu.Unlock()

	username, password, ok := r.BasicAuth()
	if !ok || username != Username || !slices.Contains(passwords, password) {
		problem(w, http.StatusUnauthorized, "invalid password: "+password)
		return
	}
	f := None
	if fault != nil {
		f = fault(c)
	}
	s.meet(f, w, r, func(pretend, half bool) *httptest.ResponseRecorder {
		return s.apply(r, body, pretend, half)
	})
}

// apply runs a call under the lock, and takes its effect back if it only pretends.
func (s *Server) apply(r *http.Request, body []byte, pretend, half bool) *httptest.ResponseRecorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	undo := func() {}
	if pretend {
		undo = s.snapshot()
	}
	w := httptest.NewRecorder()
	w.Header().Set("Configuration-Version", strconv.FormatInt(s.config.version, 10))
	s.route(w, r, call{method: r.Method, query: r.URL.Query(), body: body, half: half})
	undo()
	return w
}

func (s *Server) snapshot() (undo func()) {
	maps := map[string]mapState{}
	for name, m := range s.maps {
		maps[name] = mapState{memory: slices.Clone(m.memory), file: m.file}
	}
	config, pid, started := s.config.clone(), s.pid, s.started
	return func() {
		for name, m := range maps {
			*s.maps[name] = m
		}
		s.config, s.pid, s.started = config, pid, started
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, c call) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), root)
	if !ok {
		problem(w, http.StatusNotFound, "path "+r.URL.Path+" was not found")
		return
	}
	segments := strings.Split(rest, "/")
	if len(segments) < 2 {
		segments = append(segments, "")
	}
	if len(segments) == 3 {
		name, err := url.PathUnescape(segments[2])
		if err != nil {
			problem(w, http.StatusBadRequest, "bad path")
			return
		}
		c.name = name
	}
	switch segments[0] + "/" + segments[1] {
	case "runtime/info":
		s.info(w)
	case "runtime/maps_entries":
		s.mapEntries(w, c)
	case "runtime/maps":
		s.bulk(w, c)
	case "storage/maps":
		s.storage(w, c)
	case "runtime/servers":
		s.runtimeServers(w, c)
	case "configuration/servers":
		s.configuredServers(w, c)
	case "configuration/version":
		answerJSON(w, http.StatusOK, s.config.version)
	default:
		if segments[0] == "transactions" && len(segments) == 2 {
			c.name = segments[1]
			s.transactions(w, c)
			return
		}
		problem(w, http.StatusNotFound, "path "+r.URL.Path+" was not found")
	}
}

func (s *Server) info(w http.ResponseWriter) {
	if s.down {
		answerJSON(w, http.StatusOK, []any{map[string]any{
			"error": dialError("show info typed"), "runtimeAPI": socket,
		}})
		return
	}
	uptime := int64(time.Now().Add(s.skew).Sub(s.started) / time.Second)
	answerJSON(w, http.StatusOK, []any{map[string]any{
		"info": map[string]any{
			"pid": s.pid, "uptime": max(uptime, 0), "version": "2.6.12-1", "stopping": 0, "release_date": "2023-03-28",
		},
		"runtimeAPI": socket,
	}})
}

func dialError(command string) string {
	return "dial unix " + socket + ": connect: connection refused [" + command + "]"
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

func problem(w http.ResponseWriter, status int, message string) {
	answerJSON(w, status, map[string]any{"code": status, "message": message})
}
