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

// Final reports whether a grant in this state stays in it for good.
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
	CauseGivenUp       Cause = "given_up"       // by its own subject
	CauseApprover      Cause = "approver"       // by somebody who may approve for its pool
	CauseReviewer      Cause = "reviewer"       // access in an emergency, by somebody who reviews it and approves nothing
	CauseOperator      Cause = "operator"       // by an operator
	CauseGroupLost     Cause = "group_lost"     // its ground, a group of its subject or of an agent's owner, is gone
	CausePolicyChanged Cause = "policy_changed" // the policy in force does not allow it any more
	CauseLock          Cause = "lock"           // a lock covers it
)

// Causes are all of them.
func Causes() []Cause {
	return []Cause{CauseGivenUp, CauseApprover, CauseReviewer, CauseOperator, CauseGroupLost, CausePolicyChanged, CauseLock}
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
	// GroupsSource and GroupsAt say where Groups come from, and of when they are.
	GroupsSource string
	GroupsAt     time.Time
	// Inputs are the requester's answers to what policy asks for, by name; nil for none.
	Inputs map[string]string
	// Steps are the approvals that policy asked for; none if it approved at once. Ordered: one after the other.
	Steps     []Step
	Ordered   bool
	Approvals []Approval
	// Rule is the name of the rule that allowed the request; Policy and PolicyHash are the name and the hash of the whole
	// policy that it stood in, and Explanation is policy's sentence for people. An extension brings its own.
	Rule        string
	Policy      string
	PolicyHash  string
	Explanation string
	// BreakGlass says that it was taken in an emergency, past the approvals; Notify are the groups and people to be told.
	BreakGlass bool
	Notify     []string
	Review     Review    // what is asked for afterwards; zero for nothing
	Extension  Extension // what is asked for and not decided yet; zero for nothing

	RequestedAt time.Time
	StartsAt    time.Time // when the window begins; zero: as soon as it is approved
	LapsesAt    time.Time // until when it may wait in Pending, or in Approved for its window
	ActivatedAt time.Time
	ExpiresAt   time.Time // the activation, or the beginning of its window, + Duration; set from Active on
	GivenAt     time.Time // when the decision took effect that it rests on: the activation, or the last extension
	EndedAt     time.Time
	Cause       Cause
	EndedBy     Subject // who ended, denied or cancelled it; empty for the clock
	Comment     string  // what they said

	// Version counts the grant's transitions, from 1.
	Version int64
}

// Live reports whether the grant admits at the time now, as HAProxy will judge it: active, and not yet expired.
func (g Grant) Live(now time.Time) bool { return g.State == Active && now.Before(g.ExpiresAt) }

// Waits reports whether somebody's approval is waited for: of the request, or of an extension.
func (g Grant) Waits() bool { return g.State == Pending || g.State == Active && g.Extension.Asked() }

// Ballot is the vote that is on: that of the request while it is pending, afterwards that of the extension. It is empty if
// nobody is asked.
func (g Grant) Ballot() Ballot {
	if g.State == Pending {
		return Ballot{Steps: g.Steps, Ordered: g.Ordered, Approvals: g.Approvals}
	}
	if g.Waits() {
		return Ballot{Steps: g.Extension.Steps, Ordered: g.Extension.Ordered, Approvals: g.Extension.Approvals}
	}
	return Ballot{}
}

// Deciders are the groups that the vote names, sorted, without doubles.
func (g Grant) Deciders() []string { return g.Ballot().Groups() }

// ApprovedBy reports whether s has approved the request, or the extension that is waiting.
func (g Grant) ApprovedBy(s Subject) bool {
	by := func(a Approval) bool { return a.By == s }
	return slices.ContainsFunc(g.Approvals, by) || slices.ContainsFunc(g.Extension.Approvals, by)
}

// Review is what is asked for after access in an emergency: that one of Groups looks at what was done.
type Review struct {
	Groups  []string
	DueAt   time.Time // until when it is to be done; never before the access has ended
	By      Subject   // who did it; empty until then
	At      time.Time
	Comment string
	// OverdueAt is when it was recorded that nobody had done it by DueAt; zero until then.
	OverdueAt time.Time
}

// Asked reports whether there is a review to do, or done.
func (r Review) Asked() bool { return len(r.Groups) > 0 }

// Done reports whether it was done.
func (r Review) Done() bool { return r.By != "" }

// Extension is what a subject asks for who needs an active grant for longer, while people decide on it.
type Extension struct {
	By        time.Duration // how much longer, whole seconds
	Reason    string
	Inputs    map[string]string
	Steps     []Step
	Ordered   bool
	Approvals []Approval
	// Of the decision by which it is asked for, as in Grant.
	Rule        string
	Policy      string
	PolicyHash  string
	Explanation string
	RequestedAt time.Time
	LapsesAt    time.Time // until when it waits; never after the grant's end
}

// Asked reports whether there is one.
func (e Extension) Asked() bool { return e.By != 0 }
