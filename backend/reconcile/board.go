package reconcile

import (
	"context"
	"sync"
	"time"
)

// boardTime bounds a call to the board.
const boardTime = 2 * time.Second

// notices publishes how the nodes are that this gateway writes to, and reads how the others are. Nothing that enforces
// waits for it.
type notices struct {
	board Board
	poke  chan struct{}

	mu      sync.Mutex
	waiting map[string]*loop // whose status is to be published
}

func newNotices(b Board) *notices {
	return &notices{board: b, poke: make(chan struct{}, 1), waiting: map[string]*loop{}}
}

// add asks for a loop's status to be published. It does not block.
func (n *notices) add(l *loop) {
	if n.board == nil {
		return
	}
	n.mu.Lock()
	n.waiting[l.target.Name] = l
	n.mu.Unlock()
	select {
	case n.poke <- struct{}{}:
	default:
	}
}

// publish publishes until ctx is done. What the board does not take now it gets again with the node's next pass.
func (n *notices) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.poke:
		}
		n.mu.Lock()
		waiting := n.waiting
		n.waiting = map[string]*loop{}
		n.mu.Unlock()
		for _, l := range waiting {
			n.put(ctx, l)
		}
	}
}

func (n *notices) put(ctx context.Context, l *loop) {
	status, own := l.state.mine()
	if !own {
		return // deposed meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, boardTime)
	defer cancel()
	_ = n.board.Publish(ctx, status)
}

// follow reads the board until ctx is done.
func (f *Fleet) follow(ctx context.Context) {
	ticker := time.NewTicker(f.timing.Follow)
	defer ticker.Stop()
	for {
		f.readBoard(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// readBoard tells the loops that do not write what their nodes' writers say. What cannot be read grows old.
func (f *Fleet) readBoard(ctx context.Context) {
	followers := map[string]*loop{}
	for _, l := range f.all() {
		if _, writing := l.state.mine(); !writing {
			followers[l.target.Name] = l
		}
	}
	if len(followers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, boardTime)
	defer cancel()
	statuses, err := f.options.Board.Read(ctx)
	if err != nil {
		return
	}
	for _, s := range statuses {
		if l := followers[s.Name]; l != nil {
			l.state.adopt(s)
		}
	}
}
