package reconcile

import (
	"context"
	"errors"
	"time"
)

// elected returns when this gateway is the node's writer and may write; false if the loop is to end. Without other
// gateways it is at once.
func (l *loop) elected(ctx context.Context) bool {
	if l.fleet.options.Writers == nil {
		l.state.elect(true, l.fleet.options.Name)
		return ctx.Err() == nil
	}
	for l.tenure == nil {
		if !l.claim(ctx) && !l.sleep(ctx, l.spread(l.timing.Claim), false) {
			return false
		}
	}
	// Calls of the writer before may still be under way for as long as this.
	for {
		now := l.now()
		left := max(l.timing.Takeover-now.Sub(l.tenure.Since()), l.timing.Settle-now.Sub(l.claimed))
		if left <= 0 {
			break
		}
		if !l.sleep(ctx, left, false) {
			return false
		}
	}
	l.state.elect(true, l.fleet.options.Name)
	if status, _ := l.state.mine(); status.UnsettledUntil.After(l.unsettled) {
		l.unsettled = status.UnsettledUntil // a write of the writer before may still arrive
	}
	l.fleet.options.Observer.Elected(l.target.Name, true)
	return ctx.Err() == nil
}

// claim tries to become the writer. That another gateway is, is no failure.
func (l *loop) claim(ctx context.Context) bool {
	claiming, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	tenure, err := l.fleet.options.Writers.Claim(claiming, l.target.Name)
	if err != nil {
		if !errors.Is(err, ErrNotWriter) && ctx.Err() == nil {
			l.fleet.options.Observer.Failed(l.target.Name, err)
		}
		return false
	}
	l.tenure, l.claimed = tenure, l.now()
	return true
}

// depose ends this gateway's time as the writer: it knows nothing of the node from now on but what the next one says.
func (l *loop) depose() {
	l.release()
	l.record = record{}
	l.before, l.lastFull, l.next = memory{full: true, purge: true, cut: true}, time.Time{}, time.Time{}
	l.fullDue = time.Time{}
	l.state.elect(false, "")
	l.fleet.options.Observer.Elected(l.target.Name, false)
}
