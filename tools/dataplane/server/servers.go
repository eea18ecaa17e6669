package server

import (
	"errors"
	"net/http"

	"github.com/haproxytech/client-native/v5/configuration"
	"github.com/haproxytech/client-native/v5/models"
)

// parent is the section that a server belongs to.
type parent struct{ kind, name string }

// parentOf reads the section from the query; not ok means that it has answered,
// with the real program's 500.
func parentOf(w http.ResponseWriter, r *http.Request) (parent, bool) {
	query := r.URL.Query()
	if backend := query.Get("backend"); backend != "" {
		return parent{"backend", backend}, true
	}
	p := parent{query.Get("parent_type"), query.Get("parent_name")}
	if p.kind == "" || p.name == "" {
		refuse(w, http.StatusInternalServerError, "parent_type or parent_name empty")
		return parent{}, false
	}
	return p, true
}

func (s *Server) listServers(w http.ResponseWriter, r *http.Request) {
	p, ok := parentOf(w, r)
	if !ok {
		return
	}
	s.read(w, r, func(transaction string) (int64, any, error) {
		version, servers, err := s.configuration.GetServers(p.kind, p.name, transaction)
		var confError *configuration.ConfError
		if errors.As(err, &confError) && confError.Is(configuration.ErrParentDoesNotExist) {
			// The real program answers a missing section with an empty list.
			return version, models.Servers{}, nil
		}
		return version, servers, err
	})
}

func (s *Server) getServer(w http.ResponseWriter, r *http.Request) {
	p, ok := parentOf(w, r)
	if !ok {
		return
	}
	s.read(w, r, func(transaction string) (int64, any, error) {
		return anyOf(s.configuration.GetServer(r.PathValue("name"), p.kind, p.name, transaction))
	})
}

func (s *Server) createServer(w http.ResponseWriter, r *http.Request) {
	p, ok := parentOf(w, r)
	if !ok {
		return
	}
	var server models.Server
	if !decode(w, r, &server) {
		return
	}
	s.changeConfiguration(w, r, http.StatusCreated, &server, func(transaction string, version int64) error {
		return s.configuration.CreateServer(p.kind, p.name, &server, transaction, version)
	})
}

func (s *Server) replaceServer(w http.ResponseWriter, r *http.Request) {
	p, ok := parentOf(w, r)
	if !ok {
		return
	}
	var server models.Server
	if !decode(w, r, &server) {
		return
	}
	s.changeConfiguration(w, r, http.StatusOK, &server, func(transaction string, version int64) error {
		return s.configuration.EditServer(r.PathValue("name"), p.kind, p.name, &server, transaction, version)
	})
}

func (s *Server) deleteServer(w http.ResponseWriter, r *http.Request) {
	p, ok := parentOf(w, r)
	if !ok {
		return
	}
	s.changeConfiguration(w, r, http.StatusNoContent, nil, func(transaction string, version int64) error {
		return s.configuration.DeleteServer(r.PathValue("name"), p.kind, p.name, transaction, version)
	})
}
