package grant

import (
	"slices"
	"time"
)

// Quorum is Count people out of Groups, each counted once.
type Quorum struct {
	Groups []string
	Count  int
}

// Step is one thing that policy asks for: that one of its quorums is met.
type Step struct{ AnyOf []Quorum }

// Approval is one person's yes.
type Approval struct {
	By      Subject
	At      time.Time
	Comment string
	// Groups are those of the approver's that a step names, as they were then: what the approval counts for.
	Groups []string
}

// Bounds of a vote. They keep the search for who counts for what small.
const (
	MaxSteps    = 8  // steps
	MaxChoices  = 64 // ways to choose one quorum for each step
	MaxQuorum   = 20 // people in one quorum
	MaxApproval = 64 // approvals
)

// Ballot is a vote: what is asked for, and who has said yes. All steps must be met, and nobody counts twice: a person who
// is in the groups of two steps stands for one of them, whichever makes the vote come out. If it is Ordered, a step takes
// approvals only once those before it are met.
type Ballot struct {
	Steps     []Step
	Ordered   bool
	Approvals []Approval
}

// Complete reports whether all steps are met. A vote without steps is.
func (b Ballot) Complete() bool {
	if b.Ordered {
		return b.current() == len(b.Steps)
	}
	return slices.ContainsFunc(choices(b.Steps), func(c []Quorum) bool { return seated(c, b.Approvals) == demand(c) })
}

// Takes reports whether an approval by somebody in groups would bring the vote on. It does not look at who it is.
func (b Ballot) Takes(groups []string) bool {
	if len(b.Approvals) >= MaxApproval {
		return false
	}
	if b.Ordered {
		at := b.current()
		return at < len(b.Steps) && meets(b.Steps[at], groups)
	}
	if b.Complete() {
		return false // by another choice of quorums there might still be a seat
	}
	more := append(slices.Clone(b.Approvals), Approval{Groups: groups})
	return slices.ContainsFunc(choices(b.Steps), func(c []Quorum) bool { return seated(c, more) > seated(c, b.Approvals) })
}

// Wanted says of each step whether an approval could count for it now.
func (b Ballot) Wanted() []bool {
	wanted := make([]bool, len(b.Steps))
	if b.Ordered {
		if at := b.current(); at < len(b.Steps) {
			wanted[at] = true
		}
		return wanted
	}
	if b.Complete() {
		return wanted
	}
	for i, step := range b.Steps {
		wanted[i] = slices.ContainsFunc(step.AnyOf, func(q Quorum) bool { return b.Takes(q.Groups) })
	}
	return wanted
}

// Groups are all groups that the steps name, sorted, without doubles.
func (b Ballot) Groups() []string {
	var all []string
	for _, step := range b.Steps {
		for _, q := range step.AnyOf {
			all = append(all, q.Groups...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Count is what an approver's groups say in this vote: those that a step names, sorted, without doubles.
func (b Ballot) Count(groups []string) []string {
	named := b.Groups()
	return slices.DeleteFunc(named, func(g string) bool { return !slices.Contains(groups, g) })
}

// current is the first step that is not met, of an ordered vote: approvals count in the order in which they were given.
func (b Ballot) current() int {
	rest := b.Approvals
	for i, step := range b.Steps {
		n := fills(step, rest)
		if n < 0 {
			return i
		}
		rest = rest[n:]
	}
	return len(b.Steps)
}

// fills is how many of the approvals, in order, a step takes until one of its quorums is met; -1 if none is.
func fills(step Step, approvals []Approval) int {
	for n := range len(approvals) + 1 {
		for _, q := range step.AnyOf {
			if seated([]Quorum{q}, approvals[:n]) == q.Count {
				return n
			}
		}
	}
	return -1
}

func meets(step Step, groups []string) bool {
	return slices.ContainsFunc(step.AnyOf, func(q Quorum) bool { return q.names(groups) })
}

// choices are the ways to choose one quorum for each step.
func choices(steps []Step) [][]Quorum {
	all := [][]Quorum{nil}
	for _, step := range steps {
		var next [][]Quorum
		for _, chosen := range all {
			for _, q := range step.AnyOf {
				next = append(next, append(slices.Clone(chosen), q))
			}
		}
		all = next
	}
	return all
}

func demand(quorums []Quorum) int {
	n := 0
	for _, q := range quorums {
		n += q.Count
	}
	return n
}

// seated is how many of the approvals can count at the same time, one person for one seat: a largest matching, found by
// augmenting paths.
func seated(quorums []Quorum, approvals []Approval) int {
	var seats []Quorum
	for _, q := range quorums {
		for range q.Count {
			seats = append(seats, q)
		}
	}
	holder := make([]int, len(seats)) // of each seat: an approval's index + 1
	n := 0
	for i := range approvals {
		if seat(i, approvals, seats, holder, make([]bool, len(seats))) {
			n++
		}
	}
	return n
}

// seat finds a seat for approval i, moving others where they have another choice.
func seat(i int, approvals []Approval, seats []Quorum, holder []int, tried []bool) bool {
	for s, q := range seats {
		if tried[s] || !q.names(approvals[i].Groups) {
			continue
		}
		tried[s] = true
		if holder[s] == 0 || seat(holder[s]-1, approvals, seats, holder, tried) {
			holder[s] = i + 1
			return true
		}
	}
	return false
}

func (q Quorum) names(groups []string) bool {
	return slices.ContainsFunc(q.Groups, func(g string) bool { return slices.Contains(groups, g) })
}
