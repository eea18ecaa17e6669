package enforcement

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/haproxycfg"
	"github.com/haproxy-access/clutch-haproxy-access/test/tokencorpus"
)

// By these rows a live stream is found when its grant ends.
func TestSessionsAreTracked(t *testing.T) {
	w := newWorld(t)
	connection, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if a, err := exchange(connection, bufio.NewReader(connection), get(host, bearer(w.good()))); err != nil || a.status != 200 {
		t.Fatalf("status %d, %v", a.status, err)
	}
	answer, err := w.runtime("show table st_haproxyaccess_sessions")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.QuoteMeta(grantKey + "|" + connection.LocalAddr().String())
	if !regexp.MustCompile(`key=` + want + ` `).MatchString(answer) {
		t.Errorf("the table is %s", answer)
	}
	if err := w.refused(get(host), "no_token"); err != nil {
		t.Error(err)
	}
	if answer, err = w.runtime("show table st_haproxyaccess_sessions"); err != nil || strings.Count(answer, "key=") != 1 {
		t.Errorf("a refused request is tracked, %v: %s", err, answer)
	}
}

// The longest subject, environment and pool, and a client's IPv6 address, fit into a row.
func TestLongestSessionKeyFitsTheTable(t *testing.T) {
	const longest = 128 + 1 + 31 + 1 + 63 + 1 + 45 + 1 + 5
	text := newSet(t).config
	match := regexp.MustCompile(`stick-table type string len (\d+)`).FindSubmatch(text)
	if match == nil {
		t.Fatal("there is no table")
	}
	if length, err := strconv.Atoi(string(match[1])); err != nil || length < longest {
		t.Errorf("the table has keys of %d bytes, the longest is %d, %v", length, longest, err)
	}
}

// Fail closed: what the reconciler has not written yet, or an accident has emptied, admits nobody.
func TestEmptyMapsRefuseEverybody(t *testing.T) {
	for file, why := range map[string]string{
		"grants.map": "no_grant", "leases.map": "stale", "hosts.map": "unknown_service", "pools.map": "no_backend", "kids.map": "unknown_kid",
	} {
		t.Run(file, func(t *testing.T) {
			s := newSet(t)
			if err := os.WriteFile(filepath.Join(s.input.MapsDir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := s.start(t.Context(), s.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := w.process.Stop(); err != nil {
					t.Error(err)
				}
			}()
			if err := w.refused(get(host, bearer(w.good())), why); err != nil {
				t.Error(err)
			}
		})
	}
}

// HAProxy says nothing about a key that is not there; at least nobody may pass then.
func TestMissingKeyFileRefuses(t *testing.T) { eachMode(t, testMissingKey) }

func testMissingKey(t *testing.T, s *set) {
	if err := os.Remove(s.keys.ClutchFile); err != nil {
		t.Fatal(err)
	}
	w, err := s.start(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.process.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.refused(get(host, bearer(w.good())), "bad_signature"); err != nil {
		t.Error(err)
	}
}

func TestWebSocketPassesAndIsAnOrdinaryRequestToTheRules(t *testing.T) {
	w := newWorld(t)
	s, _, err := w.admitted(request("GET /ws", append([]string{bearer(w.good())}, webSocket...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.is(map[string]string{"Upgrade": "websocket", "X-Forwarded-User": tokencorpus.Subject, "Authorization": ""}); err != nil {
		t.Error(err)
	}
}

// HAProxy 2.6 passes trailers on and has no rule for them: a service must not take identity from a trailer. Go's does
// not mix them into the headers; this test says what is so, and fails when it changes.
func TestTrailersStayTrailers(t *testing.T) {
	w := newWorld(t)
	s, _, err := w.admitted(request("POST /", "Host: "+host, bearer(w.good()), "Transfer-Encoding: chunked", "Trailer: X-Forwarded-User") +
		"2\r\nhi\r\n0\r\nX-Forwarded-User: root\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.is(map[string]string{"X-Forwarded-User": tokencorpus.Subject}); err != nil {
		t.Error(err)
	}
	if got := s.Trailer.Get("X-Forwarded-User"); got != "root" {
		t.Errorf("the trailer is %q: HAProxy has changed, close this hole in the rules", got)
	}
}

// The reasons of the code and those of the oracle are the same, each with its status.
func TestReasonsAndTheirStatuses(t *testing.T) {
	reasons := haproxycfg.Reasons()
	for _, reason := range reasons {
		if statuses[reason.Code] != reason.Status {
			t.Errorf("%s: status %d, the oracle says %d", reason.Code, reason.Status, statuses[reason.Code])
		}
	}
	if len(reasons) != len(statuses)-1 {
		t.Errorf("there are %d reasons, the oracle has %d", len(reasons), len(statuses)-1)
	}
}
