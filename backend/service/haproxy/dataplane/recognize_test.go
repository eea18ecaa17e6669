package dataplane_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane"
	"github.com/haproxy-access/clutch-haproxy-access/backend/service/haproxy/dataplane/dataplanetest"
)

// What is recognized is what was read before; whatever else a map holds, in its rows or in their order, is read.
func TestOnlyWhatWasReadBeforeIsRecognized(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		a, b := dataplane.Entry{Key: "a", Value: "1"}, dataplane.Entry{Key: "b", Value: "2"}
		known := dataplane.Digest{}
		for _, rows := range [][]dataplane.Entry{
			{}, {a}, {a, b}, {b, a}, {a, a, b}, {a, {Key: "b", Value: "3"}}, {a, {Key: "c", Value: "2"}}, {b},
		} {
			memory(s, rows...)
			got, digest, err := c.EntriesUnless(ctx(t), grants, known)
			noError(t, err)
			if got == nil || !slices.Equal(got, rows) || digest == known {
				t.Fatalf("of %v it read %v", rows, got)
			}
			known = digest
			got, digest, err = c.EntriesUnless(ctx(t), grants, known)
			noError(t, err)
			if got != nil || digest != known {
				t.Fatalf("%v was not recognized: %v", rows, got)
			}
		}
	})
}

// An answer that is cut off, or none, is an error whatever is known.
func TestAnAnswerThatFailsIsNotRecognized(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		memory(s, row)
		s.EditFile(grants, "a 1\n")
		_, known, err := c.EntriesUnless(ctx(t), grants, dataplane.Digest{})
		noError(t, err)
		for _, fault := range []dataplanetest.Fault{
			dataplanetest.CutBody, dataplanetest.TruncateJSON, dataplanetest.Status500, dataplanetest.Status503,
		} {
			s.SetFault(always(fault, http.MethodGet, ""))
			for _, digest := range []dataplane.Digest{known, {}} {
				if rows, d, err := c.EntriesUnless(ctx(t), grants, digest); err == nil || rows != nil || d != (dataplane.Digest{}) && d == known {
					t.Errorf("fault %v: %v, %v", fault, rows, err)
				}
			}
			// A file has no end of its own: what is cut short in good form is another file.
			if same, err := c.MapFileIs(ctx(t), grants, []byte("a 1\n")); err == nil && same {
				t.Errorf("fault %v: the file is said to be there", fault)
			}
		}
	})
}

func TestAFileIsComparedByteForByte(t *testing.T) {
	inBoth(t, func(t *testing.T) {
		s, c := start(t)
		texts := []string{"", "a 1\n", "a 1\nb 2\n", "a 2\n", "a 1", "a 1\n\n", "# c\n", "a 1\nb 3\n"}
		for _, file := range texts {
			s.EditFile(grants, file)
			for _, text := range texts {
				same, err := c.MapFileIs(ctx(t), grants, []byte(text))
				noError(t, err)
				if same != (file == text) {
					t.Errorf("the file is %q, and %q is the same: %v", file, text, same)
				}
			}
		}
		for _, parts := range [][]string{{"a 1\n", "b 2\n"}, {"a", "", " 1\nb 2\n"}, {"x", "a 1\nb 2\n"}, {"a 1\n", "x", "b 2\n"}, {"a 1\nb 2\n", "x"}} {
			whole := strings.Join(parts, "")
			if same := dataplane.Compare("a 1\nb 2\n", parts...); same != (whole == "a 1\nb 2\n") {
				t.Errorf("in the parts %q it is the same: %v", parts, same)
			}
		}
		s.EditFile(grants, "\n") // as an empty file is written
		same, err := c.MapFileIs(ctx(t), grants, nil)
		noError(t, err)
		if !same {
			t.Error("a file of one empty line is not empty")
		}
	})
}
