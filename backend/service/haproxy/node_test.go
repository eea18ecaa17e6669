package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
	"github.com/haproxy-access/clutch-haproxy-access/backend/reconcile"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// By hand: the node's header says 12:00:10, so its clock stood from :10 up to just before :11 at a moment between sending
// and receiving. What lies inside is no difference; outside it is the least that it can be.
func TestOffsetIsTheLeastThatTheNodesClockCanBeOff(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
	}
	for name, c := range map[string]struct {
		sent, received float64
		want           time.Duration
	}{
		"the same second":                {10.2, 10.3, 0},
		"sent just before it":            {9.9, 10.1, 0},
		"its last moment":                {10.999, 10.9995, 0},
		"sent as it ended":               {11, 11.2, 0},
		"behind by a little":             {11.25, 11.5, -250 * time.Millisecond},
		"behind by two seconds":          {13, 13.1, -2 * time.Second},
		"behind, and a slow call":        {13, 18, -2 * time.Second},
		"ahead by a little":              {9.25, 9.5, 500 * time.Millisecond},
		"ahead by two seconds":           {7.9, 8, 2 * time.Second},
		"ahead, and a slow call":         {3, 8, 2 * time.Second},
		"a slow call explains it all":    {5, 15, 0},
		"received as the second began":   {9.5, 10, 0},
		"a day ahead of us":              {10 - 86400, 10 - 86400, 24 * time.Hour},
		"a day and a second behind ours": {86411, 86412, -24 * time.Hour},
	} {
		got := offset(dataplane.Clock{Sent: at(c.sent), Received: at(c.received), Date: at(10)})
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWorkerReportsANodeWhoseClockIsOff(t *testing.T) {
	api := dataplanetest.New(t)
	n := node{api.Client(t)}
	for _, skew := range []time.Duration{0, time.Hour, -time.Hour} {
		api.Skew(skew)
		w, err := n.Worker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Never more than it is; less by the whole second and by the time of the call.
		if off := w.Offset.Abs(); off > skew.Abs() || off < skew.Abs()-time.Minute || w.Offset < 0 != (skew < 0) {
			t.Errorf("clock off by %s: reported %s", skew, w.Offset)
		}
		if w.PID != api.PID() || w.Version != "2.6.12-1" {
			t.Errorf("worker %+v", w)
		}
	}
}

// Only HAProxy's word that the key is not there counts as removed: an answer of something before it does not (I2).
func TestI2OnlyANodesOwnWordCountsAsRemoved(t *testing.T) {
	api := dataplanetest.New(t, "grants.map")
	n := node{api.Client(t)}
	row := desired.Row{Key: "alice@example.com|prod/db", Value: "1700000000:g1"}
	if err := n.Add(t.Context(), desired.Grants, row); err != nil {
		t.Fatal(err)
	}
	removal := func(f dataplanetest.Fault) func(dataplanetest.Call) dataplanetest.Fault {
		return func(c dataplanetest.Call) dataplanetest.Fault {
			if c.Method == "DELETE" {
				return f
			}
			return dataplanetest.None
		}
	}
	for _, f := range []dataplanetest.Fault{
		dataplanetest.Empty404, dataplanetest.Status500, dataplanetest.Status503, dataplanetest.Status401,
		dataplanetest.Refuse, dataplanetest.Redirect,
	} {
		api.SetFault(removal(f))
		if err := n.Remove(t.Context(), desired.Grants, row.Key); err == nil {
			t.Errorf("fault %d: the row counts as removed", f)
		}
	}
	api.SetFault(nil)
	for range 2 { // it is there, and then it is not
		if err := n.Remove(t.Context(), desired.Grants, row.Key); err != nil {
			t.Error(err)
		}
	}
	if rows := api.Memory("grants.map"); len(rows) != 0 {
		t.Errorf("rows %v", rows)
	}
	api.SetDown(true)
	if err := n.Remove(t.Context(), desired.Grants, row.Key); err == nil {
		t.Error("HAProxy is down and the row counts as removed")
	}
}

func TestNodeWritesAndReadsRowsAndFiles(t *testing.T) {
	api := dataplanetest.New(t, "grants.map")
	var n reconcile.Node = node{api.Client(t)}
	row := desired.Row{Key: "alice@example.com|prod/db", Value: "1700000000:g1"}
	if err := n.Add(t.Context(), desired.Grants, row); err != nil {
		t.Fatal(err)
	}
	row.Value = "1700000900:g1"
	if err := n.Set(t.Context(), desired.Grants, row); err != nil {
		t.Fatal(err)
	}
	rows, err := n.Rows(t.Context(), desired.Grants)
	if err != nil || len(rows) != 1 || rows[0] != row {
		t.Errorf("rows %v, %v", rows, err)
	}
	text := row.Key + " " + row.Value + "\n"
	if err := n.WriteFile(t.Context(), desired.Grants, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if got, err := n.File(t.Context(), desired.Grants); err != nil || string(got) != text || api.File("grants.map") != text {
		t.Errorf("file %q, %v", got, err)
	}
	if _, err := n.Rows(t.Context(), desired.Hosts); err == nil {
		t.Error("a map that the node does not have was read")
	}
}

// A write of which nobody knows whether it comes yet must be told from one that cannot come any more: reconcile waits for
// the first before it believes what it reads (I2).
func TestI2WritesThatMayStillHappenAreUnsettled(t *testing.T) {
	row := desired.Row{Key: "alice@example.com|prod/db", Value: "1700000000:g1"}
	many := desired.Table{}
	for i := range 400 {
		many[fmt.Sprintf("user%d@example.com|prod/db", i)] = row.Value
	}
	writes := map[string]func(context.Context, node) error{
		"add":     func(ctx context.Context, n node) error { return n.Add(ctx, desired.Grants, row) },
		"set":     func(ctx context.Context, n node) error { return n.Set(ctx, desired.Grants, row) },
		"remove":  func(ctx context.Context, n node) error { return n.Remove(ctx, desired.Grants, row.Key) },
		"file":    func(ctx context.Context, n node) error { return n.WriteFile(ctx, desired.Grants, []byte("a 1\n")) },
		"replace": func(ctx context.Context, n node) error { return n.Replace(ctx, desired.Grants, many) },
	}
	api := dataplanetest.New(t, "grants.map")
	options := api.Options()
	options.Timeout = 100 * time.Millisecond
	client, err := dataplane.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := client.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, write := range writes {
		for f, want := range map[dataplanetest.Fault]bool{
			dataplanetest.Refuse: true, dataplanetest.Lose: true, dataplanetest.Late: true, dataplanetest.Hang: true,
			dataplanetest.Status500: false, dataplanetest.Status401: false, dataplanetest.Empty404: false, dataplanetest.Down: false,
		} {
			api.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return f })
			if f == dataplanetest.Down && name == "file" {
				continue // the disk is there without HAProxy
			}
			err := write(t.Context(), node{client})
			if err == nil || errors.Is(err, reconcile.ErrUnsettled) != want {
				t.Errorf("%s, fault %d: %v; want it unsettled: %v", name, f, err, want)
			}
		}
	}
	for status, want := range map[int]bool{http.StatusGatewayTimeout: true, http.StatusBadGateway: true, http.StatusServiceUnavailable: false} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/info") {
				_, _ = w.Write([]byte(`{"api":{"version":"v3.2"},"system":{}}`))
				return
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(proxy.Close)
		options.URL = proxy.URL
		behind, err := dataplane.New(options)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(behind.Close)
		if err := writes["add"](t.Context(), node{behind}); err == nil || errors.Is(err, reconcile.ErrUnsettled) != want {
			t.Errorf("status %d: %v; want it unsettled: %v", status, err, want)
		}
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options.URL = "http://" + nobody.Addr().String()
	refused, err := dataplane.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(refused.Close)
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	for name, write := range writes {
		if err := write(t.Context(), node{refused}); err == nil || errors.Is(err, reconcile.ErrUnsettled) {
			t.Errorf("%s, refused: %v; nothing was sent", name, err)
		}
	}
}

func TestI2NodeReadsOneRowAndKnowsWhenItIsGone(t *testing.T) {
	api := dataplanetest.New(t, "grants.map")
	var n reconcile.Prober = node{api.Client(t)}
	row := desired.Row{Key: "alice@example.com|prod/db", Value: "1700000000:g1"}
	if value, there, err := n.Row(t.Context(), desired.Grants, row.Key); err != nil || there || value != "" {
		t.Errorf("absent: %q, %v, %v", value, there, err)
	}
	api.EditMemory("grants.map", func([]dataplanetest.Entry) []dataplanetest.Entry {
		return []dataplanetest.Entry{dataplanetest.Entry(row)}
	})
	if value, there, err := n.Row(t.Context(), desired.Grants, row.Key); err != nil || !there || value != row.Value {
		t.Errorf("present: %q, %v, %v", value, there, err)
	}
	api.SetDown(true)
	if _, there, err := n.Row(t.Context(), desired.Grants, row.Key); err == nil || there {
		t.Errorf("down: %v, %v", there, err)
	}
}

// Only a row that cannot be listed is a reason to take the whole map away; any answer of a node that cannot list is one to
// close what is known to be wrong.
func TestNodeTellsAMapThatCannotBeListedFromANodeThatIsAway(t *testing.T) {
	for name, c := range map[string]struct {
		prepare          func(*dataplanetest.Server)
		unlisted, faulty bool
	}{
		"a row without a value": {func(s *dataplanetest.Server) {
			s.EditMemory("grants.map", func([]dataplanetest.Entry) []dataplanetest.Entry { return []dataplanetest.Entry{{Key: "x"}} })
		}, true, true},
		"an internal error": {meeting(dataplanetest.Status500), true, false},
		"a proxy's error":   {meeting(dataplanetest.Status503), true, false},
		"half an answer":    {meeting(dataplanetest.TruncateJSON), true, false},
		"a cut connection":  {meeting(dataplanetest.CutBody), false, false},
		"no answer":         {meeting(dataplanetest.Refuse), false, false},
		"the wrong word":    {meeting(dataplanetest.Status401), false, false},
		"HAProxy is down":   {func(s *dataplanetest.Server) { s.SetDown(true) }, false, false},
		"no such map":       {func(s *dataplanetest.Server) { s.RemoveMap("grants.map") }, false, false},
	} {
		for _, dialect := range []string{"v2", "v3"} {
			api := dataplanetest.New(t, "grants.map")
			api.SetDialect(dialect)
			n := node{api.Client(t)}
			if _, err := n.Rows(t.Context(), desired.Grants); err != nil {
				t.Fatal(err)
			}
			c.prepare(api)
			_, err := n.Rows(t.Context(), desired.Grants)
			if err == nil || errors.Is(err, reconcile.ErrUnlisted) != c.unlisted || errors.Is(err, reconcile.ErrFaultyRow) != c.faulty {
				t.Errorf("%s, %s: %v", name, dialect, err)
			}
		}
	}
}

func meeting(f dataplanetest.Fault) func(*dataplanetest.Server) {
	return func(s *dataplanetest.Server) {
		s.SetFault(func(dataplanetest.Call) dataplanetest.Fault { return f })
	}
}

// Without it no pass could be made, and a revoked grant's row would stay: seen where somebody removed a map's file.
func TestAFileThatIsGoneIsMadeAnew(t *testing.T) {
	for _, dialect := range []string{"v2", "v3"} {
		api := dataplanetest.New(t)
		api.SetDialect(dialect)
		n := node{api.Client(t)}
		if _, err := n.client.MapFile(t.Context(), "hosts.map"); err == nil {
			t.Fatal("it is there: this shows nothing")
		}
		if text, err := n.File(t.Context(), desired.Hosts); err != nil || len(text) != 0 {
			t.Fatalf("%s: %q, %v", dialect, text, err)
		}
		if err := n.WriteFile(t.Context(), desired.Hosts, []byte("a.example prod/billing\n")); err != nil {
			t.Fatalf("%s: %v", dialect, err)
		}
		if text, err := n.File(t.Context(), desired.Hosts); err != nil || string(text) != "a.example prod/billing\n" {
			t.Fatalf("%s: %q, %v", dialect, text, err)
		}
	}
}
