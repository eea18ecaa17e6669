package dataplanetest

import (
	"encoding/json"
	"net/http"
	"slices"
)

func (s *Server) configuredServers(w http.ResponseWriter, c call) {
	if c.query.Get("parent_type") != "backend" || c.query.Get("backend") != "" {
		problem(w, http.StatusBadRequest, "parent_type and parent_name are wanted")
		return
	}
	backend := c.query.Get("parent_name")
	if c.method == http.MethodGet && c.name == "" {
		servers := s.config.backends[backend]
		if servers == nil {
			servers = []definition{} // the real one's answer for a backend that is not there, too
		}
		answerJSON(w, http.StatusOK, map[string]any{"_version": s.config.version, "data": servers})
		return
	}
	t := s.config.open[c.query.Get("transaction_id")]
	switch {
	case t == nil || c.query.Get("version") != "":
		problem(w, http.StatusBadRequest, "transaction does not exist or version not given")
	case t.backends[backend] == nil:
		problem(w, http.StatusBadRequest, "missing parent: backend "+backend+" does not exist")
	case c.method == http.MethodPost && c.name == "":
		t.insert(w, backend, c.body)
	case c.method == http.MethodDelete:
		t.remove(w, backend, c.name)
	default:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
	}
}

func (t *transaction) find(backend, name string) int {
	return slices.IndexFunc(t.backends[backend], func(d definition) bool { return d.name() == name })
}

func (t *transaction) insert(w http.ResponseWriter, backend string, body []byte) {
	var d definition
	if err := json.Unmarshal(body, &d); err != nil || d.name() == "" {
		problem(w, http.StatusBadRequest, "parsing data body failed")
		return
	}
	if t.find(backend, d.name()) >= 0 {
		problem(w, http.StatusConflict, "object already exists: server "+d.name()+" already exists in "+backend+" backend")
		return
	}
	t.backends[backend] = append(t.backends[backend], d)
	answerJSON(w, http.StatusAccepted, d)
}

func (t *transaction) remove(w http.ResponseWriter, backend, name string) {
	i := t.find(backend, name)
	if i < 0 {
		problem(w, http.StatusNotFound, "missing object: server "+name+" does not exist in "+backend+" backend")
		return
	}
	t.backends[backend] = slices.Delete(t.backends[backend], i, i+1)
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) runtimeServers(w http.ResponseWriter, c call) {
	backend := c.query.Get("backend")
	running := s.config.running[backend]
	if s.down {
		running = nil // the real one answers 200 with no servers
	}
	if c.method == http.MethodGet && c.name == "" {
		rows := []any{}
		for _, state := range running {
			rows = append(rows, state.row())
		}
		answerJSON(w, http.StatusOK, rows)
		return
	}
	i := slices.IndexFunc(running, func(state ServerState) bool { return state.Name == c.name })
	var body struct {
		AdminState string `json:"admin_state"`
	}
	switch {
	case c.method != http.MethodPut:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
	case i < 0:
		problem(w, http.StatusInternalServerError, "server state for "+backend+"/"+c.name+": not found")
	case json.Unmarshal(c.body, &body) != nil:
		problem(w, http.StatusBadRequest, "parsing data body failed")
	default:
		changed := slices.Clone(running)
		changed[i].AdminState = body.AdminState
		s.config.running[backend] = changed
		answerJSON(w, http.StatusOK, changed[i].row())
	}
}

func (s ServerState) row() map[string]any {
	return map[string]any{
		"name": s.Name, "id": "1", "address": s.Address, "port": s.Port,
		"admin_state": s.AdminState, "operational_state": "up",
	}
}
