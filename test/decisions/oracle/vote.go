package oracle

import (
	"slices"
	"time"
)

// Approval is a person's yes, with those of their groups that the vote names.
type Approval struct {
	By     string
	At     time.Time
	Groups []string
}

// Met reports whether a vote has come out: every step has one of its quorums, and nobody sits on two seats.
func Met(steps []Step, ordered bool, yes []Approval) bool {
	if ordered {
		return onStep(steps, yes) == len(steps)
	}
	for _, chosen := range ways(steps) {
		seats := 0
		for _, q := range chosen {
			seats += q.Count
		}
		if mostSeated(chosen, yes) == seats {
			return true
		}
	}
	return false
}

// Helps reports whether a yes of somebody in these groups would bring the vote on.
func Helps(steps []Step, ordered bool, yes []Approval, groups []string) bool {
	if Met(steps, ordered, yes) {
		return false
	}
	if ordered {
		return overlap(named(steps[onStep(steps, yes)]), groups)
	}
	more := append(slices.Clone(yes), Approval{Groups: groups})
	most := 0
	for _, chosen := range ways(steps) {
		most = max(most, mostMet(chosen, yes))
	}
	for _, chosen := range ways(steps) {
		if mostMet(chosen, yes) == most && mostSeated(chosen, more) > mostSeated(chosen, yes) {
			return true
		}
	}
	return false
}

// Named are the groups that the steps name.
func Named(steps []Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, named(s)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func named(s Step) []string {
	var all []string
	for _, q := range s.AnyOf {
		all = append(all, q.Groups...)
	}
	return all
}

// onStep lets the approvals come in one by one: the step that is on has all that came since it was.
func onStep(steps []Step, yes []Approval) int {
	on := 0
	var here []Approval
	for _, a := range yes {
		if on == len(steps) {
			return on
		}
		here = append(here, a)
		for _, q := range steps[on].AnyOf {
			n := 0
			for _, a := range here {
				if overlap(q.Groups, a.Groups) {
					n++
				}
			}
			if n >= q.Count {
				on, here = on+1, nil
				break
			}
		}
	}
	return on
}

// ways to take one quorum of each step.
func ways(steps []Step) [][]Quorum {
	if len(steps) == 0 {
		return [][]Quorum{{}}
	}
	var all [][]Quorum
	for _, rest := range ways(steps[1:]) {
		for _, q := range steps[0].AnyOf {
			all = append(all, append([]Quorum{q}, rest...))
		}
	}
	return all
}

// mostSeated tries every seat for every person, and none.
func mostSeated(quorums []Quorum, yes []Approval) int {
	if len(yes) == 0 {
		return 0
	}
	best := mostSeated(quorums, yes[1:])
	for i, q := range quorums {
		if q.Count > 0 && overlap(q.Groups, yes[0].Groups) {
			left := slices.Clone(quorums)
			left[i].Count--
			best = max(best, 1+mostSeated(left, yes[1:]))
		}
	}
	return best
}

// mostMet is how many of the quorums have all their people at the same time: every seat is tried for every person, and none.
func mostMet(quorums []Quorum, yes []Approval) int {
	best := 0
	for _, q := range quorums {
		if q.Count == 0 {
			best++
		}
	}
	if len(yes) == 0 {
		return best
	}
	best = mostMet(quorums, yes[1:])
	for i, q := range quorums {
		if q.Count > 0 && overlap(q.Groups, yes[0].Groups) {
			left := slices.Clone(quorums)
			left[i].Count--
			best = max(best, mostMet(left, yes[1:]))
		}
	}
	return best
}

// without takes a person's yes back. In an order, what came after may not count any more: all come in anew.
func without(steps []Step, ordered bool, yes []Approval, who string) []Approval {
	var left []Approval
	for _, a := range yes {
		if a.By != who && (!ordered || Helps(steps, true, left, a.Groups)) {
			left = append(left, a)
		}
	}
	return left
}
