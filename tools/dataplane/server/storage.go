package server

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

func (s *Server) listMapFiles(w http.ResponseWriter, _ *http.Request) {
	files, err := s.maps.GetAll()
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	list := models.Maps{}
	for _, file := range files {
		list = append(list, &models.Map{
			Description: "managed map file",
			File:        file,
			StorageName: filepath.Base(file),
		})
	}
	answer(w, http.StatusOK, list)
}

// createMapFile stores an uploaded file; HAProxy does not use it before a
// configuration names it and a reload follows.
func (s *Server) createMapFile(w http.ResponseWriter, r *http.Request) {
	upload, header, err := r.FormFile("file_upload")
	if err != nil {
		refuse(w, http.StatusBadRequest, "read file_upload: "+err.Error())
		return
	}
	defer upload.Close()
	file, size, err := s.maps.Create(header.Filename, upload)
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusCreated, &models.Map{
		Description: "managed but not loaded map file (no runtime ID)",
		File:        file,
		StorageName: filepath.Base(file),
		Size:        &size,
	})
}

func (s *Server) getMapFile(w http.ResponseWriter, r *http.Request) {
	content, err := s.maps.GetContents(r.PathValue("name"))
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	// An error here is a client that has gone: nobody is left to tell.
	_, _ = io.WriteString(w, content)
}

// replaceMapFile changes the file only; what runs changes with the reload that
// follows unless skip_reload is set.
func (s *Server) replaceMapFile(w http.ResponseWriter, r *http.Request) {
	skip, ok := flag(w, r, "skip_reload")
	if !ok {
		return
	}
	force, ok := flag(w, r, "force_reload")
	if !ok {
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "read body: "+err.Error())
		return
	}
	if _, err := s.maps.Replace(r.PathValue("name"), string(content)); err != nil {
		refuseConfiguration(w, err)
		return
	}
	if skip {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.reload(w, force, http.StatusNoContent, nil)
}

func (s *Server) deleteMapFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	file, _, err := s.maps.Get(name)
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	if s.isReferenced(file) {
		refuse(w, http.StatusConflict, "rejecting attempt to delete file "+file+" referenced in haproxy conf")
		return
	}
	if err := s.maps.Delete(name); err != nil {
		refuseConfiguration(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// isReferenced reports whether the configuration names the file.
func (s *Server) isReferenced(file string) bool {
	s.file.Lock()
	defer s.file.Unlock()
	for line := range strings.Lines(s.configuration.Parser().String()) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && strings.Contains(line, file) {
			return true
		}
	}
	return false
}
