package dataplanetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// ServerState is one server in a backend of the running worker.
type ServerState struct {
	Name, Address string
	Port          int64
	AdminState    string // "ready", "drain" or "maint"
	Down          bool   // its health check fails
}

// definition is a server in the configuration: whatever fields it was given.
type definition map[string]any

func (d definition) name() string { name, _ := d["name"].(string); return name }

func (d definition) address() string { address, _ := d["address"].(string); return address }

func (d definition) port() int64 {
	number, _ := strconv.ParseInt(fmt.Sprint(d["port"]), 10, 64)
	return number
}

// configuration is what the API holds, with what runs beside it.
type configuration struct {
	version  int64
	backends map[string][]definition
	text     string // haproxy.cfg as the API's memory has it
	file     string // haproxy.cfg on the disk: the same, but after a reload that failed
	good     string // the one that the running worker started with
	running  map[string][]ServerState
	open     map[string]*transaction
	begun    int

	failReload  bool                // the next forced reloads fail
	loseReload  bool                // commits are accepted with a reload that never comes
	maintenance bool                // new servers come up in maintenance
	downNew     bool                // new servers come up with a health check that fails
	needReload  bool                // servers cannot be added at run time
	refuseText  func(string) string // what HAProxy finds wrong with a text
}

type transaction struct {
	ID       string `json:"id"`
	Version  int64  `json:"_version"`
	Status   string `json:"status"`
	backends map[string][]definition
}

func newConfiguration() configuration {
	c := configuration{
		version:  1,
		backends: map[string][]definition{"be_app": {{"name": "s1", "address": "127.0.0.1", "port": 8081, "check": "enabled"}}},
		running:  map[string][]ServerState{},
		open:     map[string]*transaction{},
		text:     "global\n  daemon\n\nbackend be_app\n  server s1 127.0.0.1:8081 check\n",
	}
	c.file = c.text
	c.run()
	return c
}

func (c configuration) clone() configuration {
	c.backends = cloneBackends(c.backends)
	c.running = maps.Clone(c.running)
	c.open = maps.Clone(c.open)
	return c
}

func cloneBackends(all map[string][]definition) map[string][]definition {
	cloned := map[string][]definition{}
	for name, servers := range all {
		cloned[name] = slices.Clone(servers)
	}
	return cloned
}

// run makes the worker's servers those of the configuration.
func (c *configuration) run() {
	c.good = c.file
	running := map[string][]ServerState{}
	for name, servers := range c.backends {
		running[name] = []ServerState{}
		for _, d := range servers {
			known := slices.ContainsFunc(c.running[name], func(s ServerState) bool { return s.Name == d.name() })
			running[name] = append(running[name], c.state(d, c.maintenance && !known))
		}
	}
	c.running = running
}

// state is how a server comes up.
func (c *configuration) state(d definition, maintenance bool) ServerState {
	state := ServerState{Name: d.name(), Address: d.address(), Port: d.port(), AdminState: "ready", Down: c.downNew}
	if maintenance {
		state.AdminState = "maint"
	}
	return state
}

// committed writes the memory to the disk, moves the version on, and outdates what was begun before.
func (c *configuration) committed() {
	c.version++
	c.file = c.text
	for _, t := range c.open {
		t.Status = "outdated"
	}
}

// FailReloads lets every forced reload fail from now on, or succeed again. A commit before it stays in the API's
// memory, while the file of before is put back.
func (s *Server) FailReloads(fail bool) { s.configure(func(c *configuration) { c.failReload = fail }) }

// LoseReloads lets commits be accepted from now on whose reload never comes, as when the API is killed in between.
func (s *Server) LoseReloads(lose bool) { s.configure(func(c *configuration) { c.loseReload = lose }) }

// StartInMaintenance lets new servers come up in maintenance from now on, after a reload too.
func (s *Server) StartInMaintenance(on bool) {
	s.configure(func(c *configuration) { c.maintenance = on })
}

// StartDown lets servers come up with a failing health check from now on.
func (s *Server) StartDown(on bool) { s.configure(func(c *configuration) { c.downNew = on }) }

// NeedReloads makes HAProxy refuse to add servers at run time from now on, so that /v3 answers 202.
func (s *Server) NeedReloads(on bool) { s.configure(func(c *configuration) { c.needReload = on }) }

// RefuseConfigurations sets what HAProxy finds wrong with a haproxy.cfg: a message, or nothing.
func (s *Server) RefuseConfigurations(check func(text string) string) {
	s.configure(func(c *configuration) { c.refuseText = check })
}

// ChangeConfiguration is another writer's commit: the version moves on and open transactions are outdated.
func (s *Server) ChangeConfiguration() { s.configure((*configuration).committed) }

// Configuration returns haproxy.cfg as it is on the disk, without the API's comments at its top.
func (s *Server) Configuration() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.file
}

// EditConfiguration replaces haproxy.cfg by another writer's commit. Its backends and servers are what the text says in
// lines "backend NAME" and "server NAME ADDRESS:PORT"; they run after the next reload.
func (s *Server) EditConfiguration(text string) {
	s.configure(func(c *configuration) {
		c.adopt(text)
		c.committed()
	})
}

func (s *Server) configure(edit func(*configuration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(&s.config)
}

// ExtendServer gives a server of the configuration one more field, as one that only a newer API knows.
func (s *Server) ExtendServer(backend, name, field string, value any) {
	s.configure(func(c *configuration) {
		for i, d := range c.backends[backend] {
			if d.name() == name {
				extended := maps.Clone(d)
				extended[field] = value
				c.backends[backend][i] = extended
			}
		}
	})
}

// OpenTransactions counts the transactions that were begun and neither committed nor deleted.
func (s *Server) OpenTransactions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.config.open)
}

// ConfiguredServers returns the servers' definitions in the API's memory, as JSON, by name.
func (s *Server) ConfiguredServers(backend string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{}
	for _, d := range s.config.backends[backend] {
		text, err := json.Marshal(d)
		if err != nil {
			panic(err)
		}
		all[d.name()] = string(text)
	}
	return all
}

// RunningServers returns the running worker's servers.
func (s *Server) RunningServers(backend string) []ServerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.config.running[backend])
}
