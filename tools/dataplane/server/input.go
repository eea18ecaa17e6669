package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-openapi/errors"
	"github.com/go-openapi/strfmt"
)

// maxBody bounds a request body: a map of 100,000 entries is about 10 MB.
const maxBody = 64 << 20

// guarded refuses what could leave its place inside a HAProxy command, bounds
// the body, and refuses force_sync, for the whole surface at once.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		parts := []string{r.URL.Path}
		for name, values := range query {
			parts = append(append(parts, name), values...)
		}
		if !safe(parts...) {
			refuse(w, http.StatusBadRequest, "control character or payload mark in the path or query")
			return
		}
		if forced, ok := flag(w, r, "force_sync"); !ok {
			return
		} else if forced {
			refuse(w, http.StatusBadRequest, "force_sync is not supported by this data plane")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// safe reports whether each text stays one line of one HAProxy command: "<<"
// announces that the following lines are its payload, and a line break ends it.
func safe(texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(text, "<<") || strings.ContainsFunc(text, unicode.IsControl) {
			return false
		}
	}
	return true
}

// flag reads a boolean from the query; not ok means that it has answered.
func flag(w http.ResponseWriter, r *http.Request, name string) (value, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, true
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		errors.ServeError(w, r, errors.InvalidType(name, "query", "bool", text))
		return false, false
	}
	return value, true
}

// version reads the configuration version from the query; 0 means that it is absent.
func version(w http.ResponseWriter, r *http.Request, required bool) (value int64, ok bool) {
	const name = "version"
	text := r.URL.Query().Get(name)
	if text == "" {
		if required {
			errors.ServeError(w, r, errors.Required(name, "query", nil))
		}
		return 0, !required
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		errors.ServeError(w, r, errors.InvalidType(name, "query", "int64", text))
		return 0, false
	}
	return value, true
}

// required reads a text from the query that must be there.
func required(w http.ResponseWriter, r *http.Request, name string) (string, bool) {
	value := r.URL.Query().Get(name)
	if value == "" {
		errors.ServeError(w, r, errors.Required(name, "query", nil))
	}
	return value, value != ""
}

// validator is what client-native's models have.
type validator interface{ Validate(strfmt.Registry) error }

// decode reads a JSON body and validates it: 400 where it is no JSON of this
// shape, 422 with a code of its own where a value is wrong. Unknown fields are
// ignored, as the real program does.
func decode(w http.ResponseWriter, r *http.Request, into validator) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		errors.ServeError(w, r, errors.NewParseError("data", "body", "", err))
		return false
	}
	if err := into.Validate(strfmt.Default); err != nil {
		errors.ServeError(w, r, err)
		return false
	}
	return true
}
