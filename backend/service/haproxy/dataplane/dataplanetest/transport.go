package dataplanetest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// Transport carries calls to the node in memory, whatever their host is. It opens no socket, and runs the node in the
// goroutine of the caller, but for the faults Slow and SlowAnswer.
func (s *Server) Transport() http.RoundTripper { return memory{s} }

type memory struct{ node *Server }

// RoundTrip implements http.RoundTripper.
func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	answer, err := m.node.answer(r)
	if err != nil {
		if ended := r.Context().Err(); ended != nil {
			err = ended
		}
		return nil, err
	}
	resp := &http.Response{
		Status: strconv.Itoa(answer.code) + " " + http.StatusText(answer.code), StatusCode: answer.code,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: answer.header, ContentLength: int64(len(answer.body)), Request: r,
		Body: io.NopCloser(bytes.NewReader(answer.body)),
	}
	if answer.cut {
		resp.Body = &half{text: answer.body[:len(answer.body)/2]}
	}
	return resp, nil
}

// ServeHTTP is the node over HTTP.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.answer(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	body := answer.body
	if answer.code != http.StatusNoContent {
		length := len(body)
		if answer.cut {
			length = max(length, 2)
		}
		w.Header().Set("Content-Length", strconv.Itoa(length))
	}
	w.WriteHeader(answer.code)
	if !answer.cut {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
