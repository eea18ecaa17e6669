package store

import (
	"slices"

	"github.com/haproxy-access/clutch-haproxy-access/backend/grant"
)

// The first version wrote a step as one quorum, an approval with the number of its step and a time as text, and the name
// of a rule where that of the whole policy stands now. What it wrote is hashed and stays as it is; it is read as what it
// means today.

// legacyStep is never written.
type legacyStep struct {
	Groups []string `json:"groups,omitempty"`
	Count  int      `json:"count,omitempty"`
}

// legacyApproval is never written.
type legacyApproval struct {
	Step *int `json:"step,omitempty"`
}

func (d stepDocument) quorums() []quorumDocument {
	if d.AnyOf == nil && (d.Groups != nil || d.Count != 0) {
		return []quorumDocument{{Groups: d.Groups, Count: d.Count}}
	}
	return d.AnyOf
}

// groups are what the approval counts for: in the first version the groups of its step, all of them, since which of them
// the approver was in was not kept.
func (d approvalDocument) groups(steps []grant.Step) []string {
	if d.Groups != nil || d.Step == nil || *d.Step < 0 || *d.Step >= len(steps) || len(steps[*d.Step].AnyOf) == 0 {
		return d.Groups
	}
	return slices.Clone(steps[*d.Step].AnyOf[0].Groups)
}

// upgrade fills what the first version did not have. Its documents are told by a policy without a rule, and all have one.
func (d document) upgrade(g grant.Grant) grant.Grant {
	if d.Policy == "" || d.Rule != nil {
		return g
	}
	g.Rule, g.Policy, g.GivenAt = d.Policy, "", g.ActivatedAt
	return g
}
