package grant

import "slices"

// Verb is what happens to a grant.
type Verb string

// The verbs. Request makes a grant; the others change one.
const (
	Request  Verb = "request"
	Approve  Verb = "approve"  // one approval; more are needed
	Complete Verb = "complete" // the last approval, or policy's own
	Withdraw Verb = "withdraw" // an approval taken back
	Activate Verb = "activate"
	Deny     Verb = "deny"
	Cancel   Verb = "cancel"
	Lapse    Verb = "lapse"
	Expire   Verb = "expire"
	Revoke   Verb = "revoke"
	// An extension is asked for, approved by Approve and at last by Extend, which policy may do at once; or it comes to
	// nothing, and the grant ends as it would have.
	AskExtension    Verb = "ask_extension"
	Extend          Verb = "extend"
	DenyExtension   Verb = "deny_extension"
	CancelExtension Verb = "cancel_extension"
	LapseExtension  Verb = "lapse_extension"
	// DoReview is the look afterwards at access that was taken in an emergency.
	DoReview Verb = "review"
	// ReviewOverdue: nobody has looked by the time that policy set. It changes nothing but that it is said, once, aloud.
	ReviewOverdue Verb = "review_overdue"
)

// The verbs of events without a grant. They are in no transition.
const (
	// Refuse: policy said no to a request.
	Refuse Verb = "refuse"
	// PutLock and LiftLock: see Lock.
	PutLock  Verb = "lock"
	LiftLock Verb = "unlock"
	// LoadPolicy: another policy is in force.
	LoadPolicy Verb = "policy"
	// RefusePolicy: the policy's files have changed and are no policy; the one before stays in force.
	RefusePolicy Verb = "policy_refused"
	// FindDrift: a node's maps were changed by somebody else; see Drift.
	FindDrift Verb = "drift"
)

// withoutGrant are the verbs of events without a grant.
var withoutGrant = []Verb{Refuse, PutLock, LiftLock, LoadPolicy, RefusePolicy, FindDrift}

// WithoutGrant is a copy of the list of verbs whose events change no grant. The store's schema holds the same.
func WithoutGrant() []Verb { return slices.Clone(withoutGrant) }

// OfGrant reports whether events of this verb change a grant.
func (v Verb) OfGrant() bool { return !slices.Contains(withoutGrant, v) }

// Opens reports whether the verb makes access, or leads to it: what a lock stops.
func (v Verb) Opens() bool {
	switch v {
	case Request, Approve, Complete, Activate, AskExtension, Extend:
		return true
	default:
		return false
	}
}

// Transition is one allowed change: in state From, Verb leads to To. From is empty where the grant does not exist yet.
type Transition struct {
	From State
	Verb Verb
	To   State
}

// transitions is the whole life of a grant: what is absent cannot happen (I6). docs/state-machine.md draws it, and the
// store's schema holds the same pairs of states.
var transitions = []Transition{
	{"", Request, Pending},
	{Pending, Approve, Pending},
	{Pending, Withdraw, Pending},
	{Pending, Complete, Approved},
	{Pending, Deny, Denied},
	{Pending, Cancel, Cancelled},
	{Pending, Lapse, Lapsed},
	{Pending, Revoke, Revoked},
	{Approved, Activate, Active},
	{Approved, Cancel, Cancelled},
	{Approved, Revoke, Revoked},
	{Approved, Lapse, Lapsed},
	{Active, AskExtension, Active},
	{Active, Approve, Active},
	{Active, Withdraw, Active},
	{Active, Extend, Active},
	{Active, DenyExtension, Active},
	{Active, CancelExtension, Active},
	{Active, LapseExtension, Active},
	{Active, Expire, Expired},
	{Active, Revoke, Revoked},
	{Active, DoReview, Active},
	{Expired, DoReview, Expired},
	{Revoked, DoReview, Revoked},
	{Active, ReviewOverdue, Active},
	{Expired, ReviewOverdue, Expired},
	{Revoked, ReviewOverdue, Revoked},
}

// Transitions is a copy of the table, for the store's schema, the documentation and the tests.
func Transitions() []Transition { return slices.Clone(transitions) }

// next is the state that verb leads to, and whether it may happen at all.
func next(from State, verb Verb) (State, bool) {
	for _, t := range transitions {
		if t.From == from && t.Verb == verb {
			return t.To, true
		}
	}
	return "", false
}
