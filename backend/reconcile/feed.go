package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

const (
	// readTime bounds a reading of the store for all loops.
	readTime = 10 * time.Second
	// snapshotAge is how old a snapshot may be though the revision says that nothing has changed: a store that was restored
	// from a backup counts the same revisions anew.
	snapshotAge = 10 * time.Second
	// endingsKept bounds the ends that are remembered for loops that lag behind.
	endingsKept = 1 << 16
	// endingsBefore is how many of the store's last changes are searched for ends at the beginning: what the writer before
	// has not reported is reported by the next.
	endingsBefore = 1000
)

// content is what the store held at some time after it was asked for.
type content struct {
	revision int64
	book     *desired.Book
	readAt   time.Time
	// endings are the newest ends, by revision.
	endings []Ending
}

// ended lists the ends after a revision.
func (c *content) ended(after int64) []Ending {
	i, _ := slices.BinarySearchFunc(c.endings, after+1, func(e Ending, r int64) int { return int(e.Revision - r) })
	return c.endings[i:]
}

// flight is one reading that several passes wait for.
type flight struct {
	done    chan struct{}
	content *content
	err     error
}

// feed reads the store for all loops: each gets what was read after it asked, and those that ask meanwhile share the next
// reading.
type feed struct {
	source  Source
	endings Endings
	now     func() time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.Mutex
	next   *flight // has not begun
	flying bool

	// Only the flight under way uses these: the newest content, and up to where ends were read.
	last    *content
	endedTo int64
}

func newFeed(source Source, endings Endings, now func() time.Time) *feed {
	f := &feed{source: source, endings: endings, now: now}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *feed) close() {
	f.cancel()
	f.wg.Wait()
}

// read answers what the store holds, read after this call began.
func (f *feed) read(ctx context.Context) (*content, error) {
	fl := f.join()
	select {
	case <-fl.done:
		return fl.content, fl.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *feed) join() *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &flight{done: make(chan struct{})}
	}
	fl := f.next
	if !f.flying {
		f.flying = true
		f.wg.Go(f.fly)
	}
	return fl
}

// fly reads for whoever has asked, until nobody has.
func (f *feed) fly() {
	for {
		f.mu.Lock()
		fl := f.next
		f.next = nil
		f.flying = fl != nil
		f.mu.Unlock()
		if fl == nil {
			return
		}
		fl.content, fl.err = f.load()
		close(fl.done)
	}
}

func (f *feed) load() (*content, error) {
	ctx, cancel := context.WithTimeout(f.ctx, readTime)
	defer cancel()
	began := f.now()
	revision, err := f.source.Revision(ctx)
	if err != nil {
		return nil, fmt.Errorf("read revision: %w", err)
	}
	if f.last != nil && f.last.revision == revision && began.Sub(f.last.readAt) < snapshotAge && !began.Before(f.last.readAt) {
		return f.last, nil
	}
	snapshot, err := f.source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	c := &content{revision: snapshot.Revision, readAt: began}
	if f.last != nil && f.last.revision == snapshot.Revision {
		c.endings = f.last.endings
	} else {
		c.endings = f.newEndings(ctx, snapshot.Revision)
	}
	if f.last == nil {
		c.book = desired.NewBook(snapshot.Active)
	} else {
		c.book = f.last.book.Renew(snapshot.Active)
	}
	f.last = c
	return c, nil
}

// newEndings adds the ends since the last reading of them. What cannot be read now is read with the next change.
func (f *feed) newEndings(ctx context.Context, revision int64) []Ending {
	if f.endings == nil {
		return nil
	}
	var known []Ending
	if f.last == nil || f.endedTo > revision && f.last.revision > revision {
		f.endedTo = max(0, revision-endingsBefore) // the beginning, or the store was restored from a backup
	} else {
		known = f.last.endings
	}
	ended, upTo, err := f.endings.Ended(ctx, f.endedTo)
	if err != nil {
		return known
	}
	f.endedTo = upTo
	all := append(slices.Clip(known), ended...)
	return all[max(0, len(all)-endingsKept):]
}
