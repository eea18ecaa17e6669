package dataplane_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

func TestMapFileIsMadeOnceAndThenStays(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		for range 2 {
			at, err := c.CreateMapFile(ctx(t), "hosts.map")
			if err != nil || at != "/etc/haproxy/maps/hosts.map" {
				t.Fatalf("it is at %q, error %v", at, err)
			}
			if text, err := c.MapFile(ctx(t), "hosts.map"); err != nil || len(text) != 0 && string(text) != "a 1\n" {
				t.Fatalf("file %q, error %v", text, err)
			}
			s.EditFile("hosts.map", "a 1\n")
		}
		if s.File("hosts.map") != "a 1\n" {
			t.Errorf("what was there became %q", s.File("hosts.map"))
		}
		// HAProxy has it after a reload with a configuration that names it.
		if _, err := c.Entries(ctx(t), "hosts.map"); !errors.Is(err, dataplane.ErrNoMap) {
			t.Errorf("error is %v", err)
		}
		s.EditConfiguration("frontend f\n  x /etc/haproxy/maps/hosts.map\n")
		s.Reload()
		if entries, err := c.Entries(ctx(t), "hosts.map"); err != nil || len(entries) != 1 {
			t.Errorf("entries %v, error %v", entries, err)
		}
	})
}

func TestStoredFileIsWrittenAndReadBack(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		pid := s.PID()
		if text, at, there, err := c.StoredFile(ctx(t), "k_-1.pem"); err != nil || there || at != "" || text != nil {
			t.Fatalf("before: %q at %q, %v, %v", text, at, there, err)
		}
		for _, want := range []string{"one\n", "two \x00\r\n--x"} {
			noError(t, c.StoreFile(ctx(t), "k_-1.pem", []byte(want)))
			text, at, there, err := c.StoredFile(ctx(t), "k_-1.pem")
			if err != nil || !there || at != "/etc/haproxy/general/k_-1.pem" || string(text) != want || s.StoredFile("k_-1.pem") != want {
				t.Fatalf("%q at %q, %v, %v; want %q", text, at, there, err, want)
			}
		}
		if s.PID() != pid {
			t.Error("it has reloaded")
		}
	})
}

// The API would keep "idp.k1.pem" as "idp_k1.pem", and say that it has both.
func TestNamesThatTheAPIRewritesAreRefused(t *testing.T) {
	s, c := start(t)
	for _, name := range []string{"idp.k1.pem", "noending", "", "..", ".pem", "a/b.pem", "a b.pem", "a\n.pem", "a.p_m", "%2e.pem", strings.Repeat("a", 201) + ".pem"} {
		_, _, _, err := c.StoredFile(ctx(t), name)
		wantIs(t, err, dataplane.ErrInvalid)
		wantIs(t, c.StoreFile(ctx(t), name, []byte("x")), dataplane.ErrInvalid)
	}
	wantIs(t, c.StoreFile(ctx(t), "a.pem", nil), dataplane.ErrInvalid)
	wantIs(t, c.StoreFile(ctx(t), "a.pem", make([]byte, 1<<20+1)), dataplane.ErrInvalid)
	_, err := c.CreateMapFile(ctx(t), "a.b.map")
	wantIs(t, err, dataplane.ErrInvalid)
	if calls := s.Calls(); len(calls) != 0 {
		t.Errorf("calls %v", calls)
	}
}

// A file that is taken for missing would be made, one that is taken for there would be believed.
func TestStoredFileIsThereOrNotByTheListAlone(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.EditStoredFile("403.html", "page")
		for _, f := range []dataplanetest.Fault{
			dataplanetest.Empty404, dataplanetest.Status500, dataplanetest.Status503, dataplanetest.Status401,
			dataplanetest.Refuse, dataplanetest.Redirect, dataplanetest.TruncateJSON, dataplanetest.CutBody,
		} {
			s.SetFault(always(f, http.MethodGet, "storage/general"))
			if _, _, there, err := c.StoredFile(ctx(t), "403.html"); err == nil && !there {
				t.Errorf("fault %d: it is not there", f)
			}
			if _, _, there, err := c.StoredFile(ctx(t), "none.html"); err == nil || there {
				t.Errorf("fault %d: there %v, error %v", f, there, err)
			}
		}
	})
}

// The list says where a file is; one of another name is no file of ours.
func TestAPlaceOfAnotherNameIsMalformed(t *testing.T) {
	node := httptest.NewServer(asV2(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"storage_name":"403.html","file":"/etc/x/other.html"},{"storage_name":"k.pem","file":"k.pem"}]`))
	}))
	t.Cleanup(node.Close)
	c, err := dataplane.New(dataplane.Options{URL: node.URL, Username: "u", Password: func() (string, error) { return "p", nil }})
	noError(t, err)
	t.Cleanup(c.Close)
	for _, name := range []string{"403.html", "k.pem"} {
		_, _, _, err := c.StoredFile(ctx(t), name)
		wantIs(t, err, dataplane.ErrMalformed)
	}
}

// Two gateways may make a file at once: the first one's stays, and the other is told.
func TestAFileThatSomebodyElseMadeMeanwhileStays(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.SetFault(func(call dataplanetest.Call) dataplanetest.Fault {
			if call.Method == http.MethodPost {
				s.EditStoredFile("k.pem", "theirs")
			}
			return dataplanetest.None
		})
		wantIs(t, c.StoreFile(ctx(t), "k.pem", []byte("ours")), dataplane.ErrExists)
		if s.StoredFile("k.pem") != "theirs" {
			t.Errorf("file %q", s.StoredFile("k.pem"))
		}
		methods := []string{}
		for _, call := range s.Calls() {
			methods = append(methods, call.Method)
		}
		if !slices.Equal(methods, []string{"GET", "POST"}) {
			t.Errorf("calls %v", methods)
		}
	})
}
