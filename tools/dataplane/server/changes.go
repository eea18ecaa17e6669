package server

import (
	"net/http"
)

// read answers one configuration GET: the version and what get finds.
func (s *Server) read(w http.ResponseWriter, r *http.Request, get func(transaction string) (int64, any, error)) {
	var found envelope
	var err error
	s.withFile(func() { found.Version, found.Data, err = get(r.URL.Query().Get("transaction_id")) })
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, found)
}

// changeConfiguration applies one change, inside a transaction or at a version,
// and then reloads HAProxy: at once with force_reload, else soon. done is the
// status where nothing is left to be done; data is the answer's body, nil for
// none.
func (s *Server) changeConfiguration(w http.ResponseWriter, r *http.Request, done int, data any, apply func(transaction string, version int64) error) {
	transaction := r.URL.Query().Get("transaction_id")
	version, ok := version(w, r, false)
	if !ok {
		return
	}
	force, ok := flag(w, r, "force_reload")
	if !ok {
		return
	}
	if transaction != "" && force {
		refuse(w, http.StatusBadRequest, "Both force_reload and transaction specified, specify only one")
		return
	}
	s.change.Lock()
	defer s.change.Unlock()
	var err error
	s.withFile(func() { err = apply(transaction, version) })
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	if transaction != "" {
		answerOrNothing(w, http.StatusAccepted, data)
		return
	}
	s.reload(w, force, done, data)
}

// reload makes what was written take effect, and answers: done once HAProxy has
// reloaded, or 202 with the id of a reload to come.
func (s *Server) reload(w http.ResponseWriter, force bool, done int, data any) {
	if !force {
		w.Header().Set("Reload-Id", s.reloads.schedule())
		answerOrNothing(w, http.StatusAccepted, data)
		return
	}
	if err := s.reloads.force(); err != nil {
		refuseConfiguration(w, err)
		return
	}
	answerOrNothing(w, done, data)
}

func answerOrNothing(w http.ResponseWriter, status int, data any) {
	if data == nil {
		w.WriteHeader(status)
		return
	}
	answer(w, status, data)
}
