package grant

import (
	"math/bits"
	"slices"
)

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

// elects reports whether all the quorums are met at the same time. One of nobody never is: what policy would have to be
// broken to ask for is no open door.
func elects(quorums []Quorum, approvals []Approval) bool {
	people := 0
	for _, q := range quorums {
		if q.Count < 1 {
			return false
		}
		people += q.Count
	}
	return people <= len(approvals) && seated(quorums, approvals) == people
}

// reached is how many of the quorums are met at the same time, at most.
func reached(quorums []Quorum, approvals []Approval) int {
	quorums = slices.DeleteFunc(slices.Clone(quorums), func(q Quorum) bool { return !q.met(approvals) })
	if elects(quorums, approvals) {
		return len(quorums)
	}
	most := 0
	for set := range 1 << len(quorums) {
		n := bits.OnesCount(uint(set))
		if n <= most {
			continue
		}
		var some []Quorum
		for i, q := range quorums {
			if set>>i&1 == 1 {
				some = append(some, q)
			}
		}
		if elects(some, approvals) {
			most = n
		}
	}
	return most
}

// seated is how many of the approvals can count at the same time, one person for one place in a quorum: a largest matching,
// found by augmenting paths.
func seated(quorums []Quorum, approvals []Approval) int {
	held := make([][]int, len(quorums)) // the approvals, by index, that stand for each quorum
	n := 0
	for i := range approvals {
		if seat(i, approvals, quorums, held, make([]bool, len(quorums))) {
			n++
		}
	}
	return n
}

// seat finds a place for approval i, moving others where they have another choice. A quorum is tried once for each newcomer:
// what could not be freed for one could not be for the next.
func seat(i int, approvals []Approval, quorums []Quorum, held [][]int, tried []bool) bool {
	for q, quorum := range quorums {
		if tried[q] || !quorum.names(approvals[i].Groups) {
			continue
		}
		tried[q] = true
		if len(held[q]) < quorum.Count {
			held[q] = append(held[q], i)
			return true
		}
		for place, other := range held[q] {
			if seat(other, approvals, quorums, held, tried) {
				held[q][place] = i
				return true
			}
		}
	}
	return false
}
