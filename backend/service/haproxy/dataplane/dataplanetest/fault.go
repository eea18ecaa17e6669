package dataplanetest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Fault says what goes wrong with a call.
type Fault int

// The faults. "Applied" says whether the call had its effect.
const (
	None         Fault = iota
	Refuse             // the connection is closed before an answer; not applied
	Lose               // the connection is closed before an answer; applied
	Hang               // no answer until the caller gives up; not applied
	CutBody            // the right head and half of the body; applied
	TruncateJSON       // half of the body as if it were whole; applied
	Status500          // 500 with a JSON message; not applied
	Status503          // 503 with a page of a proxy; not applied
	Status401          // 401 whose body repeats the password; not applied
	Empty404           // 404 without a body; not applied
	Echo500            // 500 whose body repeats the password and the Authorization header; not applied
	Redirect           // 307 to another place on the same server; not applied
	Pretend            // the right answer; not applied
	Half               // the right answer; a bulk or a file is applied to its first half only
)

// meet answers a call with the fault. apply runs the call and records its answer.
func (s *Server) meet(f Fault, w http.ResponseWriter, r *http.Request, apply func(pretend, half bool) *httptest.ResponseRecorder) {
	switch f {
	case Refuse:
		panic(http.ErrAbortHandler)
	case Lose:
		apply(false, false)
		panic(http.ErrAbortHandler)
	case Hang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	case CutBody:
		answer := apply(false, false)
		s.copyHead(w, answer, max(answer.Body.Len(), 2))
		_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case TruncateJSON:
		answer := apply(false, false)
		s.copyHead(w, answer, answer.Body.Len()/2)
		_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
	case Pretend, Half, None:
		answer := apply(f == Pretend, f == Half)
		s.copyHead(w, answer, answer.Body.Len())
		_, _ = w.Write(answer.Body.Bytes())
	default:
		s.refuse(f, w, r)
	}
}

// refuse answers with a status and applies nothing.
func (s *Server) refuse(f Fault, w http.ResponseWriter, r *http.Request) {
	_, password, _ := r.BasicAuth()
	switch f {
	case Status401:
		problem(w, http.StatusUnauthorized, "invalid password: "+password)
	case Status503:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("<html><body><h1>503</h1>\r\nno server\x1b[31m\x00 is available</body></html>"))
	case Empty404:
		w.WriteHeader(http.StatusNotFound)
	case Echo500:
		problem(w, http.StatusInternalServerError, "panic with "+password+" and "+r.Header.Get("Authorization"))
	case Redirect:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	default:
		problem(w, http.StatusInternalServerError, "internal error")
	}
}

// copyHead sends the recorded head with the node's time as Date.
func (s *Server) copyHead(w http.ResponseWriter, answer *httptest.ResponseRecorder, length int) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	s.mu.Lock()
	w.Header().Set("Date", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
	s.mu.Unlock()
	if answer.Code != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(answer.Code)
}
