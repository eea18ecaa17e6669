package dataplane_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func state(t *testing.T, s *dataplanetest.Server, name string) string {
	t.Helper()
	for _, server := range s.RunningServers(backend) {
		if server.Name == name {
			return server.AdminState
		}
	}
	t.Fatalf("no server %s", name)
	return ""
}

func TestServerIsDrainedAndSetReadyInTheRunningWorker(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		noError(t, c.DrainServer(ctx(t), backend, "s1"))
		if got := state(t, s, "s1"); got != "drain" {
			t.Fatalf("state is %q", got)
		}
		s.ResetCalls()
		noError(t, c.DrainServer(ctx(t), backend, "s1"))
		for _, call := range s.Calls() {
			if call.Method != http.MethodGet {
				t.Errorf("drained again by %+v", call)
			}
		}
		noError(t, c.ReadyServer(ctx(t), backend, "s1"))
		if got := state(t, s, "s1"); got != "ready" || s.PID() != pid {
			t.Fatalf("state is %q, reloaded %v", got, s.PID() != pid)
		}
	})
}

func TestStateThatIsNotThereIsNotReportedAsSet(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		wantIs(t, c.DrainServer(ctx(t), backend, "s9"), dataplane.ErrNoServer)
		wantIs(t, c.ReadyServer(ctx(t), "be_none", "s1"), dataplane.ErrNoServer)
		s.SetFault(always(dataplanetest.Pretend, http.MethodPut, "runtime/servers"))
		wantIs(t, c.DrainServer(ctx(t), backend, "s1"), dataplane.ErrNotApplied)
		s.SetFault(nil)
		s.SetDown(true)
		wantIs(t, c.DrainServer(ctx(t), backend, "s1"), dataplane.ErrHAProxyDown)
	})
}

func TestServerIsAddedAtRunTimeWithoutAReloadWhereTheAPICan(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		noError(t, c.AddServer(ctx(t), backend, s2))
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
		if s.PID() != pid || state(t, s, "s2") != "ready" {
			t.Errorf("reloaded %v, state %q", s.PID() != pid, state(t, s, "s2"))
		}
		s.Reload()
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
		wantIs(t, c.AddServer(ctx(t), backend, s2), dataplane.ErrExists)
	})
}

func TestServerIsAddedWithAReloadWhereHAProxyCannotAtRunTime(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		s, c := start(t)
		s.NeedReloads(true)
		pid := s.PID()
		noError(t, c.AddServer(ctx(t), backend, s2))
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
		if s.PID() != pid+1 {
			t.Errorf("%d reloads", s.PID()-pid)
		}
	})
}

func TestServerAddedWithoutAnAnswerIsLookedUp(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		for _, fault := range []dataplanetest.Fault{dataplanetest.Lose, dataplanetest.Refuse, dataplanetest.Status500, dataplanetest.Empty404} {
			s, c := start(t)
			s.SetFault(always(fault, http.MethodPost, "configuration/servers"))
			err := c.AddServer(ctx(t), backend, s2)
			if fault == dataplanetest.Lose {
				noError(t, err)
				holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
			} else {
				if err == nil {
					t.Errorf("fault %d: no error", fault)
				}
				holds(t, s, []string{"s1"}, []string{"s1"})
			}
		}
	})
}

// Else an answer that got lost would be taken for ours by what was there before.
func TestServerThatWasThereIsNotReportedAsAdded(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		s, c := start(t)
		s.SetFault(always(dataplanetest.Status500, http.MethodPost, "configuration/servers"))
		wantIs(t, c.AddServer(ctx(t), backend, dataplane.Server{Name: "s1", Address: "127.0.0.1", Port: 9}), dataplane.ErrExists)
	})
}

func TestLostRaceForARunTimeServerIsRunAgain(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		s, c := start(t)
		otherWriter(s, 2, http.MethodPost, "configuration/servers")
		noError(t, c.AddServer(ctx(t), backend, s2))
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
		otherWriter(s, 1000, http.MethodPost, "configuration/servers")
		wantIs(t, c.AddServer(ctx(t), backend, dataplane.Server{Name: "s3", Address: "::1", Port: 1}), dataplane.ErrConflict)
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
	})
}

func TestServerThatIsDownIsReportedAndKept(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.StartDown(true)
		err := c.AddServer(ctx(t), backend, s2)
		wantIs(t, err, dataplane.ErrNotUp)
		if errors.Is(err, dataplane.ErrNotApplied) {
			t.Error("it is reported as not applied")
		}
		holds(t, s, []string{"s1", "s2"}, []string{"s1", "s2"})
	})
}

func TestBackendsAreThoseOfTheConfiguration(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.EditConfiguration("backend pr-7\n  server a 127.0.0.1:1\n\nfrontend f\n\nbackend be_app\n")
		got, err := c.Backends(ctx(t))
		noError(t, err)
		if diff := cmp.Diff([]string{"pr-7", "be_app"}, got); diff != "" {
			t.Errorf("backends (-want +got):\n%s", diff)
		}
		s.EditConfiguration("global\n")
		if got, err = c.Backends(ctx(t)); err != nil || len(got) != 0 {
			t.Errorf("backends of none: %v, %v", got, err)
		}
	})
	for name, body := range map[string]string{
		"bare": `[]`, "null": `{"_version":1,"data":null}`, "no name": `{"_version":1,"data":[{}]}`, "text": `{"_version":1,"data":"x"}`,
	} {
		if _, err := answering(t, http.StatusOK, "application/json", body).Backends(ctx(t)); !errors.Is(err, dataplane.ErrMalformed) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
