package server

import (
	"io"
	"net/http"
	"strings"
)

func (s *Server) getRaw(w http.ResponseWriter, r *http.Request) {
	version, ok := version(w, r, false)
	if !ok {
		return
	}
	var found envelope
	var err error
	s.withFile(func() {
		found.Version, found.Data, err = s.configuration.GetRawConfiguration(r.URL.Query().Get("transaction_id"), version)
	})
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, found)
}

// postRaw replaces the whole configuration by a text at a version. client-native
// reads it into its parser, so what it writes is that text laid out anew.
// skip_version and skip_reload, with which a change could go unseen, are refused.
func (s *Server) postRaw(w http.ResponseWriter, r *http.Request) {
	version, ok := version(w, r, false)
	if !ok {
		return
	}
	flags := map[string]bool{}
	for _, name := range []string{"force_reload", "only_validate", "skip_version", "skip_reload"} {
		if flags[name], ok = flag(w, r, name); !ok {
			return
		}
	}
	if flags["skip_version"] || flags["skip_reload"] {
		refuse(w, http.StatusBadRequest, "skip_version and skip_reload are not supported by this data plane")
		return
	}
	body, err := io.ReadAll(r.Body)
	text := string(body)
	if err != nil || !strings.Contains(text, "\n") {
		refuse(w, http.StatusBadRequest, "invalid configuration: no newline character found")
		return
	}
	s.change.Lock()
	defer s.change.Unlock()
	held := ""
	s.withFile(func() {
		if err = s.configuration.PostRawConfiguration(&text, version, false, flags["only_validate"]); err == nil {
			_, held, err = s.configuration.GetRawConfiguration("", 0)
		}
	})
	switch {
	case err != nil:
		refuseConfiguration(w, err)
	case flags["only_validate"]:
		answer(w, http.StatusAccepted, held)
	default:
		s.reload(w, flags["force_reload"], http.StatusCreated, held)
	}
}
