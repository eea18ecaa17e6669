package store

import (
	"context"
	"errors"
	"fmt"
)

// Verifiable is what Verify reads, beside gateways that go on writing. Each answer is of one moment.
type Verifiable interface {
	// Events is that of Reader.
	Events(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Traces reads what the rest of the store says of the log.
	Traces(ctx context.Context) (Traces, error)
	// CheckGrants holds rows of grants to their columns, and to the last events of these grants: at most limit rows with
	// higher ids than after, in order. It answers the last id, or empty where no row is left, and what does not fit.
	CheckGrants(ctx context.Context, after string, limit int) (last string, wrong []error, err error)
	// CheckLocks does that with the rows of locks.
	CheckLocks(ctx context.Context, after string, limit int) (last string, wrong []error, err error)
	// Rowless names grants and locks that have events and no row, at most limit.
	Rowless(ctx context.Context, limit int) ([]string, error)
}

// Traces are what a store says of its log beside the log itself.
type Traces struct {
	Last int64 // the revision of the last event
	// Head is what the row says that names the log's end; nil where the database keeps none.
	Head *Mark
	// Others are revisions that the log must have come to.
	Others []Trace
}

// Trace says who names a revision.
type Trace struct {
	By       string
	Revision int64
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

const (
	verifyPage = 1000 // how many rows are read at once
	mostNamed  = 10   // how many findings are named; all are counted
)

// Verify walks the whole log: revisions without a gap, hashes that follow from each other, events that can be read and are
// filed by what they say. It holds the log's end to all that names a revision, noted included, a mark that was kept
// elsewhere (the zero one for none), and each row of a grant or a lock to its last event. It answers the last entry that is
// good. Errors: *ChainError where the log breaks, which ends the walk; ErrCorrupt for all else that does not fit; or a failure
// of the database, which says nothing about the log.
//
// What it does not see without a mark from elsewhere: that all from some point on was made anew, rows and positions with it.
func Verify(ctx context.Context, v Verifiable, noted Mark) (Mark, error) {
	traces, err := v.Traces(ctx) // before the walk: what is written meanwhile only adds to the log
	if err != nil {
		return Mark{}, fmt.Errorf("verify log: %w", err)
	}
	w := walk{marks: []namedMark{{"the mark that was noted", noted}}}
	if h := traces.Head; h != nil {
		w.marks = append(w.marks, namedMark{"the row that names the log's end", *h})
		if h.Revision != traces.Last {
			w.add(fmt.Errorf("%w: the log has come to revision %d, the row that names its end says %d", ErrCorrupt, traces.Last, h.Revision))
		}
	}
	for _, err := range []error{w.whole(ctx, v), w.reaches(traces)} {
		if err != nil {
			return w.at, errors.Join(w.findings.err(), err)
		}
	}
	for _, check := range []func(context.Context, string, int) (string, []error, error){v.CheckGrants, v.CheckLocks} {
		if err := w.rows(ctx, check); err != nil {
			return w.at, fmt.Errorf("verify rows: %w", err)
		}
	}
	ids, err := v.Rowless(ctx, mostNamed+1)
	if err != nil {
		return w.at, fmt.Errorf("verify rows: %w", err)
	}
	for _, id := range ids {
		w.add(fmt.Errorf("%w: %s has events in the log and no row", ErrCorrupt, id))
	}
	return w.at, w.findings.err()
}

// walk is where Verify stands.
type walk struct {
	at    Mark
	marks []namedMark
	findings
}

type namedMark struct {
	by string
	Mark
}

func (w *walk) whole(ctx context.Context, v Verifiable) error {
	for {
		page, err := v.Events(ctx, w.at.Revision, verifyPage)
		if errors.Is(err, ErrCorrupt) {
			return &ChainError{Revision: w.at.Revision + 1, Reason: "the event cannot be read", Err: err}
		}
		if err != nil {
			return fmt.Errorf("verify log: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, e := range page {
			if err := w.follow(e); err != nil {
				return err
			}
		}
	}
}

// follow goes on to the next entry, if that is what it is.
func (w *walk) follow(e Entry) error {
	next := w.at.Revision + 1
	switch {
	case e.Revision != next:
		return &ChainError{Revision: next, Reason: "the event is gone"}
	case Chain(w.at.Hash, e.Revision, e.Doc) != e.Hash:
		return &ChainError{Revision: next, Reason: "the hash is not that of what stands before it"}
	}
	for _, m := range w.marks {
		if m.Revision == e.Revision && m.Hash != e.Hash {
			return &ChainError{Revision: next, Reason: "the hash is not the one of " + m.by}
		}
	}
	w.at = Mark{Revision: e.Revision, Hash: e.Hash}
	if e.Misfiled != nil {
		w.add(e.Misfiled)
	}
	return nil
}

// reaches is nil where the log has come to all revisions that something names; else it names the highest.
func (w *walk) reaches(t Traces) error {
	far := Trace{Revision: w.at.Revision}
	for _, m := range w.marks {
		t.Others = append(t.Others, Trace{By: m.by, Revision: m.Revision})
	}
	for _, o := range t.Others {
		if o.Revision > far.Revision {
			far = o
		}
	}
	if far.By == "" {
		return nil
	}
	return &ChainError{Revision: w.at.Revision + 1, Reason: fmt.Sprintf("the event is gone: %s says %d", far.By, far.Revision)}
}

func (w *walk) rows(ctx context.Context, check func(context.Context, string, int) (string, []error, error)) error {
	for after := ""; ; {
		last, wrong, err := check(ctx, after, verifyPage)
		if err != nil {
			return err
		}
		for _, err := range wrong {
			w.add(err)
		}
		if last == "" {
			return nil
		}
		after = last
	}
}

// findings are what does not fit.
type findings struct {
	named []error
	more  int
}

func (f *findings) add(err error) {
	if len(f.named) == mostNamed {
		f.more++
		return
	}
	f.named = append(f.named, err)
}

// err is nil where all fits.
func (f *findings) err() error {
	if f.more > 0 {
		return errors.Join(append(f.named, fmt.Errorf("%w: %d more do not fit", ErrCorrupt, f.more))...)
	}
	return errors.Join(f.named...)
}
