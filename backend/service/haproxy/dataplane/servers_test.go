package dataplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

var s2 = dataplane.Server{Name: "s2", Address: "127.0.0.1", Port: 8082}

const backend = "be_app"

// holds fails unless exactly the named servers are configured and running, and no transaction is left.
func holds(t *testing.T, s *dataplanetest.Server, configured, running []string) {
	t.Helper()
	inConfiguration := s.ConfiguredServers(backend)
	for _, name := range configured {
		if _, ok := inConfiguration[name]; !ok {
			t.Errorf("%s is not configured", name)
		}
	}
	if len(inConfiguration) != len(configured) {
		t.Errorf("configured are %v, want %v", inConfiguration, configured)
	}
	var names []string
	for _, state := range s.RunningServers(backend) {
		names = append(names, state.Name)
	}
	if diff := cmp.Diff(running, names); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	if n := s.OpenTransactions(); n != 0 {
		t.Errorf("%d transactions are left open", n)
	}
}

func TestServersJoinConfigurationAndWorker(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.LoseReloads(true)
		ended, cancel := context.WithCancel(ctx(t))
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if is(call, http.MethodGet, "runtime/servers") {
				cancel() // leaves a server that is configured and does not run
				return dataplanetest.Refuse
			}
			return dataplanetest.None
		})
		if err := c.AddServer(ended, backend, s2); err == nil {
			t.Fatal("no error")
		}
		s.SetFault(nil)
		got, err := c.Servers(ctx(t), backend)
		noError(t, err)
		want := []dataplane.Server{
			{Name: "s1", Address: "127.0.0.1", Port: 8081, AdminState: "ready", OperationalState: "up", Configured: true, Running: true},
			{Name: "s2", Address: "127.0.0.1", Port: 8082, Configured: true},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("servers (-want +got):\n%s", diff)
		}
		none, err := c.Servers(ctx(t), "be_none")
		if err != nil || len(none) != 0 {
			t.Fatalf("servers of no backend: %v, %v", none, err)
		}
	})
}

func TestServerIsAddedInATransactionWithAForcedReload(t *testing.T) {
	s, c := start(t)
	noError(t, c.AddServer(ctx(t), backend, s2))
	holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
	var added, committed bool
	for _, call := range s.Calls() {
		if is(call, http.MethodPost, "configuration/servers") {
			added = true
			var body map[string]any
			noError(t, json.Unmarshal([]byte(call.Body), &body))
			want := map[string]any{"name": "s2", "address": "127.0.0.1", "port": 8082.0}
			if diff := cmp.Diff(want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		}
		if is(call, http.MethodPut, "transactions/") {
			committed = call.Query == "force_reload=true"
		}
	}
	if !added || !committed {
		t.Errorf("added by a call: %v, committed with a forced reload: %v", added, committed)
	}
}

func TestServerIsRemoved(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		noError(t, c.AddServer(ctx(t), backend, s2))
		noError(t, c.RemoveServer(ctx(t), backend, "s1"))
		holds(t, s, []string{"s2"}, []string{"s2"})
		noError(t, c.RemoveServer(ctx(t), backend, "s2"))
		holds(t, s, nil, nil)
	})
}

func TestWrongServerOrBackendLeavesNothing(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		wantIs(t, c.AddServer(ctx(t), backend, dataplane.Server{Name: "s1", Address: "127.0.0.1", Port: 1}), dataplane.ErrExists)
		wantIs(t, c.RemoveServer(ctx(t), backend, "s9"), dataplane.ErrNoServer)
		wantIs(t, c.RemoveServer(ctx(t), "be_none", "s1"), dataplane.ErrNoServer)
		err := c.AddServer(ctx(t), "be_none", s2)
		var e *dataplane.Error
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Retryable {
			t.Errorf("error is %v, want a final 400", err)
		}
		holds(t, s, []string{"s1"}, []string{"s1"})
	})
}

// otherWriter commits a change of its own before each of the first n calls that match.
func otherWriter(s *dataplanetest.Server, n int, method, part string) {
	s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
		if n > 0 && is(call, method, part) {
			n--
			s.ChangeConfiguration()
		}
		return dataplanetest.None
	})
}

func TestLostRaceIsRunAgainWithTheNewVersion(t *testing.T) {
	for name, at := range map[string][2]string{
		"409 at begin":  {http.MethodPost, "transactions"},
		"406 at commit": {http.MethodPut, "transactions/"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := start(t)
			otherWriter(s, 2, at[0], at[1])
			noError(t, c.AddServer(ctx(t), backend, s2))
			holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})

			otherWriter(s, 1000, at[0], at[1])
			s.ResetCalls()
			err := c.RemoveServer(ctx(t), backend, "s2")
			wantIs(t, err, dataplane.ErrConflict)
			if !dataplane.Retryable(err) {
				t.Error("not retryable")
			}
			begun := 0
			for _, call := range s.Calls() {
				if is(call, http.MethodPost, "transactions") {
					begun++
				}
			}
			if begun < 2 || begun > 10 {
				t.Errorf("%d attempts", begun)
			}
			holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
		})
	}
}

func TestOwnTransactionIsDeletedOnEveryErrorPath(t *testing.T) {
	for _, fault := range []dataplanetest.Fault{
		dataplanetest.Refuse, dataplanetest.Lose, dataplanetest.Status500, dataplanetest.Status503,
		dataplanetest.Status401, dataplanetest.Empty404, dataplanetest.Redirect,
	} {
		for step, at := range map[string][2]string{
			"add":    {http.MethodPost, "configuration/servers"},
			"commit": {http.MethodPut, "transactions/"},
		} {
			if fault == dataplanetest.Lose && step == "commit" {
				continue // it happened: see TestCommitWithoutAnAnswerIsLookedUp
			}
			s, c := start(t)
			s.SetFault(always(fault, at[0], at[1]))
			if err := c.AddServer(ctx(t), backend, s2); err == nil {
				t.Errorf("fault %d at %s: no error", fault, step)
			}
			holds(t, s, []string{"s1"}, []string{"s1"})
		}
	}
}

func TestOwnTransactionIsDeletedWhenTheCallerGivesUp(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		ended, cancel := context.WithCancel(ctx(t))
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if is(call, http.MethodPost, "configuration/servers") {
				cancel()
				return dataplanetest.Hang
			}
			return dataplanetest.None
		})
		wantIs(t, c.AddServer(ended, backend, s2), context.Canceled)
		holds(t, s, []string{"s1"}, []string{"s1"})
	})
}

func TestTransactionThatCannotBeDeletedIsNamed(t *testing.T) {
	s, c := start(t)
	s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
		if is(call, http.MethodPost, "configuration/servers") || is(call, http.MethodDelete, "transactions") {
			return dataplanetest.Status500
		}
		return dataplanetest.None
	})
	err := c.AddServer(ctx(t), backend, s2)
	if err == nil || s.OpenTransactions() != 1 {
		t.Fatalf("error %v, %d open", err, s.OpenTransactions())
	}
	const id = "8f967cb1-6ed6-44d0-a1dd-000000000001"
	if !contains(err.Error(), id) {
		t.Errorf("error does not name the transaction: %v", err)
	}
}

// The API keeps a change whose reload failed, and writes it with the next commit of anybody.
func TestChangeWhoseReloadFailedIsUndone(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.NeedReloads(true)
		s.ExtendServer(backend, "s1", "unheard_of", "kept")
		before := s.ConfiguredServers(backend)
		s.FailReloads(true)
		wantIs(t, c.AddServer(ctx(t), backend, s2), dataplane.ErrReloadFailed)
		wantIs(t, c.RemoveServer(ctx(t), backend, "s1"), dataplane.ErrReloadFailed)
		if diff := cmp.Diff(before, s.ConfiguredServers(backend)); diff != "" {
			t.Errorf("definitions, unknown fields included (-want +got):\n%s", diff)
		}
		s.FailReloads(false)
		s.Reload()
		holds(t, s, []string{"s1"}, []string{"s1"})
	})
}

func TestChangeThatCannotBeUndoneSaysSo(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.NeedReloads(true)
		s.FailReloads(true)
		s.SetFault(always(dataplanetest.Status500, http.MethodDelete, "configuration/servers"))
		err := c.AddServer(ctx(t), backend, s2)
		wantIs(t, err, dataplane.ErrReloadFailed)
		wantIs(t, err, dataplane.ErrNotUndone)
		if s.OpenTransactions() != 0 {
			t.Error("a transaction is left open")
		}
	})
}

func TestCommitWithoutAnAnswerIsLookedUp(t *testing.T) {
	s, c := start(t)
	s.SetFault(always(dataplanetest.Lose, http.MethodPut, "transactions/"))
	noError(t, c.AddServer(ctx(t), backend, s2))
	holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
	noError(t, c.RemoveServer(ctx(t), backend, "s1"))
	holds(t, s, []string{"s2"}, []string{"s2"})
}

// An accepted commit is no proof: the API forgets the reload when it is killed in between.
func TestServerThatDoesNotRunIsNotReportedAsAdded(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		for name, prepare := range map[string]func(*dataplanetest.Server){
			"reload lost": func(s *dataplanetest.Server) { s.LoseReloads(true) },
			"only pretended": func(s *dataplanetest.Server) {
				s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
					if is(call, http.MethodPut, "transactions/") || is(call, http.MethodPost, "configuration/backends/") {
						return dataplanetest.Pretend
					}
					return dataplanetest.None
				})
			},
		} {
			t.Run(name, func(t *testing.T) {
				s, c := start(t)
				prepare(s)
				wantIs(t, c.AddServer(ctx(t), backend, s2), dataplane.ErrNotApplied)
				if _, left := s.ConfiguredServers(backend)["s2"]; left {
					t.Error("it is left in the configuration")
				}
			})
		}
	})
}

func TestServerThatStillRunsIsNotReportedAsRemoved(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.LoseReloads(true)
		wantIs(t, c.RemoveServer(ctx(t), backend, "s1"), dataplane.ErrNotApplied)
	})
}

// The API lists no servers, with status 200, where HAProxy is down.
func TestServerIsNotGoneWhereHAProxyIsDown(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if is(call, http.MethodGet, "runtime/servers") {
				s.SetDown(true)
			}
			return dataplanetest.None
		})
		wantIs(t, c.RemoveServer(ctx(t), backend, "s1"), dataplane.ErrHAProxyDown)
		_, err := c.Servers(ctx(t), backend)
		wantIs(t, err, dataplane.ErrHAProxyDown)
	})
}

func TestServerThatComesUpInMaintenanceIsSetReady(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.StartInMaintenance(true)
		noError(t, c.AddServer(ctx(t), backend, s2))
		if state := s.RunningServers(backend)[1]; state.AdminState != "ready" {
			t.Errorf("server is %+v", state)
		}
		s.SetFault(always(dataplanetest.Pretend, http.MethodPut, "runtime/servers"))
		wantIs(t, c.AddServer(ctx(t), backend, dataplane.Server{Name: "s3", Address: "::1", Port: 1}), dataplane.ErrNotApplied)
	})
}

func TestTooManyTransactionsIsRetryable(t *testing.T) {
	s, c := start(t)
	s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
		switch {
		case is(call, http.MethodDelete, "transactions/"):
			return dataplanetest.Refuse
		case is(call, http.MethodPost, "configuration/servers"):
			return dataplanetest.Status500
		}
		return dataplanetest.None
	})
	for range 20 {
		_ = c.AddServer(ctx(t), backend, s2)
	}
	s.SetFault(nil)
	err := c.AddServer(ctx(t), backend, s2)
	var e *dataplane.Error
	if !errors.As(err, &e) || e.Status != http.StatusTooManyRequests || !e.Retryable {
		t.Fatalf("error is %v, want a retryable 429", err)
	}
}
