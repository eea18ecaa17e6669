package policy

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Request is what a decision is made on: facts that were verified before, not what somebody claims; Reason and Inputs
// alone are the requester's words.
type Request struct {
	Subject grant.Subject
	Groups  []string // of the subject
	// Owner is the person that an agent works for; empty for everybody else. OwnerGroups are theirs, nil if not known.
	Owner       grant.Subject
	OwnerGroups []string
	Pool        grant.Pool
	Tags        []string // of the pool
	// Duration is how long it is asked for, from its beginning on; zero asks for the rule's default.
	Duration time.Duration
	// Total is how long the grant would be open in all, with its extensions; zero: as long as Duration.
	Total time.Duration
	// Extension says that a grant is to be made longer; Duration is then counted from now, and Left is how long it will be
	// open without it, which is for the explanation alone. Zero: not known.
	Extension bool
	Left      time.Duration
	StartsAt  time.Time // when it is to begin; zero: now
	At        time.Time // now
	Reason    string
	Inputs    map[string]string
	// BreakGlass asks for access in an emergency, past the approvals.
	BreakGlass bool
	// Open are the pools of the subject's other grants that are approved or active, one entry for each.
	Open []grant.Pool
	// crowded is Judge's second question: of the rules that limit concurrent grants, that named roomIn alone has room. It is
	// set here and nowhere else: nothing is opened by it.
	crowded bool
	roomIn  string
}

// Decision is policy's answer. Its zero value is a refusal.
type Decision struct {
	Allowed bool
	// Explanation is for the requester: why, why not, and what would be needed. Never empty.
	Explanation string
	// Rule is the name of the rule that decided, or that came nearest; empty if none did. Policy and Hash are the name and
	// the hash of the whole that it stands in.
	Rule   string
	Policy string
	Hash   string
	// Duration is the granted length: what was asked for, or the default.
	Duration        time.Duration
	DefaultDuration time.Duration
	MaxDuration     time.Duration
	// Steps are the approvals that are needed; none: access is given at once.
	Steps   []grant.Step
	Ordered bool
	// PendingFor is how long a request may wait for them.
	PendingFor time.Duration
	// Inputs is the form of what the deciding rule, or the nearest, asks the requester.
	Inputs []Input
	// BreakGlass: it is given in an emergency. Notify is who is to be told, ReviewGroups who looks at it afterwards, within
	// ReviewWithin.
	BreakGlass   bool
	Notify       []string
	ReviewGroups []string
	ReviewWithin time.Duration
	// MayBreakGlass says that the requester could ask for this pool in an emergency.
	MayBreakGlass bool
	// TimedOut: it is refused because it could not be decided: there was no time, no policy is in force, or what was asked
	// is beyond all bounds. It says nothing about grants that are open.
	TimedOut bool
}

// Input is a question that policy asks the requester.
type Input struct {
	Name        string
	Title       string
	Description string
	Choices     []string // one of these, if there are any
	Optional    bool
	Message     string // what is said where the answer is missing or does not fit
}

// Finding is what one rule says of a request.
type Finding struct {
	Rule string
	File string // with line
	// Deny: it is a rule that denies.
	Deny    bool
	Outcome Outcome
	Reasons []string // sentences: what did not match, what it lacks, what failed
}

// Outcome is the kind of a finding.
type Outcome string

// The outcomes.
const (
	NoMatch Outcome = "no match" // it is not about this pool or this subject, or a deny rule's conditions are not met
	Refuses Outcome = "refuses"  // an allow rule that matches, and lacks something
	Denies  Outcome = "denies"   // a deny rule that matches
	Allows  Outcome = "allows"   // the rule that decides, if nothing denies
	Unasked Outcome = "unasked"  // an allow rule after the one that decides, which would match
)

// Engine decides. It never fails: an error inside is a Decision that refuses and says so (I12).
type Engine interface {
	Evaluate(ctx context.Context, r Request) Decision
	// Explain decides likewise, and says what each rule found, in order.
	Explain(ctx context.Context, r Request) (Decision, []Finding)
	// Approvers are the groups whose members approve requests for a pool with these tags, whoever asks; those that only
	// review an emergency afterwards are none of them. Sorted, without doubles.
	Approvers(p grant.Pool, tags []string) []string
	// Version is the name and the hash of what is in force.
	Version() (name, hash string)
}

// Facts are what is known of a grant now, beside the grant.
type Facts struct {
	Groups      []string // of its subject
	OwnerGroups []string // of its owner, nil if not known
	Tags        []string // of its pool
	At          time.Time
}

// Verdict says whether a grant still stands.
type Verdict struct {
	Stands bool
	// Undecided: policy could not say in time. The grant then stands until it can.
	Undecided bool
	// Cause is why it does not: grant.CauseGroupLost or grant.CausePolicyChanged.
	Cause       grant.Cause
	Explanation string
	Decision    Decision
}
