package dataplane_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

func TestWorkerStartIsByTheNodesClockAndNeverTooEarly(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		for _, skew := range []time.Duration{0, 400 * time.Millisecond, 90 * time.Minute, -90 * time.Minute} {
			s.Skew(skew)
			for _, age := range []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond, time.Hour} {
				started := time.Now().Add(skew - age)
				s.SetStarted(started)
				w, clock, err := c.Worker(ctx(t))
				noError(t, err)
				if early := started.Sub(w.Started); early > 0 {
					t.Errorf("skew %v, age %v: start is %v too early", skew, age, early)
				}
				if w.PID != s.PID() || w.Version != "2.6.12-1" {
					t.Errorf("worker is %+v", w)
				}
				if ahead := clock.Date.Sub(clock.Received); ahead > skew+time.Second || clock.Sent.Sub(clock.Date)+skew > 2*time.Second {
					t.Errorf("skew %v: clock %+v", skew, clock)
				}
			}
		}
	})
}

// The arithmetic is written out: Date 10:00:00, up 60 s, so it started between 09:58:59 and 09:59:02 by whole seconds.
func TestWorkerStartArithmetic(t *testing.T) {
	c := dated(t, "Tue, 24 Nov 2026 10:00:00 GMT", `[{"info":{"pid":7,"uptime":60,"version":"2.6.12"}}]`)
	w, _, err := c.Worker(ctx(t))
	noError(t, err)
	if want := time.Date(2026, 11, 24, 9, 59, 2, 0, time.UTC); !w.Started.Equal(want) || w.Uptime != time.Minute {
		t.Fatalf("worker is %+v, want a start at %v", w, want)
	}
}

func dated(t *testing.T, date, body string) *dataplane.Client {
	t.Helper()
	s := httptest.NewServer(asV2(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = []string{date}
		if date == "" {
			w.Header()["Date"] = nil
		}
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := dataplane.New(dataplane.Options{URL: s.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
	noError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestUnclearWorkerIsAnError(t *testing.T) {
	const date = "Tue, 24 Nov 2026 10:00:00 GMT"
	good := `[{"info":{"pid":7,"uptime":60,"version":"2.6.12"}}]`
	for name, test := range map[string]struct {
		date, body string
		want       error
	}{
		"no date":    {"", good, dataplane.ErrMalformed},
		"bad date":   {"yesterday", good, dataplane.ErrMalformed},
		"none":       {date, `[]`, dataplane.ErrMalformed},
		"null":       {date, `[null]`, dataplane.ErrMalformed},
		"two":        {date, `[{"info":{"pid":7,"uptime":60}},{"info":{"pid":8,"uptime":60}}]`, dataplane.ErrMalformed},
		"v3 object":  {date, `{"info":{"pid":7,"uptime":60}}`, dataplane.ErrMalformed},
		"no info":    {date, `[{}]`, dataplane.ErrMalformed},
		"no pid":     {date, `[{"info":{"uptime":60}}]`, dataplane.ErrMalformed},
		"no uptime":  {date, `[{"info":{"pid":7}}]`, dataplane.ErrMalformed},
		"bad uptime": {date, `[{"info":{"pid":7,"uptime":-1}}]`, dataplane.ErrMalformed},
		"down":       {date, `[{"error":"dial unix /run/admin.sock: connect: connection refused [show info typed]"}]`, dataplane.ErrHAProxyDown},
		"down, info": {date, `[{"error":"x","info":{"pid":7,"uptime":60}}]`, dataplane.ErrHAProxyDown},
		"stopping":   {date, `[{"info":{"pid":7,"uptime":60,"stopping":1}}]`, dataplane.ErrHAProxyDown},
	} {
		_, _, err := dated(t, test.date, test.body).Worker(ctx(t))
		if !errors.Is(err, test.want) || !dataplane.Retryable(err) {
			t.Errorf("%s: error is %v, want %v, retryable", name, err, test.want)
		}
	}
}

func TestSameProcessAllowsForWholeSeconds(t *testing.T) {
	at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	a := dataplane.Worker{PID: 7, Version: "2.6.12", Started: at}
	for _, test := range []struct {
		b    dataplane.Worker
		want bool
	}{
		{dataplane.Worker{PID: 7, Version: "2.6.12", Started: at.Add(2 * time.Second)}, true},
		{dataplane.Worker{PID: 7, Version: "2.6.12", Started: at.Add(-2 * time.Second)}, true},
		{dataplane.Worker{PID: 7, Version: "2.6.12", Started: at.Add(3 * time.Second)}, false}, // a container's next worker
		{dataplane.Worker{PID: 8, Version: "2.6.12", Started: at}, false},
		{dataplane.Worker{PID: 7, Version: "2.6.13", Started: at}, false},
	} {
		if a.SameProcess(test.b) != test.want || test.b.SameProcess(a) != test.want {
			t.Errorf("same process as %+v: %v", test.b, !test.want)
		}
	}
}
