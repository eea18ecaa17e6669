package lab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/haproxy-access/clutch-haproxy-access/internal/world"
	"github.com/haproxy-access/clutch-haproxy-access/test/stage"
)

// A reload loses nobody's request, on kept connections or on new ones. One follows the other, so that no pass over the node
// comes to its end between them: this is where a lease is off, which would not be renewed.
func reloadLosesNoRequest(t *testing.T, l *lab) {
	const clients = 8
	requests := times(10_000)
	g, token := l.Open(stage.Alice, "staging", "billing", 10*time.Minute)
	l.admitted(stage.StagingBilling, token)
	n := l.First("staging")
	var left atomic.Int64
	left.Store(int64(requests))
	failed := make(chan error, requests)
	done := make(chan struct{})
	var all sync.WaitGroup
	begin := time.Now()
	for i := range clients {
		transport := &http.Transport{DisableKeepAlives: i%2 == 1, MaxIdleConnsPerHost: 1}
		client := &http.Client{Transport: transport, Timeout: stage.Hang}
		all.Go(func() {
			defer transport.CloseIdleConnections()
			for left.Add(-1) >= 0 {
				if a, err := l.VisitAt(n, client, stage.StagingBilling, token); err != nil || a.Status != http.StatusOK {
					failed <- fmt.Errorf("status %d %s: %w", a.Status, a.Why, err)
				}
			}
		})
	}
	go func() { all.Wait(); close(done) }()
	reloads := 0
	for running := true; running; reloads++ {
		require.NoError(t, n.HAProxy.Reload(t.Context()))
		select {
		case <-done:
			running = false
		default:
		}
	}
	took := time.Since(begin)
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	t.Logf("%d requests by %d clients during %d reloads in %.1f s: %d failed", requests, clients, reloads, took.Seconds(), len(errs))
	require.NoError(t, errors.Join(errs[:min(len(errs), 5)]...))
	require.Greater(t, reloads, 1, "nothing was reloaded under load")
	l.Revoke(stage.Alice, g)
	l.AwaitEnforced(g)
}

// I4: a reload right after a revocation brings no row back.
func revokedThenReloadedStaysRefused(t *testing.T, l *lab) {
	p := l.probe()
	for range times(5) {
		g, token := l.Open(stage.Alice, "prod", "billing", 10*time.Minute)
		p.with(stage.ProdBilling, token)
		l.admitted(stage.ProdBilling, token)
		var reloads sync.WaitGroup
		for _, n := range l.Serving("prod") {
			reloads.Go(func() {
				if err := n.HAProxy.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		l.Revoke(stage.Alice, g)
		reloads.Wait()
		l.AwaitEnforced(g)
	}
	// A row that was reported as gone is brought back by a reload that was under way, and taken back.
	p.join(reach, true)
}

// I2: an older worker with a frozen copy of the maps is reached through the master's socket: once the end of a grant is
// reported as enforced it refuses too, with no lease to run out and long before it must end.
func oldWorkerRefusesAtOnce(t *testing.T, l *lab) {
	g, token := l.Open(stage.Alice, "staging", "billing", 10*time.Minute)
	l.admitted(stage.StagingBilling, token)
	n := l.First("staging")
	c := l.DialH2(n, stage.StagingBilling, token)
	_, other := l.Open(stage.Bob, "staging", "billing", 10*time.Minute)
	l.admitted(stage.StagingBilling, other)
	held := l.stream(n, stage.StagingBilling, other) // keeps the old worker alive
	require.Equal(t, http.StatusOK, c.Get("/"))
	require.NoError(t, n.HAProxy.Reload(t.Context()))
	require.Equal(t, http.StatusOK, c.Get("/"), "the old worker serves: without that this test shows nothing")

	begin := time.Now()
	l.Revoke(stage.Alice, g)
	l.AwaitEnforced(g)
	took := time.Since(begin)
	old, err := n.HAProxy.Process().OldWorkers(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, old, "the old worker still lives: it must refuse by itself")
	require.NotEqual(t, http.StatusOK, c.Get("/"), "the old worker admits after the end was reported as enforced")
	require.NoError(t, held.advance(), "bob's stream in the old worker was cut")
	t.Logf("enforced in the old worker as well %s after the revocation was asked for", took.Round(time.Millisecond))
}

// stream is a download that goes on.
type stream struct {
	body io.ReadCloser
	buf  [64]byte
}

// stream opens a download of 300 seconds at a node and reads its first piece.
func (l *lab) stream(n *world.Node, host, token string) *stream {
	l.T.Helper()
	request, err := http.NewRequestWithContext(l.T.Context(), http.MethodGet, n.URL()+"/stream?seconds=300", nil)
	require.NoError(l.T, err)
	request.Host = host
	request.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(l.T, err)
	l.T.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(l.T, http.StatusOK, response.StatusCode)
	s := &stream{body: response.Body}
	require.NoError(l.T, s.advance())
	return s
}

// advance reads one more piece; an error says that the stream has ended.
func (s *stream) advance() error {
	_, err := s.body.Read(s.buf[:])
	return err
}
