package grant

import (
	"fmt"
	"slices"
	"testing"
)

// said makes approvals out of groups, one person for each entry.
func said(groups ...[]string) []Approval {
	var all []Approval
	for i, g := range groups {
		all = append(all, yes(Subject(fmt.Sprintf("p%d@example.com", i)), g...))
	}
	return all
}

func in(groups ...string) []string { return groups }

// Votes by hand: whether they have come out, and which of the groups a, b, c they still take somebody of.
func TestVotes(t *testing.T) {
	tests := []struct {
		name     string
		ordered  bool
		steps    []Step
		given    []Approval
		complete bool
		takes    string
		wanted   []bool
	}{
		{"nobody is asked", false, nil, nil, true, "", []bool{}},
		{"nobody is asked, in order", true, nil, nil, true, "", []bool{}},
		{"one of a", false, each(of(1, "a")), nil, false, "a", []bool{true}},
		{"one of a, given", false, each(of(1, "a")), said(in("a")), true, "", []bool{false}},
		{"one of a, b said yes", false, each(of(1, "a")), said(in("b")), false, "a", []bool{true}},
		{"two of a, one given", false, each(of(2, "a")), said(in("a")), false, "a", []bool{true}},
		{"two of a, two given", false, each(of(2, "a")), said(in("a"), in("a")), true, "", []bool{false}},
		{"two of a, one and one of b", false, each(of(2, "a")), said(in("a"), in("b")), false, "a", []bool{true}},
		{"two of a or b", false, each(of(2, "a", "b")), said(in("a")), false, "ab", []bool{true}},
		{"two of a or b, one of each", false, each(of(2, "a", "b")), said(in("a"), in("b")), true, "", []bool{false}},
		{"two of a or b, one in both", false, each(of(2, "a", "b")), said(in("a", "b")), false, "ab", []bool{true}},

		{"a and b", false, each(of(1, "a"), of(1, "b")), nil, false, "ab", []bool{true, true}},
		{"a and b, a given", false, each(of(1, "a"), of(1, "b")), said(in("a")), false, "b", []bool{false, true}},
		{"a and b, b given", false, each(of(1, "a"), of(1, "b")), said(in("b")), false, "a", []bool{true, false}},
		{"a and b, both by one", false, each(of(1, "a"), of(1, "b")), said(in("a", "b")), false, "ab", []bool{true, true}},
		{"a and b, one moves to b", false, each(of(1, "a"), of(1, "b")), said(in("a", "b"), in("a")), true, "", []bool{false, false}},
		{"a and b, one moves to a", false, each(of(1, "a"), of(1, "b")), said(in("a", "b"), in("b")), true, "", []bool{false, false}},
		{"a and a", false, each(of(1, "a"), of(1, "a")), said(in("a")), false, "a", []bool{true, true}},
		{"a chain moves", false, each(of(1, "a"), of(1, "b"), of(1, "c")), said(in("a", "b"), in("b", "c"), in("a")), true, "", []bool{false, false, false}},
		{"a, and a or b: b's seat is taken", false, each(of(1, "a"), of(1, "a", "b")), said(in("b")), false, "a", []bool{true, false}},

		{"a or b", false, []Step{oneOf(of(1, "a"), of(1, "b"))}, nil, false, "ab", []bool{true}},
		{"a or b, a given", false, []Step{oneOf(of(1, "a"), of(1, "b"))}, said(in("a")), true, "", []bool{false}},
		{"a or b, b given", false, []Step{oneOf(of(1, "a"), of(1, "b"))}, said(in("b")), true, "", []bool{false}},
		{"two of a or two of b, one of each", false, []Step{oneOf(of(2, "a"), of(2, "b"))}, said(in("a"), in("b")), false, "ab", []bool{true}},
		{"two of a or two of b, the third", false, []Step{oneOf(of(2, "a"), of(2, "b"))}, said(in("a"), in("b"), in("b")), true, "", []bool{false}},
		{"two of a or one of b, and c", false, []Step{oneOf(of(2, "a"), of(1, "b")), oneOf(of(1, "c"))}, said(in("a"), in("b")), false, "c", []bool{false, true}},
		{"a or b, and c, a given", false, []Step{oneOf(of(1, "a"), of(1, "b")), oneOf(of(1, "c"))}, said(in("a")), false, "c", []bool{false, true}},
		{"a or b, and c, by one of a and c", false, []Step{oneOf(of(1, "a"), of(1, "b")), oneOf(of(1, "c"))}, said(in("a", "c")), false, "abc", []bool{true, true}},
		{"two of a or two of b, and c, one of a", false, []Step{oneOf(of(2, "a"), of(2, "b")), oneOf(of(1, "c"))}, said(in("a")), false, "abc", []bool{true, true}},
		{"two of a or two of b, and c, two of a", false, []Step{oneOf(of(2, "a"), of(2, "b")), oneOf(of(1, "c"))}, said(in("a"), in("b"), in("a")), false, "c", []bool{false, true}},
		{"either of two in two steps, one met", false, []Step{oneOf(of(1, "a"), of(1, "b")), oneOf(of(1, "c"), of(1, "d"))}, said(in("b")), false, "cd", []bool{false, true}},

		{"a, then b", true, each(of(1, "a"), of(1, "b")), nil, false, "a", []bool{true, false}},
		{"a, then b, a given", true, each(of(1, "a"), of(1, "b")), said(in("a")), false, "b", []bool{false, true}},
		{"a, then b, b given first", true, each(of(1, "a"), of(1, "b")), said(in("b"), in("a")), false, "b", []bool{false, true}},
		{"a, then b, both by one", true, each(of(1, "a"), of(1, "b")), said(in("a", "b")), false, "b", []bool{false, true}},
		{"a, then b, given in order", true, each(of(1, "a"), of(1, "b")), said(in("a"), in("b")), true, "", []bool{false, false}},
		{"a, then b, nobody moves", true, each(of(1, "a"), of(1, "b")), said(in("a", "b"), in("a")), false, "b", []bool{false, true}},
		{"two of a, then b", true, each(of(2, "a"), of(1, "b")), said(in("a")), false, "a", []bool{true, false}},
		{"two of a, then b, given", true, each(of(2, "a"), of(1, "b")), said(in("a"), in("a"), in("b")), true, "", []bool{false, false}},
		{"a or b, then c", true, []Step{oneOf(of(1, "a"), of(1, "b")), oneOf(of(1, "c"))}, said(in("b")), false, "c", []bool{false, true}},
		{"two of a or two of b, in order", true, []Step{oneOf(of(2, "a"), of(2, "b")), oneOf(of(1, "c"))}, said(in("a"), in("b"), in("b")), false, "c", []bool{false, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := Ballot{Steps: test.steps, Ordered: test.ordered, Approvals: test.given}
			takes := ""
			for _, group := range []string{"a", "b", "c", "d", ""} {
				if b.Takes([]string{group}) {
					takes += group
				}
			}
			if b.Complete() != test.complete || takes != test.takes || !slices.Equal(b.Wanted(), test.wanted) {
				t.Errorf("complete %v takes %q wanted %v, want %v %q %v", b.Complete(), takes, b.Wanted(), test.complete, test.takes, test.wanted)
			}
			if b.Takes(nil) {
				t.Error("it takes somebody in no group")
			}
		})
	}
}

// A ballot that was never checked is not read without end.
func TestAVoteTakesAtMost64Approvals(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		b := Ballot{Steps: each(of(65, "a")), Ordered: ordered}
		for n := range 66 {
			if got := b.Takes(in("a")); got != (n < 64) {
				t.Fatalf("ordered %v: takes the approval %d: %v", ordered, n+1, got)
			}
			b.Approvals = append(b.Approvals, yes("p@example.com", "a"))
		}
	}
}

// The largest votes that CheckSteps lets through come to their end.
func TestTheLargestVotesComeToTheirEnd(t *testing.T) {
	votes := map[string][]Step{
		"64 people":            each(of(20, "a"), of(20, "b"), of(20, "c"), of(4, "d")),
		"64 ways":              repeat(oneOf(of(5, "a", "c"), of(5, "b", "d")), 6),
		"every group to count": {oneOf(of(16, "a"), of(16, "b")), oneOf(of(16, "c"), of(16, "d"))},
	}
	for name, steps := range votes {
		if err := CheckSteps(steps); err != nil {
			t.Fatal(err)
		}
		for _, ordered := range []bool{false, true} {
			b := Ballot{Steps: steps, Ordered: ordered}
			for n := 0; !b.Complete(); n++ {
				taken := false
				for i := range 4 { // another group each time: the way that spreads them most
					group := string(rune('a' + (n+i)%4))
					if taken = b.Takes(in(group)); taken {
						b.Approvals = append(b.Approvals, yes("p@example.com", group))
						break
					}
				}
				if !taken {
					t.Fatalf("%s, ordered %v: nobody is taken after %d approvals", name, ordered, len(b.Approvals))
				}
			}
		}
	}
}

func TestGroupsOfAVote(t *testing.T) {
	b := Ballot{Steps: []Step{oneOf(of(1, "c", "a"), of(1, "b")), oneOf(of(2, "a"))}}
	if got := b.Groups(); !slices.Equal(got, in("a", "b", "c")) {
		t.Errorf("groups %v", got)
	}
	if got := b.Count(in("x", "c", "b", "c", "A", "")); !slices.Equal(got, in("b", "c")) {
		t.Errorf("count %v", got)
	}
	if got := b.Count(nil); len(got) != 0 {
		t.Errorf("count of nobody %v", got)
	}
	if got := b.Groups(); !slices.Equal(got, in("a", "b", "c")) || !slices.Equal(b.Steps[0].AnyOf[0].Groups, in("c", "a")) {
		t.Errorf("it wrote into the steps: %v", b)
	}
	if got := (Ballot{}).Groups(); len(got) != 0 {
		t.Errorf("groups of nothing: %v", got)
	}
}

// The dearest question: what is asked for each grant of a page.
func BenchmarkWantedOfTheLargestVote(b *testing.B) {
	vote := Ballot{Steps: repeat(oneOf(of(5, "a", "c"), of(5, "b", "d")), 6)}
	for n := 0; ; n++ {
		vote.Approvals = append(vote.Approvals, yes("p@example.com", string(rune('a'+n%4))))
		if vote.Complete() {
			vote.Approvals = vote.Approvals[:n]
			break
		}
	}
	for b.Loop() {
		vote.Wanted()
	}
}
