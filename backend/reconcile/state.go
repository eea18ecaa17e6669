package reconcile

import (
	"errors"
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// margin is added to the time that an old worker may live: a new worker starts some time before the old one is told to
// stop, since it reads its configuration and maps first.
const margin = 5 * time.Second

// errStale: the gateway that writes to a node has not said anything for too long.
var errStale = errors.New("its writer has not been heard of")

// marksKept bounds the marks: they matter for as long as a reload takes, and for what streams may run.
const marksKept = 64

// state is what is known of a loop's node, for others to read.
type state struct {
	now     func() time.Time
	changed func()

	mu      sync.Mutex
	status  Status
	target  Target
	started int64 // passes begun
	settled int64 // number of the newest pass that has ended
	// own says that this gateway has read the node since it writes to it: nobody else changes what is in status.
	own     bool
	writing bool
	// alone says that there is no other gateway; otherwise proved is when this one was last known to be the writer.
	alone  bool
	proved time.Time
}

func newState(t Target, name string, alone bool, now func() time.Time, changed func()) *state {
	s := &state{target: t, now: now, changed: changed, alone: alone, status: Status{
		Name: t.Name, Dialect: t.Dialect, Writer: name, CutsStreams: t.Streams != nil, ReachesOldWorkers: t.Elders != nil,
	}}
	for _, e := range t.Environments {
		s.status.Environments = append(s.status.Environments, EnvironmentStatus{Environment: e})
	}
	return s
}

// begin numbers a pass.
func (s *state) begin() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	return s.started
}

// inherit takes over what another loop, of other settings, knew of the same node.
func (s *state) inherit(older *state) {
	status, started, settled := older.snapshot()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.settled = started, max(settled, started) // no pass of the older one is under way
	s.take(status)
	s.own = false // what was given is bounded again by what is read
}

// adopt takes over what the node's writer says of it.
func (s *state) adopt(status Status) {
	s.mu.Lock()
	if s.writing || !status.At.After(s.status.At) && s.status.Writer == status.Writer {
		s.mu.Unlock()
		return
	}
	s.take(status)
	s.mu.Unlock()
	s.changed()
}

// take copies a status, for the environments that this target has. mu is held.
func (s *state) take(status Status) {
	mine := s.status.Environments
	dialect := s.status.Dialect
	status = status.clone()
	s.status = status
	if dialect != "" {
		s.status.Dialect = dialect
	}
	s.status.CutsStreams, s.status.ReachesOldWorkers = s.target.Streams != nil, s.target.Elders != nil
	s.status.Environments = make([]EnvironmentStatus, len(mine))
	for i := range mine {
		s.status.Environments[i] = EnvironmentStatus{Environment: mine[i].Environment}
		if e := status.in(mine[i].Name); e != nil {
			s.status.Environments[i] = *e
			s.status.Environments[i].Environment = mine[i].Environment
		}
	}
}

// confirmed notes when this gateway was known to be the writer.
func (s *state) confirmed(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proved = at
}

// elect notes whether this gateway is the node's writer.
func (s *state) elect(writing bool, name string) {
	s.mu.Lock()
	s.writing = writing
	if writing {
		s.status.Writer = name
	} else {
		s.status.At = s.asOf()
		s.own = false
	}
	s.mu.Unlock()
	s.changed()
}

// rest ends this loop's knowledge of the node: from now on it is of now.
func (s *state) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.At = s.asOf()
	s.own, s.writing = false, false
}

func (s *state) failed(attempt int64, err error, r Result, pending int, unsettledUntil time.Time) {
	s.mu.Lock()
	s.settled = attempt
	s.status.Healthy, s.status.Err, s.status.LastPass = false, err, r.Read
	if !errors.Is(err, ErrNotWriter) { // else a pass of who is may have begun before this one
		s.status.Seen = max(s.status.Seen, r.Revision)
	}
	s.status.PendingRemovals, s.status.UnsettledUntil = pending, unsettledUntil
	s.drifted(r)
	s.mu.Unlock()
	s.changed()
}

// leasing notes the leases that were found, and those that are about to be written: a write that fails, or has not
// answered yet, may have been done. A lease does not go back: an older worker may hold the longer one, and a writer before
// us may have given one that rests on a reading of before this one.
func (s *state) leasing(w Worker, read time.Time, found, given desired.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.status.Environments {
		e := &s.status.Environments[i]
		e.Read = true
		if e.Lease == 0 {
			continue
		}
		if !s.own {
			e.extend(read.Add(e.Lease))
		}
		if !s.own || !w.follows(s.status.Worker) {
			e.OldLease = e.LeaseUntil
			if until := desired.LeaseTime(found[e.Name]); until.After(e.OldLease) {
				e.OldLease = until
			}
		}
		e.extend(desired.LeaseTime(found[e.Name]))
		e.extend(desired.LeaseTime(given[e.Name]))
	}
	s.own = true
}

func (e *EnvironmentStatus) extend(until time.Time) {
	if until.After(e.LeaseUntil) {
		e.LeaseUntil = until
	}
}

func (s *state) passed(attempt int64, r Result, now time.Time, pending int, unsettledUntil time.Time) {
	s.mu.Lock()
	s.settled = attempt
	st := &s.status
	st.Healthy, st.Err, st.LastPass, st.LastSuccess = true, nil, r.Read, now
	if r.Kind == Full {
		st.LastFull = r.Read
	}
	another := !r.Worker.follows(st.Worker)
	st.Worker = r.Worker
	st.Revision, st.Seen = max(st.Revision, r.Revision), max(st.Seen, r.Revision)
	st.Rows, st.PendingRemovals = r.Rows[desired.Grants], pending
	st.ClockOff = r.Worker.Offset.Abs() > s.target.ClockBound
	st.EldersErr, st.StreamsErr = text(r.EldersErr), text(r.StreamsErr)
	st.UnsettledUntil = unsettledUntil
	s.drifted(r)
	for i := range st.Environments {
		st.Environments[i].pass(r, s.target, now, another, !unsettledUntil.IsZero())
	}
	s.mu.Unlock()
	s.changed()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// drifted counts drift. mu is held.
func (s *state) drifted(r Result) {
	var names []string
	for _, d := range r.Drift {
		s.status.DriftRepaired += int64(d.Rows)
		if d.File {
			s.status.DriftRepaired++
		}
		names = append(names, d.Names()...)
	}
	if len(names) > 0 {
		s.status.LastDrift, s.status.LastDriftAt = named(names), r.Read
	}
}

// pass takes over what a pass has reached in one environment. A removal is enforced when no older worker can still hold
// the row: it was taken out of them, or the lease there, frozen with the maps at the reload, has run out, or they were
// stopped. While a write of ours may still arrive nothing more is enforced.
func (e *EnvironmentStatus) pass(r Result, t Target, now time.Time, another, unsettled bool) {
	e.Open = r.Leases[e.Name] != ""
	if another {
		e.retract(now.Add(-r.Worker.Uptime - uptimeStep))
	}
	if r.cut {
		e.CutRunning = max(e.CutRunning, r.Revision)
		if t.Elders != nil || r.Worker.Uptime > t.HardStopAfter+margin {
			e.Cut = max(e.Cut, r.Revision)
		}
	}
	e.OldWorkersUntil = time.Time{}
	if left := e.oldWorkers(r, t, now) - r.Worker.Uptime; left > 0 {
		if !r.purged {
			e.OldWorkersUntil = now.Add(left)
			return
		}
	} else if e.Lease > 0 && e.Open {
		e.LeaseUntil = desired.LeaseTime(r.Leases[e.Name]) // nobody holds an older one any more
	}
	if r.Revision > e.Enforced && !unsettled {
		e.Enforced = r.Revision
		e.Marks = append(e.Marks, Mark{r.Revision, now})
		e.Marks = e.Marks[max(0, len(e.Marks)-marksKept):]
	}
}

// oldWorkers is for how long after the running worker's start an older one may admit.
func (e *EnvironmentStatus) oldWorkers(r Result, t Target, now time.Time) time.Duration {
	usual := now.Add(-r.Worker.Uptime + e.Lease + margin)
	if !e.Open || e.Lease == 0 || e.OldLease.After(usual) {
		// An older worker may hold a longer lease, of other settings, or judge it by a clock that is behind: it ends with the
		// worker only.
		return t.HardStopAfter + margin
	}
	return e.Lease + t.ClockBound + margin // a lease ends by the node's clock
}

// uptimeStep is the resolution of a worker's uptime.
const uptimeStep = time.Second

// retract takes back what was said to be enforced after the worker that answers now began: it may have read the files
// before the removals were written, and taken over after they were verified on the worker before it. Purging older workers
// does not help: it is the new one that holds the row.
func (e *EnvironmentStatus) retract(began time.Time) {
	for n := len(e.Marks); n > 0 && e.Marks[n-1].At.After(began); n = len(e.Marks) {
		e.Marks = e.Marks[:n-1]
		e.Enforced = 0
		if n > 1 {
			e.Enforced = e.Marks[n-2].Revision
		}
		e.Cut, e.CutRunning = min(e.Cut, e.Enforced), min(e.CutRunning, e.Enforced)
	}
}

// asOf is of when the status is. mu is held.
func (s *state) asOf() time.Time {
	switch {
	case !s.own:
		return s.status.At
	case s.alone:
		return s.now()
	}
	return s.proved // a process that was stopped, and is passed over, does not know it yet
}

// snapshot copies the status, as somebody who asks now is to see it.
func (s *state) snapshot() (status Status, started, settled int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status = s.status.clone()
	status.At = s.asOf()
	if !(s.writing && s.alone) && status.Healthy && s.now().Sub(status.At) > s.patience() {
		status.Healthy, status.Err = false, errStale
	}
	return status, s.started, s.settled
}

// patience is how old a writer's word may be: as old as the node's shortest lease, and some more.
func (s *state) patience() time.Duration {
	shortest := 10 * time.Second
	for _, e := range s.target.Environments {
		if e.Lease > 0 {
			shortest = min(shortest, e.Lease)
		}
	}
	return shortest + margin
}

// enforced are the newest revisions of which every removal is in force, by environment; nil if nobody has looked at the
// node yet.
func (s *state) enforced() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.LastPass.IsZero() {
		return nil
	}
	all := map[string]int64{}
	for _, e := range s.status.Environments {
		all[e.Name] = e.Enforced
	}
	return all
}

// mine copies the status, with whether this gateway is the node's writer.
func (s *state) mine() (status Status, writing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status = s.status.clone()
	status.At = s.asOf()
	return status, s.writing
}
