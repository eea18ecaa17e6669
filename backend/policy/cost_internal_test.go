package policy

import (
	"math"
	"testing"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

func pattern(text string) cost.AstNode {
	return cost.NewAstNode(ast.NewExprFactory().NewLiteral(2, types.String(text)), nil, nil, nil)
}

// A regular expression of three letters is five instructions: the letters, the match, and the failure that all begin with.
// Each may be tried at every character of a text and at its end, five in the time of one unit.
func TestTheCostOfARegularExpressionGoesByItsInstructions(t *testing.T) {
	reason := cost.NewAstNode(ast.NewExprFactory().NewIdent(1, "reason"), []string{"request", "reason"}, nil, nil)
	unbounded := cost.SizeEstimate{Max: math.MaxUint64}
	endless := cost.NewAstNode(ast.NewExprFactory().NewIdent(1, "x"), nil, nil, &unbounded)
	for name, c := range map[string]struct {
		function string
		text     cost.AstNode
		pattern  string
		want     uint64 // 0: CEL's own
	}{
		"three letters":         {"matches", reason, "abc", 1001*5/5 + 1},
		"repeated":              {"matches", reason, "(?:abc){20}", 1001*62/5 + 1},
		"no pattern":            {"matches", reason, "(", 1001*500/5 + 1},
		"a text without bounds": {"matches", endless, "abc", math.MaxUint64/5 + 1},
		"another function":      {"contains", reason, "abc", 0},
	} {
		args := []cost.AstNode{c.text, pattern(c.pattern)}
		member := sizes{}.EstimateCallCost(c.function, "", &args[0], args[1:])
		global := sizes{}.EstimateCallCost(c.function, "", nil, args)
		for form, got := range map[string]*cost.CallEstimate{"member": member, "global": global} {
			if c.want == 0 && got != nil || c.want != 0 && (got == nil || got.Max != c.want) {
				t.Errorf("%s, %s: %+v, want %d", name, form, got, c.want)
			}
		}
	}
}

func TestACostBeyondAllBoundsIsNotWrittenAsANumber(t *testing.T) {
	for n, want := range map[uint64]string{
		2_000_001: "2000001 units", 1e15: "1000000000000000 units", 1e15 + 1: "more units than can be counted",
	} {
		if got := units(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
