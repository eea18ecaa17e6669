package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// written is a log in memory, read as a driver reads it: page by page, and not past an event that cannot be read.
type written struct {
	entries []Entry
	err     error
}

func (w written) Snapshot(context.Context) (Snapshot, error) {
	return Snapshot{}, errors.ErrUnsupported
}

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
func TestVerifyFromAMark(t *testing.T) {
	good := logOf(t, 10)
	mark := Mark{Revision: 8, Hash: good[7].Hash}
	if got, err := Verify(t.Context(), written{entries: good}, mark); err != nil || got.Revision != 10 {
		t.Fatalf("good until %d, %v", got.Revision, err)
	}
	other := append([]Entry{}, good...)
	other[7].Hash[0] ^= 1
	for name, entries := range map[string][]Entry{"its end is gone": good[:7], "all is gone": nil, "it was made anew": other} {
		var broken *ChainError
		if _, err := Verify(t.Context(), written{entries: entries}, mark); !errors.As(err, &broken) || broken.Revision != 8 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A database that fails says nothing about the log.
func TestVerifyTellsAFailureApart(t *testing.T) {
	failure := errors.New("no connection")
	for _, from := range []Mark{{}, {Revision: 1}} {
		var broken *ChainError
		if _, err := Verify(t.Context(), written{err: failure}, from); !errors.Is(err, failure) || errors.As(err, &broken) {
			t.Errorf("error %v", err)
		}
	}
}
