package dataplanetest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

// Entry is one line of a map.
type Entry = dataplane.Entry

// Username and Password are what the server accepts.
const (
	Username = "clutch"
	Password = "marker-P4ss/w+rd"
)

// Server is a faulty Data Plane API. Its methods may be called at any time from any goroutine.
type Server struct {
	// URL is where it listens: plain http on loopback.
	URL string

	http   *httptest.Server
	closed chan struct{}

	mu        sync.Mutex
	fault     func(Call) Fault
	calls     []Call
	passwords []string
	maps      map[string]*mapState
	pid       int
	started   time.Time
	skew      time.Duration
	down      bool
	config    configuration
}

// mapState is one map: what the running worker has, and what the next one will start with.
type mapState struct {
	memory []Entry
	file   string
}

// Call is one request as it came.
type Call struct {
	Method string
	Path   string // escaped, as on the wire
	Query  string
	Body   string
}

// Is tells whether the call has the method and a path that contains part.
func (c Call) Is(method, part string) bool {
	return c.Method == method && strings.Contains(c.Path, part)
}

// New starts a server with the maps of the names, all empty, and the backend be_app with the server s1. It stops when
// the test ends.
func New(t testing.TB, mapNames ...string) *Server {
	t.Helper()
	s := &Server{
		closed: make(chan struct{}), maps: map[string]*mapState{},
		passwords: []string{Password}, pid: 100, started: time.Now().Add(-time.Hour), config: newConfiguration(),
	}
	for _, name := range mapNames {
		s.maps[name] = &mapState{}
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	t.Cleanup(func() {
		close(s.closed)
		s.http.Close()
	})
	return s
}

// Options are those of a client for this server.
func (s *Server) Options() dataplane.Options {
	return dataplane.Options{
		URL: s.URL, Username: Username, Password: func() (string, error) { return Password, nil },
	}
}

// Client returns a client for this server, closed when the test ends.
func (s *Server) Client(t testing.TB) *dataplane.Client {
	t.Helper()
	c, err := dataplane.New(s.Options())
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// SetFault sets what meets each later call, by a function that sees the call; nil ends all faults.
func (s *Server) SetFault(fault func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Calls returns the calls since the start or the last ResetCalls.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ResetCalls forgets the calls.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// SetPasswords sets the passwords that are accepted.
func (s *Server) SetPasswords(passwords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords = passwords
}

// Memory returns a map as the running worker has it.
func (s *Server) Memory(mapName string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state(mapName).memory)
}

// File returns a map's file.
func (s *Server) File(mapName string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state(mapName).file
}

// EditMemory changes the running worker's map as a foreigner does at the runtime socket: anything goes.
func (s *Server) EditMemory(mapName string, edit func([]Entry) []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.state(mapName)
	m.memory = edit(slices.Clone(m.memory))
}

// EditFile changes a map's file as a foreigner does on the disk.
func (s *Server) EditFile(mapName, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state(mapName).file = text
}

func (s *Server) state(mapName string) *mapState {
	m, ok := s.maps[mapName]
	if !ok {
		panic("dataplanetest: no map " + mapName)
	}
	return m
}

// PID is the running worker's process identifier.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Reload reloads HAProxy: a new worker starts now, with the maps of the files and the servers of the configuration.
// It also brings a HAProxy that was down up again.
func (s *Server) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reload()
}

func (s *Server) reload() {
	s.pid++
	s.started = time.Now().Add(s.skew)
	s.down = false
	for _, m := range s.maps {
		m.memory = parseFile(m.file)
	}
	s.config.run()
}

// SetStarted moves the running worker's start, by the node's clock.
func (s *Server) SetStarted(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = at
}

// SetDown stops HAProxy, while the API goes on, or lets the same worker answer again.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Skew sets the node's clock that far ahead of the test's.
func (s *Server) Skew(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = ahead
}

// parseFile reads a map file as HAProxy does.
func parseFile(text string) []Entry {
	var entries []Entry
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		entries = append(entries, Entry{Key: key, Value: strings.TrimSpace(value)})
	}
	return entries
}
