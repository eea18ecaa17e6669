package dataplanetest

import (
	"encoding/json"
	"net/http"
	"slices"
)

const unknownMap = "[3]  Unknown map identifier. Please use #<id> or <file>. "

type entryJSON struct {
	ID    string `json:"id,omitempty"`
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
}

func (s *Server) mapEntries(w http.ResponseWriter, c call) {
	missing := http.StatusNotFound // the real one's answer when HAProxy is down or does not know the map
	if c.method == http.MethodPost {
		missing = http.StatusBadRequest
	}
	m, ok := s.maps[c.query.Get("map")]
	switch {
	case s.down:
		problem(w, missing, dialError(c.method+" map")+" not found")
	case !ok:
		problem(w, missing, unknownMap+"not found")
	case c.method == http.MethodGet && c.name == "":
		listEntries(w, m.memory)
	case c.method == http.MethodPost && c.name == "":
		m.add(w, c.body)
	case c.method == http.MethodPut:
		m.set(w, c)
	case c.method == http.MethodDelete:
		m.remove(w, c.name)
	default:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
	}
}

func listEntries(w http.ResponseWriter, entries []Entry) {
	rows := []entryJSON{}
	for _, e := range entries {
		if e.Value == "" {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte("runtime error: index out of range [2] with length 2\ngoroutine 1 [running]:"))
			return
		}
		rows = append(rows, entryJSON{ID: "0x55d155c6fbf0", Key: e.Key, Value: e.Value})
	}
	answerJSON(w, http.StatusOK, rows)
}

func (m *mapState) find(key string) int {
	return slices.IndexFunc(m.memory, func(e Entry) bool { return e.Key == key })
}

func (m *mapState) add(w http.ResponseWriter, body []byte) {
	var row entryJSON
	if err := json.Unmarshal(body, &row); err != nil {
		problem(w, http.StatusBadRequest, "parsing data body failed")
		return
	}
	if m.find(row.Key) >= 0 {
		problem(w, http.StatusConflict, "already exists")
		return
	}
	m.memory = append(m.memory, Entry{Key: row.Key, Value: row.Value})
	answerJSON(w, http.StatusCreated, row)
}

func (m *mapState) set(w http.ResponseWriter, c call) {
	var body struct {
		Value *string `json:"value"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil || body.Value == nil {
		answerJSON(w, http.StatusUnprocessableEntity, map[string]any{"code": 602, "message": "value in body is required"})
		return
	}
	if m.find(c.name) < 0 {
		problem(w, http.StatusNotFound, "[3]  entry not found. [set map "+c.name+"] not found")
		return
	}
	for i := range m.memory {
		if m.memory[i].Key == c.name {
			m.memory[i].Value = *body.Value
		}
	}
	answerJSON(w, http.StatusOK, entryJSON{Key: c.name, Value: *body.Value})
}

func (m *mapState) remove(w http.ResponseWriter, key string) {
	if m.find(key) < 0 {
		problem(w, http.StatusNotFound, "[3]  Key not found. [del map "+key+"] not found")
		return
	}
	m.memory = slices.DeleteFunc(m.memory, func(e Entry) bool { return e.Key == key })
	w.WriteHeader(http.StatusNoContent)
}

// bulk adds the lines of a small payload and replaces the map by a large one.
func (s *Server) bulk(w http.ResponseWriter, c call) {
	m, ok := s.maps[c.name]
	var rows []entryJSON
	switch {
	case c.method != http.MethodPut:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
		return
	case s.down:
		problem(w, http.StatusBadRequest, dialError("add map")+" general error")
		return
	case !ok:
		problem(w, http.StatusBadRequest, unknownMap+"general error")
		return
	}
	if err := json.Unmarshal(c.body, &rows); err != nil || len(rows) == 0 {
		problem(w, http.StatusInternalServerError, "runtime error: index out of range [0] with length 0")
		return
	}
	size := 0
	var entries []Entry
	for _, row := range rows {
		size += len(row.Key) + 1 + len(row.Value) + 1
		entries = append(entries, Entry{Key: row.Key, Value: row.Value})
	}
	if c.half {
		entries = entries[:len(entries)/2]
	}
	if size > 8192 {
		m.memory = entries
	} else {
		m.memory = append(m.memory, entries...)
	}
	answerJSON(w, http.StatusCreated, rows)
}

func (s *Server) storage(w http.ResponseWriter, c call) {
	m, ok := s.maps[c.name]
	switch {
	case !ok:
		problem(w, http.StatusNotFound, "missing object: file "+c.name+" doesn't exist in dir: /etc/haproxy/maps")
	case c.method == http.MethodGet:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(m.file))
	case c.method != http.MethodPut:
		problem(w, http.StatusMethodNotAllowed, "method is not allowed")
	case len(c.body) == 0:
		answerJSON(w, http.StatusUnprocessableEntity, map[string]any{"code": 602, "message": "data in body is required"})
	default:
		text := string(c.body)
		if c.half {
			text = text[:len(text)/2]
		}
		m.file = text
		if c.query.Get("skip_reload") == "true" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.reload()
		w.Header().Set("Reload-Id", "2026-01-01-1")
		w.WriteHeader(http.StatusAccepted)
	}
}
