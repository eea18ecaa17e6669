package policy

import (
	"context"
	"sync/atomic"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// Current is an Engine whose policy can be exchanged while it is used: each question is answered by one policy as a whole.
// The zero value refuses everything.
type Current struct{ policy atomic.Pointer[Policy] }

// Set puts a policy in force; nil puts none in force, and everything is refused.
func (c *Current) Set(p *Policy) { c.policy.Store(p) }

// Policy is what is in force, nil if nothing is.
func (c *Current) Policy() *Policy { return c.policy.Load() }

// nothing refuses like a policy that had no time: the same question may be answered when there is a policy, and grants
// that are open are not ended for want of one.
var nothing = Decision{Explanation: "No policy is in force.", TimedOut: true}

// Evaluate implements Engine.
func (c *Current) Evaluate(ctx context.Context, r Request) Decision {
	if p := c.policy.Load(); p != nil {
		return p.Evaluate(ctx, r)
	}
	return nothing
}

// Explain implements Engine.
func (c *Current) Explain(ctx context.Context, r Request) (Decision, []Finding) {
	if p := c.policy.Load(); p != nil {
		return p.Explain(ctx, r)
	}
	return nothing, nil
}

// Approvers implements Engine.
func (c *Current) Approvers(p grant.Pool, tags []string) []string {
	if policy := c.policy.Load(); policy != nil {
		return policy.Approvers(p, tags)
	}
	return nil
}

// Version implements Engine. Both are empty if no policy is in force.
func (c *Current) Version() (name, hash string) {
	if p := c.policy.Load(); p != nil {
		return p.Version()
	}
	return "", ""
}

var (
	_ Engine = (*Policy)(nil)
	_ Engine = (*Current)(nil)
)
