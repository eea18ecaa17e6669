package server

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
	"github.com/haproxytech/client-native/v5/storage"
)

// shelf is one of the API's storages: maps, or general files. Their items are of one shape.
type shelf struct {
	server *Server
	files  storage.Storage
	// listed and made describe a file in the list and after its upload.
	listed, made string
}

func (s *Server) mapFiles() shelf {
	return shelf{s, s.maps, "managed map file", "managed but not loaded map file (no runtime ID)"}
}

func (s *Server) generalFiles() shelf {
	return shelf{s, s.general, "managed general use file", "managed general use file"}
}

func (f shelf) list(w http.ResponseWriter, _ *http.Request) {
	files, err := f.files.GetAll()
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	list := models.GeneralFiles{}
	for _, file := range files {
		list = append(list, &models.GeneralFile{Description: f.listed, File: file, StorageName: filepath.Base(file)})
	}
	answer(w, http.StatusOK, list)
}

// create stores an uploaded file, under a name with one dot at most; HAProxy does not use it before a configuration names
// it and a reload follows.
func (f shelf) create(w http.ResponseWriter, r *http.Request) {
	upload, header, err := r.FormFile("file_upload")
	if err != nil {
		refuse(w, http.StatusBadRequest, "read file_upload: "+err.Error())
		return
	}
	defer upload.Close()
	file, size, err := f.files.Create(header.Filename, upload)
	if err != nil {
		refuseRuntime(w, err)
		return
	}
	answer(w, http.StatusCreated, &models.GeneralFile{Description: f.made, File: file, StorageName: filepath.Base(file), Size: &size})
}

func (f shelf) get(w http.ResponseWriter, r *http.Request) {
	content, err := f.files.GetContents(r.PathValue("name"))
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	// An error here is a client that has gone: nobody is left to tell.
	_, _ = io.WriteString(w, content)
}

// replace changes the file only; what runs changes with the reload that follows unless skip_reload is set.
func (f shelf) replace(w http.ResponseWriter, r *http.Request) {
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
	if _, err := f.files.Replace(r.PathValue("name"), string(content)); err != nil {
		refuseConfiguration(w, err)
		return
	}
	if skip {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	f.server.reload(w, force, http.StatusNoContent, nil)
}

func (f shelf) remove(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	file, _, err := f.files.Get(name)
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	if f.server.isReferenced(file) {
		refuse(w, http.StatusConflict, "rejecting attempt to delete file "+file+" referenced in haproxy conf")
		return
	}
	if err := f.files.Delete(name); err != nil {
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
