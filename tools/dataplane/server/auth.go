package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
)

// authenticated lets only the configured account pass, on every path, unknown
// ones included. The refusal never repeats what the client sent.
func (s *Server) authenticated(next http.Handler) http.Handler {
	wantUser := sha256.Sum256([]byte(s.config.Username))
	wantPassword := sha256.Sum256([]byte(s.config.Password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		gotUser := sha256.Sum256([]byte(user))
		gotPassword := sha256.Sum256([]byte(password))
		// Both are compared always, and as hashes of one length, so that the
		// time tells neither which was wrong nor how long it is.
		match := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]) & subtle.ConstantTimeCompare(gotPassword[:], wantPassword[:])
		if !ok || match != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="dataplane"`)
			refuse(w, http.StatusUnauthorized, "unauthenticated for invalid credentials")
			return
		}
		next.ServeHTTP(w, r)
	})
}
