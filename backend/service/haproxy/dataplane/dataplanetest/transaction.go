package dataplanetest

import (
	"fmt"
	"net/http"
	"strconv"
)

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
		notAllowed(w, c)
	}
}

// stale answers 409 where a version is not that of the configuration.
func (c *configuration) stale(w http.ResponseWriter, version string) bool {
	if version == strconv.FormatInt(c.version, 10) {
		return false
	}
	problem(w, http.StatusConflict, fmt.Sprintf(
		"version mismatch: version in configuration file is %d, given version is %s", c.version, version))
	return true
}

func (c *configuration) begin(w http.ResponseWriter, version string) {
	if version == "" {
		missing(w, "version in query")
		return
	}
	if c.stale(w, version) {
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
	s.config.layOut()
	t.Status = "success"
	if !s.take(w, c) {
		return
	}
	if w.Header().Get("Reload-Id") != "" {
		answerJSON(w, http.StatusAccepted, t)
		return
	}
	answerJSON(w, http.StatusOK, t)
}

// take commits what is in the memory, with a reload at once if the call forces it, and otherwise with one that is only
// promised by a Reload-Id. It answers 400, and false, where the reload fails: the file that ran last is put back then, and
// the memory stays.
func (s *Server) take(w http.ResponseWriter, c call) bool {
	s.config.committed()
	switch {
	case s.config.loseReload || c.query.Get("force_reload") != "true":
		w.Header().Set("Reload-Id", "2026-01-01-1")
	case s.config.failReload:
		s.config.file = s.config.good
		problem(w, http.StatusBadRequest, "Reload failed: executing systemctl reload haproxy failed: exit status 1, \n")
		return false
	default:
		s.reload()
	}
	return true
}
