package dataplanetest

import (
	"context"
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

// Settings are what a node is made with. The zero value of each is usable.
type Settings struct {
	// Dialect is "v2" or "v3"; "v2" if empty.
	Dialect string
	// Maps are the names of its maps, all empty.
	Maps []string
	// Now is the clock that the node's differs from by Skew. time.Now if nil.
	Now func() time.Time
	// Wait waits for a time, or until ctx ends, and says so by ctx's error. With timers of package time if nil.
	Wait func(ctx context.Context, d time.Duration) error
	// OnReload is handed, at each reload or restart, the maps that the worker of before had in memory. It is called
	// while the node is locked, so it must not call it.
	OnReload func(old map[string][]Entry)
}

// Server is a faulty Data Plane API. Its methods may be called at any time from any goroutine.
type Server struct {
	// URL is where it listens: plain http on loopback. A node without a socket has one too, where nothing listens.
	URL string

	settings Settings
	inMemory bool
	life     context.Context
	closed   <-chan struct{}
	end      context.CancelFunc
	waiting  sync.WaitGroup

	mu        sync.Mutex
	dialect   string
	fault     func(Call) Fault
	delay     func(Call) time.Duration
	late      []func()
	calls     []Call
	passwords []string
	maps      map[string]*mapState
	general   map[string]string // files of the general storage
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
	onDisk bool // the running worker does not have it: it was made since, and no configuration with it was loaded
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

// New starts a server that speaks /v2 with the maps of the names, all empty, and the backend be_app with the server s1.
// It stops when the test ends.
func New(t testing.TB, mapNames ...string) *Server {
	t.Helper()
	return Start(t, Settings{Maps: mapNames})
}

// Start starts a server over HTTP with the backend be_app and its server s1. It stops when the test ends.
func Start(t testing.TB, settings Settings) *Server {
	t.Helper()
	s := NewNode(settings)
	listening := httptest.NewServer(s)
	s.URL, s.inMemory = listening.URL, false
	t.Cleanup(func() {
		s.Close()
		listening.Close()
	})
	return s
}

// NewNode makes a node without a socket, with the backend be_app and its server s1: see Transport and Options. Close it.
func NewNode(settings Settings) *Server {
	if settings.Dialect == "" {
		settings.Dialect = "v2"
	}
	if settings.Now == nil {
		settings.Now = time.Now
	}
	if settings.Wait == nil {
		settings.Wait = wait
	}
	s := &Server{
		URL: "http://127.0.0.1:1", inMemory: true, settings: settings, dialect: settings.Dialect,
		maps: map[string]*mapState{}, general: map[string]string{}, passwords: []string{Password},
		pid: 100, started: settings.Now().Add(-time.Hour), config: newConfiguration(),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.closed = s.life.Done()
	for _, name := range settings.Maps {
		s.maps[name] = &mapState{}
	}
	return s
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the calls that wait, without their effect. A server of New or Start is closed when its test ends.
func (s *Server) Close() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.waiting.Wait()
}

// Options are those of a client for this server, in memory for a node of NewNode.
func (s *Server) Options() dataplane.Options {
	o := dataplane.Options{
		URL: s.URL, Username: Username, Password: func() (string, error) { return Password, nil }, Now: s.settings.Now,
	}
	if s.inMemory {
		o.Transport = s.Transport()
	}
	return o
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

// SetDialect replaces the API by one of another version, "v2" or "v3"; HAProxy runs on.
func (s *Server) SetDialect(dialect string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialect = dialect
}

// SetFault sets what meets each later call, by a function that sees the call; nil ends all faults.
func (s *Server) SetFault(fault func(Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// SetDelay sets how long the faults Slow and SlowAnswer take, by a function that sees the call and must not call the
// node; nil is no time.
func (s *Server) SetDelay(delay func(Call) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// Calls returns the calls since the start or the last ResetCalls, among them those by which a client finds out the
// dialect.
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

// postpone keeps a call's effect for after the next call that is applied.
func (s *Server) postpone(call func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, call)
}

// takeLate hands out what was kept.
func (s *Server) takeLate() []func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := s.late
	s.late = nil
	return late
}

var _ http.Handler = (*Server)(nil)
