package server

import (
	"net/http"
	"path/filepath"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

func (s *Server) listMaps(w http.ResponseWriter, r *http.Request) {
	unmanaged, ok := flag(w, r, "include_unmanaged")
	if !ok {
		return
	}
	all, err := s.runtime.ShowMaps()
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	list := models.Maps{}
	for _, m := range all {
		managed := strings.HasPrefix(filepath.Dir(m.File), s.config.MapsDir)
		if managed {
			m.StorageName = filepath.Base(m.File)
		}
		if managed || unmanaged {
			list = append(list, m)
		}
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) getMap(w http.ResponseWriter, r *http.Request) {
	m, err := s.runtime.GetMap(r.PathValue("name"))
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusOK, m)
}

// addMapPayload is the bulk PUT: client-native adds the lines of a payload of up
// to 8 KiB, and replaces the map in one step by a longer one.
func (s *Server) addMapPayload(w http.ResponseWriter, r *http.Request) {
	var entries models.MapEntries
	if !decode(w, r, &entries) {
		return
	}
	for _, entry := range entries {
		if entry == nil || !safe(entry.Key, entry.Value) {
			refuse(w, http.StatusBadRequest, "control character or payload mark in a map entry")
			return
		}
	}
	// client-native replaces only if it knows that HAProxy is recent enough, and
	// otherwise sends the first 8 KiB alone. It learns that when it starts: ask
	// again for the case that HAProxy started later.
	if _, err := s.runtime.GetVersion(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.runtime.AddMapPayloadVersioned(r.PathValue("name"), entries); err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusCreated, entries)
}

func (s *Server) clearMap(w http.ResponseWriter, r *http.Request) {
	forceDelete, ok := flag(w, r, "forceDelete")
	if !ok {
		return
	}
	if err := s.runtime.ClearMap(r.PathValue("name"), forceDelete); err != nil {
		refuseRuntime(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
