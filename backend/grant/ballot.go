package grant

import (
	"fmt"
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
	MaxApproval = 64 // approvals, and people in all quorums together
)

// CheckSteps holds the bounds of a vote, and that there is no step which nobody would have to approve. An approval is only
// taken if it can count, so that a vote has no more of them than its quorums have people: none comes to MaxApproval and
// stays short of its end. Errors wrap ErrAction.
func CheckSteps(steps []Step) error {
	if len(steps) > MaxSteps {
		return fmt.Errorf("%w: a vote has at most %d steps", ErrAction, MaxSteps)
	}
	ways, people := 1, 0
	for _, step := range steps {
		if len(step.AnyOf) == 0 {
			return fmt.Errorf("%w: a step has a quorum", ErrAction)
		}
		if ways *= len(step.AnyOf); ways > MaxChoices {
			return fmt.Errorf("%w: a vote has at most %d ways to come out", ErrAction, MaxChoices)
		}
		for _, q := range step.AnyOf {
			if q.Count < 1 || q.Count > MaxQuorum || len(q.Groups) == 0 || slices.Contains(q.Groups, "") {
				return fmt.Errorf("%w: a quorum is 1 to %d people out of named groups", ErrAction, MaxQuorum)
			}
			if people += q.Count; people > MaxApproval {
				return fmt.Errorf("%w: the quorums of a vote are at most %d people", ErrAction, MaxApproval)
			}
		}
	}
	return nil
}

// Ballot is a vote: what is asked for, and who has said yes. All steps must be met, and nobody counts twice: a person who
// is in the groups of two steps stands for one of them, whichever makes the vote come out. If it is Ordered, a step takes
// approvals only once those before it are met, and a person stands for the step that was on when they approved.
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
	return slices.ContainsFunc(choices(b.Steps), func(c []Quorum) bool { return elects(c, b.Approvals) })
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
	return slices.ContainsFunc(b.promising(), func(c []Quorum) bool { return seated(c, more) > seated(c, b.Approvals) })
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
	promising := b.promising()
	for i := range b.Steps {
		wanted[i] = slices.ContainsFunc(promising, func(c []Quorum) bool { return b.open(c, i) })
	}
	return wanted
}

// promising are the choices of quorums by which as many steps are met already as by any: a step that is met by one quorum
// asks for nobody out of another.
func (b Ballot) promising() (best [][]Quorum) {
	most := 0
	for _, c := range choices(b.Steps) {
		n := reached(c, b.Approvals)
		if n > most {
			most, best = n, nil
		}
		if n == most {
			best = append(best, c)
		}
	}
	return best
}

// open reports whether there is a seat in step i, if the vote is to come out by choice c, for somebody who can have none
// elsewhere: in a group of its own, by the name that no group has.
func (b Ballot) open(c []Quorum, i int) bool {
	const nobodys = ""
	c = slices.Clone(c)
	c[i].Groups = append(slices.Clone(c[i].Groups), nobodys)
	more := append(slices.Clone(b.Approvals), Approval{Groups: []string{nobodys}})
	return seated(c, more) > seated(c, b.Approvals)
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
		if n == 0 {
			return i
		}
		rest = rest[n:]
	}
	return len(b.Steps)
}

// fills is how many of the approvals, in order, a step takes until one of its quorums is met; 0 if none is, since a quorum
// of nobody never is.
func fills(step Step, approvals []Approval) int {
	for n := range approvals {
		if slices.ContainsFunc(step.AnyOf, func(q Quorum) bool { return q.met(approvals[:n+1]) }) {
			return n + 1
		}
	}
	return 0
}

func meets(step Step, groups []string) bool {
	return slices.ContainsFunc(step.AnyOf, func(q Quorum) bool { return q.names(groups) })
}

// met: a quorum of nobody never is.
func (q Quorum) met(approvals []Approval) bool {
	n := 0
	for _, a := range approvals {
		if q.names(a.Groups) {
			n++
		}
	}
	return q.Count > 0 && n >= q.Count
}

func (q Quorum) names(groups []string) bool {
	return slices.ContainsFunc(q.Groups, func(g string) bool { return slices.Contains(groups, g) })
}
