package server

import (
	"net/http"

	"github.com/haproxytech/client-native/v5/models"
)

func (s *Server) listBackends(w http.ResponseWriter, r *http.Request) {
	s.read(w, r, func(transaction string) (int64, any, error) {
		return anyOf(s.configuration.GetBackends(transaction))
	})
}

func (s *Server) getBackend(w http.ResponseWriter, r *http.Request) {
	s.read(w, r, func(transaction string) (int64, any, error) {
		return anyOf(s.configuration.GetBackend(r.PathValue("name"), transaction))
	})
}

func (s *Server) createBackend(w http.ResponseWriter, r *http.Request) {
	var backend models.Backend
	if !decode(w, r, &backend) {
		return
	}
	s.changeConfiguration(w, r, http.StatusCreated, &backend, func(transaction string, version int64) error {
		return s.configuration.CreateBackend(&backend, transaction, version)
	})
}

func (s *Server) replaceBackend(w http.ResponseWriter, r *http.Request) {
	var backend models.Backend
	if !decode(w, r, &backend) {
		return
	}
	s.changeConfiguration(w, r, http.StatusOK, &backend, func(transaction string, version int64) error {
		return s.configuration.EditBackend(r.PathValue("name"), &backend, transaction, version)
	})
}

func (s *Server) deleteBackend(w http.ResponseWriter, r *http.Request) {
	s.changeConfiguration(w, r, http.StatusNoContent, nil, func(transaction string, version int64) error {
		return s.configuration.DeleteBackend(r.PathValue("name"), transaction, version)
	})
}

// anyOf forgets the type of what client-native returns.
func anyOf[T any](version int64, data T, err error) (int64, any, error) { return version, data, err }
