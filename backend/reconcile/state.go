package reconcile

import (
	"sync"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/desired"
)

// margin is added to the time that an old worker may live: a new worker starts some time before the old one is told to
// stop, since it reads its configuration and maps first.
const margin = 5 * time.Second

// Status is what is known of a node.
type Status struct {
	Name         string
	Dialect      string
	Environments []EnvironmentStatus
	// Healthy says that the last pass succeeded; Err why it did not.
	Healthy     bool
	Err         error
	LastPass    time.Time // began; zero if there was none
	LastSuccess time.Time
	// Revision is the newest that the node was right with.
	Revision int64
	Worker   Worker
	// DriftRepaired counts rows and files that somebody else had changed.
	DriftRepaired int64
}

// EnvironmentStatus is a node's status for one environment.
type EnvironmentStatus struct {
	Environment
	// Open says that the node held a lease after the last pass that succeeded: without one it admits nobody.
	Open bool
	// LeaseUntil is the latest time until which any worker of the node may trust its rows. Until a pass has read the node
	// it is not known what an earlier process gave, and Read is false.
	LeaseUntil time.Time
	Read       bool
	// Enforced is the newest revision of which every removal is in force, older workers included.
	Enforced int64
	// OldWorkersUntil is until when an older worker may still hold removed rows; zero: none does.
	OldWorkersUntil time.Time

	// marks are the newest raises of Enforced, oldest first: see retract.
	marks []mark
}

// mark says when Enforced was raised to a revision.
type mark struct {
	revision int64
	at       time.Time
}

// marksKept bounds the marks: they matter for as long as a reload takes.
const marksKept = 64

// state is a loop's status, for others to read.
type state struct {
	mu      sync.Mutex
	status  Status
	target  Target
	started int64 // passes begun
	settled int64 // number of the newest pass that has ended
	changed func()
}

func newState(t Target, changed func()) *state {
	s := &state{target: t, changed: changed, status: Status{Name: t.Name, Dialect: t.Dialect}}
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

func (s *state) failed(attempt int64, err error, r Result) {
	s.mu.Lock()
	s.settled = attempt
	s.status.Healthy, s.status.Err, s.status.LastPass = false, err, r.Read
	s.mu.Unlock()
	s.changed()
}

// leasing notes the leases that were found, and those that are about to be written: a write that fails, or has not
// answered yet, may have been done. A lease does not go back: an older worker may hold the longer one.
func (s *state) leasing(found, given desired.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.status.Environments {
		e := &s.status.Environments[i]
		e.Read = true
		for _, leases := range []desired.Table{found, given} {
			if until := desired.LeaseTime(leases[e.Name]); e.Lease > 0 && until.After(e.LeaseUntil) {
				e.LeaseUntil = until
			}
		}
	}
}

func (s *state) passed(attempt int64, r Result, now time.Time) {
	s.mu.Lock()
	s.settled = attempt
	st := &s.status
	st.Healthy, st.Err, st.LastPass, st.LastSuccess = true, nil, r.Read, now
	st.Worker = r.Worker
	st.Revision = max(st.Revision, r.Revision)
	for _, d := range r.Drift {
		st.DriftRepaired += int64(len(d.Foreign) + len(d.Changed) + len(d.Missing))
		if d.File {
			st.DriftRepaired++
		}
	}
	for i := range st.Environments {
		st.Environments[i].pass(r, s.target, now)
	}
	s.mu.Unlock()
	s.changed()
}

// pass takes over what a pass has reached in one environment. A removal is enforced when no older worker can still hold
// the row: its lease, frozen with its maps at the reload, has run out, or it was stopped.
func (e *EnvironmentStatus) pass(r Result, t Target, now time.Time) {
	_, e.Open = r.Leases[e.Name]
	e.retract(now.Add(-r.Worker.Uptime - uptimeStep))
	bound := e.Lease + t.ClockBound // a lease ends by the node's clock
	if given := r.Read.Add(e.Lease); !e.Open || e.Lease == 0 || e.LeaseUntil.After(given) {
		// An older worker may hold a longer lease, of other settings, or judge it by a clock that is behind: it ends with the
		// worker only.
		bound = t.HardStopAfter
	}
	if left := bound + margin - r.Worker.Uptime; left > 0 {
		e.OldWorkersUntil = now.Add(left)
		return
	}
	e.OldWorkersUntil = time.Time{}
	if e.Lease > 0 && e.Open {
		e.LeaseUntil = desired.LeaseTime(r.Leases[e.Name]) // nobody holds an older one any more
	}
	if r.Revision > e.Enforced {
		e.Enforced = r.Revision
		e.marks = append(e.marks, mark{r.Revision, now})
		if len(e.marks) > marksKept {
			e.marks = e.marks[len(e.marks)-marksKept:]
		}
	}
}

// uptimeStep is the resolution of a worker's uptime.
const uptimeStep = time.Second

// retract takes back what was said to be enforced after the worker that answers now began: it may have read the files
// before the removals were written, and taken over after they were verified on the worker before it.
func (e *EnvironmentStatus) retract(began time.Time) {
	for n := len(e.marks); n > 0 && e.marks[n-1].at.After(began); n = len(e.marks) {
		e.marks = e.marks[:n-1]
		e.Enforced = 0
		if n > 1 {
			e.Enforced = e.marks[n-2].revision
		}
	}
}

// snapshot copies the status.
func (s *state) snapshot() (status Status, started, settled int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status = s.status
	status.Environments = append([]EnvironmentStatus(nil), s.status.Environments...)
	return status, s.started, s.settled
}
