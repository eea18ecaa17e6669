package grant

import (
	"maps"
	"slices"
)

// clone shares no memory with g: whatever is done to one, the other stays what was decided on.
func (g Grant) clone() Grant {
	g.Groups, g.Notify = slices.Clone(g.Groups), slices.Clone(g.Notify)
	g.Inputs = maps.Clone(g.Inputs)
	g.Steps, g.Approvals = cloneSteps(g.Steps), cloneApprovals(g.Approvals)
	g.Review.Groups = slices.Clone(g.Review.Groups)
	g.Extension = g.Extension.clone()
	return g
}

func (e Extension) clone() Extension {
	e.Inputs = maps.Clone(e.Inputs)
	e.Steps, e.Approvals = cloneSteps(e.Steps), cloneApprovals(e.Approvals)
	return e
}

func cloneSteps(steps []Step) []Step {
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].AnyOf = slices.Clone(steps[i].AnyOf)
		for j, q := range steps[i].AnyOf {
			steps[i].AnyOf[j].Groups = slices.Clone(q.Groups)
		}
	}
	return steps
}

func cloneApprovals(approvals []Approval) []Approval {
	approvals = slices.Clone(approvals)
	for i, a := range approvals {
		approvals[i].Groups = slices.Clone(a.Groups)
	}
	return approvals
}
