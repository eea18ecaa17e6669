package dataplanetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// ServerState is one server in a backend of the running worker.
type ServerState struct {
	Name, Address string
	Port          int64
	AdminState    string
}

// definition is a server in the configuration: whatever fields it was given.
type definition map[string]any

func (d definition) name() string { name, _ := d["name"].(string); return name }

// configuration is what the API holds, with what runs beside it.
type configuration struct {
	version  int64
	backends map[string][]definition
	running  map[string][]ServerState
	open     map[string]*transaction
	begun    int

	failReload  bool // the next forced reloads fail
	loseReload  bool // commits are accepted with a reload that never comes
	maintenance bool // new servers come up in maintenance
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
		backends: map[string][]definition{"be_app": {{"name": "s1", "address": "127.0.0.1", "port": 8081, "check": "enabled", "unheard_of": "kept"}}},
		running:  map[string][]ServerState{},
		open:     map[string]*transaction{},
	}
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
	running := map[string][]ServerState{}
	for name, servers := range c.backends {
		running[name] = []ServerState{}
		for _, d := range servers {
			address, _ := d["address"].(string)
			number, _ := strconv.ParseInt(fmt.Sprint(d["port"]), 10, 64)
			state := ServerState{Name: d.name(), Address: address, Port: number, AdminState: "ready"}
			known := slices.ContainsFunc(c.running[name], func(s ServerState) bool { return s.Name == d.name() })
			if c.maintenance && !known {
				state.AdminState = "maint"
			}
			running[name] = append(running[name], state)
		}
	}
	c.running = running
}

// FailReloads lets every forced reload fail from now on, or succeed again. A commit before it stays in the API's
// memory.
func (s *Server) FailReloads(fail bool) { s.configure(func(c *configuration) { c.failReload = fail }) }

// LoseReloads lets commits be accepted from now on whose reload never comes, as when the API is killed in between.
func (s *Server) LoseReloads(lose bool) { s.configure(func(c *configuration) { c.loseReload = lose }) }

// StartInMaintenance lets new servers come up in maintenance from now on.
func (s *Server) StartInMaintenance(on bool) {
	s.configure(func(c *configuration) { c.maintenance = on })
}

// ChangeConfiguration is another writer's commit: the version moves on and open transactions are outdated.
func (s *Server) ChangeConfiguration() { s.configure((*configuration).committed) }

func (s *Server) configure(edit func(*configuration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(&s.config)
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

// committed moves the version on and outdates what was begun before.
func (c *configuration) committed() {
	c.version++
	for _, t := range c.open {
		t.Status = "outdated"
	}
}

func (s *Server) transactions(w http.ResponseWriter, c call) {
	switch {
	case c.method == http.MethodPost && c.name == "":
		s.config.begin(w, c.query.Get("version"))
	case c.method == http.MethodDelete:
		if s.config.open[c.name] == nil {
			problem(w, http.StatusNotFound, "transaction does not exist: transaction file "+c.name+" does not exist")
			return
		}
		delete(s.config.open, c.name)
		w.WriteHeader(http.StatusNoContent)
	case c.method == http.MethodPut:
		s.commit(w, c)
	default:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
	}
}

func (c *configuration) begin(w http.ResponseWriter, version string) {
	if version != strconv.FormatInt(c.version, 10) {
		problem(w, http.StatusConflict, fmt.Sprintf(
			"version mismatch: version in configuration file is %d, given version is %s", c.version, version))
		return
	}
	if len(c.open) >= 20 {
		problem(w, http.StatusTooManyRequests, "cannot start a new transaction, reached the maximum amount of 20 active transactions available")
		return
	}
	c.begun++
	t := &transaction{
		ID: fmt.Sprintf("8f967cb1-6ed6-44d0-a1dd-%012d", c.begun), Version: c.version, Status: "in_progress",
		backends: cloneBackends(c.backends),
	}
	c.open[t.ID] = t
	answerJSON(w, http.StatusCreated, t)
}

func (s *Server) commit(w http.ResponseWriter, c call) {
	t := s.config.open[c.name]
	switch {
	case t == nil:
		problem(w, http.StatusNotFound, "transaction does not exist: transaction "+c.name+" does not exist")
		return
	case t.Status != "in_progress":
		problem(w, http.StatusNotAcceptable, "transaction "+t.ID+" is "+t.Status+" and cannot be committed")
		return
	case t.Version != s.config.version:
		problem(w, http.StatusConflict, "version mismatch")
		return
	}
	delete(s.config.open, t.ID)
	s.config.backends = t.backends
	s.config.committed()
	t.Status = "success"
	switch {
	case s.config.loseReload || c.query.Get("force_reload") != "true":
		w.Header().Set("Reload-Id", "2026-01-01-1")
		answerJSON(w, http.StatusAccepted, t)
	case s.config.failReload:
		problem(w, http.StatusBadRequest, "Reload failed: executing systemctl reload haproxy failed: exit status 1, \n")
	default:
		s.reload()
		answerJSON(w, http.StatusOK, t)
	}
}
