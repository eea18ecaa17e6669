package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// written is a log in memory, read as a driver reads it: page by page, and not past an event that cannot be read.
type written struct {
	entries       []Entry
	traces        Traces
	grants, locks []error
	rowless       []string
	err           error
}

func (w written) Traces(context.Context) (Traces, error) { return w.traces, w.err }

func (w written) CheckGrants(_ context.Context, after string, _ int) (string, []error, error) {
	if after == "" {
		return "g1", w.grants, w.err
	}
	return "", nil, nil
}

func (w written) CheckLocks(context.Context, string, int) (string, []error, error) {
	return "", w.locks, w.err
}

func (w written) Rowless(context.Context, int) ([]string, error) { return w.rowless, w.err }

func (w written) Events(_ context.Context, after int64, limit int) (page []Entry, err error) {
	if w.err != nil {
		return nil, w.err
	}
	for _, e := range w.entries {
		if e.Revision <= after || len(page) == limit {
			continue
		}
		if e.Event, err = DecodeEvent(e.Doc); err != nil {
			if len(page) > 0 {
				return page, nil
			}
			return nil, fmt.Errorf("revision %d: %w", e.Revision, err)
		}
		page = append(page, e)
	}
	return page, nil
}

// logOf has n events: more than one page, if need be.
func logOf(t *testing.T, n int) []Entry {
	t.Helper()
	var entries []Entry
	var hash [32]byte
	for i := range n {
		doc, err := EncodeEvent(grant.Event{Verb: grant.Refuse, Comment: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		hash = Chain(hash, int64(i+1), doc)
		entries = append(entries, Entry{Revision: int64(i + 1), Doc: doc, Hash: hash})
	}
	return entries
}

func TestVerifyFindsTheFirstBreak(t *testing.T) {
	const n = verifyPage + 20
	good := logOf(t, n)
	end := Mark{Revision: n, Hash: good[n-1].Hash}
	if mark, err := Verify(t.Context(), written{entries: good}, Mark{}); err != nil || mark != end {
		t.Fatalf("good until %d, %v", mark.Revision, err)
	}
	for _, at := range []int{1, 2, verifyPage, verifyPage + 1, n} {
		for name, tamper := range map[string]func([]Entry) []Entry{
			"changed":    func(e []Entry) []Entry { e[at-1].Doc = []byte(`{"verb":"refuse","at":1}`); return e },
			"unreadable": func(e []Entry) []Entry { e[at-1].Doc = []byte(`{`); return e },
			"rehashed":   func(e []Entry) []Entry { e[at-1].Hash[0] ^= 1; return e },
			"gone":       func(e []Entry) []Entry { return append(e[:at-1], e[at:]...) },
			"doubled":    func(e []Entry) []Entry { e[at-1].Revision++; return e },
		} {
			if name == "gone" && at == n {
				continue // the end alone shows nothing: see below
			}
			bad := tamper(append([]Entry{}, good...))
			mark, err := Verify(t.Context(), written{entries: bad}, Mark{})
			var broken *ChainError
			if !errors.As(err, &broken) || broken.Revision != int64(at) || mark.Revision != int64(at-1) {
				t.Errorf("%s at %d: good until %d, %v", name, at, mark.Revision, err)
			}
			if name == "unreadable" && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s at %d: %v", name, at, err)
			}
		}
	}
}

// A mark that was kept elsewhere shows what the log alone cannot: that its end is gone, or that all of it was made anew.
func TestVerifyHoldsTheLogToAMark(t *testing.T) {
	good := logOf(t, 10)
	mark := Mark{Revision: 8, Hash: good[7].Hash}
	if got, err := Verify(t.Context(), written{entries: good}, mark); err != nil || got.Revision != 10 {
		t.Fatalf("good until %d, %v", got.Revision, err)
	}
	// Made anew from the seventh on: a chain without a fault.
	anew, at := append([]Entry{}, good[:6]...), good[5].Hash
	for revision := int64(7); revision <= 10; revision++ {
		doc := []byte(`{"verb":"refuse","at":1}`)
		at = Chain(at, revision, doc)
		anew = append(anew, Entry{Revision: revision, Doc: doc, Hash: at})
	}
	if _, err := Verify(t.Context(), written{entries: anew}, Mark{}); err != nil {
		t.Fatalf("without a mark it is not seen: %v", err)
	}
	for name, test := range map[string]struct {
		entries []Entry
		at      int64
	}{"its end is gone": {good[:7], 8}, "all is gone": {nil, 1}, "it was made anew": {anew, 8}} {
		var broken *ChainError
		if _, err := Verify(t.Context(), written{entries: test.entries}, mark); !errors.As(err, &broken) || broken.Revision != test.at {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The log has come to all that the rest of the store speaks of.
func TestVerifyHoldsTheLogToItsTraces(t *testing.T) {
	good := logOf(t, 10)
	head := func(n int64, of int) *Mark { return &Mark{Revision: n, Hash: good[of-1].Hash} }
	for name, test := range map[string]struct {
		traces Traces
		want   string // empty: nothing
	}{
		"none":                        {Traces{}, ""},
		"those of its end":            {Traces{Last: 10, Head: head(10, 10), Others: []Trace{{"a sink", 10}, {"a row", 3}}}, ""},
		"it has gone on since":        {Traces{Last: 9, Head: head(9, 9), Others: []Trace{{"a sink", 8}}}, ""},
		"a sink was told of more":     {Traces{Last: 10, Others: []Trace{{"a row", 11}, {"a sink", 12}}}, "revision 11: the event is gone: a sink says 12"},
		"the head is further":         {Traces{Last: 10, Head: head(11, 10)}, "the row that names its end says 11"},
		"the head is not so far":      {Traces{Last: 10, Head: head(9, 9)}, "the row that names its end says 9"},
		"the head has another's hash": {Traces{Last: 10, Head: head(10, 9)}, "revision 10: the hash is not the one of the row"},
	} {
		_, err := Verify(t.Context(), written{entries: good, traces: test.traces}, Mark{})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What does not fit beside the chain ends nothing: all of it is counted, and some of it named.
func TestVerifyNamesWhatDoesNotFit(t *testing.T) {
	wrong := func(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }
	entries := logOf(t, 3)
	entries[1].Misfiled = wrong("misfiled")
	w := written{entries: entries, grants: []error{wrong("a grant")}, locks: []error{wrong("a lock")}, rowless: []string{"grant g7"}}
	mark, err := Verify(t.Context(), w, Mark{})
	if mark.Revision != 3 || !errors.Is(err, ErrCorrupt) {
		t.Fatalf("good until %d, %v", mark.Revision, err)
	}
	for _, what := range []string{"misfiled", "a grant", "a lock", "grant g7 has events in the log and no row"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q is not named in %v", what, err)
		}
	}
	for range 20 {
		w.locks = append(w.locks, wrong("one more"))
	}
	if _, err = Verify(t.Context(), w, Mark{}); strings.Count(err.Error(), "\n") != mostNamed || !strings.Contains(err.Error(), "14 more") {
		t.Errorf("%v", err)
	}
}

// A database that fails says nothing about the log.
func TestVerifyTellsAFailureApart(t *testing.T) {
	failure := errors.New("no connection")
	for _, noted := range []Mark{{}, {Revision: 1}} {
		var broken *ChainError
		if _, err := Verify(t.Context(), written{err: failure}, noted); !errors.Is(err, failure) || errors.As(err, &broken) {
			t.Errorf("error %v", err)
		}
	}
}

func TestAMarkIsReadAsItIsWritten(t *testing.T) {
	mark := Mark{Revision: 105, Hash: [32]byte{0xab, 31: 0x0c}}
	const text = "105:ab0000000000000000000000000000000000000000000000000000000000000c"
	if mark.String() != text {
		t.Errorf("written as %s", mark)
	}
	if got, err := ParseMark(text); err != nil || got != mark {
		t.Errorf("read as %v, %v", got, err)
	}
	for _, wrong := range []string{"", "105", "105:", ":ab", "0" + text[3:], "-" + text, text + "00", text[:66], "x" + text[1:], text[:10] + "x" + text[11:]} {
		if got, err := ParseMark(wrong); err == nil {
			t.Errorf("%q is read as %v", wrong, got)
		}
	}
}
