package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
)

// Answer is what HAProxy answers.
type Answer struct {
	Status int
	Why    string // the JSON's error; empty for an answer of a service
	Body   Object
	Header http.Header
}

// Visit sends a request through every HAProxy that serves the host, on client's connections: all must answer the same.
// Headers are names and values by turns.
func (s *Stage) Visit(client *http.Client, host, token string, headers ...string) Answer {
	s.T.Helper()
	a, err := s.TryVisit(client, host, token, headers...)
	require.NoError(s.T, err)
	return a
}

// TryVisit is an error too where nodes differ. It may be called from any goroutine.
func (s *Stage) TryVisit(client *http.Client, host, token string, headers ...string) (Answer, error) {
	var first Answer
	for i, n := range s.ServingHost(host) {
		a, err := s.VisitAt(n, client, host, token, headers...)
		if err != nil {
			return Answer{}, fmt.Errorf("%s: %w", n.Name, err)
		}
		if i == 0 {
			first = a
		} else if a.Status != first.Status || a.Why != first.Why {
			return Answer{}, fmt.Errorf("%s answers %d %s, the first node %d %s", n.Name, a.Status, a.Why, first.Status, first.Why)
		}
	}
	return first, nil
}

// VisitAt sends a request through one HAProxy. It may be called from any goroutine.
func (s *Stage) VisitAt(n *world.Node, client *http.Client, host, token string, headers ...string) (Answer, error) {
	return visit(s.T.Context(), n, client, host, token, headers...)
}

func visit(ctx context.Context, n *world.Node, client *http.Client, host, token string, headers ...string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/", nil)
	if err != nil {
		return Answer{}, err
	}
	request.Host = host
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Status: response.StatusCode, Header: response.Header, Body: Object{}}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a.Body); err != nil {
			return Answer{}, err
		}
	} else {
		a.Body["text"] = string(text)
	}
	a.Why, _ = a.Body["error"].(string)
	return a, nil
}

// Refused requires a refusal with its reason.
func (s *Stage) Refused(a Answer, status int, why string) {
	s.T.Helper()
	require.Equal(s.T, status, a.Status, "%v", a.Body)
	require.Equal(s.T, why, a.Why)
}

// UntilRefused visits at a node until it is refused, and returns when it was admitted last.
func (s *Stage) UntilRefused(n *world.Node, host, token string) (last time.Time, refusal Answer) {
	s.T.Helper()
	Eventually(s.T, "it is refused", func() bool {
		at := time.Now()
		var err error
		refusal, err = s.VisitAt(n, http.DefaultClient, host, token)
		require.NoError(s.T, err)
		if refusal.Status == http.StatusOK {
			last = at
		}
		return refusal.Status != http.StatusOK
	})
	return last, refusal
}
