package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/haproxytech/client-native/v5/configuration"
	native_errors "github.com/haproxytech/client-native/v5/errors"
	"github.com/haproxytech/client-native/v5/models"
)

// envelope is how /v2 wraps what it reads from the configuration.
type envelope struct {
	Version int64 `json:"_version"`
	Data    any   `json:"data"`
}

// answer writes a JSON value. A value that cannot be marshalled is a bug here;
// the connection is then closed without a whole answer.
func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// refuse writes {code, message}.
func refuse(w http.ResponseWriter, status int, message string) {
	code := int64(status)
	answer(w, status, &models.Error{Code: &code, Message: &message})
}

// refuseConfiguration answers an error of a configuration or transaction call.
func refuseConfiguration(w http.ResponseWriter, err error) {
	refuse(w, configurationStatus(err), err.Error())
}

// refuseRuntime answers an error of a runtime or storage call.
func refuseRuntime(w http.ResponseWriter, err error) {
	refuse(w, runtimeStatus(err), err.Error())
}

// The two differ as they do in the real program: a transaction that does not
// exist is 400 in one place and 500 in the other.

func configurationStatus(err error) int {
	var confError *configuration.ConfError
	if errors.As(err, &confError) {
		switch confError.Err() {
		case configuration.ErrObjectDoesNotExist:
			return http.StatusNotFound
		case configuration.ErrObjectAlreadyExists, configuration.ErrVersionMismatch, configuration.ErrTransactionAlreadyExists:
			return http.StatusConflict
		case configuration.ErrObjectIndexOutOfRange, configuration.ErrValidationError,
			configuration.ErrBothVersionTransaction, configuration.ErrNoVersionTransaction,
			configuration.ErrNoParentSpecified, configuration.ErrParentDoesNotExist,
			configuration.ErrTransactionDoesNotExist, configuration.ErrGeneralError:
			return http.StatusBadRequest
		}
		return http.StatusInternalServerError
	}
	switch {
	case errors.Is(err, errReload):
		return http.StatusBadRequest
	case errors.Is(err, native_errors.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, native_errors.ErrAlreadyExists):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func runtimeStatus(err error) int {
	var confError *configuration.ConfError
	switch {
	case errors.As(err, &confError):
		switch confError.Err() {
		case configuration.ErrObjectDoesNotExist:
			return http.StatusNotFound
		case configuration.ErrObjectAlreadyExists:
			return http.StatusConflict
		case configuration.ErrNoParentSpecified:
			return http.StatusBadRequest
		}
	case errors.Is(err, native_errors.ErrAlreadyExists):
		return http.StatusConflict
	case errors.Is(err, native_errors.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, native_errors.ErrGeneral):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// versioned sends Configuration-Version with every answer. It is read when the
// answer begins, so that a change answers with the version that it made.
func (s *Server) versioned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&versionWriter{ResponseWriter: w, version: func() (int64, error) {
			return s.version(r.URL.Query().Get("transaction_id"))
		}}, r)
	})
}

type versionWriter struct {
	http.ResponseWriter
	version func() (int64, error)
	begun   bool
}

func (w *versionWriter) WriteHeader(status int) {
	if !w.begun {
		w.begun = true
		if version, err := w.version(); err == nil {
			w.Header().Set("Configuration-Version", strconv.FormatInt(version, 10))
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *versionWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}
