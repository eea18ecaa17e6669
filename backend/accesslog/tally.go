package accesslog

import (
	"container/list"
	"sync"
)

// tally holds the uses that are not reported yet, by grant and node, and the counts.
type tally struct {
	most int // of uses at a time

	mu     sync.Mutex
	uses   map[key]*list.Element
	order  *list.List // of *Use; the one that was added to last is in front
	counts Counts
}

type key struct{ grant, node string }

func newTally(most int) *tally {
	return &tally{most: most, uses: map[key]*list.Element{}, order: list.New()}
}

// count adds to the counts.
func (t *tally) count(c Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.add(c)
}

// add adds a use. full says that there is no room for a further one: a report is due at once.
func (t *tally) add(u Use) (full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{u.GrantID, u.Node}
	if e, there := t.uses[k]; there {
		e.Value.(*Use).add(u)
		t.order.MoveToFront(e)
		return false
	}
	for len(t.uses) >= t.most {
		t.evict()
	}
	t.uses[k] = t.order.PushFront(&u)
	return len(t.uses) >= t.most
}

// evict gives up the use that was added to least recently.
func (t *tally) evict() {
	e := t.order.Back()
	lost := t.order.Remove(e).(*Use)
	delete(t.uses, key{lost.GrantID, lost.Node})
	t.counts.Lost += lost.Admitted + lost.RefusedAfter
}

// take empties the tally of at most n uses, those first that were added to least recently.
func (t *tally) take(n int) []Use {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = min(n, t.order.Len())
	uses := make([]Use, 0, n)
	for range n {
		u := t.order.Remove(t.order.Back()).(*Use)
		delete(t.uses, key{u.GrantID, u.Node})
		uses = append(uses, *u)
	}
	return uses
}

// takeCounts returns the counts since the last call.
func (t *tally) takeCounts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts
	t.counts = Counts{}
	return c
}
