package reconcile

import (
	"context"
	"slices"
	"time"
)

// Question asks where a grant's present state is in force.
type Question struct {
	Environment string
	Revision    int64 // of the grant's last event
	// Opens says that the grant admits; otherwise it has ended and nothing may be admitted.
	Opens bool
	// Expires is the grant's own end.
	Expires time.Time
}

// Answer says on how many nodes it is.
type Answer struct {
	Total, Enforced int
	OldWorkersUntil time.Time // the latest, over the nodes where it is not
	// StreamsCut says of a grant that has ended that no stream of it runs any more, on no node. Where that is not known,
	// StreamsUntil is until when one can run at most; zero: nothing bounds it.
	StreamsCut   bool
	StreamsUntil time.Time
}

// Ask answers the question as of now. What a node was not heard of for is counted as not enforced, except that an ended
// grant is refused anyway once its own expiry or the node's lease is past. A node that was taken out of the fleet counts
// for an ended grant as long as a lease of it lasts.
func (f *Fleet) Ask(q Question) Answer {
	now := f.options.Now()
	streams := streamsOf{cut: !q.Opens, bounded: true}
	var a Answer
	for _, l := range f.all() {
		status, _, _ := l.state.snapshot()
		e := status.in(q.Environment)
		if e == nil {
			continue
		}
		a.Total++
		if q.holds(status, *e, now, l.target.ClockBound) {
			a.Enforced++
		} else if !q.Opens && e.OldWorkersUntil.After(a.OldWorkersUntil) {
			a.OldWorkersUntil = e.OldWorkersUntil
		}
		streams.add(q, status, *e, l.target.HardStopAfter, now)
	}
	if !q.Opens {
		a.Total += f.departedThatMayAdmit(q, now)
	}
	if !a.OldWorkersUntil.IsZero() && !q.Expires.IsZero() && q.Expires.Before(a.OldWorkersUntil) {
		a.OldWorkersUntil = q.Expires
	}
	a.StreamsCut = streams.cut
	if !streams.cut && streams.bounded {
		a.StreamsUntil = streams.until
	}
	return a
}

func (f *Fleet) departedThatMayAdmit(q Question, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.departed {
		status, _, _ := s.snapshot()
		e := status.in(q.Environment)
		if e != nil && !s.harmless() && !q.holds(status, *e, now, s.target.ClockBound) {
			n++
		}
	}
	return n
}

// harmless reports whether no lease of a node that is not looked after any more can last. One whose lease is off is for
// whoever takes the node away.
func (s *state) harmless() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.status.Environments {
		last := s.status.At.Add(e.Lease) // what its writer may have given since
		if e.LeaseUntil.After(last) {
			last = e.LeaseUntil
		}
		if e.Lease > 0 && s.now().Before(last.Add(s.target.ClockBound)) {
			return false
		}
	}
	return true
}

// holds reports whether the node does what the question asks. bound is how far its clock may be off.
func (q Question) holds(s Status, e EnvironmentStatus, now time.Time, bound time.Duration) bool {
	if q.Opens {
		return s.Healthy && e.Open && s.Revision >= q.Revision
	}
	if e.Enforced >= q.Revision {
		return true
	}
	if earliest := now.Add(-bound); !q.Expires.IsZero() && !earliest.Before(q.Expires) {
		return true
	}
	return e.Lease > 0 && e.Read && q.over(s, e, bound)
}

// over reports whether the node's lease has run out, and it gets another only when the row is gone: every pass under way or
// to come knows of the end, and no write of one that did not can still arrive. What another gateway says of its node holds
// for when it said so.
func (q Question) over(s Status, e EnvironmentStatus, bound time.Duration) bool {
	return s.Seen >= q.Revision && !s.At.Before(s.UnsettledUntil) && !s.At.Add(-bound).Before(e.LeaseUntil)
}

// streamsOf collects until when streams of a grant that has ended can run.
type streamsOf struct {
	cut     bool
	bounded bool
	until   time.Time
}

func (a *streamsOf) add(q Question, s Status, e EnvironmentStatus, hardStop time.Duration, now time.Time) {
	if s.CutsStreams && e.Cut >= q.Revision {
		return
	}
	until, bounded := q.streamsUntil(s, e, hardStop)
	if bounded && !now.Before(until) {
		return
	}
	a.cut = false
	a.bounded = a.bounded && bounded
	if until.After(a.until) {
		a.until = until
	}
}

// streamsUntil is until when streams that nobody cuts can run: a worker that began after the row was gone has none, nor has
// one in which they were cut, and those before it are stopped. In the worker that had the row nothing bounds them.
func (q Question) streamsUntil(s Status, e EnvironmentStatus, hardStop time.Duration) (until time.Time, bounded bool) {
	began := s.LastSuccess.Add(-s.Worker.Uptime) // at the latest
	i := slices.IndexFunc(e.Marks, func(m Mark) bool { return m.Revision >= q.Revision })
	clean := i >= 0 && began.Add(-uptimeStep).After(e.Marks[i].At) || s.CutsStreams && e.CutRunning >= q.Revision
	if !clean || hardStop <= 0 {
		return time.Time{}, false
	}
	return began.Add(hardStop + margin), true
}

// Await returns when every node of the environment has taken the revision in or has failed in a pass that began after
// this call, or when ctx is done.
func (f *Fleet) Await(ctx context.Context, environment string, revision int64) {
	called := f.options.Now()
	begun := map[*state]int64{}
	for _, l := range f.all() {
		_, started, _ := l.state.snapshot()
		begun[l.state] = started
	}
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		if !f.waits(environment, revision, called, begun) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (f *Fleet) waits(environment string, revision int64, called time.Time, begun map[*state]int64) bool {
	return slices.ContainsFunc(f.all(), func(l *loop) bool {
		status, _, settled := l.state.snapshot()
		if !status.serves(environment) || status.Revision >= revision {
			return false
		}
		if _, writing := l.state.mine(); !writing {
			return !status.LastPass.After(called) // as its writer says
		}
		return settled <= begun[l.state]
	})
}
