package server

import (
	"net/http"

	"github.com/go-openapi/errors"
	"github.com/go-openapi/strfmt"
	"github.com/haproxytech/client-native/v5/models"
)

func (s *Server) listMapEntries(w http.ResponseWriter, r *http.Request) {
	name, ok := required(w, r, "map")
	if !ok {
		return
	}
	entries, err := s.runtime.ShowMapEntries(name)
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusOK, entries)
}

func (s *Server) addMapEntry(w http.ResponseWriter, r *http.Request) {
	name, ok := required(w, r, "map")
	if !ok {
		return
	}
	var entry models.MapEntry
	if !decode(w, r, &entry) {
		return
	}
	if !safe(entry.Key, entry.Value) {
		refuse(w, http.StatusBadRequest, "control character or payload mark in the map entry")
		return
	}
	if err := s.runtime.AddMapEntry(name, entry.Key, entry.Value); err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusCreated, &entry)
}

func (s *Server) getMapEntry(w http.ResponseWriter, r *http.Request) {
	name, ok := required(w, r, "map")
	if !ok {
		return
	}
	entry, err := s.runtime.GetMapEntry(name, r.PathValue("id"))
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusOK, entry)
}

// newValue is the body of a PUT of a map entry.
type newValue struct {
	Value *string `json:"value"`
}

// Validate answers the absent value with 422, as the real program does.
func (v *newValue) Validate(strfmt.Registry) error {
	if v.Value == nil {
		return errors.Required("data.value", "body", nil)
	}
	return nil
}

func (s *Server) replaceMapEntry(w http.ResponseWriter, r *http.Request) {
	name, ok := required(w, r, "map")
	if !ok {
		return
	}
	var body newValue
	if !decode(w, r, &body) {
		return
	}
	if !safe(*body.Value) {
		refuse(w, http.StatusBadRequest, "control character or payload mark in the value")
		return
	}
	id := r.PathValue("id")
	if err := s.runtime.SetMapEntry(name, id, *body.Value); err != nil {
		refuseRuntime(w, err)
		return
	}
	entry, err := s.runtime.GetMapEntry(name, id)
	if err != nil {
		// The real program answers this one without a body.
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer(w, http.StatusOK, entry)
}

// deleteMapEntry answers 404 both for an unknown key, with HAProxy's "Key not
// found" in the text, and when HAProxy cannot be asked.
func (s *Server) deleteMapEntry(w http.ResponseWriter, r *http.Request) {
	name, ok := required(w, r, "map")
	if !ok {
		return
	}
	if err := s.runtime.DeleteMapEntry(name, r.PathValue("id")); err != nil {
		refuseRuntime(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
