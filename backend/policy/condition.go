package policy

import (
	"context"
	"errors"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
)

// Bounds of a condition.
const (
	maxExpression = 2048      // characters
	maxNesting    = 64        // of brackets and operators
	maxNodes      = 2000      // of the tree, macros expanded
	maxPattern    = 500       // instructions of a regular expression
	maxCost       = 2_000_000 // CEL's units, the worst case for facts of their largest size; a unit is some nanoseconds
	checkEvery    = 64        // rounds of a loop between two looks at the clock
)

// environment is what conditions are compiled in. It is made once: that is dearer than any condition.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(append([]cel.EnvOption{
		cel.CustomTypeProvider(provider{registry}),
		cel.CustomTypeAdapter(registry),
		ext.Strings(ext.StringsVersion(5)),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxNesting),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(maxNodes),
		cel.RegexProgramSizeLimit(maxPattern),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
	}, variables...)...)
})

// program is what CEL makes of an expression.
type program interface {
	ContextEval(ctx context.Context, vars any) (out ref.Val, details *cel.EvalDetails, err error)
}

// condition is a compiled expression with what it is for.
type condition struct {
	place   string // file:line:column
	message string
	program program
}

// answer is what a condition says of the facts.
type answer int

const (
	no answer = iota
	yes
	failed   // it cannot be told: an error, a fact that is missing, too dear
	timedOut // it cannot be told now
)

// ask evaluates the condition. Whatever goes wrong is an answer; why says it in words that repeat nothing of the request.
func (c *condition) ask(ctx context.Context, f *facts) (a answer, why string) {
	defer func() {
		if recover() != nil {
			a, why = failed, "it failed"
		}
	}()
	if ctx.Err() != nil {
		return timedOut, "there was no time left"
	}
	out, _, err := c.program.ContextEval(ctx, f)
	if err != nil {
		return c.failure(ctx, err)
	}
	switch out {
	case types.True:
		return yes, ""
	case types.False:
		return no, ""
	default:
		return failed, "it is neither true nor false"
	}
}

// failure puts an error of CEL's into one of few sentences: its own text may hold what the requester wrote.
func (c *condition) failure(ctx context.Context, err error) (answer, string) {
	var cancelled interpreter.EvalCancelledError
	switch {
	case ctx.Err() != nil:
		return timedOut, "there was no time left"
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return failed, "it is too dear"
	case errors.Is(err, errMissing), strings.HasPrefix(err.Error(), "no such key"):
		return failed, "it reads a fact that is not known"
	default:
		return failed, "it failed"
	}
}
