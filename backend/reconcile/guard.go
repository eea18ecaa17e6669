package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotWriter: another gateway writes to the node.
var ErrNotWriter = errors.New("another gateway writes to this node")

const (
	// checkEvery is for how long a proof that we are the node's writer lets calls begin.
	checkEvery = 500 * time.Millisecond
	// checkTime bounds such a proof.
	checkTime = 2 * time.Second
)

// guard stands before each write: it must be our node, and the call must end before another writer could begin.
type guard struct {
	tenure Tenure // nil: there is no other gateway
	now    func() time.Time
	within time.Duration // how long after a proof a call may be under way; less than a new writer waits
	proved time.Time
}

// permit proves that the node is ours, unless that was proved just now, and returns the context for one write.
func (g *guard) permit(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if g.tenure == nil {
		return ctx, func() {}, nil
	}
	if err := g.prove(ctx); err != nil {
		return nil, nil, err
	}
	// A process that was stopped here finds out by the clock.
	left := g.within - g.now().Sub(g.proved)
	if left <= 0 {
		return nil, nil, fmt.Errorf("%w: too long since that was checked", ErrNotWriter)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	return ctx, cancel, nil
}

func (g *guard) prove(ctx context.Context) error {
	now := g.now()
	if !g.proved.IsZero() && now.Sub(g.proved) < checkEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := g.tenure.Check(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWriter, err)
	}
	g.proved = now
	return nil
}

// confirm proves anew, after all that a pass has seen, that nobody else was writing meanwhile. It answers of when that is.
func (g *guard) confirm(ctx context.Context) (time.Time, error) {
	if g.tenure == nil {
		return g.now(), nil
	}
	g.proved = time.Time{}
	err := g.prove(ctx)
	return g.proved, err
}

// unsettled reports whether a call that failed may still be carried out later.
func unsettled(err error) bool {
	return errors.Is(err, ErrUnsettled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
