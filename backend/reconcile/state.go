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
	// LeaseUntil is the latest time until which any worker of the node may trust its rows, as far as we know.
	LeaseUntil time.Time
	// Enforced is the newest revision of which every removal is in force, older workers included.
	Enforced int64
	// OldWorkersUntil is until when an older worker may still hold removed rows; zero: none does.
	OldWorkersUntil time.Time
}

// state is a loop's status, for others to read.
type state struct {
	mu      sync.Mutex
	status  Status
	target  Target
	started int64 // passes begun
	settled int64 // number of the newest pass that has ended
	changed func()
}

func newState(t Target, now time.Time, changed func()) *state {
	s := &state{target: t, changed: changed, status: Status{Name: t.Name, Dialect: t.Dialect}}
	for _, e := range t.Environments {
		es := EnvironmentStatus{Environment: e}
		if e.Lease > 0 {
			// A process before this one may have given a lease just now.
			es.LeaseUntil = now.Add(e.Lease)
		}
		s.status.Environments = append(s.status.Environments, es)
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

// leasing notes leases that are about to be written: a write that fails, or has not answered yet, may have been done.
// A lease never goes back: an older worker may hold the longer one.
func (s *state) leasing(leases desired.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.status.Environments {
		e := &s.status.Environments[i]
		if until := desired.LeaseTime(leases[e.Name]); e.Lease > 0 && until.After(e.LeaseUntil) {
			e.LeaseUntil = until
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
	bound := e.Lease + t.ClockBound // a lease ends by the node's clock
	if e.Lease == 0 {
		bound = t.HardStopAfter
	}
	if left := bound + margin - r.Worker.Uptime; left > 0 {
		e.OldWorkersUntil = now.Add(left)
	} else {
		e.OldWorkersUntil = time.Time{}
		e.Enforced = max(e.Enforced, r.Revision)
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
