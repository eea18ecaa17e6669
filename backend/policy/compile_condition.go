package policy

import (
	"fmt"
	"math"
	"regexp/syntax"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
)

// conditions compiles each expression once, however many rules it stands in.
type conditions struct {
	env  *cel.Env
	done map[string]compiled
}

type compiled struct {
	program program
	at      position // of the problem, within the expression
	problem string
}

func (c *conditions) compile(expression string) compiled {
	if old, ok := c.done[expression]; ok {
		return old
	}
	n := c.build(expression)
	c.done[expression] = n
	return n
}

// build goes from the cheap checks to the dear ones: what would be dear to compile is refused before it is.
func (c *conditions) build(expression string) compiled {
	wrong := func(at position, format string, args ...any) compiled {
		return compiled{at: at, problem: fmt.Sprintf(format, args...)}
	}
	tree, issues := c.env.Compile(expression)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return wrong(within(first.Location), "%s", oneLine(first.Message))
	}
	if tree.OutputType() != cel.BoolType {
		return wrong(position{1, 1}, "a condition is true or false, and this is %s", tree.OutputType())
	}
	if at, problem := vet(tree.NativeRep()); problem != "" {
		return wrong(at, "%s", problem)
	}
	estimate, err := c.env.EstimateCost(tree, sizes{})
	if err != nil {
		return wrong(position{1, 1}, "its cost is not known: %v", err)
	}
	if estimate.Max > maxCost {
		return wrong(position{1, 1}, "it may cost %s for the largest request, and at most %d are allowed", units(estimate.Max), maxCost)
	}
	p, err := c.env.Program(tree,
		cel.EvalOptions(cel.OptOptimize), // folds constants, and compiles regular expressions now
		cel.OptimizeRegex(zones()...),
		cel.CostLimit(maxCost),
		cel.InterruptCheckFrequency(checkEvery),
	)
	if err != nil {
		return wrong(position{1, 1}, "%s", oneLine(err.Error()))
	}
	return compiled{program: p}
}

// within is a location of CEL's, whose columns begin at zero. What is wrong with the whole (its length, how deep it is nested)
// has none, which is line -1: the expression's beginning then.
func within(l common.Location) position {
	if l.Line() < 1 {
		return position{1, 1}
	}
	return position{l.Line(), l.Column() + 1}
}

// units writes a cost; beyond all bounds the number says nothing.
func units(n uint64) string {
	if n > 1e15 {
		return "more units than can be counted"
	}
	return fmt.Sprintf("%d units", n)
}

// oneLine keeps an error of CEL's, which may quote the expression, on the line of the problem.
func oneLine(s string) string { return shorten(strings.Join(strings.Fields(s), " "), 200) }

// sizes tells CEL's estimator how large the facts are at most. What it does not know is unbounded, and so too dear.
type sizes struct{}

// EstimateCallCost implements cost.Estimator. CEL's own costs are used but for regular expressions: it goes by the length
// of the pattern, and a short one may have hundreds of instructions, each of which may have to be tried at each character.
func (s sizes) EstimateCallCost(function, _ string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if function != "matches" {
		return nil
	}
	if target != nil {
		args = append([]cost.AstNode{*target}, args...)
	}
	if len(args) != 2 || args[1].Expr().Kind() != ast.LiteralKind {
		return nil // vet refuses it
	}
	pattern, ok := args[1].Expr().AsLiteral().Value().(string)
	text := s.EstimateSize(args[0])
	if !ok || text == nil {
		return nil
	}
	most := (text.Max + 1) * instructions(pattern)
	if most < text.Max { // wrapped round
		most = math.MaxUint64
	}
	return &cost.CallEstimate{CostEstimate: cost.CostEstimate{Max: most/perInstruction + 1}}
}

// perInstruction is how many instructions of a regular expression are tried in the time of one of CEL's units.
const perInstruction = 5

// instructions is the size of the program that a pattern becomes.
func instructions(pattern string) uint64 {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return maxPattern // it does not compile either
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return maxPattern
	}
	return uint64(len(program.Inst))
}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if s := n.ComputedSize(); s != nil {
		return s
	}
	path := n.Path()
	if len(path) == 0 || len(path) > 3 {
		return nil
	}
	var key [3]string
	copy(key[:], path)
	if key[0] == "inputs" {
		return inputSize(path)
	}
	most, known := largest[key]
	if !known {
		return nil
	}
	return &cost.SizeEstimate{Max: most}
}

func inputSize(path []string) *cost.SizeEstimate {
	switch {
	case len(path) == 1:
		return &cost.SizeEstimate{Max: maxInputs}
	case len(path) == 2 && path[1] == "@keys":
		return &cost.SizeEstimate{Max: 32}
	case len(path) == 2: // one answer
		return &cost.SizeEstimate{Max: maxAnswer}
	default:
		return nil
	}
}

// largest are the sizes of the facts: bytes of a text, elements of a list.
var largest = map[[3]string]uint64{
	{"subject", "name"}:             128,
	{"subject", "kind"}:             7,
	{"subject", "groups"}:           maxGroups,
	{"subject", "groups", "@items"}: maxGroup,
	{"owner", "name"}:               128,
	{"owner", "groups"}:             maxGroups,
	{"owner", "groups", "@items"}:   maxGroup,
	{"pool", "name"}:                95,
	{"pool", "environment"}:         31,
	{"pool", "pool"}:                63,
	{"pool", "tags"}:                maxTags,
	{"pool", "tags", "@items"}:      maxTag,
	{"request", "reason"}:           maxAnswer,
}
