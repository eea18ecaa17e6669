package dataplanetest

import (
	"encoding/json"
	"net/http"
	"slices"
)

func (s *Server) configuredServers(w http.ResponseWriter, c call) {
	if !c.v3 && (c.query.Get("parent_type") != "backend" || c.query.Get("backend") != "") {
		problem(w, http.StatusBadRequest, "parent_type and parent_name are wanted")
		return
	}
	if c.method == http.MethodGet && c.name == "" {
		servers := s.config.backends[c.parent]
		if servers == nil {
			servers = []definition{} // the real one's answer for a backend that is not there, too
		}
		s.configured(w, c, servers)
		return
	}
	if c.query.Get("transaction_id") == "" {
		s.changeByVersion(w, c)
		return
	}
	t := s.config.open[c.query.Get("transaction_id")]
	switch {
	case t == nil || c.query.Get("version") != "":
		problem(w, http.StatusBadRequest, "transaction does not exist or version not given")
	case t.backends[c.parent] == nil:
		problem(w, http.StatusBadRequest, "missing parent: backend "+c.parent+" does not exist")
	case c.method == http.MethodPost && c.name == "":
		if d, ok := t.insert(w, c); ok {
			answerJSON(w, http.StatusAccepted, d)
		}
	case c.method == http.MethodDelete:
		t.remove(w, c.parent, c.name)
	default:
		notAllowed(w, c)
	}
}

// changeByVersion adds a server without a transaction. /v3 adds it to the running worker, in maintenance, where HAProxy
// can do that: 201; otherwise a reload is promised: 202.
func (s *Server) changeByVersion(w http.ResponseWriter, c call) {
	switch {
	case c.method != http.MethodPost || c.name != "":
		notAllowed(w, c)
		return
	case c.query.Get("version") == "":
		problem(w, http.StatusBadRequest, "version or transaction not specified: version or transaction not specified, specify only one")
		return
	case s.config.stale(w, c.query.Get("version")):
		return
	case s.config.backends[c.parent] == nil:
		problem(w, http.StatusBadRequest, "missing parent: backend "+c.parent+" does not exist")
		return
	}
	t := &transaction{backends: cloneBackends(s.config.backends)}
	d, ok := t.insert(w, c)
	if !ok {
		return
	}
	s.config.backends = t.backends
	s.config.layOut()
	atRunTime := c.v3 && !s.config.needReload && !s.down && c.query.Get("force_reload") != "true"
	if !atRunTime {
		if !s.take(w, c) {
			return
		}
		if w.Header().Get("Reload-Id") != "" {
			answerJSON(w, http.StatusAccepted, d)
			return
		}
		answerJSON(w, http.StatusCreated, d)
		return
	}
	s.config.committed()
	if !s.config.loseReload {
		s.config.running[c.parent] = append(slices.Clone(s.config.running[c.parent]), s.config.state(d, true))
	}
	answerJSON(w, http.StatusCreated, d)
}

func (t *transaction) find(backend, name string) int {
	return slices.IndexFunc(t.backends[backend], func(d definition) bool { return d.name() == name })
}

// insert answers only where it fails.
func (t *transaction) insert(w http.ResponseWriter, c call) (definition, bool) {
	var d definition
	if err := json.Unmarshal(c.body, &d); err != nil || d.name() == "" {
		problem(w, http.StatusBadRequest, "parsing data body failed")
		return nil, false
	}
	if t.find(c.parent, d.name()) >= 0 {
		problem(w, http.StatusConflict, "object already exists: server "+d.name()+" already exists in "+c.parent+" backend")
		return nil, false
	}
	t.backends[c.parent] = append(t.backends[c.parent], d)
	return d, true
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
	running := s.config.running[c.parent]
	if s.down {
		running = nil // HAProxy that is down is as one without the backend
	}
	if c.method == http.MethodGet && c.name == "" {
		if c.v3 && running == nil {
			problem(w, http.StatusNotFound, "no data for "+c.parent+": not found")
			return
		}
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
		notAllowed(w, c)
	case i < 0 && c.v3:
		problem(w, http.StatusNotFound, "no data for "+c.parent+"/"+c.name+": not found")
	case i < 0:
		problem(w, http.StatusInternalServerError, "no data for "+c.parent+"/"+c.name+": not found")
	case json.Unmarshal(c.body, &body) != nil:
		problem(w, http.StatusBadRequest, "parsing data body failed")
	default:
		changed := slices.Clone(running)
		changed[i].AdminState = body.AdminState
		s.config.running[c.parent] = changed
		answerJSON(w, http.StatusOK, changed[i].row())
	}
}

func (s ServerState) row() map[string]any {
	operational := "up"
	if s.Down || s.AdminState == "maint" {
		operational = "down"
	}
	return map[string]any{
		"name": s.Name, "id": "1", "address": s.Address, "port": s.Port,
		"admin_state": s.AdminState, "operational_state": operational,
	}
}
