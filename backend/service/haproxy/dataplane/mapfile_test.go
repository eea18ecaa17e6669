package dataplane_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
)

func TestFileIsReplacedWithoutAReload(t *testing.T) {
	s, c := start(t)
	memory(s, row)
	pid := s.PID()
	text := "a 1\nb@example.com|e/p 1900000000:g\n"
	noError(t, c.PutMapFile(ctx(t), grants, []byte(text)))
	if s.File(grants) != text || s.PID() != pid || len(s.Memory(grants)) != 1 {
		t.Fatalf("file %q, pid %d then %d, memory %v", s.File(grants), pid, s.PID(), s.Memory(grants))
	}
	call := s.Calls()[0]
	if call.Path != "/v2/services/haproxy/storage/maps/grants.map" || call.Query != "skip_reload=true" {
		t.Fatalf("call is %s?%s", call.Path, call.Query)
	}
	got, err := c.MapFile(ctx(t), grants)
	noError(t, err)
	if string(got) != text {
		t.Fatalf("file reads %q", got)
	}
}

// The real API answers 422 to an empty body.
func TestFileCanBeEmptied(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		s.EditFile(grants, "a 1\n")
		noError(t, c.PutMapFile(ctx(t), grants, nil))
		got, err := c.MapFile(ctx(t), grants)
		noError(t, err)
		if len(got) != 0 {
			t.Fatalf("file reads %q", got)
		}
		s.Reload()
		if left := s.Memory(grants); len(left) != 0 {
			t.Fatalf("memory after the reload: %v", left)
		}
	})
}

// What a foreigner left is shown as it is, since it is to be found and reported.
func TestForeignFileIsReadByteForByte(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		for _, text := range []string{"", "\n\n", "# c\nä\x00 \"x\n", "a 1"} {
			s.EditFile(grants, text)
			got, err := c.MapFile(ctx(t), grants)
			noError(t, err)
			if string(got) != text {
				t.Errorf("file %q reads %q", text, got)
			}
		}
	})
}

func TestMissingFileIsAnError(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		_, c := start(t)
		_, err := c.MapFile(ctx(t), "absent.map")
		var e *dataplane.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotFound {
			t.Fatalf("error is %v", err)
		}
	})
}
