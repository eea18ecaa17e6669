package access

import (
	"context"
	"sync"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// turns lets one call at a time open something for a subject. What such a call is decided on is what the subject has, so
// that of several at once all but one would be in vain; the store alone sees to it that they are, also between gateways. The
// zero value is ready.
type turns struct {
	mu   sync.Mutex
	held map[grant.Subject]*turn
}

type turn struct {
	free  chan struct{} // holds a token while nobody has the turn
	users int           // who has it or waits for it
}

// take waits for the subject's turn. Without an error, done must be called. Error: Unavailable, if ctx is done first.
func (t *turns) take(ctx context.Context, s grant.Subject) (done func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[grant.Subject]*turn{}
	}
	mine := t.held[s]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.held[s] = mine
	}
	mine.users++
	t.mu.Unlock()
	select {
	case <-mine.free:
		return func() {
			mine.free <- struct{}{}
			t.leave(s, mine)
		}, nil
	case <-ctx.Done():
		t.leave(s, mine)
		return nil, &Error{Code: Unavailable, cause: ctx.Err(), Message: "other calls for the same subject are in progress; ask again"}
	}
}

func (t *turns) leave(s grant.Subject, mine *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mine.users--; mine.users == 0 {
		delete(t.held, s)
	}
}
