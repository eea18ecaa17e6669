package policy

import (
	"context"
	"time"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Request is what a decision is made on: facts that were verified before, not what somebody claims.
type Request struct {
	Subject grant.Subject
	// Owner is the person that an agent works for; empty for everybody else.
	Owner  grant.Subject
	Groups []string // of the subject
	Pool   grant.Pool
	// Duration is how long it is asked for; zero asks for the rule's default.
	Duration time.Duration
	At       time.Time
}

// Decision is policy's answer. Its zero value is a refusal.
type Decision struct {
	Allowed bool
	// Explanation is a sentence for the requester: why, why not, and what would be needed. Never empty.
	Explanation string
	// Rule is the name of the rule that decided; empty if none did. Hash identifies the whole policy that it stands in.
	Rule string
	Hash string
	// Duration is the granted length: what was asked for, or the default.
	Duration        time.Duration
	DefaultDuration time.Duration
	MaxDuration     time.Duration
	// Steps are the approvals that are needed; none: access is given at once.
	Steps []grant.Step
	// PendingFor is how long a request may wait for them.
	PendingFor time.Duration
}

// Engine decides. It never fails: an error inside is a Decision that refuses and says so.
type Engine interface {
	Evaluate(ctx context.Context, r Request) Decision
	// Approvers are the groups whose members approve requests for the pool, whoever asks. Sorted, without doubles.
	Approvers(p grant.Pool) []string
}
