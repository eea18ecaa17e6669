package dataplanetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const socket = "/run/haproxy/admin.sock"

// request is a call as it came.
type request struct {
	seen                    Call
	path                    string // escaped
	query                   url.Values
	body                    []byte
	contentType             string
	password, authorization string
}

// how says in which way a call is applied.
type how struct{ pretend, half, twice, down bool }

// call is a request on its way through the routes of either version.
type call struct {
	how
	method   string
	resource string // as the path without its names: "runtime/maps/entries"
	parent   string // the map or backend
	name     string // of the one object; empty for a collection
	query    url.Values
	body     []byte
	v3       bool

	contentType string
}

// answer takes a call from the wire. An error is a connection that ends without an answer.
func (s *Server) answer(r *http.Request) (reply, error) {
	var body []byte
	if r.Body != nil {
		var read bytes.Buffer
		read.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
		_, err := read.ReadFrom(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return reply{}, errDropped
		}
		body = read.Bytes()
	}
	username, password, ok := r.BasicAuth()
	req := request{
		seen: Call{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Body: string(body)},
		path: r.URL.EscapedPath(), query: r.URL.Query(), body: body, contentType: r.Header.Get("Content-Type"),
		password: password, authorization: r.Header.Get("Authorization"),
	}
	s.mu.Lock()
	s.calls = append(s.calls, req.seen)
	fault, passwords, dialect := s.fault, slices.Clone(s.passwords), s.dialect
	s.mu.Unlock()

	// Both versions look for the route before they look at who asks.
	if !strings.HasPrefix(req.path, "/"+dialect+"/") {
		return s.unknown(r.URL.Path), nil
	}
	if !ok || username != Username || !slices.Contains(passwords, password) {
		return s.unauthorized(dialect, password), nil
	}
	f := None
	if fault != nil {
		f = fault(req.seen)
	}
	return s.meet(r.Context(), f, req, func(h how) reply {
		answer := s.run(req, h)
		for _, late := range s.takeLate() {
			late()
		}
		return answer
	})
}

func (s *Server) unknown(path string) reply {
	w := newRecorder()
	problem(w, http.StatusNotFound, "path "+path+" was not found")
	return s.dated(w)
}

func (s *Server) unauthorized(dialect, password string) reply {
	w := newRecorder()
	if dialect == "v2" {
		problem(w, http.StatusUnauthorized, "invalid password: "+password)
	} else {
		problem(w, http.StatusUnauthorized, "unauthorized")
	}
	return s.dated(w)
}

// run applies a call under the lock, and takes its effect back if it only pretends.
func (s *Server) run(r request, h how) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	undo := func() {}
	if h.pretend {
		undo = s.snapshot()
	}
	if h.down && !s.down {
		s.down = true
		defer func() { s.down = false }()
	}
	w := newRecorder()
	s.route(w, r, h)
	if h.twice {
		s.route(newRecorder(), r, h)
	}
	w.Header().Set("Configuration-Version", strconv.FormatInt(s.config.version, 10))
	undo()
	return s.datedLocked(w)
}

func (s *Server) snapshot() (undo func()) {
	held := map[string]mapState{}
	for name, m := range s.maps {
		held[name] = mapState{memory: slices.Clone(m.memory), file: m.file, onDisk: m.onDisk}
	}
	general := maps.Clone(s.general)
	config, pid, started := s.config.clone(), s.pid, s.started
	return func() {
		s.maps = map[string]*mapState{}
		for name, m := range held {
			s.maps[name] = &m
		}
		s.general = general
		s.config, s.pid, s.started = config, pid, started
	}
}

func (s *Server) route(w http.ResponseWriter, r request, h how) {
	c, ok := s.find(r)
	if !ok {
		problem(w, http.StatusNotFound, "path "+r.path+" was not found")
		return
	}
	c.how, c.method, c.query, c.body, c.contentType = h, r.seen.Method, r.query, r.body, r.contentType
	switch c.resource {
	case "info":
		answerJSON(w, http.StatusOK, map[string]any{
			"api": map[string]any{"build_date": "2026-01-01T00:00:00.000Z", "version": s.dialect + ".test"}, "system": map[string]any{},
		})
	case "runtime/info":
		s.info(w, c)
	case "runtime/maps/entries":
		s.mapEntries(w, c)
	case "runtime/maps":
		s.bulk(w, c)
	case "storage/maps":
		s.storedMaps(w, c)
	case "storage/general":
		s.storedGeneral(w, c)
	case "runtime/servers":
		s.runtimeServers(w, c)
	case "configuration/servers":
		s.configuredServers(w, c)
	case "configuration/backends":
		s.listBackends(w, c)
	case "configuration/raw":
		s.raw(w, c)
	case "configuration/version":
		answerJSON(w, http.StatusOK, s.config.version)
	case "transactions":
		s.transactions(w, c)
	}
}

// patterns are the routes of each version: {p} is the parent, {n} the one object. A route of a collection is one without
// its last part.
var patterns = map[string]map[string]string{
	"v2": {
		"runtime/maps_entries/{n}":   "runtime/maps/entries",
		"runtime/servers/{n}":        "runtime/servers",
		"configuration/servers/{n}":  "configuration/servers",
		"runtime/maps/{n}":           "runtime/maps",
		"storage/maps/{n}":           "storage/maps",
		"storage/general/{n}":        "storage/general",
		"transactions/{n}":           "transactions",
		"runtime/info/{n}":           "runtime/info",
		"configuration/raw/{n}":      "configuration/raw",
		"configuration/version/{n}":  "configuration/version",
		"configuration/backends/{n}": "configuration/backends",
	},
	"v3": {
		"runtime/maps/{p}/entries/{n}":           "runtime/maps/entries",
		"runtime/backends/{p}/servers/{n}":       "runtime/servers",
		"configuration/backends/{p}/servers/{n}": "configuration/servers",
		"runtime/maps/{n}":                       "runtime/maps",
		"storage/maps/{n}":                       "storage/maps",
		"storage/general/{n}":                    "storage/general",
		"transactions/{n}":                       "transactions",
		"runtime/info/{n}":                       "runtime/info",
		"configuration/raw/{n}":                  "configuration/raw",
		"configuration/version/{n}":              "configuration/version",
		"configuration/backends/{n}":             "configuration/backends",
	},
}

func (s *Server) find(r request) (call, bool) {
	if r.path == "/"+s.dialect+"/info" {
		return call{resource: "info"}, true
	}
	rest, ok := strings.CutPrefix(r.path, "/"+s.dialect+"/services/haproxy/")
	if !ok {
		return call{}, false
	}
	segments := strings.Split(rest, "/")
	for pattern, resource := range patterns[s.dialect] {
		c := call{resource: resource, v3: s.dialect == "v3"}
		if c.matches(strings.Split(pattern, "/"), segments) {
			if !c.v3 {
				c.parent = v2Parent(resource, r.query)
			}
			return c, true
		}
	}
	return call{}, false
}

func (c *call) matches(pattern, segments []string) bool {
	if len(segments) != len(pattern) && len(segments) != len(pattern)-1 {
		return false
	}
	for i, segment := range segments {
		name, err := url.PathUnescape(segment)
		if err != nil {
			return false
		}
		switch pattern[i] {
		case "{p}":
			c.parent = name
		case "{n}":
			if c.v3 {
				if again, err := url.PathUnescape(name); err == nil {
					name = again // /v3 decodes it twice
				}
			}
			c.name = name
		default:
			if segment != pattern[i] {
				return false
			}
		}
	}
	return true
}

func v2Parent(resource string, query url.Values) string {
	switch resource {
	case "runtime/maps/entries":
		return query.Get("map")
	case "runtime/servers":
		return query.Get("backend")
	case "configuration/servers":
		return query.Get("parent_name")
	}
	return ""
}

func (s *Server) info(w http.ResponseWriter, c call) {
	process := map[string]any{"runtimeAPI": socket}
	if s.down {
		process["error"] = dialError("show info typed")
	} else {
		uptime := int64(s.now().Sub(s.started) / time.Second)
		process["info"] = map[string]any{
			"pid": s.pid, "uptime": max(uptime, 0), "version": "2.6.12-1", "stopping": 0, "release_date": "2023-03-28",
		}
	}
	if c.v3 {
		answerJSON(w, http.StatusOK, process)
		return
	}
	answerJSON(w, http.StatusOK, []any{process})
}

func dialError(command string) string {
	return "dial unix " + socket + ": connect: connection refused [" + command + "]"
}

// said is what the API says of HAProxy's answer, in /v3 with the socket's path before it.
func (c call) said(message string) string {
	if c.v3 {
		return socket + " " + message
	}
	return message
}

// configured answers a read of the configuration, in /v2 in an envelope.
func (s *Server) configured(w http.ResponseWriter, c call, value any) {
	if !c.v3 {
		value = map[string]any{"_version": s.config.version, "data": value}
	}
	answerJSON(w, http.StatusOK, value)
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func (s *Server) dated(w *httptest.ResponseRecorder) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.datedLocked(w)
}

// datedLocked gives an answer the node's time.
func (s *Server) datedLocked(w *httptest.ResponseRecorder) reply {
	header := w.Header()
	header.Set("Date", s.now().UTC().Format(http.TimeFormat))
	return reply{code: w.Code, header: header, body: w.Body.Bytes()}
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

// missing is the answer of /v2 and /v3 where a parameter or body is not what the specification wants.
func missing(w http.ResponseWriter, what string) {
	answerJSON(w, http.StatusUnprocessableEntity, map[string]any{"code": 602, "message": what + " is required"})
}

func notAllowed(w http.ResponseWriter, c call) {
	answerJSON(w, http.StatusMethodNotAllowed, map[string]any{"code": 405, "message": "method " + c.method + " is not allowed"})
}
