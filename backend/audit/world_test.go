package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

var errFault = errors.New("fault")

// fakeLog is a log in memory, with faults. Its hashes are made here by hand, not by package store.
type fakeLog struct {
	mu        sync.Mutex
	entries   []store.Entry
	positions map[string]int64
	readFails func() bool
	saveFails func(revision int64) bool
	corrupt   int64 // the revision whose stored form cannot be read, or 0
}

func newLog(events int) *fakeLog {
	l := &fakeLog{
		positions: map[string]int64{}, readFails: func() bool { return false }, saveFails: func(int64) bool { return false },
	}
	l.grow(events)
	return l
}

func (l *fakeLog) grow(events int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range events {
		revision := int64(len(l.entries) + 1)
		e := grant.Event{
			Grant: grant.Grant{ID: fmt.Sprintf("g%d", revision), Subject: "alice@example.com", Version: 1},
			Verb:  grant.Request, Actor: "alice@example.com", At: time.UnixMilli(1_900_000_000_000 + revision).UTC(),
		}
		doc, err := store.EncodeEvent(e)
		if err != nil {
			panic(err)
		}
		l.entries = append(l.entries, store.Entry{Revision: revision, Event: e, Doc: doc, Hash: l.hash(revision, doc)})
	}
}

func (l *fakeLog) hash(revision int64, doc []byte) [32]byte {
	var previous [32]byte
	if n := len(l.entries); n > 0 {
		previous = l.entries[n-1].Hash
	}
	return sha256.Sum256(append(previous[:], fmt.Sprintf("%d:%s", revision, doc)...))
}

func (l *fakeLog) Snapshot(context.Context) (store.Snapshot, error) {
	return store.Snapshot{}, errors.ErrUnsupported
}

func (l *fakeLog) Events(_ context.Context, after int64, limit int) ([]store.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readFails() {
		return nil, errFault
	}
	var page []store.Entry
	for _, e := range l.entries {
		if e.Revision == l.corrupt && e.Revision > after {
			if len(page) == 0 {
				return nil, fmt.Errorf("revision %d: %w", e.Revision, store.ErrCorrupt)
			}
			break
		}
		if e.Revision > after && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

func (l *fakeLog) Position(_ context.Context, sink string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readFails() {
		return 0, errFault
	}
	return l.positions[sink], nil
}

func (l *fakeLog) SetPosition(_ context.Context, sink string, revision int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.saveFails(revision) {
		return errFault
	}
	l.positions[sink] = revision
	return nil
}

func (l *fakeLog) position(sink string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.positions[sink]
}

// fakeSink remembers what it was told, and when. fails decides before it keeps an event.
type fakeSink struct {
	name string

	mu    sync.Mutex
	fails func(ctx context.Context, revision int64) error
	told  []int64
	tries []time.Time
}

func newSink(name string) *fakeSink {
	return &fakeSink{name: name, fails: func(context.Context, int64) error { return nil }}
}

func (s *fakeSink) Name() string { return s.name }

func (s *fakeSink) Deliver(ctx context.Context, e store.Entry) error {
	s.mu.Lock()
	s.tries = append(s.tries, time.Now())
	fails := s.fails
	s.mu.Unlock()
	if err := fails(ctx, e.Revision); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, e.Revision)
	return nil
}

func (s *fakeSink) failBy(fails func(ctx context.Context, revision int64) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

func (s *fakeSink) attempts() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tries)
}

func (s *fakeSink) heard() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// fakeObserver remembers what went wrong.
type fakeObserver struct {
	mu     sync.Mutex
	failed []string
	broken []string
}

func (o *fakeObserver) SinkFailed(sink string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = append(o.failed, fmt.Sprintf("%s: %v", sink, err))
}

func (o *fakeObserver) ChainBroken(sink string, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = append(o.broken, fmt.Sprintf("%s: %d", sink, revision))
}

func (o *fakeObserver) failures() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.failed)
}

func (o *fakeObserver) breaks() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.broken)
}

func upTo(n int64) []int64 {
	var all []int64
	for i := int64(1); i <= n; i++ {
		all = append(all, i)
	}
	return all
}
