package grant

import "slices"

// Verb is what happens to a grant.
type Verb string

// The verbs. Request makes a grant; the others change one.
const (
	Request  Verb = "request"
	Approve  Verb = "approve"  // one approval; more are needed
	Complete Verb = "complete" // the last approval, or policy's own
	Activate Verb = "activate"
	Deny     Verb = "deny"
	Cancel   Verb = "cancel"
	Lapse    Verb = "lapse"
	Extend   Verb = "extend"
	Expire   Verb = "expire"
	Revoke   Verb = "revoke"
	// Refuse is the verb of an event without a grant: policy said no to a request. It is in no transition.
	Refuse Verb = "refuse"
)

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
	{Pending, Complete, Approved},
	{Pending, Deny, Denied},
	{Pending, Cancel, Cancelled},
	{Pending, Lapse, Lapsed},
	{Pending, Revoke, Revoked},
	{Approved, Activate, Active},
	{Approved, Cancel, Cancelled},
	{Approved, Revoke, Revoked},
	{Approved, Lapse, Lapsed},
	{Active, Extend, Active},
	{Active, Expire, Expired},
	{Active, Revoke, Revoked},
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
