package dataplane_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

const theirs = "global\n  daemon\n\nbackend be_app\n  server s1 127.0.0.1:8081 check\n"

const ours = theirs + "\nfrontend access\n  bind 127.0.0.1:8080\n"

func TestConfigurationIsReadWithoutTheAPIsComments(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		_, c := start(t)
		text, version, err := c.RawConfiguration(ctx(t))
		noError(t, err)
		if text != theirs || version != 1 {
			t.Errorf("version %d, text %q", version, text)
		}
	})
}

func TestConfigurationThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		left := 2
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if call.Is(http.MethodGet, "configuration/raw") && left > 0 {
				left--
				s.EditConfiguration(ours)
			}
			return dataplanetest.None
		})
		text, version, err := c.RawConfiguration(ctx(t))
		noError(t, err)
		if text != ours || version != 3 {
			t.Errorf("version %d, text %q", version, text)
		}
		left = 1000
		_, _, err = c.RawConfiguration(ctx(t))
		wantIs(t, err, dataplane.ErrConflict)
	})
}

func TestConfigurationIsReplacedAndRuns(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		noError(t, c.PutRawConfiguration(ctx(t), ours, 1, false))
		if s.Configuration() != ours || s.PID() != pid+1 {
			t.Errorf("%d reloads, text %q", s.PID()-pid, s.Configuration())
		}
		text, version, err := c.RawConfiguration(ctx(t))
		noError(t, err)
		if text != ours || version != 2 {
			t.Errorf("version %d, text %q", version, text)
		}
		for _, call := range s.Calls() {
			if strings.Contains(call.Query, "skip_version") || strings.Contains(call.Query, "skip_reload") {
				t.Errorf("call %+v", call)
			}
		}
	})
}

func TestConfigurationOfAnotherVersionIsNotReplaced(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		wantIs(t, c.PutRawConfiguration(ctx(t), ours, 7, false), dataplane.ErrConflict)
		for _, call := range s.Calls() {
			if call.Method != http.MethodGet { // what would be undone has been read at another version
				t.Errorf("call %+v", call)
			}
		}
		otherWriter(s, 1, http.MethodPost, "configuration/raw")
		wantIs(t, c.PutRawConfiguration(ctx(t), ours, 1, false), dataplane.ErrConflict)
		if s.Configuration() != theirs {
			t.Errorf("text %q", s.Configuration())
		}
	})
}

func TestDryRunChangesNothing(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		noError(t, c.PutRawConfiguration(ctx(t), ours, 1, true))
		s.RefuseConfigurations(func(string) string { return "unknown keyword 'nonsense'" })
		err := c.PutRawConfiguration(ctx(t), ours, 1, true)
		wantIs(t, err, dataplane.ErrRejected)
		if s.Configuration() != theirs || s.PID() != pid || dataplane.Retryable(err) {
			t.Errorf("reloaded %v, retryable %v, text %q", s.PID() != pid, dataplane.Retryable(err), s.Configuration())
		}
	})
}

func TestConfigurationThatHAProxyRefusesHasNoEffect(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		s.RefuseConfigurations(func(string) string { return "unknown keyword 'nonsense'" })
		err := c.PutRawConfiguration(ctx(t), ours, 1, false)
		wantIs(t, err, dataplane.ErrRejected)
		if !strings.Contains(err.Error(), "nonsense") || s.Configuration() != theirs || s.PID() != pid {
			t.Errorf("error %v, text %q", err, s.Configuration())
		}
	})
}

// The API has the other text in its memory still, and would write it with the next commit of anybody.
func TestConfigurationWhoseReloadFailedIsUndone(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.FailReloads(true)
		err := c.PutRawConfiguration(ctx(t), ours, 1, false)
		wantIs(t, err, dataplane.ErrReloadFailed)
		if errors.Is(err, dataplane.ErrNotUndone) {
			t.Errorf("error is %v", err)
		}
		s.FailReloads(false)
		noError(t, c.AddServer(ctx(t), backend, s2))
		if got := s.Configuration(); strings.Contains(got, "frontend access") || !strings.Contains(got, "server s2") {
			t.Errorf("text after the next commit: %q", got)
		}
	})
}

func TestConfigurationThatCannotBeUndoneSaysSo(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.FailReloads(true)
		posts := 0
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if call.Is(http.MethodPost, "configuration/raw") {
				if posts++; posts > 1 {
					return dataplanetest.Status500
				}
			}
			return dataplanetest.None
		})
		err := c.PutRawConfiguration(ctx(t), ours, 1, false)
		wantIs(t, err, dataplane.ErrReloadFailed)
		wantIs(t, err, dataplane.ErrNotUndone)
	})
}

func TestConfigurationWithoutAnAnswerIsLookedUp(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		for fault, happened := range map[dataplanetest.Fault]bool{
			dataplanetest.Lose: true, dataplanetest.Refuse: false, dataplanetest.Status503: false,
		} {
			s, c := start(t)
			s.SetFault(always(fault, http.MethodPost, "configuration/raw"))
			// Blanks are laid out anew: that must not count as another text.
			err := c.PutRawConfiguration(ctx(t), strings.ReplaceAll(ours, "  bind ", "\t bind   "), 1, false)
			if (err == nil) != happened || (s.Configuration() == ours) != happened {
				t.Errorf("fault %d: error %v, text %q", fault, err, s.Configuration())
			}
		}
	})
}

// The API may be killed between its write and its reload.
func TestConfigurationThatWasWrittenWithoutItsReloadIsReloaded(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.LoseReloads(true)
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			switch {
			case call.Is(http.MethodPost, "configuration/raw"):
				return dataplanetest.Lose
			case call.Is(http.MethodPost, "transactions"):
				s.LoseReloads(false)
			}
			return dataplanetest.None
		})
		pid := s.PID()
		noError(t, c.PutRawConfiguration(ctx(t), ours, 1, false))
		if s.Configuration() != ours || s.PID() == pid {
			t.Errorf("reloaded %v, text %q", s.PID() != pid, s.Configuration())
		}
	})
}

func TestConfigurationThatDoesNotRunIsNotReportedAsReplaced(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.SetFault(always(dataplanetest.Pretend, http.MethodPost, "configuration/raw"))
		wantIs(t, c.PutRawConfiguration(ctx(t), ours, 1, false), dataplane.ErrNotApplied)
	})
}

func TestConfigurationThatTheAPIWouldReadOtherwiseIsRefused(t *testing.T) {
	s, c := start(t)
	for name, text := range map[string]string{
		"empty": "", "cut": "global\n  daemon", "nul": "a\x00\n", "carriage return": "a\r\n", "not utf-8": "\xff\n",
		"version": "# _version=3\nglobal\n", "version below": "global\n# _version=3\n", "hash": "# _md5hash=0\n",
		"large": strings.Repeat("a", 8<<20) + "\n",
	} {
		for _, validate := range []bool{true, false} {
			if err := c.PutRawConfiguration(ctx(t), text, 1, validate); !errors.Is(err, dataplane.ErrInvalid) {
				t.Errorf("%s: error is %v", name, err)
			}
		}
	}
	if len(s.Calls()) != 0 {
		t.Errorf("%d calls", len(s.Calls()))
	}
}

// A haproxy.cfg that the API has never written has no version in its answer.
func TestConfigurationThatTheAPIHasNeverWrittenIsRead(t *testing.T) {
	node := httptest.NewServer(asV2(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/configuration/version") {
			_, _ = w.Write([]byte("1\n"))
			return
		}
		_, _ = w.Write([]byte(`{"data":"\nglobal\n  daemon\n"}`))
	}))
	t.Cleanup(node.Close)
	c, err := dataplane.New(dataplane.Options{URL: node.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
	noError(t, err)
	t.Cleanup(c.Close)
	if text, version, err := c.RawConfiguration(ctx(t)); err != nil || text != "\nglobal\n  daemon\n" || version != 1 {
		t.Errorf("%q, %d, %v", text, version, err)
	}
}
