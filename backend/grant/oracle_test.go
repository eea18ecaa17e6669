package grant

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// vote is a vote written a second time, by brute force: it tries every way to put people on steps. People are their groups.
type vote struct {
	steps   [][]Quorum
	ordered bool
}

func voteOf(steps []Step, ordered bool) vote {
	v := vote{ordered: ordered}
	for _, s := range steps {
		v.steps = append(v.steps, s.AnyOf)
	}
	return v
}

func shares(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// enough reports whether the people meet one of the quorums.
func enough(quorums []Quorum, people [][]string) bool {
	for _, q := range quorums {
		n := 0
		for _, p := range people {
			if shares(p, q.Groups) {
				n++
			}
		}
		if n >= q.Count {
			return true
		}
	}
	return false
}

// everyWay calls f with every way to put each of n people on one of the steps, or on none (-1), until f says stop.
func everyWay(n, steps int, f func(on []int) (stop bool)) bool {
	on := make([]int, n)
	var try func(i int) bool
	try = func(i int) bool {
		if i == n {
			return f(on)
		}
		for on[i] = -1; on[i] < steps; on[i]++ {
			if try(i + 1) {
				return true
			}
		}
		return false
	}
	return try(0)
}

func (v vote) complete(people [][]string) bool {
	if v.ordered {
		return inOrder(v.steps, people)
	}
	return everyWay(len(people), len(v.steps), func(on []int) bool {
		for s, quorums := range v.steps {
			var there [][]string
			for p := range people {
				if on[p] == s {
					there = append(there, people[p])
				}
			}
			if !enough(quorums, there) {
				return false
			}
		}
		return true
	})
}

// inOrder tries every place at which the first step may have ended.
func inOrder(steps [][]Quorum, people [][]string) bool {
	if len(steps) == 0 {
		return true
	}
	for end := range len(people) + 1 {
		if enough(steps[0], people[:end]) && inOrder(steps[1:], people[end:]) {
			return true
		}
	}
	return false
}

// at is the step that an ordered vote is at.
func (v vote) at(people [][]string) int {
	n := 0
	for n < len(v.steps) && inOrder(v.steps[:n+1], people) {
		n++
	}
	return n
}

// most is how many of the people count at most for one choice of quorums, of which step s has room for less.
func most(chosen []Quorum, people [][]string, s, less int) int {
	best := 0
	everyWay(len(people), len(chosen), func(on []int) bool {
		room := make([]int, len(chosen))
		for i, q := range chosen {
			room[i] = q.Count
		}
		if s >= 0 {
			room[s] -= less
		}
		n := 0
		for p, at := range on {
			if at < 0 {
				continue
			}
			if room[at]--; room[at] < 0 || !shares(people[p], chosen[at].Groups) {
				return false
			}
			n++
		}
		best = max(best, n)
		return false
	})
	return best
}

// byChoice reports whether f is true of a choice of one quorum for each step.
func (v vote) byChoice(f func(chosen []Quorum) bool) bool {
	chosen := make([]Quorum, len(v.steps))
	var try func(i int) bool
	try = func(i int) bool {
		if i == len(v.steps) {
			return f(chosen)
		}
		for _, q := range v.steps[i] {
			if chosen[i] = q; try(i + 1) {
				return true
			}
		}
		return false
	}
	return try(0)
}

// done is how many steps of one choice of quorums the people finish at most.
func done(chosen []Quorum, people [][]string) int {
	best := 0
	everyWay(len(people), len(chosen), func(on []int) bool {
		n := 0
		for s, q := range chosen {
			here := 0
			for p := range people {
				if on[p] == s && shares(people[p], q.Groups) {
					here++
				}
			}
			if here >= q.Count {
				n++
			}
		}
		best = max(best, n)
		return false
	})
	return best
}

// keeps reports whether no other choice finishes more steps than this one.
func (v vote) keeps(c []Quorum, people [][]string) bool {
	n := done(c, people)
	return !v.byChoice(func(other []Quorum) bool { return done(other, people) > n })
}

// takes reports whether a newcomer counts beside the people.
func (v vote) takes(people [][]string, newcomer []string) bool {
	if v.ordered {
		at := v.at(people)
		return at < len(v.steps) && slices.ContainsFunc(v.steps[at], func(q Quorum) bool { return shares(newcomer, q.Groups) })
	}
	if v.complete(people) {
		return false
	}
	more := append(slices.Clone(people), newcomer)
	return v.byChoice(func(c []Quorum) bool {
		return most(c, more, -1, 0) > most(c, people, -1, 0) && v.keeps(slices.Clone(c), people)
	})
}

// wants reports whether step s has a seat that can be left free without anybody losing theirs.
func (v vote) wants(people [][]string, s int) bool {
	if v.ordered {
		return v.at(people) == s
	}
	return !v.complete(people) && v.byChoice(func(c []Quorum) bool {
		return most(c, people, s, 1) == most(c, people, -1, 0) && v.keeps(slices.Clone(c), people)
	})
}

var (
	someGroups = rapid.SampledFrom([][]string{{"a"}, {"b"}, {"c"}, {"a", "b"}, {"b", "c"}, {"a", "c"}, {"a", "b", "c"}})
	someQuorum = rapid.Custom(func(t *rapid.T) Quorum {
		return of(rapid.SampledFrom([]int{1, 1, 1, 2, 2, 3}).Draw(t, "count"), someGroups.Draw(t, "groups")...)
	})
	someStep = rapid.Custom(func(t *rapid.T) Step {
		return Step{AnyOf: rapid.SliceOfN(someQuorum, 1, 2).Draw(t, "any of")}
	})
	someSteps = rapid.SliceOfN(someStep, 0, 3)
)

func groupsOf(approvals []Approval) [][]string {
	var people [][]string
	for _, a := range approvals {
		people = append(people, a.Groups)
	}
	return people
}

// Any people at all, also such that no vote would have taken: what is stored must be read likewise.
func TestVotesAgreeWithBruteForce(t *testing.T) {
	saw := map[[2]bool]int{} // ordered, complete
	rapid.Check(t, func(rt *rapid.T) {
		b := Ballot{Steps: someSteps.Draw(rt, "steps"), Ordered: rapid.Bool().Draw(rt, "ordered")}
		b.Approvals = said(rapid.SliceOfN(someGroups, 0, 5).Draw(rt, "people")...)
		v, people := voteOf(b.Steps, b.Ordered), groupsOf(b.Approvals)

		complete := v.complete(people)
		saw[[2]bool{b.Ordered, complete}]++
		if b.Complete() != complete {
			rt.Fatalf("complete %v, by brute force %v: %+v", b.Complete(), complete, b)
		}
		newcomer := someGroups.Draw(rt, "newcomer")
		if want := v.takes(people, newcomer); b.Takes(newcomer) != want {
			rt.Fatalf("takes %v: %v, by brute force %v: %+v", newcomer, b.Takes(newcomer), want, b)
		}
		for s, got := range b.Wanted() {
			if want := v.wants(people, s); got != want {
				rt.Fatalf("wants step %d: %v, by brute force %v: %+v", s, got, want, b)
			}
		}
	})
	for _, kind := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		if saw[kind] < 50 {
			t.Errorf("ordered %v, complete %v: %d votes", kind[0], kind[1], saw[kind])
		}
	}
}

// No vote is wedged: as long as it is not complete, it takes somebody of every group of one of the steps that it wants, and
// whoever brings it to its end was taken; whatever was withdrawn before.
func TestNoVoteIsWedged(t *testing.T) {
	fell := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := Grant{
			ID: "g1", Subject: alice, Pool: Pool{"prod", "web"}, Reason: "ticket 7", Duration: time.Second, LapsesAt: after(1000),
			Steps: rapid.SliceOfN(someStep, 2, 4).Draw(rt, "steps"), Ordered: rapid.IntRange(0, 2).Draw(rt, "ordered") > 0,
		}
		g, _, err := Ask(g, noon)
		if err != nil {
			rt.Fatal(err)
		}
		vote := func(groups []string) bool {
			who := said(make([][]string, g.Version+1)...)[g.Version].By // somebody new
			for _, verb := range []Verb{Approve, Complete} {
				if n, _, err := Advance(g, Action{Verb: verb, Actor: who, Groups: groups}, noon); err == nil {
					g = n
					return true
				}
			}
			return false
		}
		for range rapid.IntRange(6, 16).Draw(rt, "acts") {
			if len(g.Approvals) > 0 && g.State == Pending && rapid.IntRange(0, 3).Draw(rt, "withdraw") == 0 {
				who := rapid.SampledFrom(g.Approvals).Draw(rt, "who").By
				n, _, err := Advance(g, Action{Verb: Withdraw, Actor: who}, noon)
				if err != nil {
					rt.Fatalf("%s cannot withdraw: %v", who, err)
				}
				fallen := len(g.Approvals) - len(n.Approvals) - 1
				if fallen > 0 && !g.Ordered {
					rt.Fatalf("%d others fell without an order: %+v", fallen, g.Ballot())
				}
				fell += fallen
				g = n
			} else {
				vote(someGroups.Draw(rt, "groups"))
			}
		}
		left := 0
		for _, s := range g.Steps {
			for _, q := range s.AnyOf {
				left += q.Count
			}
		}
		for ; g.State == Pending; left-- {
			if left == 0 {
				rt.Fatalf("no end: %+v", g.Ballot())
			}
			moved := false
			for s, wanted := range g.Ballot().Wanted() {
				if wanted && !moved {
					moved = slices.ContainsFunc(g.Steps[s].AnyOf, func(q Quorum) bool { return vote(q.Groups) })
				}
			}
			if !moved {
				rt.Fatalf("wedged: %+v", g.Ballot())
			}
		}
	})
	if fell < 20 {
		t.Errorf("only %d approvals fell with others", fell)
	}
}
