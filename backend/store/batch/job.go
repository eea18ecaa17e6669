package batch

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
	"github.com/haproxy-access/clutch-haproxy-access/backend/store"
)

// job is a change that waits. Its caller encodes it, so that the work is not done under the lock.
type job struct {
	change store.Change
	docs   []docs // of each event

	done     chan struct{} // closed once revision and err are set
	revision int64
	err      error
}

// docs are the stored forms of an event and of the row that it leads to: a grant's, a lock's, or none.
type docs struct{ event, row []byte }

func newJob(c store.Change) (*job, error) {
	j := &job{change: c, docs: make([]docs, len(c.Events)), done: make(chan struct{})}
	for i, e := range c.Events {
		if err := checkEvent(e); err != nil {
			return nil, err
		}
		event, row, err := store.EncodeTransition(e)
		if err != nil {
			return nil, err
		}
		if isLock(e.Verb) {
			if row, err = store.EncodeLock(e.Lock); err != nil {
				return nil, err
			}
		}
		j.docs[i] = docs{event, row}
	}
	if r := c.Replay; r != nil {
		if err := checkText("idempotency key", string(r.Caller), r.Method, r.Key, r.Ref); err != nil {
			return nil, err
		}
	}
	return j, nil
}

func (j *job) finish(revision int64, err error) {
	j.revision, j.err = revision, err
	close(j.done)
}

func isLock(v grant.Verb) bool { return v == grant.PutLock || v == grant.LiftLock }

func checkEvent(e grant.Event) error {
	if isLock(e.Verb) && e.Lock.ID == "" {
		return errors.New("write lock: it has no id")
	}
	g, l := e.Grant, e.Lock
	if err := checkText("grant", g.ID, string(g.Subject), string(g.Owner), g.Pool.Environment, g.Pool.Name, string(g.State)); err != nil {
		return err
	}
	if err := checkText("event", string(e.Verb), string(e.From)); err != nil {
		return err
	}
	if err := checkText("lock", l.ID, string(l.Subject), l.Environment, l.Pool); err != nil {
		return err
	}
	if err := checkText("vote", g.Deciders()...); err != nil {
		return err
	}
	return checkText("review", g.Review.Groups...)
}

// checkText refuses what not every database takes as text, in what stands in columns. What people write stands in
// documents, which take all.
func checkText(what string, texts ...string) error {
	for _, text := range texts {
		if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return fmt.Errorf("write %s: a name with a NUL byte, or that is not UTF-8", what)
		}
	}
	return nil
}
