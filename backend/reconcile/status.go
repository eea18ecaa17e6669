package reconcile

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Status is what is known of a node. As JSON it says the same, but for the error's identity.
type Status struct {
	Name         string
	Dialect      string
	Writer       string // the gateway that writes to it
	Environments []EnvironmentStatus
	// At is of when it is: now for a node that this gateway writes to, else of when its writer said so.
	At time.Time
	// Healthy says that the last pass succeeded; Err why it did not.
	Healthy     bool
	Err         error     `json:"-"`
	LastPass    time.Time // began; zero if there was none
	LastSuccess time.Time
	LastFull    time.Time // began
	// Revision is the newest that the node was right with.
	Revision int64
	// Seen is the newest that a pass of its writer has read, whatever became of the pass: none that is under way, or comes
	// later, goes by an older one.
	Seen   int64
	Worker Worker
	// Rows is how many rows of grants it holds.
	Rows int
	// DriftRepaired counts rows and files that somebody else had changed; LastDrift names at most 20 of the last.
	DriftRepaired int64
	LastDrift     []string
	LastDriftAt   time.Time
	// PendingRemovals counts ends of grants that are not in force yet, older workers included.
	PendingRemovals int
	// UnsettledUntil is until when a write that got no answer may still be carried out. Nothing is reported as enforced
	// before a full pass that began later.
	UnsettledUntil time.Time
	// ClockOff says that the node's clock is off by more than the bound, in whichever direction.
	ClockOff bool
	// CutsStreams and ReachesOldWorkers say what the node has; EldersErr and StreamsErr why that failed last.
	CutsStreams       bool
	ReachesOldWorkers bool
	EldersErr         string
	StreamsErr        string
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
	// OldLease is the latest that a worker of before the running one may hold.
	OldLease time.Time
	// Enforced is the newest revision of which every removal is in force, older workers included; Cut the newest of which no
	// stream runs for a row that is gone, CutRunning of which none does in the running worker.
	Enforced   int64
	Cut        int64
	CutRunning int64
	// OldWorkersUntil is until when an older worker may still hold removed rows; zero: none does.
	OldWorkersUntil time.Time
	// Marks are the newest raises of Enforced, oldest first.
	Marks []Mark
}

// Mark says when Enforced was raised to a revision.
type Mark struct {
	Revision int64
	At       time.Time
}

func (s Status) serves(environment string) bool { return s.in(environment) != nil }

func (s Status) in(environment string) *EnvironmentStatus {
	i := slices.IndexFunc(s.Environments, func(e EnvironmentStatus) bool { return e.Name == environment })
	if i < 0 {
		return nil
	}
	return &s.Environments[i]
}

// clone shares nothing with s that either changes.
func (s Status) clone() Status {
	s.Environments = slices.Clone(s.Environments)
	for i := range s.Environments {
		s.Environments[i].Marks = slices.Clone(s.Environments[i].Marks)
	}
	return s
}

// statusDoc is a status as JSON.
type statusDoc struct {
	plainStatus
	Error string `json:",omitempty"`
}

type plainStatus Status

// MarshalJSON implements json.Marshaler.
func (s Status) MarshalJSON() ([]byte, error) {
	doc := statusDoc{plainStatus: plainStatus(s)}
	if s.Err != nil {
		doc.Error = s.Err.Error()
	}
	return json.Marshal(doc)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Status) UnmarshalJSON(text []byte) error {
	var doc statusDoc
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	*s = Status(doc.plainStatus)
	if doc.Error != "" {
		s.Err = errors.New(doc.Error)
	}
	return nil
}
