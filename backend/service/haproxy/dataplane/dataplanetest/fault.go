package dataplanetest

import (
	"context"
	"errors"
	"io"
	"net/http"
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
	Slow               // the right answer, after SetDelay's time; applied then, even if the caller gave up
	SlowAnswer         // the right answer, after SetDelay's time; applied at once
	Twice              // the right answer; applied twice at once, so that an added entry stands twice
	Late               // the connection is closed before an answer; applied after the next call that is
	Down               // what the API answers while HAProxy is down, for this call alone

	faults
)

// Faults are all faults, None aside.
func Faults() []Fault {
	var all []Fault
	for f := None + 1; f < faults; f++ {
		all = append(all, f)
	}
	return all
}

// errDropped is a connection that was closed before an answer.
var errDropped = errors.New("connection closed by the node")

// reply is an answer on its way to the caller. Where cut is set, half of the body is sent and the connection closed.
type reply struct {
	code   int
	header http.Header
	body   []byte
	cut    bool
}

// meet answers a call with the fault. apply runs the call.
func (s *Server) meet(ctx context.Context, f Fault, r request, apply func(how) reply) (reply, error) {
	switch f {
	case Refuse:
		return reply{}, errDropped
	case Lose:
		apply(how{})
		return reply{}, errDropped
	case Late:
		s.postpone(func() { s.run(r, how{}) })
		return reply{}, errDropped
	case Hang:
		select {
		case <-ctx.Done():
		case <-s.closed:
		}
		return reply{}, errDropped
	case Slow:
		return s.slowly(ctx, r.seen, func() reply { return apply(how{}) })
	case SlowAnswer:
		answer := apply(how{})
		return s.slowly(ctx, r.seen, func() reply { return answer })
	case CutBody:
		answer := apply(how{})
		answer.cut = true
		return answer, nil
	case TruncateJSON:
		answer := apply(how{})
		answer.body = answer.body[:len(answer.body)/2]
		return answer, nil
	case None, Pretend, Half, Twice, Down:
		return apply(how{pretend: f == Pretend, half: f == Half, twice: f == Twice, down: f == Down}), nil
	}
	return s.refuse(f, r), nil
}

// slowly waits and then answers. A caller that gives up before does not keep then from being run in its time.
func (s *Server) slowly(ctx context.Context, c Call, then func() reply) (reply, error) {
	s.mu.Lock()
	var d time.Duration
	if s.delay != nil {
		d = s.delay(c)
	}
	if s.life.Err() != nil {
		s.mu.Unlock()
		return reply{}, errDropped
	}
	s.waiting.Add(1)
	s.mu.Unlock()
	answered := make(chan reply, 1)
	go func() {
		defer s.waiting.Done()
		defer close(answered)
		if s.settings.Wait(s.life, d) == nil {
			answered <- then()
		}
	}()
	select {
	case answer, ok := <-answered:
		if !ok {
			return reply{}, errDropped
		}
		return answer, nil
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

// refuse answers with a status and applies nothing.
func (s *Server) refuse(f Fault, r request) reply {
	w := newRecorder()
	switch f {
	case Status401:
		problem(w, http.StatusUnauthorized, "invalid password: "+r.password)
	case Status503:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("<html><body><h1>503</h1>\r\nno server\x1b[31m\x00 is available</body></html>"))
	case Empty404:
		w.WriteHeader(http.StatusNotFound)
	case Echo500:
		problem(w, http.StatusInternalServerError, "panic with "+r.password+" and "+r.authorization)
	case Redirect:
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		problem(w, http.StatusInternalServerError, "internal error")
	}
	return s.dated(w)
}

// half is a body that ends in the middle of the connection.
type half struct {
	text []byte
}

func (h *half) Read(into []byte) (int, error) {
	if len(h.text) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(into, h.text)
	h.text = h.text[n:]
	return n, nil
}

func (h *half) Close() error { return nil }
