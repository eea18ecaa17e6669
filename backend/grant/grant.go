package grant

import (
	"slices"
	"time"
)

// State is where a grant is in its life.
type State string

// The states. Denied, Cancelled, Lapsed, Expired and Revoked are final.
const (
	Pending   State = "pending"   // waits for approval
	Approved  State = "approved"  // approved, its window has not begun
	Active    State = "active"    // opens the way
	Denied    State = "denied"    // a person said no
	Cancelled State = "cancelled" // withdrawn by its subject before it opened anything
	Lapsed    State = "lapsed"    // nobody decided, or its window passed, in time
	Expired   State = "expired"   // ended by its own clock
	Revoked   State = "revoked"   // ended early, by a person or because its ground was lost
)

// Final reports whether nothing can happen to a grant in this state any more.
func (s State) Final() bool {
	switch s {
	case Denied, Cancelled, Lapsed, Expired, Revoked:
		return true
	default:
		return false
	}
}

// Cause says why a grant ended early.
type Cause string

// The causes of Revoked, and of nothing else.
const (
	CauseGivenUp  Cause = "given_up" // by its own subject
	CauseApprover Cause = "approver" // by somebody who may approve for its pool
	CauseOperator Cause = "operator" // by an operator
)

// Step is one approval that policy asks for: Count people out of Groups, each counted once.
type Step struct {
	Groups []string `json:"groups"`
	Count  int      `json:"count"`
}

// Approval is one person's yes.
type Approval struct {
	By      Subject   `json:"by"`
	At      time.Time `json:"at"`
	Comment string    `json:"comment,omitempty"`
	// Step is the index in Grant.Steps that it counts for.
	Step int `json:"step"`
}

// Grant is one subject's access to one pool for one window of time. It is a value: Advance returns a new one.
// Times are UTC with a resolution of a millisecond; a zero time is not set.
type Grant struct {
	ID      string
	Subject Subject
	// Owner is the person that a requesting agent works for; empty for everybody else. Neither may approve.
	Owner    Subject
	Pool     Pool
	State    State
	Reason   string
	Duration time.Duration // how long it is to be open, whole seconds

	// Groups are the requester's groups as the request was decided on.
	Groups []string
	// Steps are the approvals that policy asked for; none if it approved at once.
	Steps     []Step
	Approvals []Approval
	// Policy is the name of the rule that allowed the request, PolicyHash the hash of the whole policy it stood in.
	Policy      string
	PolicyHash  string
	Explanation string // policy's sentence for people

	RequestedAt time.Time
	StartsAt    time.Time // when the window begins; zero: as soon as it is approved
	LapsesAt    time.Time // until when it may wait in Pending, or in Approved for its window
	ActivatedAt time.Time
	ExpiresAt   time.Time // ActivatedAt + Duration; set from Active on
	EndedAt     time.Time
	Cause       Cause
	EndedBy     Subject // who ended, denied or cancelled it; empty for the clock
	Comment     string  // what they said

	// Version counts the grant's transitions, from 1.
	Version int64
}

// Live reports whether the grant admits at the time now, as HAProxy will judge it: active, and not yet expired.
func (g Grant) Live(now time.Time) bool { return g.State == Active && now.Before(g.ExpiresAt) }

// MissingSteps are the indexes of the steps that lack approvals, in order.
func (g Grant) MissingSteps() []int {
	var missing []int
	for i, step := range g.Steps {
		given := 0
		for _, a := range g.Approvals {
			if a.Step == i {
				given++
			}
		}
		if given < step.Count {
			missing = append(missing, i)
		}
	}
	return missing
}

// ApprovedBy reports whether s has approved already.
func (g Grant) ApprovedBy(s Subject) bool {
	return slices.ContainsFunc(g.Approvals, func(a Approval) bool { return a.By == s })
}

// clone copies what Advance appends to.
func (g Grant) clone() Grant {
	g.Approvals = slices.Clone(g.Approvals)
	return g
}
