package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
)

// Chain is the hash of the entry that follows previous (all zero for the first): SHA-256 over previous, the revision in
// decimal, a colon, and the event's stored form. Any change of any entry changes all hashes after it (I7).
func Chain(previous [32]byte, revision int64, event []byte) [32]byte {
	h := sha256.New()
	h.Write(previous[:])
	h.Write(append(strconv.AppendInt(make([]byte, 0, 24), revision, 10), ':'))
	h.Write(event)
	return [32]byte(h.Sum(nil))
}

// Mark is a place in the log: the entry of a revision, with its hash. The zero value is the place before the first. A mark
// that is kept elsewhere shows later that all up to it is as it was, its end included, which the log alone cannot show.
type Mark struct {
	Revision int64
	Hash     [32]byte
}

// ChainError says where a log is not what was written.
type ChainError struct {
	Revision int64 // of the first entry that does not fit
	Reason   string
	Err      error // what reading it answered, if it cannot be read
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("the log breaks at revision %d: %s", e.Revision, e.Reason)
}

func (e *ChainError) Unwrap() error { return e.Err }

// verifyPage is how many events are read at once.
const verifyPage = 1000

// Verify walks the log from a mark, the zero one for the whole of it, to its end: revisions without a gap, hashes that
// follow from each other, events that can be read. It answers the last entry that is good. Errors: *ChainError for a
// break, or a failure of the database, which says nothing about the log.
func Verify(ctx context.Context, r Reader, from Mark) (Mark, error) {
	if err := checkMark(ctx, r, from); err != nil {
		return Mark{}, err
	}
	at := from
	for {
		page, err := r.Events(ctx, at.Revision, verifyPage)
		if errors.Is(err, ErrCorrupt) {
			return at, &ChainError{Revision: at.Revision + 1, Reason: "the event cannot be read", Err: err}
		}
		if err != nil {
			return at, fmt.Errorf("verify log: %w", err)
		}
		if len(page) == 0 {
			return at, nil
		}
		for _, e := range page {
			if err := follows(at, e); err != nil {
				return at, err
			}
			at = Mark{Revision: e.Revision, Hash: e.Hash}
		}
	}
}

// checkMark finds the entry that a mark was made of.
func checkMark(ctx context.Context, r Reader, from Mark) error {
	if from.Revision == 0 {
		return nil
	}
	entries, err := r.Events(ctx, from.Revision-1, 1)
	switch {
	case errors.Is(err, ErrCorrupt):
		return &ChainError{Revision: from.Revision, Reason: "the event cannot be read", Err: err}
	case err != nil:
		return fmt.Errorf("verify log: %w", err)
	case len(entries) == 0 || entries[0].Revision != from.Revision:
		return &ChainError{Revision: from.Revision, Reason: "the event is gone"}
	case entries[0].Hash != from.Hash:
		return &ChainError{Revision: from.Revision, Reason: "the hash is not the one of the mark"}
	}
	return nil
}

func follows(at Mark, e Entry) error {
	next := at.Revision + 1
	switch {
	case e.Revision != next:
		return &ChainError{Revision: next, Reason: "the event is gone"}
	case Chain(at.Hash, e.Revision, e.Doc) != e.Hash:
		return &ChainError{Revision: next, Reason: "the hash is not that of what stands before it"}
	}
	return nil
}
