package dataplanetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

const unknownMap = "[3]  Unknown map identifier. Please use #<id> or <file>. "

type entryJSON struct {
	ID    string `json:"id,omitempty"`
	Key   string `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
}

func (s *Server) mapEntries(w http.ResponseWriter, c call) {
	failed := http.StatusNotFound // the real one's answer when HAProxy is down or does not know the map
	if c.method == http.MethodPost {
		failed = http.StatusBadRequest
	}
	m, ok := s.loaded(c.parent)
	switch {
	case c.parent == "":
		missing(w, "map in query")
	case s.down:
		problem(w, failed, c.said(dialError(c.method+" map")+" not found"))
	case !ok:
		problem(w, failed, c.said(unknownMap+"not found"))
	case c.method == http.MethodGet && c.name == "":
		listEntries(w, m.memory)
	case c.method == http.MethodPost && c.name == "":
		m.add(w, c)
	case c.method == http.MethodGet:
		m.read(w, c)
	case c.method == http.MethodPut:
		m.set(w, c)
	case c.method == http.MethodDelete:
		m.remove(w, c)
	default:
		notAllowed(w, c)
	}
}

// listEntries fails over a row without a value, as the real one's reader of HAProxy's lines does.
func listEntries(w http.ResponseWriter, entries []Entry) {
	rows := []entryJSON{}
	for _, e := range entries {
		if e.Value == "" {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"code":500,"message":"runtime error: index out of range [2] with length 2: ` +
				`/usr/local/go/src/runtime/asm_amd64.s:2129 panicBounds"}`))
			return
		}
		rows = append(rows, entryJSON{ID: "0x55d155c6fbf0", Key: e.Key, Value: e.Value})
	}
	answerJSON(w, http.StatusOK, rows)
}

func (m *mapState) find(key string) int {
	return slices.IndexFunc(m.memory, func(e Entry) bool { return e.Key == key })
}

// loaded is a map that the running worker has.
func (s *Server) loaded(name string) (*mapState, bool) {
	m, ok := s.maps[name]
	return m, ok && !m.onDisk
}

// read is the API's reading of HAProxy's answer: a value that is empty is none for it.
func (m *mapState) read(w http.ResponseWriter, c call) {
	i := m.find(c.name)
	if i < 0 || m.memory[i].Value == "" {
		problem(w, http.StatusNotFound, c.said(c.name+" not found"))
		return
	}
	answerJSON(w, http.StatusOK, entryJSON{Key: c.name, Value: m.memory[i].Value})
}

// add looks for the key and then adds it, as the real one does. Two such calls at once both find nothing.
func (m *mapState) add(w http.ResponseWriter, c call) {
	var row entryJSON
	if err := json.Unmarshal(c.body, &row); err != nil {
		problem(w, http.StatusBadRequest, "parsing data body failed")
		return
	}
	if m.find(row.Key) >= 0 && !c.twice {
		problem(w, http.StatusConflict, c.said("already exists"))
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
		missing(w, "value in body")
		return
	}
	if m.find(c.name) < 0 {
		problem(w, http.StatusNotFound, c.said("[3]  entry not found. [set map "+c.name+"] not found"))
		return
	}
	for i := range m.memory {
		if m.memory[i].Key == c.name {
			m.memory[i].Value = *body.Value
		}
	}
	answerJSON(w, http.StatusOK, entryJSON{Key: c.name, Value: *body.Value})
}

func (m *mapState) remove(w http.ResponseWriter, c call) {
	if m.find(c.name) < 0 {
		problem(w, http.StatusNotFound, c.said("[3]  Key not found. [del map "+c.name+"] not found"))
		return
	}
	m.memory = slices.DeleteFunc(m.memory, func(e Entry) bool { return e.Key == c.name })
	w.WriteHeader(http.StatusNoContent)
}

// clear empties a map of the running worker, and leaves the file.
func (s *Server) clear(w http.ResponseWriter, c call) {
	m, ok := s.loaded(c.name)
	switch {
	case s.down:
		problem(w, http.StatusNotFound, c.said(dialError("clear map")+" not found"))
	case !ok:
		problem(w, http.StatusNotFound, c.said(unknownMap+"not found"))
	default:
		m.memory = nil
		w.WriteHeader(http.StatusNoContent)
	}
}

// bulk adds the lines of a small payload and replaces the map by a large one, or clears it.
func (s *Server) bulk(w http.ResponseWriter, c call) {
	m, ok := s.loaded(c.name)
	var rows []entryJSON
	switch {
	case c.method == http.MethodDelete && c.name != "":
		s.clear(w, c)
		return
	case c.method != http.MethodPut || c.name == "":
		notAllowed(w, c)
		return
	case s.down:
		problem(w, http.StatusBadRequest, c.said(dialError("add map")+" general error"))
		return
	case !ok:
		problem(w, http.StatusBadRequest, c.said(unknownMap+"general error"))
		return
	}
	if err := json.Unmarshal(c.body, &rows); err != nil || len(rows) == 0 {
		problem(w, http.StatusInternalServerError, "runtime error: index out of range [0] with length 0")
		return
	}
	parts, replaces := pieces(rows)
	if !replaces {
		parts = parts[:1]
	}
	var entries []Entry
	for _, part := range parts {
		for _, row := range part {
			// HAProxy takes blanks between key and value for nothing.
			entries = append(entries, Entry{Key: row.Key, Value: strings.TrimLeft(row.Value, " \t")})
		}
	}
	if c.half {
		entries = entries[:len(entries)/2]
	}
	if !replaces {
		entries = append(m.memory, entries...)
	}
	m.memory = entries
	answerJSON(w, http.StatusCreated, rows)
}

// pieces cuts a payload as the real one does, with what it gets wrong: a piece that is filled to the byte leaves a copy
// of itself without its last line, which is sent as well if nothing comes after; a last line that did not fit is
// forgotten; and only a line that did not fit makes it a replacement.
func pieces(rows []entryJSON) (parts [][]entryJSON, replaces bool) {
	const most = 8192
	begin, size, overflow := 0, 0, false
	var rest []entryJSON
	for i, row := range rows {
		line := len(row.Key) + len(row.Value) + 2
		size += line
		overflow = size > most
		switch {
		case overflow:
			replaces = true
			parts = append(parts, rows[begin:i])
			begin, size, rest = i, line, nil
		case size == most:
			parts = append(parts, rows[begin:i+1])
			begin, size, rest = i+1, 0, rows[begin:i]
		default:
			rest = rows[begin : i+1]
		}
	}
	if len(rest) > 0 {
		parts = append(parts, rest)
	}
	return parts, replaces
}
