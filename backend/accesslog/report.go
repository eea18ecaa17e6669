package accesslog

import (
	"context"
	"fmt"
	"time"
)

// report hands the uses to the Sink until ctx ends, and then, once all was counted, the rest.
func (r *Receiver) report(ctx context.Context, counted <-chan struct{}) {
	ticker := time.NewTicker(r.options.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			r.flush(ctx)
		case <-r.due:
			// Not again before the next tick where the Sink does not take them.
			if !r.flush(ctx) {
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		}
	}
	<-counted
	// A report that Stop broke off was kept. This is the last one, and it has its own time.
	r.flush(context.Background())
	for _, u := range r.tally.take(r.options.MaxUses) {
		r.tally.count(Counts{Lost: u.Admitted + u.RefusedAfter})
	}
	r.tellCounts()
}

// flush reports all uses and says whether the Sink took them. Those that it did not take are kept.
func (r *Receiver) flush(ctx context.Context) bool {
	defer r.tellCounts()
	ctx, cancel := context.WithTimeout(ctx, r.options.ReportTimeout)
	defer cancel()
	for uses := r.tally.take(reportSize); len(uses) > 0; uses = r.tally.take(reportSize) {
		if err := r.options.Sink.Report(ctx, uses); err != nil {
			for _, u := range uses {
				r.tally.add(u)
			}
			r.options.Observer.Failed(fmt.Errorf("report use of grants: %w", err))
			return false
		}
	}
	return true
}

func (r *Receiver) tellCounts() {
	if c := r.tally.takeCounts(); c != (Counts{}) {
		r.options.Observer.Counted(c)
	}
}
