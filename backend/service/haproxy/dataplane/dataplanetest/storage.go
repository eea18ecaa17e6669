package dataplanetest

import (
	"bytes"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
)

// Where the node keeps its files.
const (
	MapsDir    = "/etc/haproxy/maps"
	GeneralDir = "/etc/haproxy/general"
)

// StoredFile returns a file of the general storage; empty if it is not there.
func (s *Server) StoredFile(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.general[name]
}

// EditStoredFile changes or makes a file of the general storage as a foreigner does on the disk.
func (s *Server) EditStoredFile(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.general[name] = text
}

type fileJSON struct {
	Description string `json:"description"`
	File        string `json:"file"`
	StorageName string `json:"storage_name"`
	Size        *int   `json:"size,omitempty"`
}

// flat is the name under which the real one keeps and finds a file: it has one dot at most.
func flat(name string) string {
	ending := path.Ext(name)
	return strings.ReplaceAll(strings.TrimSuffix(name, ending), ".", "_") + ending
}

func notThere(w http.ResponseWriter, c call, name, dir string) {
	problem(w, http.StatusNotFound, "missing object: file "+name+" doesn't exist in dir: "+dir)
	if c.method == http.MethodGet {
		w.Header().Set("Content-Type", "application/octet-stream") // though it is JSON
	}
}

// storedMaps are the map files.
func (s *Server) storedMaps(w http.ResponseWriter, c call) {
	c.name = flat(c.name)
	m, ok := s.maps[c.name]
	switch {
	case c.name == "" && c.method == http.MethodGet:
		listFiles(w, slices.Sorted(maps.Keys(s.maps)), MapsDir, "managed map file")
	case c.name == "" && c.method == http.MethodPost:
		create(w, c, MapsDir, "managed but not loaded map file (no runtime ID)",
			func(name string) bool { return s.maps[name] != nil },
			func(name, text string) { s.maps[name] = &mapState{file: text, onDisk: true} })
	case !ok:
		notThere(w, c, c.name, MapsDir)
	case c.method == http.MethodGet:
		content(w, m.file)
	case c.method != http.MethodPut:
		notAllowed(w, c)
	default:
		s.replace(w, c, string(c.body), func(text string) { m.file = text })
	}
}

// storedGeneral are other files.
func (s *Server) storedGeneral(w http.ResponseWriter, c call) {
	c.name = flat(c.name)
	text, ok := s.general[c.name]
	switch {
	case c.name == "" && c.method == http.MethodGet:
		listFiles(w, slices.Sorted(maps.Keys(s.general)), GeneralDir, "managed general use file")
	case c.name == "" && c.method == http.MethodPost:
		create(w, c, GeneralDir, "managed general use file",
			func(name string) bool { _, taken := s.general[name]; return taken },
			func(name, text string) { s.general[name] = text })
	case !ok:
		notThere(w, c, c.name, GeneralDir)
	case c.method == http.MethodGet:
		content(w, text)
	case c.method != http.MethodPut:
		notAllowed(w, c)
	case c.v3 == strings.HasPrefix(c.contentType, "text/plain"):
		problem(w, http.StatusUnsupportedMediaType, "unsupported media type "+c.contentType)
	default:
		fresh := string(c.body)
		if c.v3 {
			if _, fresh, ok = uploaded(c); !ok {
				problem(w, http.StatusBadRequest, "reading file_upload failed")
				return
			}
		}
		s.replace(w, c, fresh, func(text string) { s.general[c.name] = text })
	}
}

func listFiles(w http.ResponseWriter, names []string, dir, description string) {
	list := []fileJSON{}
	for _, name := range names {
		list = append(list, fileJSON{Description: description, File: dir + "/" + name, StorageName: name})
	}
	answerJSON(w, http.StatusOK, list)
}

func create(w http.ResponseWriter, c call, dir, description string, taken func(string) bool, put func(name, text string)) {
	name, text, ok := uploaded(c)
	switch {
	case !ok:
		problem(w, http.StatusBadRequest, "reading file_upload failed")
		return
	case taken(name):
		problem(w, http.StatusConflict, "object already exists: file "+dir+"/"+name+" already exists")
		return
	}
	size := len(text)
	if c.half {
		text = text[:len(text)/2]
	}
	put(name, text)
	answerJSON(w, http.StatusCreated, fileJSON{Description: description, File: dir + "/" + name, StorageName: name, Size: &size})
}

// uploaded reads the file of a form.
func uploaded(c call) (name, text string, ok bool) {
	media, parameters, err := mime.ParseMediaType(c.contentType)
	if err != nil || media != "multipart/form-data" {
		return "", "", false
	}
	part, err := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"]).NextPart()
	if err != nil || part.FormName() != "file_upload" {
		return "", "", false
	}
	read, err := io.ReadAll(part)
	return flat(part.FileName()), string(read), err == nil
}

func content(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, text)
}

// replace puts another text into a file, and reloads unless it is told not to.
func (s *Server) replace(w http.ResponseWriter, c call, text string, put func(string)) {
	if text == "" {
		missing(w, "data in body")
		return
	}
	if c.half {
		text = text[:len(text)/2]
	}
	put(text)
	if c.query.Get("skip_reload") == "true" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.reload()
	w.Header().Set("Reload-Id", "2026-01-01-1")
	w.WriteHeader(http.StatusAccepted)
}
